/* Values through elementwise operators. Integers may be symbolic; floating point is a number times a symbol, which is
 * what sizes become between a Cast to float and the Floor or Cast that makes them sizes again. Numbers are rounded as
 * the tensor's type rounds them, so that a Floor falls the same way. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

/* ---- Elements of broadcast inputs ---- */

struct reader {
    const struct value *v;
    int64_t stride[RANK_MAX]; /* by output dimension */
};

static bool reader_open(struct infer *in, uint32_t i, int32_t out_rank, struct reader *r) {
    int64_t dims[RANK_MAX], stride = 1;
    r->v = infer_value(in, i);
    if (!r->v || !fold_dims(in, node_in(in->node, i), dims)) return false;
    int32_t rank = infer_rank(in, i), shift = out_rank - rank;
    if (shift < 0) return false;
    for (int32_t k = 0; k < shift; k++) r->stride[k] = 0;
    for (int32_t k = rank - 1; k >= 0; k--) {
        r->stride[k + shift] = dims[k] == 1 ? 0 : stride;
        stride *= dims[k];
    }
    return true;
}

static struct scalar reader_get(const struct reader *r, const int64_t *at, int32_t rank) {
    int64_t k = 0;
    for (int32_t i = 0; i < rank; i++) k += at[i] * r->stride[i];
    return r->v->at[k];
}

typedef struct scalar element_fn(struct infer *, const struct scalar *, bool is_float);

/* Calls fn for every element with the elements of the first `n` inputs. */
static void fold_elements(struct infer *in, uint32_t n, element_fn *fn) {
    enum { MOST = 8 };
    struct reader readers[MOST];
    int64_t dims[RANK_MAX], at[RANK_MAX];
    if (n > MOST || n < 1 || !fold_ready(in, n)) return;
    if (node_attr(in->node, "axis") && in->opset < 7) return; /* the old broadcast */
    struct value *v = fold_new(in, 0);
    if (!v) return;
    uint32_t o = node_out(in->node, 0);
    int32_t rank = in->graph->tensors[o].rank;
    if (!fold_dims(in, o, dims)) return;
    for (uint32_t i = 0; i < n; i++)
        if (!reader_open(in, i, rank, &readers[i])) return;
    struct scalar elements[MOST];
    for (uint32_t k = 0; k < v->n; k++) {
        fold_position(k, dims, rank, at);
        for (uint32_t i = 0; i < n; i++) elements[i] = reader_get(&readers[i], at, rank);
        v->at[k] = fn(in, elements, readers[n - 1].v->is_float);
    }
    fold_set(in, 0, v);
}

/* ---- Arithmetic on integers ---- */

static bool is_at_least(const struct graph *g, dim d, int64_t least) {
    int64_t lo, hi;
    if (dim_is_unknown(d)) return false;
    dim_bounds(g, d, &lo, &hi);
    return lo >= least;
}

/* Integer division rounds towards zero; for sizes that is downwards. */
static dim divide(struct graph *g, dim a, dim b) {
    if (dim_is_number(a) && dim_is_number(b)) {
        if (b.value == 0 || (a.value == INT64_MIN && b.value == -1)) return DIM_UNKNOWN;
        return DIM(a.value / b.value);
    }
    return is_at_least(g, a, 0) && is_at_least(g, b, 1) ? dim_floordiv(g, a, b) : DIM_UNKNOWN;
}

static dim modulo(struct infer *in, dim a, dim b) {
    bool like_c = node_int(in->node, "fmod", 0) != 0; /* the sign of the dividend */
    if (dim_is_number(a) && dim_is_number(b)) {
        if (b.value == 0 || b.value == -1) return b.value ? DIM(0) : DIM_UNKNOWN;
        int64_t r = a.value % b.value;
        return DIM(!like_c && r != 0 && (r < 0) != (b.value < 0) ? r + b.value : r);
    }
    return is_at_least(in->graph, a, 0) && is_at_least(in->graph, b, 1) ? dim_mod(in->graph, a, b) : DIM_UNKNOWN;
}

static dim power(struct graph *g, dim a, struct scalar exponent, bool float_exponent) {
    if (!scalar_is_number(exponent, float_exponent)) return DIM_UNKNOWN;
    double e = scalar_to_double(exponent, float_exponent);
    if (e < 0 || e > 62 || e != floor(e)) return DIM_UNKNOWN;
    dim out = DIM(1);
    for (int i = 0; i < (int)e; i++) out = dim_mul(g, out, a);
    return out;
}

static dim combine_ints(struct infer *in, dim a, dim b) {
    struct graph *g = in->graph;
    switch (in->node->op) {
    case OP_Add:
    case OP_Sum:
        return dim_add(g, a, b);
    case OP_Sub:
        return dim_sub(g, a, b);
    case OP_Mul:
        return dim_mul(g, a, b);
    case OP_Div:
        return divide(g, a, b);
    case OP_Mod:
        return modulo(in, a, b);
    case OP_Max:
        return dim_max(g, a, b);
    case OP_Min:
        return dim_min(g, a, b);
    default:
        return DIM_UNKNOWN;
    }
}

/* ---- Arithmetic on floating point ---- */

static bool is_whole(struct scalar s) {
    return !dim_is_unknown(s.d) && fabs(s.f) < 1 << 24 && s.f == floor(s.f); /* exact in float32 */
}

static dim whole_of(struct graph *g, struct scalar s) {
    return dim_mul(g, s.d, DIM((int64_t)s.f));
}

static struct scalar combine_symbols(struct infer *in, struct scalar a, struct scalar b) {
    struct graph *g = in->graph;
    uint16_t op = in->node->op;
    bool number_b = dim_is_number(b.d), same = dim_same(a.d, b.d);
    double f_b = number_b ? scalar_to_double(b, true) : b.f;
    if (op == OP_Mul) return (struct scalar){dim_mul(g, a.d, b.d), a.f * b.f};
    if (op == OP_Div && number_b && f_b != 0) return (struct scalar){a.d, a.f / f_b};
    if (op == OP_Div && same && b.f != 0) return scalar_number(a.f / b.f);
    if (same && (op == OP_Add || op == OP_Sum)) return (struct scalar){a.d, a.f + b.f};
    if (same && op == OP_Sub) return (struct scalar){a.d, a.f - b.f};
    if (same && is_at_least(g, a.d, 0) && op == OP_Max) return a.f > b.f ? a : b;
    if (same && is_at_least(g, a.d, 0) && op == OP_Min) return a.f < b.f ? a : b;
    if (is_whole(a) && is_whole(b) && op != OP_Div) return scalar_dim(combine_ints(in, whole_of(g, a), whole_of(g, b)));
    return scalar_unknown();
}

static double combine_numbers(const struct node *node, double a, double b) {
    switch (node->op) {
    case OP_Add:
    case OP_Sum:
    case OP_Mean:
        return a + b;
    case OP_Sub:
        return a - b;
    case OP_Mul:
        return a * b;
    case OP_Div:
        return a / b;
    case OP_Mod:
        return fmod(a, b);
    case OP_Max:
        return fmax(a, b);
    case OP_Min:
        return fmin(a, b);
    default:
        return NAN;
    }
}

static struct scalar arith(struct infer *in, const struct scalar *at, bool exponent_is_float) {
    uint16_t op = in->node->op;
    enum dtype dtype = in->graph->tensors[node_out(in->node, 0)].dtype;
    bool is_float = dtype_is_float(dtype);
    struct scalar out = at[0];
    if (op == OP_Pow && !is_float) return scalar_dim(power(in->graph, at[0].d, at[1], exponent_is_float));
    if (op == OP_Pow) {
        bool known = scalar_is_number(at[0], true) && scalar_is_number(at[1], exponent_is_float) && is_whole(at[0]) &&
                     is_whole(at[1]); /* others are as exact as the runtime's library */
        double x = known ? pow(scalar_to_double(at[0], true), scalar_to_double(at[1], exponent_is_float)) : 0;
        return known ? scalar_number(round_to_dtype(x, dtype)) : scalar_unknown();
    }
    for (uint32_t i = 1; i < in->node->n_inputs; i++) {
        struct scalar a = out, b = at[i];
        if (!is_float) {
            out = scalar_dim(combine_ints(in, a.d, b.d));
        } else if (dim_is_unknown(a.d) || dim_is_unknown(b.d)) {
            out = scalar_unknown();
        } else if (scalar_is_number(a, true) && scalar_is_number(b, true)) {
            double x = combine_numbers(in->node, scalar_to_double(a, true), scalar_to_double(b, true));
            out = scalar_number(round_to_dtype(x, dtype));
        } else {
            out = combine_symbols(in, a, b);
        }
    }
    if (op != OP_Mean) return out;
    if (!scalar_is_number(out, is_float) || !is_float) return in->node->n_inputs == 1 ? out : scalar_unknown();
    return scalar_number(round_to_dtype(scalar_to_double(out, true) / in->node->n_inputs, dtype));
}

void fold_arith(struct infer *in) {
    fold_elements(in, in->node->n_inputs, arith);
}

/* ---- Comparison and logic ---- */

/* -1, 0, 1: a is less, the same, greater for certain; 2: less or the same; 3: greater or the same; 9: not known. */
enum order { LESS = -1, SAME, GREATER, NOT_GREATER, NOT_LESS, UNORDERED = 9 };

static enum order compare_dims(struct graph *g, dim a, dim b) {
    if (dim_is_unknown(a) || dim_is_unknown(b)) return UNORDERED;
    if (dim_same(a, b)) return SAME;
    dim difference = dim_sub(g, a, b);
    if (dim_is_unknown(difference)) return UNORDERED;
    int64_t lo, hi;
    dim_bounds(g, difference, &lo, &hi);
    if (lo == 0 && hi == 0) return SAME;
    return lo > 0 ? GREATER : hi < 0 ? LESS : lo == 0 ? NOT_LESS : hi == 0 ? NOT_GREATER : UNORDERED;
}

static enum order compare_scalars(struct infer *in, struct scalar a, struct scalar b, bool is_float) {
    if (!is_float) return compare_dims(in->graph, a.d, b.d);
    if (scalar_is_number(a, true) && scalar_is_number(b, true)) {
        double x = scalar_to_double(a, true), y = scalar_to_double(b, true);
        return x < y ? LESS : x > y ? GREATER : SAME;
    }
    if (!is_whole(a) || !is_whole(b)) return UNORDERED;
    return compare_dims(in->graph, whole_of(in->graph, a), whole_of(in->graph, b));
}

static dim truth(int known, bool value) {
    return known ? DIM(value) : DIM_UNKNOWN;
}

static dim decide(uint16_t op, enum order o) {
    bool above = o == GREATER, below = o == LESS, same = o == SAME;
    switch (op) {
    case OP_Equal:
        return truth(same || above || below, same);
    case OP_Greater:
        return truth(same || above || below || o == NOT_GREATER, above);
    case OP_Less:
        return truth(same || above || below || o == NOT_LESS, below);
    case OP_GreaterOrEqual:
        return truth(same || above || below || o == NOT_LESS, !below);
    case OP_LessOrEqual:
        return truth(same || above || below || o == NOT_GREATER, !above);
    default:
        return DIM_UNKNOWN;
    }
}

static dim logic(uint16_t op, dim a, dim b) {
    bool known = dim_is_number(a) && dim_is_number(b), x = a.value != 0, y = b.value != 0;
    if (op == OP_And) return truth(known || dim_is(a, 0) || dim_is(b, 0), known && x && y);
    if (op == OP_Or) return truth(known || dim_is(a, 1) || dim_is(b, 1), !known || x || y);
    return truth(known, x != y); /* Xor */
}

static struct scalar compare(struct infer *in, const struct scalar *at, bool is_float) {
    uint16_t op = in->node->op;
    if (op == OP_And || op == OP_Or || op == OP_Xor) return scalar_dim(logic(op, at[0].d, at[1].d));
    return scalar_dim(decide(op, compare_scalars(in, at[0], at[1], is_float)));
}

void fold_compare(struct infer *in) {
    fold_elements(in, 2, compare);
}

static struct scalar choose(struct infer *in, const struct scalar *at, bool is_float) {
    (void)in;
    if (dim_is_number(at[0].d)) return at[0].d.value ? at[1] : at[2];
    bool same = dim_same(at[1].d, at[2].d) && (!is_float || at[1].f == at[2].f);
    return same ? at[1] : scalar_unknown();
}

void fold_where(struct infer *in) {
    fold_elements(in, 3, choose);
}

/* ---- One input ---- */

/* floor or ceil of f * d, where f is a short binary fraction. */
static dim round_symbol(struct graph *g, struct scalar s, bool up) {
    if (dim_is_unknown(s.d)) return s.d;
    for (int64_t q = 1; q <= 1024; q *= 2) {
        double p = s.f * (double)q;
        if (fabs(p) >= 1 << 24 || p != floor(p)) continue;
        dim whole = dim_mul(g, s.d, DIM((int64_t)p));
        return up ? dim_ceildiv(g, whole, DIM(q)) : dim_floordiv(g, whole, DIM(q));
    }
    return DIM_UNKNOWN;
}

static struct scalar unary_symbol(struct infer *in, struct scalar s, bool is_float) {
    struct graph *g = in->graph;
    bool positive = is_at_least(g, s.d, 0) && (!is_float || s.f >= 0);
    switch (in->node->op) {
    case OP_Abs:
    case OP_Relu:
        return positive ? s : scalar_unknown();
    case OP_Neg:
        return is_float ? (struct scalar){s.d, -s.f} : scalar_dim(dim_sub(g, DIM(0), s.d));
    case OP_Floor:
        return scalar_dim(round_symbol(g, s, false));
    case OP_Ceil:
        return scalar_dim(round_symbol(g, s, true));
    case OP_Round:
        return is_whole(s) ? s : scalar_unknown();
    case OP_Sign:
        return is_at_least(g, s.d, 1) && (!is_float || s.f > 0) ? scalar_dim(DIM(1)) : scalar_unknown();
    default:
        return scalar_unknown();
    }
}

static double unary_number(uint16_t op, double x) {
    switch (op) {
    case OP_Abs:
        return fabs(x);
    case OP_Ceil:
        return ceil(x);
    case OP_Floor:
        return floor(x);
    case OP_Neg:
        return -x;
    case OP_Reciprocal:
        return 1 / x;
    case OP_Relu:
        return fmax(x, 0);
    case OP_Round:
        return nearbyint(x); /* halves to even */
    case OP_Sign:
        return (x > 0) - (x < 0);
    case OP_Sqrt:
        return sqrt(x);
    default:
        return NAN;
    }
}

static struct scalar unary(struct infer *in, const struct scalar *at, bool is_float) {
    enum dtype dtype = in->graph->tensors[node_out(in->node, 0)].dtype;
    if (dim_is_unknown(at->d)) return scalar_unknown();
    if (in->node->op == OP_Not) return scalar_dim(truth(dim_is_number(at->d), at->d.value == 0));
    if (!is_float && dim_is_number(at->d) && at->d.value == INT64_MIN) return scalar_unknown();
    if (!is_float && dim_is_number(at->d) && (in->node->op == OP_Abs || in->node->op == OP_Neg))
        return scalar_dim(DIM(in->node->op == OP_Neg || at->d.value < 0 ? -at->d.value : at->d.value));
    if (!is_float || !scalar_is_number(*at, true)) return unary_symbol(in, *at, is_float);
    double x = unary_number(in->node->op, scalar_to_double(*at, true));
    return scalar_number(round_to_dtype(x, dtype));
}

void fold_unary(struct infer *in) {
    fold_elements(in, 1, unary);
}

/* Bounds are inputs since opset 11, attributes before. */
static struct scalar clip(struct infer *in, const struct scalar *at, bool is_float) {
    const struct value *lo = infer_value(in, 1), *hi = infer_value(in, 2);
    bool read = (lo || !infer_has(in, 1)) && (hi || !infer_has(in, 2));
    if (!read || (lo && lo->n != 1) || (hi && hi->n != 1) || in->opset < 11) return scalar_unknown();
    struct scalar out = at[0];
    if (is_float) {
        if (!scalar_is_number(out, true)) return scalar_unknown();
        double x = scalar_to_double(out, true);
        if (lo) x = fmax(x, scalar_to_double(lo->at[0], true));
        if (hi) x = fmin(x, scalar_to_double(hi->at[0], true));
        bool known = (!lo || scalar_is_number(lo->at[0], true)) && (!hi || scalar_is_number(hi->at[0], true));
        return known ? scalar_number(x) : scalar_unknown();
    }
    if (lo) out.d = dim_max(in->graph, out.d, lo->at[0].d);
    if (hi) out.d = dim_min(in->graph, out.d, hi->at[0].d);
    return out;
}

void fold_clip(struct infer *in) {
    fold_elements(in, 1, clip);
}

/* ---- Cast ---- */

static struct scalar cast(struct infer *in, const struct scalar *at, bool from_float) {
    enum dtype to = in->graph->tensors[node_out(in->node, 0)].dtype;
    bool to_float = dtype_is_float(to), number = scalar_is_number(*at, from_float);
    if (dim_is_unknown(at->d)) return scalar_unknown();
    double x = number ? scalar_to_double(*at, from_float) : 0;
    if (to == DT_BOOL) return number ? scalar_dim(DIM(x != 0)) : scalar_unknown();
    if (to_float) return number ? scalar_number(round_to_dtype(x, to)) : (struct scalar){at->d, from_float ? at->f : 1};
    if (!from_float) return scalar_dim(at->d);
    if (number) return fabs(x) < 9e18 ? scalar_dim(DIM((int64_t)x)) : scalar_unknown();
    bool positive = at->f >= 0 && is_at_least(in->graph, at->d, 0); /* towards zero is then downwards */
    return positive ? scalar_dim(round_symbol(in->graph, *at, false)) : scalar_unknown();
}

void fold_cast(struct infer *in) {
    enum dtype from = infer_dtype(in, 0);
    if (from != DT_STRING && in->node->op != OP_BitCast && infer_value(in, 0)) fold_elements(in, 1, cast);
}
