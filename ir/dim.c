/* Dimension expressions in one normal form.
 *
 * An expression is an atom or a polynomial over atoms: a constant and terms (coefficient times a sorted product of
 * atoms), terms sorted by their products. Atoms are named symbols, sizes that depend on data, and floordiv, min, max of
 * expressions that do not simplify further. ceildiv and mod are written with floordiv. Everything is hash-consed, so
 * equal expressions have equal ids. What grows past the limits, or overflows, becomes unknown. */
#include "dims.h"
#include "interval.h"
#include "poly.h"

#include <string.h>

enum { MAX_WEIGHT = 512 };
enum expr_kind { EX_SYMBOL = 1, EX_FRESH, EX_FLOORDIV, EX_MIN, EX_MAX, EX_POLY };

struct expr {
    enum expr_kind kind;
    const char *name; /* symbols */
    int64_t lo, hi;   /* of atoms */
    int64_t expected; /* of sizes that depend on data */
    dim a, b;         /* functions */
    const struct poly *poly;
    uint32_t weight; /* symbols mentioned, all the way down: what a walk over the expression costs */
};

struct dims {
    struct arena *arena;
    size_t n_exprs, cap_exprs;
    struct expr *exprs;  /* entry 0 unused */
    struct map interned; /* bytes of an expression's key to its id */
};

struct dims *dims_new(struct arena *arena) {
    struct dims *dims = arena_alloc(arena, sizeof *dims);
    dims->arena = arena;
    map_init(&dims->interned, arena);
    PUSH(arena, dims, exprs, (struct expr){0});
    return dims;
}

struct dims *dims_clone(const struct dims *of, struct arena *arena) {
    struct dims *dims = arena_copy(arena, of, sizeof *of);
    dims->arena = arena;
    dims->exprs = arena_copy(arena, of->exprs, of->n_exprs * sizeof *of->exprs);
    dims->cap_exprs = of->n_exprs;
    map_clone(&dims->interned, &of->interned, arena);
    return dims;
}

static dim id_dim(uint32_t id) {
    return (dim){.value = 0, .expr = id};
}

static uint32_t add_expr(struct dims *dims, struct expr expr) {
    PUSH(dims->arena, dims, exprs, expr);
    return (uint32_t)dims->n_exprs - 1;
}

static dim intern_expr(struct dims *dims, const void *key, size_t length, struct expr expr) {
    uint32_t id;
    if (!map_get(&dims->interned, key, length, &id)) {
        id = add_expr(dims, expr);
        map_put(&dims->interned, arena_copy(dims->arena, key, length), length, id);
    }
    return id_dim(id);
}

/* ---- Polynomials ---- */

static bool is_atom(const struct dims *dims, uint32_t id) {
    return dims->exprs[id].kind != EX_POLY;
}

static struct poly load(const struct dims *dims, dim d) {
    struct poly p = {.constant = d.value};
    if (dim_is_number(d)) return p;
    if (!is_atom(dims, d.expr)) return *dims->exprs[d.expr].poly;
    p.constant = 0;
    p.n = 1;
    p.terms[0] = (struct term){.factor = 1, .degree = 1, .atoms = {d.expr}};
    return p;
}

static size_t poly_key(const struct poly *p, int64_t *key) {
    size_t n = 0;
    key[n++] = EX_POLY;
    key[n++] = p->constant;
    for (uint32_t i = 0; i < p->n; i++) {
        key[n++] = p->terms[i].factor;
        key[n++] = p->terms[i].degree;
        for (uint32_t k = 0; k < p->terms[i].degree; k++) key[n++] = p->terms[i].atoms[k];
    }
    return n * sizeof *key;
}

static uint32_t poly_weight(const struct dims *dims, const struct poly *p) {
    uint32_t weight = 0;
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->terms[i].degree; k++) weight += dims->exprs[p->terms[i].atoms[k]].weight;
    return weight;
}

static dim store(struct dims *dims, const struct poly *p) {
    int64_t key[2 + POLY_TERMS * (2 + POLY_DEGREE)];
    if (p->failed) return DIM_UNKNOWN;
    if (!p->n) return DIM(p->constant);
    bool plain = p->n == 1 && !p->constant && p->terms[0].factor == 1 && p->terms[0].degree == 1;
    if (plain) return id_dim(p->terms[0].atoms[0]);
    size_t length = poly_key(p, key);
    uint32_t id;
    if (map_get(&dims->interned, key, length, &id)) return id_dim(id);
    struct expr expr = {.kind = EX_POLY, .poly = arena_copy(dims->arena, p, sizeof *p), .weight = poly_weight(dims, p)};
    return intern_expr(dims, key, length, expr);
}

/* ---- Bounds ---- */

static struct interval function_bounds(enum expr_kind kind, struct interval a, struct interval b) {
    return kind == EX_FLOORDIV ? interval_div(a, b) : interval_pick(kind == EX_MIN, a, b);
}

static struct interval atom_bounds(const struct dims *dims, uint32_t id) {
    return (struct interval){dims->exprs[id].lo, dims->exprs[id].hi};
}

static struct interval sum_of(const struct dims *dims, const struct poly *p,
                              struct interval (*of)(const struct dims *, uint32_t atom)) {
    struct interval sum = {p->constant, p->constant};
    for (uint32_t i = 0; i < p->n; i++) {
        struct interval product = {p->terms[i].factor, p->terms[i].factor};
        for (uint32_t k = 0; k < p->terms[i].degree; k++)
            product = interval_mul(product, of(dims, p->terms[i].atoms[k]));
        sum = interval_add(sum, product);
    }
    return sum;
}

static struct interval poly_bounds(const struct dims *, const struct poly *, int budget);

/* scale * (p without term i) + (the term's factor) * by */
static struct poly replace_term(const struct dims *dims, const struct poly *p, uint32_t i, int64_t scale, dim by) {
    struct poly sum = {0}, rest = *p, other = load(dims, by);
    rest.n--;
    memmove(&rest.terms[i], &rest.terms[i + 1], (rest.n - i) * sizeof *rest.terms);
    poly_add(&sum, &rest, scale);
    poly_add(&sum, &other, p->terms[i].factor);
    return sum;
}

/* a - (k - 1) <= k floor(a / k) <= a */
static struct interval without_floordiv(const struct dims *dims, const struct poly *p, uint32_t i, int budget) {
    const struct expr *atom = &dims->exprs[p->terms[i].atoms[0]];
    int64_t k = atom->b.value, slack = num_mul_sat(p->terms[i].factor, k - 1);
    struct poly scaled = replace_term(dims, p, i, k, atom->a);
    if (scaled.failed || bound_is_infinite(slack)) return INTERVAL_ANY;
    struct interval x = poly_bounds(dims, &scaled, budget - 1);
    struct interval loose = {slack > 0 ? -slack : 0, slack > 0 ? 0 : -slack};
    x = interval_add(x, loose);
    return (struct interval){x.lo == INT64_MIN ? x.lo : num_ceildiv(x.lo, k), bound_div(x.hi, k)};
}

/* A sum with min(a, b) in it is the smaller of the sums with a and with b, or the greater for a negative factor. */
static struct interval without_pick(const struct dims *dims, const struct poly *p, uint32_t i, int budget) {
    const struct expr *atom = &dims->exprs[p->terms[i].atoms[0]];
    struct poly with_a = replace_term(dims, p, i, 1, atom->a), with_b = replace_term(dims, p, i, 1, atom->b);
    if (with_a.failed || with_b.failed) return INTERVAL_ANY;
    return interval_pick((atom->kind == EX_MIN) == (p->terms[i].factor > 0), poly_bounds(dims, &with_a, budget - 3),
                         poly_bounds(dims, &with_b, budget - 3));
}

/* Interval arithmetic forgets that two terms speak of the same symbol. The first function that stands alone in a term
 * is therefore also taken apart, so that what it shares with the others cancels: n - floor(n / 2) is positive. */
static struct interval poly_bounds(const struct dims *dims, const struct poly *p, int budget) {
    struct interval sum = sum_of(dims, p, atom_bounds), other = INTERVAL_ANY;
    for (uint32_t i = 0; i < p->n && p->n > 1 && budget > 0; i++) {
        const struct expr *atom = &dims->exprs[p->terms[i].atoms[0]];
        bool divided = atom->kind == EX_FLOORDIV && dim_is_number(atom->b) && atom->b.value > 0;
        if (p->terms[i].degree != 1 || (!divided && atom->kind != EX_MIN && atom->kind != EX_MAX)) continue;
        other = divided ? without_floordiv(dims, p, i, budget) : without_pick(dims, p, i, budget);
        break;
    }
    return interval_common(sum, other);
}

static struct interval bounds_of(const struct dims *dims, dim d) {
    if (dim_is_unknown(d)) return INTERVAL_ANY;
    struct poly p = load(dims, d);
    return poly_bounds(dims, &p, 6); /* a few functions deep; min and max branch and cost more */
}

void dim_bounds(const struct graph *g, dim d, int64_t *lo, int64_t *hi) {
    struct interval bounds = bounds_of(g->exprs, d);
    *lo = bounds.lo;
    *hi = bounds.hi;
}

bool dim_is_positive(const struct graph *g, dim d) {
    return bounds_of(g->exprs, d).lo >= 1;
}

/* ---- Symbols ---- */

dim dim_symbol(struct graph *g, const char *name) {
    struct dims *dims = g->exprs;
    const char *interned = intern_str(g->names, name);
    int64_t key[] = {EX_SYMBOL, (int64_t)(uintptr_t)interned};
    return intern_expr(dims, key, sizeof key,
                       (struct expr){.kind = EX_SYMBOL, .name = interned, .lo = 1, .hi = INT64_MAX, .weight = 1});
}

/* Nothing said, a size is expected in the middle of its bounds. */
static int64_t middle(int64_t lo, int64_t hi) {
    return bound_is_infinite(lo) || bound_is_infinite(hi) ? hi : lo + (hi - lo + 1) / 2;
}

dim dim_fresh(struct graph *g, const char *hint, int64_t lo, int64_t hi) {
    struct expr expr = {.kind = EX_FRESH,
                        .name = intern_str(g->names, hint),
                        .lo = lo,
                        .hi = hi,
                        .expected = middle(lo, hi),
                        .weight = 1};
    return lo == hi ? DIM(lo) : id_dim(add_expr(g->exprs, expr));
}

static int64_t settled(const struct expr *expr, enum data_case at) {
    return at == DATA_LEAST ? expr->lo : at == DATA_EXPECTED ? expr->expected : expr->hi;
}

/* Functions come after what they are of. */
void dim_settle(struct graph *g, enum data_case at) {
    struct dims *dims = g->exprs;
    g->data_case = at;
    for (size_t i = 1; i < dims->n_exprs; i++) {
        struct expr *expr = &dims->exprs[i];
        struct interval x = {expr->lo, expr->hi};
        if (expr->kind == EX_FRESH)
            x.lo = x.hi = settled(expr, at);
        else if (expr->kind == EX_FLOORDIV || expr->kind == EX_MIN || expr->kind == EX_MAX)
            x = function_bounds(expr->kind, bounds_of(dims, expr->a), bounds_of(dims, expr->b));
        expr->lo = x.lo;
        expr->hi = x.hi;
    }
}

static struct interval expected_of(const struct dims *, dim);

static struct interval expected_atom(const struct dims *dims, uint32_t id) {
    const struct expr *expr = &dims->exprs[id];
    if (expr->kind == EX_FRESH) return (struct interval){expr->expected, expr->expected};
    if (expr->kind == EX_SYMBOL) return atom_bounds(dims, id);
    return function_bounds(expr->kind, expected_of(dims, expr->a), expected_of(dims, expr->b));
}

static struct interval expected_of(const struct dims *dims, dim d) {
    if (dim_is_unknown(d)) return INTERVAL_ANY;
    struct poly p = load(dims, d);
    return sum_of(dims, &p, expected_atom);
}

int64_t dim_expected(const struct graph *g, dim d) {
    return expected_of(g->exprs, d).hi;
}

void dim_expect(struct graph *g, dim fresh, int64_t expected) {
    if (dim_is_symbolic(fresh) && is_atom(g->exprs, fresh.expr)) g->exprs->exprs[fresh.expr].expected = expected;
}

static uint32_t weight_of(const struct dims *dims, dim d) {
    return dim_is_number(d) ? 0 : dims->exprs[d.expr].weight;
}

static dim function(struct dims *dims, enum expr_kind kind, dim a, dim b) {
    if (dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    int64_t key[] = {kind, a.value, a.expr, b.value, b.expr};
    uint32_t weight = weight_of(dims, a) + weight_of(dims, b), id;
    if (map_get(&dims->interned, key, sizeof key, &id)) return id_dim(id);
    if (weight > MAX_WEIGHT) return DIM_UNKNOWN;
    struct interval bounds = function_bounds(kind, bounds_of(dims, a), bounds_of(dims, b));
    if (bounds.lo == bounds.hi) return DIM(bounds.lo);
    return intern_expr(
        dims, key, sizeof key,
        (struct expr){.kind = kind, .lo = bounds.lo, .hi = bounds.hi, .a = a, .b = b, .weight = weight + 1});
}

/* ---- Arithmetic ---- */

dim dim_add(struct graph *g, dim a, dim b) {
    if (dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    int64_t sum;
    if (dim_is_number(a) && dim_is_number(b)) return num_add(a.value, b.value, &sum) ? DIM(sum) : DIM_UNKNOWN;
    if (dim_is(a, 0)) return b;
    if (dim_is(b, 0)) return a;
    struct poly p = load(g->exprs, a), q = load(g->exprs, b);
    poly_add(&p, &q, 1);
    return store(g->exprs, &p);
}

dim dim_sub(struct graph *g, dim a, dim b) {
    if (dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    int64_t difference;
    if (dim_is_number(a) && dim_is_number(b))
        return num_sub(a.value, b.value, &difference) ? DIM(difference) : DIM_UNKNOWN;
    if (dim_is(b, 0)) return a;
    struct poly p = load(g->exprs, a), q = load(g->exprs, b);
    poly_add(&p, &q, -1);
    return store(g->exprs, &p);
}

dim dim_mul(struct graph *g, dim a, dim b) {
    if (dim_is(a, 0) || dim_is(b, 0)) return DIM(0);
    if (dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    int64_t product;
    if (dim_is_number(a) && dim_is_number(b)) return num_mul(a.value, b.value, &product) ? DIM(product) : DIM_UNKNOWN;
    if (dim_is(a, 1)) return b;
    if (dim_is(b, 1)) return a;
    struct poly p = load(g->exprs, a), q = load(g->exprs, b), r = poly_multiply(&p, &q);
    return store(g->exprs, &r);
}

/* floor((floor(p / k) + c) / m) = floor((p + c k) / (k m)) for positive k, m. */
static bool unnest(struct graph *g, const struct poly *p, int64_t m, dim *out) {
    if (p->n != 1 || p->terms[0].factor != 1 || p->terms[0].degree != 1) return false;
    const struct expr *inner = &g->exprs->exprs[p->terms[0].atoms[0]];
    int64_t shift, divisor;
    if (inner->kind != EX_FLOORDIV || !dim_is_number(inner->b)) return false;
    if (!num_mul(p->constant, inner->b.value, &shift) || !num_mul(inner->b.value, m, &divisor)) return false;
    dim numerator = inner->a;
    *out = dim_floordiv(g, dim_add(g, numerator, DIM(shift)), DIM(divisor));
    return true;
}

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* floor(rest / k) with what all terms and k share taken out: floor((g a + r) / (g k)) = floor(a / k) for 0 <= r < g. */
static dim divide_rest(struct graph *g, struct poly *rest, int64_t k) {
    int64_t shared = k;
    for (uint32_t i = 0; i < rest->n; i++) shared = common_divisor(rest->terms[i].factor, shared);
    for (uint32_t i = 0; i < rest->n; i++) rest->terms[i].factor /= shared;
    rest->constant = num_floordiv(rest->constant, shared);
    return function(g->exprs, EX_FLOORDIV, store(g->exprs, rest), DIM(k / shared));
}

static dim divide_by_positive(struct graph *g, dim a, int64_t k) {
    struct poly p = load(g->exprs, a), whole = {0}, rest = {0};
    dim out = DIM(0); /* without terms: 0 <= rest < k */
    if (unnest(g, &p, k, &out)) return out;
    whole.constant = num_floordiv(p.constant, k);
    rest.constant = p.constant % k;
    if (rest.constant < 0) rest.constant += k;
    for (uint32_t i = 0; i < p.n; i++) {
        struct term term = p.terms[i];
        bool divided = factor_divides(k, term.factor, &term.factor);
        poly_add_term(divided ? &whole : &rest, divided ? &term : &p.terms[i]);
    }
    if (rest.n) out = divide_rest(g, &rest, k);
    return dim_add(g, store(g->exprs, &whole), out);
}

static dim divide_by_monomial(struct graph *g, const struct poly *p, dim b, const struct term *by) {
    struct poly whole = {0}, rest = {.constant = p->constant};
    for (uint32_t i = 0; i < p->n; i++) {
        struct term quotient;
        bool divided = term_divides(by, &p->terms[i], &quotient);
        poly_add_term(divided ? &whole : &rest, divided ? &quotient : &p->terms[i]);
    }
    dim out = DIM(0);
    if (rest.n || rest.constant) out = function(g->exprs, EX_FLOORDIV, store(g->exprs, &rest), b);
    return dim_add(g, store(g->exprs, &whole), out);
}

dim dim_floordiv(struct graph *g, dim a, dim b) {
    struct poly quotient;
    if (dim_is(b, 0) || dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    if (dim_is(b, 1)) return a;
    if (dim_is_number(b) && b.value < 0) return dim_floordiv(g, dim_sub(g, DIM(0), a), dim_sub(g, DIM(0), b));
    if (dim_is_number(a) && dim_is_number(b)) return DIM(num_floordiv(a.value, b.value));
    if (dim_is_number(b)) return divide_by_positive(g, a, b.value);
    if (dim_is(a, 0)) return a;
    struct poly p = load(g->exprs, a), q = load(g->exprs, b);
    if (poly_divide(&p, &q, &quotient)) return store(g->exprs, &quotient);
    if (q.n == 1 && !q.constant) return divide_by_monomial(g, &p, b, &q.terms[0]);
    return function(g->exprs, EX_FLOORDIV, a, b);
}

dim dim_ceildiv(struct graph *g, dim a, dim b) {
    if (dim_is_number(b) && b.value < 0) return dim_ceildiv(g, dim_sub(g, DIM(0), a), dim_sub(g, DIM(0), b));
    return dim_floordiv(g, dim_add(g, a, dim_sub(g, b, DIM(1))), b);
}

dim dim_mod(struct graph *g, dim a, dim b) {
    return dim_sub(g, a, dim_mul(g, b, dim_floordiv(g, a, b)));
}

static dim pick(struct graph *g, enum expr_kind kind, dim a, dim b) {
    int64_t lo, hi;
    if (dim_is_unknown(a) || dim_is_unknown(b)) return DIM_UNKNOWN;
    int64_t neutral = kind == EX_MIN ? INT64_MAX : INT64_MIN; /* "to the end" in slices */
    if (dim_is(a, neutral) || dim_is(b, neutral)) return dim_is(a, neutral) ? b : a;
    dim difference = dim_sub(g, a, b);
    dim_bounds(g, difference, &lo, &hi);
    if (!dim_is_unknown(difference) && lo >= 0) return kind == EX_MIN ? b : a;
    if (!dim_is_unknown(difference) && hi <= 0) return kind == EX_MIN ? a : b;
    bool ordered = a.expr < b.expr || (a.expr == b.expr && a.value <= b.value);
    return function(g->exprs, kind, ordered ? a : b, ordered ? b : a);
}

dim dim_min(struct graph *g, dim a, dim b) {
    return pick(g, EX_MIN, a, b);
}
dim dim_max(struct graph *g, dim a, dim b) {
    return pick(g, EX_MAX, a, b);
}

/* ---- Substitution and symbols ---- */

static dim substitute_atom(struct graph *g, uint32_t id, const char *symbol, int64_t number) {
    struct expr expr = g->exprs->exprs[id];
    if (expr.kind == EX_SYMBOL) return strcmp(expr.name, symbol) ? id_dim(id) : DIM(number);
    if (expr.kind == EX_FRESH) return id_dim(id);
    dim a = dim_substitute(g, expr.a, symbol, number), b = dim_substitute(g, expr.b, symbol, number);
    if (expr.kind == EX_FLOORDIV) return dim_floordiv(g, a, b);
    return pick(g, expr.kind, a, b);
}

dim dim_substitute(struct graph *g, dim d, const char *symbol, int64_t number) {
    if (!dim_is_symbolic(d)) return d;
    struct poly p = load(g->exprs, d);
    dim sum = DIM(p.constant);
    for (uint32_t i = 0; i < p.n; i++) {
        dim product = DIM(p.terms[i].factor);
        for (uint32_t k = 0; k < p.terms[i].degree; k++)
            product = dim_mul(g, product, substitute_atom(g, p.terms[i].atoms[k], symbol, number));
        sum = dim_add(g, sum, product);
    }
    return sum;
}

/* Calls visit for every symbol, once a mention; stops when it says so. */
static bool visit_symbols(const struct dims *dims, dim d, bool (*visit)(void *, const struct expr *), void *user) {
    if (!dim_is_symbolic(d)) return false;
    struct poly p = load(dims, d);
    for (uint32_t i = 0; i < p.n; i++)
        for (uint32_t k = 0; k < p.terms[i].degree; k++) {
            const struct expr *expr = &dims->exprs[p.terms[i].atoms[k]];
            bool leaf = expr->kind == EX_SYMBOL || expr->kind == EX_FRESH;
            if (leaf ? visit(user, expr)
                     : visit_symbols(dims, expr->a, visit, user) || visit_symbols(dims, expr->b, visit, user))
                return true;
        }
    return false;
}

struct name_list {
    const char **names;
    size_t n, max;
};

static bool collect_name(void *user, const struct expr *expr) {
    struct name_list *list = user;
    if (expr->kind != EX_SYMBOL) return false;
    for (size_t i = 0; i < list->n && i < list->max; i++)
        if (list->names[i] == expr->name) return false;
    if (list->n < list->max) list->names[list->n] = expr->name;
    list->n++;
    return false;
}

size_t dim_symbols(const struct graph *g, dim d, const char **names, size_t max) {
    struct name_list list = {names, 0, max};
    visit_symbols(g->exprs, d, collect_name, &list);
    return list.n;
}

static bool is_fresh(void *user, const struct expr *expr) {
    (void)user;
    return expr->kind == EX_FRESH;
}

bool dim_is_data_dependent(const struct graph *g, dim d) {
    return visit_symbols(g->exprs, d, is_fresh, NULL);
}

/* ---- Printing ---- */

struct text {
    char *out;
    size_t size, n;
};

static void put(struct text *text, const char *piece) {
    for (; *piece; piece++, text->n++)
        if (text->n + 1 < text->size) text->out[text->n] = *piece;
}

static void put_number(struct text *text, int64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    put(text, digits);
}

static void put_dim(const struct dims *dims, dim d, struct text *text);

static void put_pair(const struct dims *dims, const char *open, dim a, const char *between, dim b, struct text *text) {
    bool wrap_a = *between == '/' && dim_is_symbolic(a) && !is_atom(dims, a.expr);
    bool wrap_b = *between == '/' && dim_is_symbolic(b) && !is_atom(dims, b.expr);
    put(text, open);
    put(text, wrap_a ? "(" : "");
    put_dim(dims, a, text);
    put(text, wrap_a ? ")" : "");
    put(text, between);
    put(text, wrap_b ? "(" : "");
    put_dim(dims, b, text);
    put(text, wrap_b ? "))" : ")");
}

static void put_atom(const struct dims *dims, const struct expr *expr, struct text *text) {
    if (expr->kind == EX_FLOORDIV)
        put_pair(dims, "floor(", expr->a, "/", expr->b, text);
    else if (expr->kind == EX_MIN)
        put_pair(dims, "min(", expr->a, ",", expr->b, text);
    else if (expr->kind == EX_MAX)
        put_pair(dims, "max(", expr->a, ",", expr->b, text);
    else
        put(text, expr->name);
}

static void put_term(const struct dims *dims, const struct term *term, bool first, struct text *text) {
    if (!first && term->factor > 0) put(text, "+");
    if (term->factor == -1)
        put(text, "-");
    else if (term->factor != 1) {
        put_number(text, term->factor);
        put(text, "*");
    }
    for (uint32_t k = 0; k < term->degree; k++) {
        if (k) put(text, "*");
        put_atom(dims, &dims->exprs[term->atoms[k]], text);
    }
}

static void put_dim(const struct dims *dims, dim d, struct text *text) {
    if (dim_is_unknown(d)) {
        put(text, "?");
        return;
    }
    struct poly p = load(dims, d);
    for (uint32_t i = 0; i < p.n; i++) put_term(dims, &p.terms[i], i == 0, text);
    if (p.n && p.constant > 0) put(text, "+");
    if (p.constant || !p.n) put_number(text, p.constant);
}

size_t dim_print(const struct graph *g, dim d, char *out, size_t size) {
    struct text text = {out, size, 0};
    put_dim(g->exprs, d, &text);
    if (size) out[text.n < size ? text.n : size - 1] = '\0';
    return text.n;
}
