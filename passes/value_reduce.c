/* Values through reductions, running sums and small products of integers. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

/* ---- Reductions ---- */

static bool read_reduce_axes(struct infer *in, int32_t rank, bool *reduced) {
    int64_t axes[RANK_MAX];
    size_t n = 0;
    const int64_t *attr = node_ints(in->node, "axes", &n);
    if (attr && n > RANK_MAX) return false;
    if (attr)
        memcpy(axes, attr, n * sizeof *axes);
    else if (infer_has(in, 1) && !infer_ints(in, 1, axes, RANK_MAX, &n))
        return false;
    bool none = n == 0, keep_all = none && node_int(in->node, "noop_with_empty_axes", 0) != 0;
    for (int32_t i = 0; i < rank; i++) reduced[i] = none && !keep_all;
    for (size_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank) return false;
        reduced[axis] = true;
    }
    return true;
}

static struct scalar reduce_pair(struct infer *in, struct scalar a, struct scalar b, bool is_float, enum dtype dtype) {
    struct graph *g = in->graph;
    uint16_t op = in->node->op;
    if (!is_float) {
        switch (op) {
        case OP_ReduceSum:
            return scalar_dim(dim_add(g, a.d, b.d));
        case OP_ReduceProd:
            return scalar_dim(dim_mul(g, a.d, b.d));
        case OP_ReduceMax:
            return scalar_dim(dim_max(g, a.d, b.d));
        case OP_ReduceMin:
            return scalar_dim(dim_min(g, a.d, b.d));
        default:
            return scalar_unknown();
        }
    }
    if (!scalar_is_number(a, true) || !scalar_is_number(b, true)) {
        bool sizes = op != OP_ReduceMean && a.f == 1 && b.f == 1; /* from a cast; whole */
        return sizes ? reduce_pair(in, a, b, false, dtype) : scalar_unknown();
    }
    double x = scalar_to_double(a, true), y = scalar_to_double(b, true);
    bool ordered = op == OP_ReduceMax || op == OP_ReduceMin;
    if (!ordered && (x != floor(x) || y != floor(y))) return scalar_unknown(); /* the order of a sum is not defined */
    switch (op) {
    case OP_ReduceMean:
    case OP_ReduceSum:
        return scalar_number(round_to_dtype(x + y, dtype));
    case OP_ReduceProd:
        return scalar_number(round_to_dtype(x * y, dtype));
    case OP_ReduceMax:
        return scalar_number(fmax(x, y));
    case OP_ReduceMin:
        return scalar_number(fmin(x, y));
    default:
        return scalar_unknown();
    }
}

static bool is_followed(uint16_t op) {
    return op == OP_ReduceSum || op == OP_ReduceProd || op == OP_ReduceMax || op == OP_ReduceMin || op == OP_ReduceMean;
}

/* The place in the output of the element at `at`: the reduced dims drop out, kept as 1 or not. */
static int64_t reduced_place(const int64_t *at, const int64_t *dims, const bool *reduced, int32_t rank) {
    int64_t k = 0;
    for (int32_t i = 0; i < rank; i++)
        if (!reduced[i]) k = k * dims[i] + at[i];
    return k;
}

void fold_reduce(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    int64_t dims[RANK_MAX], at[RANK_MAX];
    bool reduced[RANK_MAX];
    int32_t rank = infer_rank(in, 0);
    if (!from || from->n == 0 || !is_followed(in->node->op) || !fold_dims(in, node_in(in->node, 0), dims)) return;
    struct value *to = read_reduce_axes(in, rank, reduced) ? fold_new(in, 0) : NULL;
    if (!to || to->n == 0) return;
    bool *started = arena_array(in->run->scratch, to->n, sizeof *started);
    enum dtype dtype = in->graph->tensors[node_out(in->node, 0)].dtype;
    for (uint32_t k = 0; k < from->n; k++) {
        fold_position(k, dims, rank, at);
        int64_t o = reduced_place(at, dims, reduced, rank);
        if (o >= to->n) return;
        to->at[o] = started[o] ? reduce_pair(in, to->at[o], from->at[k], to->is_float, dtype) : from->at[k];
        started[o] = true;
    }
    double each = (double)from->n / to->n;
    for (uint32_t o = 0; in->node->op == OP_ReduceMean && o < to->n; o++) {
        bool known = to->is_float && scalar_is_number(to->at[o], true);
        if (each == 1) continue;
        double mean = known ? round_to_dtype(scalar_to_double(to->at[o], true) / each, dtype) : 0;
        to->at[o] = known ? scalar_number(mean) : scalar_unknown();
    }
    fold_set(in, 0, to);
}

/* ---- CumSum, CumProd ---- */

static struct scalar accumulate(struct infer *in, struct scalar a, struct scalar b, bool is_float, bool product) {
    if (!is_float) return scalar_dim(product ? dim_mul(in->graph, a.d, b.d) : dim_add(in->graph, a.d, b.d));
    if (!scalar_is_number(a, true) || !scalar_is_number(b, true)) return scalar_unknown();
    double x = scalar_to_double(a, true), y = scalar_to_double(b, true);
    if (x != floor(x) || y != floor(y)) return scalar_unknown(); /* as with ReduceSum */
    return scalar_number(round_to_dtype(product ? x * y : x + y, infer_dtype(in, 0)));
}

void fold_cumsum(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    int64_t dims[RANK_MAX], axis;
    int32_t rank = infer_rank(in, 0);
    if (!from || !infer_int(in, 1, &axis) || !fold_dims(in, node_in(in->node, 0), dims)) return;
    if (axis < -rank || axis >= rank) return;
    if (axis < 0) axis += rank;
    struct value *to = fold_new(in, 0);
    if (!to) return;
    bool product = in->node->op == OP_CumProd, exclusive = node_int(in->node, "exclusive", 0) != 0;
    bool backwards = node_int(in->node, "reverse", 0) != 0;
    int64_t inner = 1;
    for (int32_t i = (int32_t)axis + 1; i < rank; i++) inner *= dims[i];
    for (int64_t line = 0; dims[axis] > 0 && line < to->n / dims[axis]; line++) {
        int64_t start = line / inner * inner * dims[axis] + line % inner;
        struct scalar sum = to->is_float ? scalar_number(product) : scalar_dim(DIM(product));
        for (int64_t k = 0; k < dims[axis]; k++) {
            int64_t at = start + (backwards ? dims[axis] - 1 - k : k) * inner;
            if (exclusive) to->at[at] = sum;
            sum = accumulate(in, sum, from->at[at], to->is_float, product);
            if (!exclusive) to->at[at] = sum;
        }
    }
    fold_set(in, 0, to);
}

/* ---- MatMul of small integer matrices ---- */

void fold_matmul(struct infer *in) {
    if (!fold_ready(in, in->node->n_inputs) || infer_rank(in, 0) != 2 || infer_rank(in, 1) != 2) return;
    int64_t a[RANK_MAX], b[RANK_MAX];
    if (!fold_dims(in, node_in(in->node, 0), a) || !fold_dims(in, node_in(in->node, 1), b) || a[1] != b[0]) return;
    struct value *to = fold_new(in, 0);
    const struct value *x = infer_value(in, 0), *y = infer_value(in, 1);
    if (!to || to->is_float || x->is_float || y->is_float || to->n * a[1] > VALUE_MAX) return;
    for (uint32_t k = 0; k < to->n; k++) {
        dim sum = DIM(0);
        for (int64_t i = 0; i < a[1]; i++)
            sum =
                dim_add(in->graph, sum, dim_mul(in->graph, x->at[k / b[1] * a[1] + i].d, y->at[i * b[1] + k % b[1]].d));
        to->at[k] = scalar_dim(sum);
    }
    fold_set(in, 0, to);
}
