/* Types as values: what control flow and sequences carry about. */
#include "shape_internal.h"

#include <string.h>

struct type type_unknown(void) {
    return (struct type){.kind = TY_TENSOR, .dtype = DT_UNDEFINED, .rank = RANK_UNKNOWN, .length = DIM_UNKNOWN};
}

struct type type_scalar(struct infer *in, enum dtype dtype, struct scalar at) {
    struct type t = type_unknown();
    t.dtype = dtype;
    t.rank = 0;
    struct value *v = value_new(in->graph->arena, 1, dtype_is_float(dtype));
    v->at[0] = at;
    t.value = v;
    return t;
}

struct type type_of(const struct infer *in, uint32_t tensor) {
    struct type t = type_unknown();
    if (tensor == NONE) return t;
    const struct tensor *from = &in->graph->tensors[tensor];
    t.kind = from->kind;
    t.dtype = from->dtype;
    t.rank = from->rank;
    t.dims = from->dims;
    t.length = from->kind == TY_SEQUENCE ? from->length : DIM_UNKNOWN;
    t.value = from->value;
    if (in->state->elements) t.elements = in->state->elements[tensor];
    return t;
}

void type_assign(struct infer *in, uint32_t tensor, const struct type *type) {
    if (tensor == NONE) return;
    struct tensor *t = &in->graph->tensors[tensor];
    t->kind = type->kind;
    t->dtype = type->dtype;
    t->rank = type->rank;
    t->dims = type->dims;
    t->value = type->kind == TY_TENSOR ? type->value : NULL;
    t->length = type->length;
    struct shape_state *s = in->state;
    if (!s->elements && type->elements)
        s->elements = arena_array(in->run->scratch, in->graph->n_tensors, sizeof *s->elements);
    if (s->elements) s->elements[tensor] = type->elements;
}

/* ---- Sameness ---- */

static bool scalar_same(struct scalar a, struct scalar b, bool is_float) {
    if (dim_is_unknown(a.d) && dim_is_unknown(b.d)) return true;
    return dim_same(a.d, b.d) && (!is_float || a.f == b.f);
}

static bool value_same(const struct value *a, const struct value *b) {
    if (a == b) return true;
    if (!a || !b || a->n != b->n || a->is_float != b->is_float) return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!scalar_same(a->at[i], b->at[i], a->is_float)) return false;
    return true;
}

static bool dims_equal(dim a, dim b) {
    return dim_same(a, b) || (dim_is_unknown(a) && dim_is_unknown(b));
}

static bool elements_same(const struct elements *a, const struct elements *b) {
    if (a == b) return true;
    if (!a || !b || a->n != b->n) return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!type_same(&a->at[i], &b->at[i])) return false;
    return true;
}

bool type_same(const struct type *a, const struct type *b) {
    if (a->kind != b->kind || a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int32_t i = 0; a->dims != b->dims && i < a->rank; i++)
        if (!dims_equal(a->dims[i], b->dims[i])) return false;
    if (a->kind == TY_SEQUENCE && !dims_equal(a->length, b->length)) return false;
    return value_same(a->value, b->value) && elements_same(a->elements, b->elements);
}

/* ---- Joining ---- */

static dim join_dim(struct infer *in, dim a, dim b, enum join how, uint32_t slot) {
    if (dim_same(a, b)) return a;
    if (how == JOIN_ELEMENTS || dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    if (how == JOIN_ROUNDS) return infer_fresh(in, slot, 0, INT64_MAX);
    int64_t lo_a, hi_a, lo_b, hi_b;
    dim_bounds(in->graph, a, &lo_a, &hi_a);
    dim_bounds(in->graph, b, &lo_b, &hi_b);
    int64_t lo = lo_a < lo_b ? lo_a : lo_b;
    return infer_fresh(in, slot, lo < 0 ? 0 : lo, hi_a > hi_b ? hi_a : hi_b);
}

static const struct value *join_value(struct infer *in, const struct value *a, const struct value *b) {
    if (a == b) return a;
    if (!a || !b || a->n != b->n || a->is_float != b->is_float) return NULL;
    struct value *out = value_new(in->graph->arena, a->n, a->is_float);
    for (uint32_t i = 0; i < a->n; i++)
        if (scalar_same(a->at[i], b->at[i], a->is_float)) out->at[i] = a->at[i];
    return out;
}

/* Nothing is in it, so whatever it says of its elements holds. */
static bool is_empty_sequence(const struct type *t) {
    return (t->kind == TY_SEQUENCE && dim_is(t->length, 0)) ||
           (t->kind == TY_OPTIONAL && t->elements && t->elements->n == 0);
}

static void join_shape(struct infer *in, const struct type *a, const struct type *b, enum join how, uint32_t slot,
                       struct type *out) {
    if (is_empty_sequence(a) || is_empty_sequence(b)) {
        const struct type *filled = is_empty_sequence(a) ? b : a;
        out->rank = filled->rank;
        out->dims = filled->dims;
        return;
    }
    if (a->rank != b->rank || a->rank == RANK_UNKNOWN) return;
    if (how != JOIN_ELEMENTS && a->kind == TY_SEQUENCE) how = JOIN_ELEMENTS;
    dim *dims = arena_array(in->graph->arena, (size_t)a->rank, sizeof *dims);
    for (int32_t i = 0; i < a->rank; i++) dims[i] = join_dim(in, a->dims[i], b->dims[i], how, slot + (uint32_t)i);
    out->rank = a->rank;
    out->dims = dims;
}

struct type type_join(struct infer *in, const struct type *a, const struct type *b, enum join how, uint32_t slot) {
    if (type_same(a, b)) return *a;
    struct type out = type_unknown();
    bool a_unset = a->dtype == DT_UNDEFINED && a->rank == RANK_UNKNOWN && a->kind == TY_TENSOR;
    if (a->kind != b->kind) { /* a value passes as an optional one of itself */
        if (a->kind == TY_OPTIONAL || b->kind == TY_OPTIONAL)
            out.kind = TY_OPTIONAL;
        else
            out.kind = a_unset ? b->kind : a->kind;
        if (a->dtype == b->dtype) out.dtype = a->dtype;
        return out;
    }
    out.kind = a->kind;
    /* Types must agree; the one that is known stands for both. */
    out.dtype = a->dtype == b->dtype || b->dtype == DT_UNDEFINED ? a->dtype : a->dtype == DT_UNDEFINED ? b->dtype : 0;
    join_shape(in, a, b, how, slot, &out);
    if (a->kind == TY_SEQUENCE) out.length = join_dim(in, a->length, b->length, how, slot + RANK_MAX);
    if (a->kind == TY_TENSOR) out.value = join_value(in, a->value, b->value);
    if (a->elements && b->elements && a->elements->n == b->elements->n) {
        uint32_t n = a->elements->n;
        struct elements *e = arena_alloc(in->graph->arena, sizeof *e + n * sizeof e->at[0]);
        e->n = n;
        for (uint32_t i = 0; i < n; i++) /* no slot is left for symbols inside a sequence */
            e->at[i] = type_join(in, &a->elements->at[i], &b->elements->at[i], JOIN_ELEMENTS, 0);
        out.elements = e;
    }
    return out;
}

struct type type_sequence(struct infer *in, const struct type *elements, uint32_t n) {
    struct type out = type_unknown();
    if (n > 0) out = elements[0];
    for (uint32_t i = 1; i < n; i++) out = type_join(in, &out, &elements[i], JOIN_ELEMENTS, 0);
    out.kind = TY_SEQUENCE;
    out.value = NULL;
    out.length = DIM(n);
    out.elements = NULL;
    if (n > ELEMENTS_MAX) return out;
    struct elements *e = arena_alloc(in->graph->arena, sizeof *e + n * sizeof e->at[0]);
    e->n = n;
    if (n) memcpy(e->at, elements, n * sizeof *elements);
    out.elements = e;
    return out;
}

struct type type_settle(struct infer *in, struct type t, uint32_t slot) {
    if (t.kind != TY_TENSOR || t.rank <= 0) return t;
    dim *dims = arena_copy(in->graph->arena, t.dims, (size_t)t.rank * sizeof *dims);
    for (int32_t i = 0; i < t.rank; i++) dims[i] = infer_size(in, dims[i], slot + (uint32_t)i, INT64_MAX);
    t.dims = dims;
    return t;
}
