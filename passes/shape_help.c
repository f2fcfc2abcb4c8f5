/* What shape functions share: reading inputs, setting outputs, broadcasting, messages. */
#include "shape_internal.h"

#include <math.h>

#include <string.h>

/* ---- Inputs ---- */

struct tensor *infer_in(const struct infer *in, uint32_t i) {
    uint32_t id = node_in(in->node, i);
    return id == NONE ? NULL : &in->graph->tensors[id];
}

int32_t infer_rank(const struct infer *in, uint32_t i) {
    const struct tensor *t = infer_in(in, i);
    return t && t->kind == TY_TENSOR ? t->rank : RANK_UNKNOWN;
}

dim infer_dim(const struct infer *in, uint32_t i, int64_t axis) {
    int32_t rank = infer_rank(in, i);
    if (axis < 0) axis += rank;
    if (rank == RANK_UNKNOWN || axis < 0 || axis >= rank) return DIM_UNKNOWN;
    return infer_in(in, i)->dims[axis];
}

void infer_dims(const struct infer *in, uint32_t i, dim *out) {
    const struct tensor *t = infer_in(in, i);
    for (int32_t k = 0; k < t->rank; k++) out[k] = t->dims[k];
}

enum dtype infer_dtype(const struct infer *in, uint32_t i) {
    const struct tensor *t = infer_in(in, i);
    return t ? t->dtype : DT_UNDEFINED;
}

enum dtype infer_dtype_attr(const struct infer *in, const char *name, enum dtype otherwise) {
    int64_t dtype = node_int(in->node, name, 0);
    if (!dtype) return otherwise; /* written out, 0 is still no type */
    return dtype > 0 && dtype < DT_COUNT ? (enum dtype)dtype : DT_UNDEFINED;
}

int64_t infer_elements(const struct tensor *t) {
    int64_t n = 1;
    if (t->kind != TY_TENSOR || t->rank == RANK_UNKNOWN) return -1;
    for (int32_t i = 0; i < t->rank; i++)
        if (!dim_is_number(t->dims[i]) || !num_mul(n, t->dims[i].value, &n)) return -1;
    return n;
}

bool infer_is_readable(const struct tensor *t) {
    int64_t n = t->data.encoding == ENC_STRINGS ? -1 : infer_elements(t);
    bool has_data = (t->flags & TF_INITIALIZER) && t->data.bytes && t->data.encoding != ENC_NONE;
    return n == 0 || (has_data && n > 0 && n <= VALUE_MAX); /* of no elements everything is known */
}

const struct value *infer_value(const struct infer *in, uint32_t i) {
    struct tensor *t = infer_in(in, i);
    if (!t) return NULL;
    if (!t->value && infer_is_readable(t)) t->value = tensor_read(in->graph, t);
    return t->value;
}

bool infer_ints(const struct infer *in, uint32_t i, int64_t *out, size_t max, size_t *n) {
    const struct value *v = infer_value(in, i);
    if (!v || v->is_float || v->n > max || infer_rank(in, i) > 1) return false;
    for (uint32_t k = 0; k < v->n; k++) {
        if (!dim_is_number(v->at[k].d)) return false;
        out[k] = v->at[k].d.value;
    }
    *n = v->n;
    return true;
}

bool infer_int(const struct infer *in, uint32_t i, int64_t *out) {
    dim d = infer_scalar(in, i);
    *out = d.value;
    return dim_is_number(d);
}

dim infer_floor(double size) {
    return fabs(size) < 9e15 ? DIM((int64_t)floor(size)) : DIM_UNKNOWN;
}

dim infer_scalar(const struct infer *in, uint32_t i) {
    const struct value *v = infer_value(in, i);
    return v && !v->is_float && v->n == 1 ? v->at[0].d : DIM_UNKNOWN;
}

int64_t infer_count(const struct infer *in, uint32_t i) {
    const struct tensor *t = infer_in(in, i);
    return t ? infer_elements(t) : -1;
}

/* ---- Outputs ---- */

enum status infer_set(struct infer *in, uint32_t o, enum dtype dtype, const dim *dims, int32_t rank) {
    uint32_t id = node_out(in->node, o);
    if (id == NONE) return ST_OK;
    if (rank > RANK_MAX) return infer_fail(in, "output %u would have rank %d, more than %d", o, rank, RANK_MAX);
    for (int32_t i = 0; i < rank; i++)
        if (dim_is_number(dims[i]) && dims[i].value < 0)
            return infer_fail(in, "output %u would have size %lld in dimension %d", o, (long long)dims[i].value, i);
    in->graph->tensors[id].kind = TY_TENSOR;
    tensor_set_shape(in->graph, id, dtype, dims, rank);
    return ST_OK;
}

enum status infer_set_like(struct infer *in, uint32_t o, uint32_t i, enum dtype dtype) {
    const struct tensor *from = infer_in(in, i);
    uint32_t id = node_out(in->node, o);
    if (!from || id == NONE) return ST_OK;
    struct tensor *to = &in->graph->tensors[id];
    to->kind = TY_TENSOR;
    to->dtype = dtype == DT_UNDEFINED ? from->dtype : dtype;
    to->rank = from->kind == TY_TENSOR ? from->rank : RANK_UNKNOWN;
    to->dims = from->dims; /* never changed in place, so shared */
    return ST_OK;
}

enum status infer_set_unknown(struct infer *in, uint32_t o, enum dtype dtype, const char *reason) {
    if (reason && !in->node->reason) in->graph->nodes[in->id].reason = reason;
    return infer_set(in, o, dtype, NULL, RANK_UNKNOWN);
}

/* "non_zero_12": the operator in words and a number, so that no two symbols look alike. */
static dim make_symbol(struct infer *in, int64_t lo, int64_t hi) {
    char hint[64];
    size_t n = 0;
    for (const char *c = in->node->op_type; *c && n < 32; c++) {
        bool upper = *c >= 'A' && *c <= 'Z', lower_before = n > 0 && c[-1] >= 'a' && c[-1] <= 'z';
        if (upper && lower_before) hint[n++] = '_';
        hint[n++] = upper ? (char)(*c - 'A' + 'a') : *c;
    }
    snprintf(hint + n, sizeof hint - n, "_%u", ++in->state->n_symbols);
    return dim_fresh(in->graph, hint, lo, hi);
}

dim infer_fresh(struct infer *in, uint32_t slot, int64_t lo, int64_t hi) {
    if (lo == hi) return DIM(lo);
    struct shape_state *s = in->state;
    uint64_t key = (uint64_t)in->id << 32 | slot;
    uint32_t at;
    if (!map_get(&s->fresh, &key, sizeof key, &at)) {
        uint64_t *kept = arena_copy(in->run->scratch, &key, sizeof key);
        at = (uint32_t)s->n_entries;
        struct fresh_entry entry = {make_symbol(in, lo, hi), lo, hi};
        PUSH(in->run->scratch, s, entries, entry);
        map_put(&s->fresh, kept, sizeof *kept, at);
    }
    struct fresh_entry *e = &s->entries[at];
    if (e->lo != lo || e->hi != hi) *e = (struct fresh_entry){make_symbol(in, lo, hi), lo, hi};
    return e->symbol;
}

dim infer_size(struct infer *in, dim d, uint32_t slot, int64_t hi) {
    return dim_is_unknown(d) ? infer_fresh(in, slot, 0, hi) : d;
}

/* ---- Checks ---- */

enum status infer_fail(const struct infer *in, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *what = arena_vprintf(in->run->diag->arena, fmt, args);
    va_end(args);
    if (in->state->soft) return diag_fail(in->run->diag, ST_SHAPE, "%s", what); /* becomes the node's reason */
    return diag_fail(in->run->diag, ST_SHAPE, "%s: %s: %s", in->graph->path, node_label(in->graph, in->id), what);
}

enum status infer_want_rank(const struct infer *in, uint32_t i, const char *what, int32_t lo, int32_t hi) {
    int32_t rank = infer_rank(in, i);
    if (rank == RANK_UNKNOWN || (rank >= lo && (hi < 0 || rank <= hi))) return ST_OK;
    const char *name = infer_in(in, i)->name;
    if (lo == hi) return infer_fail(in, "%s \"%s\" has rank %d, expected %d", what, name, rank, lo);
    if (hi < 0) return infer_fail(in, "%s \"%s\" has rank %d, expected at least %d", what, name, rank, lo);
    return infer_fail(in, "%s \"%s\" has rank %d, expected %d to %d", what, name, rank, lo, hi);
}

enum status infer_axis(const struct infer *in, int64_t axis, int32_t rank, int32_t *out) {
    if (axis < -(int64_t)rank || axis >= rank)
        return infer_fail(in, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return ST_OK;
}

enum status infer_unify(const struct infer *in, dim a, dim b, const char *what, dim *out) {
    if (dim_is_number(a) && dim_is_number(b) && a.value != b.value)
        return infer_fail(in, "%s: %lld and %lld do not agree", what, (long long)a.value, (long long)b.value);
    if (dim_is_number(a))
        *out = a;
    else if (dim_is_number(b) || dim_is_unknown(a))
        *out = b;
    else
        *out = a;
    return ST_OK;
}

enum status infer_broadcast_dim(struct infer *in, dim a, dim b, uint32_t slot, dim *out) {
    if (dim_is_number(a) && dim_is_number(b)) {
        if (a.value != b.value && a.value != 1 && b.value != 1)
            return infer_fail(in, "sizes %lld and %lld do not broadcast", (long long)a.value, (long long)b.value);
        *out = a.value == 1 ? b : a;
    } else if (dim_is(a, 1) || dim_same(a, b)) {
        *out = b;
    } else if (dim_is(b, 1)) {
        *out = a;
    } else if (dim_is_number(a) || dim_is_number(b)) {
        *out = dim_is_number(a) ? a : b; /* the other one is 1 or the same, or the model does not run */
    } else if (dim_is_unknown(a) || dim_is_unknown(b)) {
        *out = DIM_UNKNOWN;
    } else if (dim_is_positive(in->graph, a) && dim_is_positive(in->graph, b)) {
        *out = dim_max(in->graph, a, b); /* equal, or one of them is 1 */
    } else {
        int64_t lo_a, hi_a, lo_b, hi_b;
        dim_bounds(in->graph, a, &lo_a, &hi_a);
        dim_bounds(in->graph, b, &lo_b, &hi_b);
        *out = infer_fresh(in, slot, lo_a < lo_b ? lo_a : lo_b, hi_a > hi_b ? hi_a : hi_b);
    }
    return ST_OK;
}

enum status infer_broadcast(struct infer *in, dim dims[RANK_MAX], int32_t *rank, const dim *other, int32_t other_rank) {
    int32_t out_rank = *rank > other_rank ? *rank : other_rank;
    if (out_rank > RANK_MAX) return infer_fail(in, "rank %d is more than %d", out_rank, RANK_MAX);
    int32_t shift = out_rank - *rank, other_shift = out_rank - other_rank;
    for (int32_t i = out_rank - 1; i >= 0; i--) {
        dim a = i >= shift ? dims[i - shift] : DIM(1);
        dim b = i >= other_shift ? other[i - other_shift] : DIM(1);
        TRY(infer_broadcast_dim(in, a, b, (uint32_t)(out_rank - 1 - i), &dims[i]));
    }
    *rank = out_rank;
    return ST_OK;
}
