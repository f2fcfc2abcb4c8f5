/* Sequences and optionals. Where every element is known (struct elements) they are followed one by one; otherwise the
 * sequence knows what its elements share, and its length. */
#include "shape_internal.h"

#include <string.h>

static struct type input_type(const struct infer *in, uint32_t i) {
    infer_value(in, i); /* so that initializers have theirs */
    return type_of(in, node_in(in->node, i));
}

static void set_output(struct infer *in, uint32_t o, struct type t) {
    type_assign(in, node_out(in->node, o), &t);
}

/* What any one element is. */
static struct type any_element(struct infer *in, const struct type *sequence) {
    struct type t = *sequence;
    t.kind = TY_TENSOR;
    t.length = DIM_UNKNOWN;
    t.elements = NULL;
    return type_settle(in, t, 0);
}

/* Position input `i` within 0..n (n included when `past_end`), n the number of elements. */
static enum status read_position(struct infer *in, uint32_t i, uint32_t n, bool past_end, uint32_t *at, bool *known) {
    int64_t p = past_end ? n : (int64_t)n - 1; /* left out: the end */
    *known = !infer_has(in, i) || infer_int(in, i, &p);
    if (!*known) return ST_OK;
    if (p < 0) p += n;
    if (p < 0 || p > (int64_t)n - (past_end ? 0 : 1))
        return infer_fail(in, "position %lld is outside a sequence of %u", (long long)p, n);
    *at = (uint32_t)p;
    return ST_OK;
}

/* ---- Making and changing ---- */

enum status shape_sequence_empty(struct infer *in) {
    struct type t = type_sequence(in, NULL, 0);
    t.dtype = infer_dtype_attr(in, "dtype", DT_FLOAT);
    set_output(in, 0, t);
    return ST_OK;
}

enum status shape_sequence_construct(struct infer *in) {
    uint32_t n = in->node->n_inputs;
    struct type *e = arena_array(in->run->scratch, n, sizeof *e);
    for (uint32_t i = 0; i < n; i++) e[i] = input_type(in, i);
    set_output(in, 0, type_sequence(in, e, n));
    return ST_OK;
}

static struct type insert_known(struct infer *in, const struct elements *e, const struct type *new, uint32_t at) {
    struct type *all = arena_array(in->run->scratch, (size_t)e->n + 1, sizeof *all);
    memcpy(all, e->at, at * sizeof *all);
    all[at] = *new;
    memcpy(all + at + 1, e->at + at, (e->n - at) * sizeof *all);
    return type_sequence(in, all, e->n + 1);
}

enum status shape_sequence_insert(struct infer *in) {
    struct type s = input_type(in, 0), new = input_type(in, 1);
    if (s.elements) {
        uint32_t at;
        bool known;
        TRY(read_position(in, 2, s.elements->n, true, &at, &known));
        if (known) {
            set_output(in, 0, insert_known(in, s.elements, &new, at));
            return ST_OK;
        }
    }
    new.kind = TY_SEQUENCE;
    new.value = NULL;
    new.length = DIM(1);
    dim length = s.kind == TY_SEQUENCE ? dim_add(in->graph, s.length, DIM(1)) : DIM_UNKNOWN;
    s.elements = NULL;
    s = type_join(in, &s, &new, JOIN_ELEMENTS, 0);
    s.length = length;
    set_output(in, 0, s);
    return ST_OK;
}

enum status shape_sequence_erase(struct infer *in) {
    struct type s = input_type(in, 0);
    if (s.elements && s.elements->n > 0) {
        const struct elements *e = s.elements;
        uint32_t at;
        bool known;
        TRY(read_position(in, 1, e->n, false, &at, &known));
        if (known) {
            struct type *left = arena_array(in->run->scratch, e->n, sizeof *left);
            memcpy(left, e->at, at * sizeof *left);
            memcpy(left + at, e->at + at + 1, (e->n - at - 1) * sizeof *left);
            struct type out = type_sequence(in, left, e->n - 1);
            if (e->n == 1) out.dtype = s.dtype;
            set_output(in, 0, out);
            return ST_OK;
        }
    }
    if (dim_is(s.length, 0)) return infer_fail(in, "nothing is left to erase");
    s.length = dim_sub(in->graph, s.length, DIM(1));
    s.elements = NULL;
    set_output(in, 0, s);
    return ST_OK;
}

/* ---- Reading ---- */

enum status shape_sequence_at(struct infer *in) {
    struct type s = input_type(in, 0);
    if (s.elements && s.elements->n > 0) {
        uint32_t at;
        bool known;
        TRY(read_position(in, 1, s.elements->n, false, &at, &known));
        if (known) {
            set_output(in, 0, s.elements->at[at]);
            return ST_OK;
        }
    }
    set_output(in, 0, any_element(in, &s));
    return ST_OK;
}

enum status shape_sequence_length(struct infer *in) {
    return infer_set(in, 0, DT_INT64, NULL, 0);
}

void fold_sequence_length(struct infer *in) {
    const struct tensor *t = infer_in(in, 0);
    struct value *v = t && t->kind == TY_SEQUENCE ? fold_new(in, 0) : NULL;
    if (!v) return;
    v->at[0].d = t->length;
    fold_set(in, 0, v);
}

/* The size along `axis` of all elements put together. */
static dim concat_length(struct infer *in, const struct type *s, int32_t axis) {
    if (!s->elements) return dim_mul(in->graph, s->dims[axis], s->length);
    dim sum = DIM(0);
    for (uint32_t i = 0; i < s->elements->n; i++) {
        const struct type *e = &s->elements->at[i];
        sum = dim_add(in->graph, sum, e->rank == s->rank ? e->dims[axis] : DIM_UNKNOWN);
    }
    return sum;
}

enum status shape_concat_from_sequence(struct infer *in) {
    struct type s = input_type(in, 0);
    bool new_axis = node_int(in->node, "new_axis", 0) != 0;
    if (s.kind != TY_SEQUENCE || s.rank == RANK_UNKNOWN || s.rank + new_axis > RANK_MAX)
        return infer_set_unknown(in, 0, s.dtype, NULL);
    int32_t axis, n = 0, rank = s.rank + new_axis;
    dim dims[RANK_MAX];
    TRY(infer_axis(in, node_int(in->node, "axis", 0), rank, &axis));
    dim along = new_axis ? s.length : concat_length(in, &s, axis);
    for (int32_t i = 0; i < rank; i++) {
        if (i == axis)
            dims[i] = infer_size(in, along, (uint32_t)i, INT64_MAX);
        else
            dims[i] = infer_size(in, s.dims[n], (uint32_t)i, INT64_MAX);
        n += i != axis || !new_axis;
    }
    return infer_set(in, 0, s.dtype, dims, rank);
}

/* ---- SplitToSequence ---- */

/* Sizes of the parts; *n parts, -1 when that is not known. */
static enum status sequence_parts(struct infer *in, dim whole, dim **parts, int64_t *n) {
    const struct value *v = infer_value(in, 1);
    bool scalar = infer_rank(in, 1) == 0;
    *n = -1;
    if (infer_has(in, 1) && (!v || v->is_float)) return ST_OK;
    if (v && !scalar) {
        *n = v->n;
        *parts = arena_array(in->run->scratch, v->n, sizeof **parts);
        for (uint32_t i = 0; i < v->n; i++) (*parts)[i] = v->at[i].d;
        return ST_OK;
    }
    int64_t size = 1;
    if ((v && !infer_int(in, 1, &size)) || !dim_is_number(whole)) return ST_OK;
    if (size < 1) return infer_fail(in, "parts of size %lld", (long long)size);
    *n = num_ceildiv(whole.value, size);
    if (*n > ELEMENTS_MAX) return ST_OK;
    *parts = arena_array(in->run->scratch, (size_t)*n, sizeof **parts);
    for (int64_t i = 0; i < *n; i++) (*parts)[i] = DIM(i + 1 < *n ? size : whole.value - i * size);
    return ST_OK;
}

static struct type part_type(struct infer *in, dim size, int32_t axis, bool keep) {
    struct type t = type_unknown();
    dim dims[RANK_MAX];
    int32_t n = 0;
    for (int32_t i = 0; i < infer_rank(in, 0); i++)
        if (keep || i != axis) dims[n++] = i == axis ? size : infer_dim(in, 0, i);
    t.dtype = infer_dtype(in, 0);
    t.rank = n;
    t.dims = arena_copy(in->graph->arena, dims, (size_t)n * sizeof *dims);
    return t;
}

enum status shape_split_to_sequence(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    struct type out = type_unknown();
    out.kind = TY_SEQUENCE;
    out.dtype = infer_dtype(in, 0);
    if (rank == RANK_UNKNOWN) {
        set_output(in, 0, out);
        return ST_OK;
    }
    TRY(infer_axis(in, node_int(in->node, "axis", 0), rank, &axis));
    bool keep = infer_has(in, 1) || node_int(in->node, "keepdims", 1) != 0; /* keepdims is for parts of 1 */
    dim *parts = NULL, whole = infer_dim(in, 0, axis);
    int64_t n;
    TRY(sequence_parts(in, whole, &parts, &n));
    if (n >= 0 && n <= ELEMENTS_MAX) {
        struct type *e = arena_array(in->run->scratch, (size_t)n, sizeof *e);
        for (int64_t i = 0; i < n; i++) e[i] = part_type(in, parts[i], axis, keep);
        out = type_sequence(in, e, (uint32_t)n);
        out.dtype = infer_dtype(in, 0);
    } else {
        out = part_type(in, infer_has(in, 1) ? DIM_UNKNOWN : DIM(1), axis, keep);
        out.kind = TY_SEQUENCE;
        dim size = infer_has(in, 1) ? infer_scalar(in, 1) : DIM(1);
        out.length = infer_rank(in, 1) == 1 ? infer_dim(in, 1, 0) : dim_ceildiv(in->graph, whole, size);
    }
    set_output(in, 0, out);
    return ST_OK;
}

/* ---- Optionals ---- */

static struct type optional_of(struct infer *in, const struct type *content) {
    struct type t = content ? *content : type_unknown();
    struct elements *e = arena_alloc(in->graph->arena, sizeof *e + sizeof e->at[0]);
    e->n = content ? 1 : 0;
    if (content) e->at[0] = *content;
    t.kind = TY_OPTIONAL;
    t.value = NULL;
    t.elements = e;
    return t;
}

enum status shape_optional(struct infer *in) {
    if (infer_has(in, 0)) {
        struct type content = input_type(in, 0);
        set_output(in, 0, optional_of(in, &content));
        return ST_OK;
    }
    struct type t = optional_of(in, NULL);
    const struct attr *a = node_attr(in->node, "type");
    if (a && a->type == AT_TYPE_PROTO) {
        t.dtype = a->type_dtype;
        t.rank = a->type_rank;
        t.dims = a->type_dims;
    }
    set_output(in, 0, t);
    return ST_OK;
}

enum status shape_optional_has_element(struct infer *in) {
    struct type t = input_type(in, 0);
    TRY(infer_set(in, 0, DT_BOOL, NULL, 0));
    bool none = !infer_has(in, 0); /* since opset 18 the input may be left out, or no optional at all */
    bool known = none || t.elements || t.kind != TY_OPTIONAL;
    struct value *v = known ? fold_new(in, 0) : NULL;
    if (!v) return ST_OK;
    v->at[0].d = DIM(none || (t.kind == TY_OPTIONAL && t.elements->n == 0) ? 0 : 1);
    fold_set(in, 0, v);
    return ST_OK;
}

enum status shape_optional_get_element(struct infer *in) {
    struct type t = input_type(in, 0);
    if (t.kind == TY_OPTIONAL) {
        if (t.elements && t.elements->n == 0) return infer_fail(in, "the optional is empty");
        if (t.elements) {
            t = t.elements->at[0];
        } else {
            /* of a tensor or of a sequence? The declared type of the output decides. */
            uint32_t o = node_out(in->node, 0);
            enum type_kind declared = o == NONE ? TY_TENSOR : in->state->declared[o].kind;
            t.kind = declared == TY_SEQUENCE ? TY_SEQUENCE : TY_TENSOR;
            t.length = DIM_UNKNOWN;
        }
    }
    set_output(in, 0, t);
    return ST_OK;
}
