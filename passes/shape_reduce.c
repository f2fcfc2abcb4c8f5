/* Shapes of reductions: Reduce*-18 (axes as attribute or input), ArgMax-13, ArgMin-13, and the losses of opset 12. */
#include "shape_nn.h"

#include <string.h>

struct axes {
    bool known;
    size_t n;
    int64_t at[RANK_MAX];
};

/* Attribute `axes` (before opset 18, ReduceSum 13) or input 1; none at all means every axis. */
static enum status read_axes(struct infer *in, struct axes *a) {
    size_t n;
    const int64_t *attr = node_ints(in->node, "axes", &n);
    a->known = true;
    a->n = 0;
    if (n > RANK_MAX) return infer_fail(in, "axes has %zu values", n);
    if (n) memcpy(a->at, attr, n * sizeof *attr);
    a->n = n;
    if (!attr && infer_has(in, 1)) a->known = infer_ints(in, 1, a->at, RANK_MAX, &a->n);
    return ST_OK;
}

/* With axes that are not known: with keepdims each dim is itself or 1, without only the rank may be told. */
static enum status reduce_some(struct infer *in, int32_t rank, bool keep) {
    dim dims[RANK_MAX];
    int64_t count = infer_count(in, 1);
    if (!keep && (count <= 0 || count > rank)) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    int32_t left = keep ? rank : rank - (int32_t)count;
    for (int32_t i = 0; i < left; i++) dims[i] = keep && dim_is(infer_dim(in, 0, i), 1) ? DIM(1) : DIM_UNKNOWN;
    return infer_set(in, 0, infer_dtype(in, 0), dims, left);
}

static enum status reduce_axes(struct infer *in, enum dtype dtype, const struct axes *a, bool keep) {
    int32_t rank = infer_rank(in, 0), n = 0;
    bool gone[RANK_MAX] = {false};
    dim dims[RANK_MAX];
    for (size_t i = 0; i < a->n; i++) {
        int32_t axis;
        TRY(infer_axis(in, a->at[i], rank, &axis));
        gone[axis] = true;
    }
    for (int32_t i = 0; i < rank; i++) {
        if (!gone[i])
            dims[n++] = infer_dim(in, 0, i);
        else if (keep)
            dims[n++] = DIM(1);
    }
    return infer_set(in, 0, dtype, dims, n);
}

enum status shape_reduce(struct infer *in) {
    struct axes axes;
    int32_t rank = infer_rank(in, 0);
    bool keep = node_int(in->node, "keepdims", 1) != 0;
    TRY(read_axes(in, &axes));
    if (axes.known && axes.n == 0) {
        if (node_int(in->node, "noop_with_empty_axes", 0)) return infer_set_like(in, 0, 0, DT_UNDEFINED);
        if (!keep) return infer_set(in, 0, infer_dtype(in, 0), NULL, 0);
        for (int32_t i = 0; i < rank; i++) axes.at[axes.n++] = i;
    }
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    return axes.known ? reduce_axes(in, infer_dtype(in, 0), &axes, keep) : reduce_some(in, rank, keep);
}

enum status shape_arg_reduce(struct infer *in) {
    struct axes axes = {.known = true, .n = 1, .at = {node_int(in->node, "axis", 0)}};
    if (infer_rank(in, 0) == RANK_UNKNOWN) return infer_set_unknown(in, 0, DT_INT64, NULL);
    return reduce_axes(in, DT_INT64, &axes, node_int(in->node, "keepdims", 1) != 0);
}

/* The loss of each element, or one number. */
static enum status set_loss(struct infer *in) {
    const char *reduction = node_string(in->node, "reduction", "mean");
    if (strcmp(reduction, "none") == 0) return infer_set_like(in, 0, 1, infer_dtype(in, 0));
    return infer_set(in, 0, infer_dtype(in, 0), NULL, 0);
}

enum status shape_nll_loss(struct infer *in) {
    dim batch;
    TRY(infer_want_rank(in, 0, "input", 2, -1));
    TRY(infer_unify(in, infer_dim(in, 0, 0), infer_dim(in, 1, 0), "the batch of input and target", &batch));
    return set_loss(in);
}

/* SoftmaxCrossEntropyLoss-13: the loss, then the logarithms of the probabilities. */
enum status shape_softmax_loss(struct infer *in) {
    dim batch;
    TRY(infer_want_rank(in, 0, "scores", 2, -1));
    TRY(infer_unify(in, infer_dim(in, 0, 0), infer_dim(in, 1, 0), "the batch of scores and labels", &batch));
    TRY(infer_set_like(in, 1, 0, DT_UNDEFINED));
    return set_loss(in);
}
