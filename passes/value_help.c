/* What fold functions share: reading and making values, scalars, positions. */
#include "shape_internal.h"

#include <math.h>

bool fold_ready(const struct infer *in, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) { /* before a page of weights is touched in vain */
        const struct tensor *t = infer_in(in, i);
        if (t && !t->value && !infer_is_readable(t)) return false;
    }
    for (uint32_t i = 0; i < n; i++)
        if (infer_has(in, i) && !infer_value(in, i)) return false;
    return true;
}

bool fold_dims(const struct infer *in, uint32_t tensor, int64_t dims[RANK_MAX]) {
    const struct tensor *t = &in->graph->tensors[tensor];
    int64_t n = 1;
    if (t->kind != TY_TENSOR || t->rank == RANK_UNKNOWN) return false;
    for (int32_t i = 0; i < t->rank; i++) {
        if (!dim_is_number(t->dims[i]) || !num_mul(n, t->dims[i].value, &n)) return false;
        dims[i] = t->dims[i].value;
    }
    return !t->value || t->value->n == n;
}

void fold_position(int64_t k, const int64_t *dims, int32_t rank, int64_t *at) {
    for (int32_t i = rank - 1; i >= 0; i--) {
        at[i] = k % dims[i];
        k /= dims[i];
    }
}

struct value *fold_new(struct infer *in, uint32_t o) {
    uint32_t id = node_out(in->node, o);
    int64_t dims[RANK_MAX], n = 1;
    if (id == NONE || !fold_dims(in, id, dims)) return NULL;
    const struct tensor *t = &in->graph->tensors[id];
    bool is_float = dtype_is_float(t->dtype);
    if (!is_float && !dtype_is_integer(t->dtype)) return NULL;
    for (int32_t i = 0; i < t->rank; i++)
        if (!num_mul(n, dims[i], &n) || n > VALUE_MAX) return NULL;
    if (in->state->n_scalars > SCALARS_MOST) return NULL;
    in->state->n_scalars += (uint64_t)n;
    in->state->work += (uint64_t)n / 8; /* so that loops over large values tire too */
    return value_new(in->graph->arena, (uint32_t)n, is_float);
}

static bool fits(enum dtype dtype, int64_t value) {
    unsigned bits = dtype_bits(dtype);
    if (dtype == DT_BOOL) return value == 0 || value == 1;
    bool is_unsigned = dtype == DT_UINT8 || dtype == DT_UINT16 || dtype == DT_UINT32 || dtype == DT_UINT64 ||
                       dtype == DT_UINT4 || dtype == DT_UINT2;
    if (is_unsigned) return value >= 0 && (bits >= 63 || value < INT64_C(1) << bits);
    return bits >= 64 || (value >= -(INT64_C(1) << (bits - 1)) && value < INT64_C(1) << (bits - 1));
}

/* A number its type cannot hold wraps at run time: not known here. */
static bool must_forget(enum dtype dtype, struct scalar s, bool is_float) {
    if (is_float) return !dim_is_unknown(s.d) && !isfinite(s.f);
    return dim_is_number(s.d) && !fits(dtype, s.d.value);
}

void fold_set(struct infer *in, uint32_t o, const struct value *v) {
    uint32_t id = node_out(in->node, o);
    if (id == NONE || !v) return;
    struct tensor *t = &in->graph->tensors[id];
    struct value *kept = NULL;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!must_forget(t->dtype, v->at[i], v->is_float)) continue;
        if (!kept) kept = arena_copy(in->graph->arena, v, sizeof *v + v->n * sizeof v->at[0]);
        kept->at[i] = scalar_unknown();
    }
    t->value = kept ? kept : v;
}

struct scalar scalar_unknown(void) {
    return (struct scalar){.d = DIM_UNKNOWN, .f = NAN};
}

struct scalar scalar_number(double f) {
    return (struct scalar){.d = DIM(1), .f = f};
}

struct scalar scalar_dim(dim d) {
    return (struct scalar){.d = d, .f = 1};
}

bool scalar_is_number(struct scalar s, bool is_float) {
    return dim_is_number(s.d) && (!is_float || !isnan(s.f));
}

double scalar_to_double(struct scalar s, bool is_float) {
    return is_float ? s.f * (double)s.d.value : (double)s.d.value;
}

double round_to_dtype(double x, enum dtype dtype) {
    int digits, exponent; /* of the significand */
    switch (dtype) {
    case DT_DOUBLE:
        return x;
    case DT_FLOAT:
        return (double)(float)x;
    case DT_FLOAT16:
        digits = 11;
        break;
    case DT_BFLOAT16:
        digits = 8;
        break;
    default:
        return NAN;
    }
    if (!isfinite(x) || x == 0) return x;
    double fraction = frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(fraction, digits)), exponent - digits);
}
