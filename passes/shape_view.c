/* Shapes of operators that only give the elements another shape. */
#include "shape_internal.h"

#include <string.h>

/* ---- Reshape ---- */

struct reshape {
    dim *dims;
    int32_t n;
    bool copied[RANK_MAX]; /* a 0: the dim of the data at the same place */
    int32_t rest;          /* the place of the -1, or of the only unknown; -1: none */
    int32_t n_unknown;
    bool has_rest; /* a real -1 */
};

static enum status read_target(struct infer *in, const struct value *target, struct reshape *r) {
    bool allow_zero = node_int(in->node, "allowzero", 0) != 0;
    for (int32_t i = 0; i < r->n; i++) {
        dim d = target->at[i].d;
        r->copied[i] = dim_is(d, 0) && !allow_zero;
        if (r->copied[i] && infer_rank(in, 0) != RANK_UNKNOWN && i >= infer_rank(in, 0))
            return infer_fail(in, "shape copies dimension %d of a tensor of rank %d", i, infer_rank(in, 0));
        if (r->copied[i]) {
            d = infer_dim(in, 0, i);
        } else if (dim_is(d, -1)) {
            if (r->has_rest) return infer_fail(in, "shape has more than one -1");
            r->has_rest = true;
            r->rest = i;
            d = DIM_UNKNOWN;
        } else if (dim_is_unknown(d)) {
            r->n_unknown++;
            if (!r->has_rest) r->rest = i;
        } else if (dim_is_number(d) && d.value < 0) {
            return infer_fail(in, "shape holds %lld", (long long)d.value);
        }
        r->dims[i] = d;
    }
    return ST_OK;
}

/* Elements of the data over the elements of the dims given; copied dims cancel, so they need not be known. */
static enum status fill_rest(struct infer *in, struct reshape *r) {
    struct graph *g = in->graph;
    int32_t rank = infer_rank(in, 0);
    if (rank == RANK_UNKNOWN || r->rest < 0 || r->n_unknown + (r->has_rest ? 1 : 0) != 1) return ST_OK;
    dim all = DIM(1), given = DIM(1);
    for (int32_t i = 0; i < rank; i++)
        if (i >= r->n || !r->copied[i]) all = dim_mul(g, all, infer_dim(in, 0, i));
    for (int32_t i = 0; i < r->n; i++)
        if (i != r->rest && !r->copied[i]) given = dim_mul(g, given, r->dims[i]);
    if (dim_is(given, 0)) return ST_OK; /* any size would do */
    if (dim_is_number(all) && dim_is_number(given) && all.value % given.value != 0)
        return infer_fail(in, "%lld elements do not divide by %lld", (long long)all.value, (long long)given.value);
    r->dims[r->rest] = dim_floordiv(g, all, given);
    return ST_OK;
}

static enum status check_elements(struct infer *in, const struct reshape *r) {
    int64_t from = infer_count(in, 0), to = 1;
    for (int32_t i = 0; i < r->n; i++)
        if (!dim_is_number(r->dims[i]) || !num_mul(to, r->dims[i].value, &to)) return ST_OK;
    if (from >= 0 && from != to)
        return infer_fail(in, "%lld elements cannot take a shape of %lld", (long long)from, (long long)to);
    return ST_OK;
}

static enum status reshape_unread(struct infer *in) {
    dim length = infer_dim(in, 1, 0);
    if (infer_rank(in, 1) != 1 || !dim_is_number(length) || length.value > RANK_MAX)
        return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    dim dims[RANK_MAX];
    if (length.value == 1 && infer_rank(in, 0) != RANK_UNKNOWN) {
        dims[0] = tensor_elements(in->graph, infer_in(in, 0));
        return infer_set(in, 0, infer_dtype(in, 0), dims, 1);
    }
    int64_t all = infer_count(in, 0);
    for (int32_t i = 0; i < length.value; i++) dims[i] = infer_fresh(in, (uint32_t)i, 0, all > 0 ? all : INT64_MAX);
    return infer_set(in, 0, infer_dtype(in, 0), dims, (int32_t)length.value);
}

static const struct value *ints_as_value(struct infer *in, const int64_t *ints, size_t n) {
    struct value *v = value_new(in->run->scratch, (uint32_t)n, false);
    for (size_t i = 0; i < n; i++) v->at[i].d = DIM(ints[i]);
    return v;
}

enum status shape_reshape(struct infer *in) {
    const struct value *target = infer_value(in, 1);
    size_t n_ints;
    const int64_t *ints = node_ints(in->node, "shape", &n_ints); /* before opset 5 */
    if (in->node->n_inputs < 2 && ints && n_ints <= VALUE_MAX) target = ints_as_value(in, ints, n_ints);
    if (!target || target->is_float) return reshape_unread(in);
    if (target->n > RANK_MAX) return infer_fail(in, "shape has %u dimensions, more than %d", target->n, RANK_MAX);
    dim dims[RANK_MAX];
    struct reshape r = {.dims = dims, .n = (int32_t)target->n, .rest = -1};
    TRY(read_target(in, target, &r));
    TRY(fill_rest(in, &r));
    int64_t all = infer_count(in, 0);
    for (int32_t i = 0; i < r.n; i++) /* a copied dim that is unknown stays so: the data's producer has the reason */
        if (!r.copied[i]) dims[i] = infer_size(in, dims[i], (uint32_t)i, all > 0 ? all : INT64_MAX);
    TRY(check_elements(in, &r));
    return infer_set(in, 0, infer_dtype(in, 0), dims, r.n);
}

enum status shape_flatten(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    int64_t attr = node_int(in->node, "axis", 1);
    dim dims[2] = {DIM(1), DIM(1)};
    if (rank == RANK_UNKNOWN) {
        dims[0] = dims[1] = DIM_UNKNOWN;
        return infer_set(in, 0, infer_dtype(in, 0), dims, 2);
    }
    if (attr == rank)
        axis = rank;
    else
        TRY(infer_axis(in, attr, rank, &axis));
    for (int32_t i = 0; i < rank; i++) dims[i >= axis] = dim_mul(in->graph, dims[i >= axis], infer_dim(in, 0, i));
    return infer_set(in, 0, infer_dtype(in, 0), dims, 2);
}

/* ---- Squeeze and Unsqueeze ---- */

struct axes {
    bool given, known;
    int64_t at[RANK_MAX];
    size_t n;
};

/* From the attribute, or since opset 13 from the second input. */
static enum status read_axes(struct infer *in, struct axes *a) {
    size_t n;
    const int64_t *ints = node_ints(in->node, "axes", &n);
    *a = (struct axes){.given = ints || infer_has(in, 1), .known = true};
    if (ints) {
        if (n > RANK_MAX) return infer_fail(in, "axes has %zu values, more than %d", n, RANK_MAX);
        memcpy(a->at, ints, n * sizeof *ints);
        a->n = n;
    } else if (a->given) {
        a->known = infer_ints(in, 1, a->at, RANK_MAX, &a->n);
    }
    return ST_OK;
}

/* Without axes every dim of 1 goes, so all must be known to be 1 or not. */
static bool mark_ones(struct infer *in, int32_t rank, bool *gone) {
    for (int32_t i = 0; i < rank; i++) {
        dim d = infer_dim(in, 0, i);
        int64_t lo, hi;
        if (dim_is_unknown(d)) return false;
        dim_bounds(in->graph, d, &lo, &hi);
        if (!dim_is_number(d) && lo <= 1 && hi >= 1) return false;
        gone[i] = dim_is(d, 1);
    }
    return true;
}

enum status shape_squeeze(struct infer *in) {
    struct axes axes;
    TRY(read_axes(in, &axes));
    int32_t rank = infer_rank(in, 0), n = 0;
    bool gone[RANK_MAX] = {false};
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN || !axes.known || (!axes.given && !mark_ones(in, rank, gone)))
        return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (size_t i = 0; axes.given && i < axes.n; i++) {
        int32_t axis;
        TRY(infer_axis(in, axes.at[i], rank, &axis));
        dim d = infer_dim(in, 0, axis);
        if (dim_is_number(d) && d.value != 1)
            return infer_fail(in, "dimension %d is %lld, only a 1 can be squeezed", axis, (long long)d.value);
        gone[axis] = true;
    }
    for (int32_t i = 0; i < rank; i++)
        if (!gone[i]) dims[n++] = infer_dim(in, 0, i);
    return infer_set(in, 0, infer_dtype(in, 0), dims, n);
}

static enum status unsqueeze_unread(struct infer *in, int32_t rank) {
    dim count = infer_rank(in, 1) == 0 ? DIM(1) : infer_dim(in, 1, 0);
    if (!dim_is_number(count) || count.value > RANK_MAX - rank)
        return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    dim dims[RANK_MAX];
    for (int32_t i = 0; i < rank + count.value; i++) dims[i] = infer_fresh(in, (uint32_t)i, 0, INT64_MAX);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank + (int32_t)count.value);
}

enum status shape_unsqueeze(struct infer *in) {
    struct axes axes;
    TRY(read_axes(in, &axes));
    int32_t rank = infer_rank(in, 0), next = 0;
    bool added[RANK_MAX] = {false};
    dim dims[RANK_MAX];
    if (!axes.given) return infer_fail(in, "axes are missing");
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (!axes.known) return unsqueeze_unread(in, rank);
    if (axes.n > (size_t)(RANK_MAX - rank)) return infer_fail(in, "the result has more than %d dimensions", RANK_MAX);
    int32_t out_rank = rank + (int32_t)axes.n;
    for (size_t i = 0; i < axes.n; i++) {
        int32_t axis;
        TRY(infer_axis(in, axes.at[i], out_rank, &axis));
        if (added[axis]) return infer_fail(in, "axis %d is given twice", axis);
        added[axis] = true;
    }
    for (int32_t i = 0; i < out_rank; i++) dims[i] = added[i] ? DIM(1) : infer_dim(in, 0, next++);
    return infer_set(in, 0, infer_dtype(in, 0), dims, out_rank);
}
