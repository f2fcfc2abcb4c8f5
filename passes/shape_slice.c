/* Slice (opsets 1, 10, 11, 13): how many elements start:end:step takes of a dim, numbers or symbols, and which. */
#include "shape_internal.h"

#include <string.h>

struct cut {
    dim start, end, step; /* as given; unknown: not known */
    bool given;
};

/* Any end from here on means "to the end": exporters write INT32_MAX or INT64_MAX, and their negatives. */
#define FAR INT64_C(0x7fffffff)

/* A bound counted from the front and clamped into lo..hi; unknown when its sign is. */
static dim clamp_bound(struct graph *g, dim at, dim size, dim lo, dim hi) {
    int64_t least, most;
    if (dim_is_number(at) && at.value >= FAR) return hi;
    if (dim_is_number(at) && at.value <= -FAR) return lo;
    if (dim_is_unknown(at)) return DIM_UNKNOWN;
    dim_bounds(g, at, &least, &most);
    if (least < 0 && most >= 0) return DIM_UNKNOWN;
    dim front = least >= 0 ? at : dim_add(g, at, size);
    return dim_min(g, dim_max(g, front, lo), hi);
}

static dim slice_length(struct graph *g, const struct cut *c, dim size) {
    if (!dim_is_number(c->step) || c->step.value == INT64_MIN) return DIM_UNKNOWN;
    dim n;
    if (c->step.value > 0) {
        dim start = clamp_bound(g, c->start, size, DIM(0), size), end = clamp_bound(g, c->end, size, DIM(0), size);
        n = dim_ceildiv(g, dim_sub(g, end, start), c->step);
    } else {
        dim last = dim_sub(g, size, DIM(1));
        dim start = clamp_bound(g, c->start, size, DIM(0), last), end = clamp_bound(g, c->end, size, DIM(-1), last);
        n = dim_ceildiv(g, dim_sub(g, start, end), DIM(-c->step.value));
    }
    int64_t lo, hi;
    dim_bounds(g, n, &lo, &hi);
    return dim_is_unknown(n) || lo >= 0 ? n : dim_max(g, n, DIM(0));
}

static dim cut_dim(struct infer *in, const struct cut *c, dim size, uint32_t slot) {
    int64_t lo, hi = INT64_MAX;
    if (dim_is_unknown(size)) return DIM_UNKNOWN;
    dim n = slice_length(in->graph, c, size);
    dim_bounds(in->graph, size, &lo, &hi);
    return infer_size(in, n, slot, hi);
}

/* One column of the cuts: an attribute, or input `input`. */
static enum status read_column(struct infer *in, const char *name, uint32_t input, dim *out, size_t *n, bool *known) {
    size_t n_attr;
    const int64_t *attr = in->opset < 10 ? node_ints(in->node, name, &n_attr) : NULL;
    const struct value *v = in->opset < 10 ? NULL : infer_value(in, input);
    *known = attr || (v && !v->is_float);
    size_t count = attr ? n_attr : *known ? v->n : 0;
    if (count > RANK_MAX) return infer_fail(in, "%s has %zu values, more than %d", name, count, RANK_MAX);
    for (size_t i = 0; i < count; i++) out[i] = attr ? DIM(attr[i]) : v->at[i].d;
    *n = count;
    return ST_OK;
}

static bool is_given(const struct infer *in, const char *name, uint32_t input) {
    return in->opset < 10 ? node_attr(in->node, name) != NULL : infer_has(in, input);
}

/* Fills cuts[rank]; *known false when not even the axes are. */
static enum status read_cuts(struct infer *in, int32_t rank, struct cut *cuts, bool *known) {
    dim starts[RANK_MAX], ends[RANK_MAX], axes[RANK_MAX], steps[RANK_MAX];
    size_t n_starts, n_ends, n_axes, n_steps;
    bool has_starts, has_ends, has_axes, has_steps;
    TRY(read_column(in, "starts", 1, starts, &n_starts, &has_starts));
    TRY(read_column(in, "ends", 2, ends, &n_ends, &has_ends));
    TRY(read_column(in, "axes", 3, axes, &n_axes, &has_axes));
    TRY(read_column(in, "steps", 4, steps, &n_steps, &has_steps));
    size_t n = has_axes ? n_axes : has_starts ? n_starts : n_ends;
    *known = has_axes || (!is_given(in, "axes", 3) && (has_starts || has_ends));
    if (!*known) return ST_OK;
    if ((has_starts && n_starts != n) || (has_ends && n_ends != n) || (has_steps && n_steps != n))
        return infer_fail(in, "starts, ends, axes and steps have different lengths");
    for (size_t i = 0; i < n; i++) {
        int32_t axis;
        if (has_axes && !dim_is_number(axes[i])) {
            *known = false;
            return ST_OK;
        }
        TRY(infer_axis(in, has_axes ? axes[i].value : (int64_t)i, rank, &axis));
        dim step = has_steps ? steps[i] : is_given(in, "steps", 4) ? DIM_UNKNOWN : DIM(1);
        if (dim_is(step, 0)) return infer_fail(in, "a step is 0");
        cuts[axis] = (struct cut){has_starts ? starts[i] : DIM_UNKNOWN, has_ends ? ends[i] : DIM_UNKNOWN, step, true};
    }
    return ST_OK;
}

enum status shape_slice(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    struct cut cuts[RANK_MAX] = {{.given = false}};
    dim dims[RANK_MAX];
    bool known;
    TRY(read_cuts(in, rank, cuts, &known));
    for (int32_t i = 0; i < rank; i++) {
        dim d = infer_dim(in, 0, i);
        int64_t lo, hi = INT64_MAX;
        if (!dim_is_unknown(d)) dim_bounds(in->graph, d, &lo, &hi);
        if (!known)
            dims[i] = infer_fresh(in, (uint32_t)i, 0, hi);
        else
            dims[i] = cuts[i].given ? cut_dim(in, &cuts[i], d, (uint32_t)i) : d;
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

void fold_slice(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    int32_t rank = infer_rank(in, 0);
    struct cut cuts[RANK_MAX] = {{.given = false}};
    bool known = false;
    if (!from || rank < 1 || read_cuts(in, rank, cuts, &known) != ST_OK || !known) return;
    struct value *v = fold_new(in, 0);
    int64_t size[RANK_MAX], start[RANK_MAX], step[RANK_MAX], out[RANK_MAX];
    if (!v || !fold_dims(in, node_in(in->node, 0), size)) return;
    fold_dims(in, node_out(in->node, 0), out);
    for (int32_t i = 0; i < rank; i++) {
        step[i] = cuts[i].given ? cuts[i].step.value : 1;
        dim lo = DIM(0), hi = DIM(step[i] > 0 ? size[i] : size[i] - 1);
        dim at = cuts[i].given ? clamp_bound(in->graph, cuts[i].start, DIM(size[i]), lo, hi) : lo;
        if (!dim_is_number(at) || (cuts[i].given && !dim_is_number(cuts[i].step))) return;
        start[i] = at.value;
    }
    int64_t at[RANK_MAX];
    for (uint32_t k = 0; k < v->n; k++) {
        int64_t source = 0;
        fold_position(k, out, rank, at);
        for (int32_t i = 0; i < rank; i++) source = source * size[i] + start[i] + at[i] * step[i];
        v->at[k] = from->at[source];
    }
    fold_set(in, 0, v);
}
