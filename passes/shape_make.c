/* Shapes of operators that make tensors: from shapes, from attributes, from counts, at random. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

enum status shape_size(struct infer *in) {
    return infer_set(in, 0, DT_INT64, NULL, 0);
}

/* Which dims Shape reads: since opset 15 from `start` to `end`, both clamped. */
static void shape_range_of(const struct infer *in, int32_t rank, int32_t *start, int32_t *end) {
    int64_t s = node_int(in->node, "start", 0), e = node_int(in->node, "end", rank);
    if (s < 0) s += rank;
    if (e < 0) e += rank;
    s = s < 0 ? 0 : s > rank ? rank : s;
    e = e < s ? s : e > rank ? rank : e;
    *start = (int32_t)s;
    *end = (int32_t)e;
}

enum status shape_shape(struct infer *in) {
    int32_t rank = infer_rank(in, 0), start, end;
    dim length = DIM_UNKNOWN;
    if (rank != RANK_UNKNOWN) {
        shape_range_of(in, rank, &start, &end);
        length = DIM(end - start);
    }
    return infer_set(in, 0, DT_INT64, &length, 1);
}

void fold_shape(struct infer *in) {
    int32_t rank = infer_rank(in, 0), start, end;
    if (rank == RANK_UNKNOWN) return;
    shape_range_of(in, rank, &start, &end);
    struct value *v = fold_new(in, 0);
    if (!v) return;
    for (int32_t i = start; i < end; i++) v->at[i - start].d = infer_dim(in, 0, i);
    fold_set(in, 0, v);
}

void fold_size(struct infer *in) {
    struct value *v = infer_rank(in, 0) == RANK_UNKNOWN ? NULL : fold_new(in, 0);
    if (!v) return;
    v->at[0].d = tensor_elements(in->graph, infer_in(in, 0));
    fold_set(in, 0, v);
}

/* ---- Constant ---- */

static const struct attr *value_attr(const struct node *node) {
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const struct attr *a = &node->attrs[i];
        bool tensor = a->type == AT_TENSOR || a->type == AT_SPARSE_TENSOR;
        if (tensor ? a->tensor != NONE : strncmp(a->name, "value", 5) == 0) return a;
    }
    return NULL;
}

enum status shape_constant(struct infer *in) {
    const struct attr *a = value_attr(in->node);
    if (a) {
        dim n = DIM((int64_t)a->n);
        switch (a->type) {
        case AT_TENSOR:
        case AT_SPARSE_TENSOR: {
            const struct tensor *t = &in->graph->tensors[a->tensor];
            return infer_set(in, 0, t->dtype, t->dims, t->rank);
        }
        case AT_INT:
            return infer_set(in, 0, DT_INT64, NULL, 0);
        case AT_FLOAT:
            return infer_set(in, 0, DT_FLOAT, NULL, 0);
        case AT_STRING:
            return infer_set(in, 0, DT_STRING, NULL, 0);
        case AT_INTS:
            return infer_set(in, 0, DT_INT64, &n, 1);
        case AT_FLOATS:
            return infer_set(in, 0, DT_FLOAT, &n, 1);
        case AT_STRINGS:
            return infer_set(in, 0, DT_STRING, &n, 1);
        default:
            break;
        }
    }
    return infer_fail(in, "it holds no value");
}

void fold_constant(struct infer *in) {
    const struct attr *a = value_attr(in->node);
    if (a->type == AT_SPARSE_TENSOR) return;
    if (a->type == AT_TENSOR) {
        struct tensor *t = &in->graph->tensors[a->tensor];
        int64_t n = infer_elements(t);
        bool weights = dtype_is_float(t->dtype) && n > 64; /* their pages are left alone */
        if (weights || t->dtype == DT_STRING) return;
        if (!t->value) t->value = tensor_read(in->graph, t);
        fold_set(in, 0, t->value);
        return;
    }
    struct value *v = fold_new(in, 0);
    if (!v) return;
    for (uint32_t i = 0; i < v->n; i++) {
        if (a->type == AT_INT) v->at[i] = scalar_dim(DIM(a->i));
        if (a->type == AT_INTS) v->at[i] = scalar_dim(DIM(a->ints[i]));
        if (a->type == AT_FLOAT) v->at[i] = scalar_number(a->f);
        if (a->type == AT_FLOATS) v->at[i] = scalar_number(a->floats[i]);
    }
    fold_set(in, 0, v);
}

/* ---- From a shape ---- */

static const struct tensor *fill_tensor(const struct infer *in) {
    const struct attr *a = node_attr(in->node, "value");
    return a && a->type == AT_TENSOR && a->tensor != NONE ? &in->graph->tensors[a->tensor] : NULL;
}

enum status shape_constant_of_shape(struct infer *in) {
    const struct tensor *fill = fill_tensor(in);
    enum dtype dtype = fill ? fill->dtype : DT_FLOAT;
    const struct value *v = infer_value(in, 0);
    dim count = infer_dim(in, 0, 0);
    dim dims[RANK_MAX];
    if (v && v->n <= RANK_MAX && !v->is_float) {
        for (uint32_t i = 0; i < v->n; i++) dims[i] = infer_size(in, v->at[i].d, i, INT64_MAX);
        return infer_set(in, 0, dtype, dims, (int32_t)v->n);
    }
    if (!dim_is_number(count) || count.value > RANK_MAX) return infer_set_unknown(in, 0, dtype, NULL);
    for (int32_t i = 0; i < count.value; i++) dims[i] = infer_fresh(in, (uint32_t)i, 0, INT64_MAX);
    return infer_set(in, 0, dtype, dims, (int32_t)count.value);
}

void fold_constant_of_shape(struct infer *in) {
    struct value *v = fold_new(in, 0);
    if (!v) return;
    const struct tensor *fill = fill_tensor(in);
    const struct value *one = fill ? tensor_read(in->graph, fill) : NULL;
    if (fill && (!one || one->n < 1 || one->is_float != v->is_float)) return;
    for (uint32_t i = 0; i < v->n; i++)
        v->at[i] = one ? one->at[0] : v->is_float ? scalar_number(0) : scalar_dim(DIM(0));
    fold_set(in, 0, v);
}

enum status shape_eye_like(struct infer *in) {
    return infer_set_like(in, 0, 0, infer_dtype_attr(in, "dtype", DT_UNDEFINED));
}

/* ---- Range ---- */

static dim range_of_sizes(struct graph *g, dim start, dim limit, dim delta) {
    dim n = dim_ceildiv(g, dim_sub(g, limit, start), delta);
    return dim_is_positive(g, n) ? n : dim_max(g, n, DIM(0));
}

/* Sizes that went through a cast to float: whole numbers of whole symbols. */
static dim range_of_cast_sizes(struct graph *g, const struct scalar at[3]) {
    dim whole[3];
    for (int i = 0; i < 3; i++) {
        if (!(fabs(at[i].f) < 1 << 24) || at[i].f != floor(at[i].f)) return DIM_UNKNOWN;
        whole[i] = dim_mul(g, at[i].d, DIM((int64_t)at[i].f));
    }
    return range_of_sizes(g, whole[0], whole[1], whole[2]);
}

/* max(ceil((limit - start) / delta), 0), operator Range since opset 11. */
static dim range_count(struct infer *in, const struct scalar at[3], bool is_float) {
    struct graph *g = in->graph;
    bool numbers = true;
    for (int i = 0; i < 3; i++) numbers &= scalar_is_number(at[i], is_float);
    if (numbers && is_float) {
        double width =
            round_to_dtype(scalar_to_double(at[1], true) - scalar_to_double(at[0], true), infer_dtype(in, 0));
        double n = ceil(width / scalar_to_double(at[2], true));
        return n >= 0 && n < 9e15 ? DIM((int64_t)n) : n < 0 ? DIM(0) : DIM_UNKNOWN;
    }
    if (is_float) return range_of_cast_sizes(g, at);
    return range_of_sizes(g, at[0].d, at[1].d, at[2].d);
}

enum status shape_range(struct infer *in) {
    enum dtype dtype = infer_dtype(in, 0);
    struct scalar at[3];
    bool known = true, is_float = dtype_is_float(dtype);
    for (uint32_t i = 0; i < 3; i++) {
        const struct value *v = infer_value(in, i);
        bool left_out = i == 2 && !infer_has(in, 2); /* com.microsoft: the step is 1 */
        known &= left_out || (v && v->n == 1 && v->is_float == is_float);
        at[i] = left_out ? (is_float ? scalar_number(1) : scalar_dim(DIM(1))) : known ? v->at[0] : scalar_unknown();
    }
    if (scalar_is_number(at[2], is_float) && scalar_to_double(at[2], is_float) == 0)
        return infer_fail(in, "the step is 0");
    dim n = known ? range_count(in, at, is_float) : DIM_UNKNOWN;
    n = infer_size(in, n, 0, INT64_MAX);
    return infer_set(in, 0, dtype, &n, 1);
}

void fold_range(struct infer *in) {
    if (!fold_ready(in, in->node->n_inputs)) return;
    struct value *v = fold_new(in, 0);
    const struct value *start = infer_value(in, 0), *step = infer_value(in, 2);
    if (!v || v->is_float || start->n != 1 || start->is_float) return;
    dim d = start->at[0].d, delta = step ? step->at[0].d : DIM(1);
    for (uint32_t i = 0; i < v->n; i++, d = dim_add(in->graph, d, delta)) v->at[i].d = d;
    fold_set(in, 0, v);
}

/* ---- At random ---- */

enum status shape_random(struct infer *in) {
    size_t n;
    const int64_t *shape = node_ints(in->node, "shape", &n);
    dim dims[RANK_MAX];
    if (!shape || n > RANK_MAX) return infer_fail(in, "attribute \"shape\" is missing or too long");
    for (size_t i = 0; i < n; i++) dims[i] = DIM(shape[i]);
    return infer_set(in, 0, infer_dtype_attr(in, "dtype", DT_FLOAT), dims, (int32_t)n);
}

enum status shape_random_like(struct infer *in) {
    return infer_set_like(in, 0, 0, infer_dtype_attr(in, "dtype", DT_UNDEFINED));
}

enum status shape_multinomial(struct infer *in) {
    TRY(infer_want_rank(in, 0, "input", 2, 2));
    dim dims[2] = {infer_dim(in, 0, 0), DIM(node_int(in->node, "sample_size", 1))};
    return infer_set(in, 0, infer_dtype_attr(in, "dtype", DT_INT32), dims, 2);
}
