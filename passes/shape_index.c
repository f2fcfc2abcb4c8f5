/* Shapes of operators that pick elements: by index, by condition, by rank. What they pick by condition has a size that
 * depends on data: a symbol with the upper bound the input gives. */
#include "geometry.h"
#include "shape_internal.h"

#include <string.h>

static int64_t upper_bound(const struct infer *in, dim d) {
    int64_t lo, hi = INT64_MAX;
    if (!dim_is_unknown(d)) dim_bounds(in->graph, d, &lo, &hi);
    return hi;
}

/* ---- Gather ---- */

/* com.microsoft.GatherBlockQuantized: uint8 data holds two 4-bit elements a byte along the quantized axis. */
static dim unpacked_dim(const struct infer *in, int32_t i) {
    dim d = infer_dim(in, 0, i);
    bool packed = in->node->op == OP_MsGatherBlockQuantized && infer_dtype(in, 0) == DT_UINT8;
    int64_t bits = node_int(in->node, "bits", 4);
    if (!packed || bits < 1 || bits > 8) return d;
    return i == infer_rank(in, 0) - 1 ? dim_mul(in->graph, d, DIM(8 / bits)) : d;
}

enum status shape_gather(struct infer *in) {
    bool quantized = in->node->op == OP_MsGatherBlockQuantized;
    enum dtype dtype = infer_dtype(in, quantized ? 2 : 0);
    int32_t rank = infer_rank(in, 0), index_rank = infer_rank(in, 1), axis, n = 0;
    if (rank == RANK_UNKNOWN || index_rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    TRY(infer_axis(in, node_int(in->node, quantized ? "gather_axis" : "axis", 0), rank, &axis));
    if (rank + index_rank - 1 > RANK_MAX) return infer_fail(in, "the result has more than %d dimensions", RANK_MAX);
    dim dims[RANK_MAX];
    for (int32_t i = 0; i < axis; i++) dims[n++] = unpacked_dim(in, i);
    for (int32_t i = 0; i < index_rank; i++) dims[n++] = infer_dim(in, 1, i);
    for (int32_t i = axis + 1; i < rank; i++) dims[n++] = unpacked_dim(in, i);
    return infer_set(in, 0, dtype, dims, n);
}

enum status shape_gather_elements(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    if (rank != RANK_UNKNOWN) {
        TRY(infer_axis(in, node_int(in->node, "axis", 0), rank, &axis));
        TRY(infer_want_rank(in, 1, "indices", rank, rank));
    }
    return infer_set_like(in, 0, 1, infer_dtype(in, 0));
}

enum status shape_gather_nd(struct infer *in) {
    int32_t rank = infer_rank(in, 0), index_rank = infer_rank(in, 1), n = 0;
    int64_t batch = node_int(in->node, "batch_dims", 0);
    dim depth = infer_dim(in, 1, -1), dims[RANK_MAX];
    if (rank == RANK_UNKNOWN || index_rank == RANK_UNKNOWN || !dim_is_number(depth))
        return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (batch < 0 || batch >= index_rank || depth.value < 1 || depth.value > rank - batch)
        return infer_fail(in, "indices of depth %lld do not fit data of rank %d", (long long)depth.value, rank);
    int64_t first = batch + depth.value;
    if (index_rank - 1 + rank - first > RANK_MAX)
        return infer_fail(in, "the result has more than %d dimensions", RANK_MAX);
    for (int32_t i = 0; i < index_rank - 1; i++) dims[n++] = infer_dim(in, 1, i);
    for (int64_t i = first; i < rank; i++) dims[n++] = infer_dim(in, 0, i);
    return infer_set(in, 0, infer_dtype(in, 0), dims, n);
}

/* ---- By condition ---- */

static dim count_true(struct infer *in, uint32_t i, int64_t limit, int64_t hi) {
    const struct value *v = infer_value(in, i);
    int64_t n = 0;
    bool known = v && !v->is_float;
    for (uint32_t k = 0; known && k < v->n && k < limit; k++) {
        known = dim_is_number(v->at[k].d);
        n += v->at[k].d.value != 0;
    }
    return known ? DIM(n) : infer_fresh(in, 0, 0, hi);
}

/* NULL: of the flattened data */
static const struct attr *axis_attr(const struct infer *in) {
    const struct attr *a = node_attr(in->node, "axis");
    return a && a->type == AT_INT ? a : NULL;
}

enum status shape_compress(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    dim dims[RANK_MAX], along, condition = infer_dim(in, 1, 0);
    const struct attr *attr = axis_attr(in);
    if (rank == RANK_UNKNOWN && attr) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (!attr) {
        along = rank == RANK_UNKNOWN ? DIM_UNKNOWN : tensor_elements(in->graph, infer_in(in, 0));
        rank = 1;
        axis = 0;
    } else {
        TRY(infer_axis(in, attr->i, rank, &axis));
        along = infer_dim(in, 0, axis);
        infer_dims(in, 0, dims);
    }
    int64_t limit = upper_bound(in, along), hi = upper_bound(in, condition);
    dims[axis] = count_true(in, 1, limit, hi < limit ? hi : limit);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

enum status shape_nonzero(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    int64_t hi = rank == RANK_UNKNOWN ? INT64_MAX : upper_bound(in, tensor_elements(in->graph, infer_in(in, 0)));
    const struct value *v = infer_value(in, 0);
    int64_t n = 0;
    bool known = v != NULL;
    for (uint32_t k = 0; known && k < v->n; k++) {
        known = scalar_is_number(v->at[k], v->is_float);
        n += known && scalar_to_double(v->at[k], v->is_float) != 0;
    }
    /* A scalar counts as a vector of one. */
    dim dims[2] = {rank == RANK_UNKNOWN ? DIM_UNKNOWN : DIM(rank ? rank : 1),
                   known ? DIM(n) : infer_fresh(in, 0, 0, hi)};
    return infer_set(in, 0, DT_INT64, dims, 2);
}

void fold_nonzero(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    int64_t dims[RANK_MAX], at[RANK_MAX];
    int32_t rank = infer_rank(in, 0);
    struct value *v = from ? fold_new(in, 0) : NULL;
    if (!v || rank < 1 || !fold_dims(in, node_in(in->node, 0), dims)) return;
    uint32_t n = v->n / (uint32_t)rank, found = 0;
    for (uint32_t k = 0; k < from->n && found < n; k++) {
        if (scalar_to_double(from->at[k], from->is_float) == 0) continue;
        fold_position(k, dims, rank, at);
        for (int32_t i = 0; i < rank; i++) v->at[(uint32_t)i * n + found].d = DIM(at[i]);
        found++;
    }
    fold_set(in, 0, v);
}

/* ---- OneHot ---- */

enum status shape_one_hot(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    enum dtype dtype = infer_dtype(in, 2);
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    if (rank == RANK_MAX) return infer_fail(in, "the result has more than %d dimensions", RANK_MAX);
    TRY(infer_axis(in, node_int(in->node, "axis", -1), rank + 1, &axis));
    dim dims[RANK_MAX], depth = infer_scalar(in, 1);
    const struct value *v = infer_value(in, 1);
    if (v && v->is_float && v->n == 1 && scalar_is_number(v->at[0], true))
        depth = infer_floor(scalar_to_double(v->at[0], true)); /* any numeric type may say how deep */
    for (int32_t i = 0; i < rank; i++) dims[i < axis ? i : i + 1] = infer_dim(in, 0, i);
    dims[axis] = infer_size(in, depth, 0, INT64_MAX);
    return infer_set(in, 0, dtype, dims, rank + 1);
}

/* ---- Sorting and selecting ---- */

enum status shape_topk(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    dim dims[RANK_MAX], k = in->opset < 10 ? DIM(node_int(in->node, "k", -1)) : infer_scalar(in, 1);
    if (rank == RANK_UNKNOWN) {
        TRY(infer_set_unknown(in, 0, infer_dtype(in, 0), NULL));
        return infer_set_unknown(in, 1, DT_INT64, NULL);
    }
    TRY(infer_axis(in, node_int(in->node, "axis", -1), rank, &axis));
    infer_dims(in, 0, dims);
    if (dim_is_number(k) && dim_is_number(dims[axis]) && (k.value < 0 || k.value > dims[axis].value))
        return infer_fail(in, "k is %lld of %lld", (long long)k.value, (long long)dims[axis].value);
    dims[axis] = infer_size(in, k, 0, upper_bound(in, dims[axis]));
    TRY(infer_set(in, 0, infer_dtype(in, 0), dims, rank));
    return infer_set(in, 1, DT_INT64, dims, rank);
}

bool suppresses_nothing(struct graph *graph, const struct node *node) {
    const struct tensor *t = node_tensor(graph, node, 3);
    const struct value *v = t ? t->value ? t->value : tensor_read(graph, t) : NULL;
    return v && v->is_float && v->n == 1 && scalar_is_number(v->at[0], true) && scalar_to_double(v->at[0], true) >= 1;
}

/* How many are kept depends on the boxes, unless all are. */
enum status shape_nms(struct infer *in) {
    TRY(infer_want_rank(in, 0, "boxes", 3, 3));
    TRY(infer_want_rank(in, 1, "scores", 3, 3));
    struct graph *g = in->graph;
    dim per_class = infer_has(in, 2) ? infer_scalar(in, 2) : DIM(0), boxes = infer_dim(in, 0, 1);
    if (dim_is_unknown(per_class))
        per_class = boxes;
    else if (!dim_is_unknown(boxes))
        per_class = dim_min(g, per_class, boxes);
    dim most = dim_mul(g, dim_mul(g, infer_dim(in, 1, 0), infer_dim(in, 1, 1)), per_class);
    if (dim_is(per_class, 0)) most = DIM(0);
    int64_t hi = upper_bound(in, most);
    bool all = suppresses_nothing(g, in->node) && !infer_has(in, 4) && !dim_is_unknown(most);
    dim dims[2] = {all ? most : infer_fresh(in, 0, 0, hi < 0 ? 0 : hi), DIM(3)};
    return infer_set(in, 0, DT_INT64, dims, 2);
}

enum status shape_unique(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis = 0;
    const struct attr *attr = axis_attr(in);
    bool known = rank != RANK_UNKNOWN;
    dim whole = known ? tensor_elements(in->graph, infer_in(in, 0)) : DIM_UNKNOWN, dims[RANK_MAX];
    if (attr && known) {
        TRY(infer_axis(in, attr->i, rank, &axis));
        whole = infer_dim(in, 0, axis);
    }
    dim n = infer_fresh(in, 0, dim_is_positive(in->graph, whole) ? 1 : 0, upper_bound(in, whole));
    if (attr && !known) {
        TRY(infer_set_unknown(in, 0, infer_dtype(in, 0), NULL));
    } else {
        if (attr) infer_dims(in, 0, dims);
        dims[axis] = n;
        TRY(infer_set(in, 0, infer_dtype(in, 0), dims, attr ? rank : 1));
    }
    bool has_first = in->node->op == OP_Unique; /* com.microsoft: values, inverse, counts */
    if (has_first) TRY(infer_set(in, 1, DT_INT64, &n, 1));
    TRY(infer_set(in, has_first ? 2 : 1, DT_INT64, &whole, 1));
    return infer_set(in, has_first ? 3 : 2, DT_INT64, &n, 1);
}
