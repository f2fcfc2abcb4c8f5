/* Dimension expressions: one normal form, bounds, substitution. */
#include "ir.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena arena;
static struct graph *g;
static dim n, h, w;

static void setup(void) {
    arena_init(&arena, NULL, NULL);
    g = graph_new(&arena, "dims");
    n = dim_symbol(g, "n");
    h = dim_symbol(g, "h");
    w = dim_symbol(g, "w");
}

static void teardown(void) {
    arena_free(&arena);
}

TestSuite(dim, .init = setup, .fini = teardown);

static const char *text(dim d) {
    static char out[256];
    dim_print(g, d, out, sizeof out);
    return out;
}

static dim add(dim a, int64_t k) {
    return dim_add(g, a, DIM(k));
}
static dim mul(dim a, int64_t k) {
    return dim_mul(g, a, DIM(k));
}
static dim quo(dim a, int64_t k) {
    return dim_floordiv(g, a, DIM(k));
}

Test(dim, equal_expressions_are_the_same) {
    cr_assert(dim_same(dim_mul(g, add(n, 1), h), dim_add(g, dim_mul(g, h, n), h)));
    cr_assert(dim_same(dim_sub(g, add(mul(n, 2), 3), n), add(n, 3)));
    cr_assert(dim_same(dim_sub(g, n, n), DIM(0)));
    cr_assert_not(dim_same(DIM_UNKNOWN, DIM_UNKNOWN));
    cr_assert(dim_same(dim_symbol(g, "n"), n));
}

Test(dim, prints) {
    cr_assert_str_eq(text(add(mul(h, 2), 1)), "2*h+1");
    cr_assert_str_eq(text(quo(h, 2)), "floor(h/2)");
    cr_assert_str_eq(text(quo(add(h, -1), 2)), "floor((h+1)/2)-1"); /* what is left over is never negative */
    cr_assert_str_eq(text(DIM_UNKNOWN), "?");
    cr_assert_str_eq(text(dim_mul(g, n, mul(h, -1))), "-n*h");
}

Test(dim, divides_exactly_where_it_can) {
    cr_assert(dim_same(quo(mul(n, 12), 4), mul(n, 3)));
    cr_assert(dim_same(quo(add(mul(n, 4), 7), 4), add(n, 1)));
    cr_assert(dim_same(dim_floordiv(g, dim_mul(g, dim_mul(g, n, h), w), dim_mul(g, n, w)), h));
    cr_assert(dim_same(dim_floordiv(g, mul(add(n, 1), 6), mul(add(n, 1), 2)), DIM(3)));
    cr_assert(dim_is(dim_mod(g, mul(n, 8), DIM(4)), 0));
    cr_assert(dim_is_unknown(quo(n, 0)));
    cr_assert(dim_is(dim_floordiv(g, DIM(-7), DIM(2)), -4));
    cr_assert(dim_is(dim_ceildiv(g, DIM(7), DIM(2)), 4));
}

/* Two convolutions of stride 2 and padding 1 over a 3x3 kernel. */
Test(dim, nested_divisions_join) {
    dim once = add(quo(add(h, -1), 2), 1), twice = add(quo(add(once, -1), 2), 1);
    cr_assert_str_eq(text(twice), "floor((h+3)/4)");
}

Test(dim, bounds) {
    int64_t lo, hi;
    dim d = dim_fresh(g, "found", 0, 300);
    dim_bounds(g, add(mul(d, 2), 1), &lo, &hi);
    cr_assert_eq(lo, 1);
    cr_assert_eq(hi, 601);
    dim_bounds(g, quo(d, 7), &lo, &hi);
    cr_assert_eq(hi, 42);
    dim_bounds(g, dim_sub(g, DIM(10), d), &lo, &hi);
    cr_assert_eq(lo, -290);
    cr_assert_eq(hi, 10);
    dim_bounds(g, dim_mul(g, n, h), &lo, &hi);
    cr_assert_eq(lo, 1);
    cr_assert_eq(hi, INT64_MAX);
    cr_assert(dim_is_positive(g, n));
    cr_assert_not(dim_is_positive(g, d));
    cr_assert(dim_is_data_dependent(g, add(d, 1)));
    cr_assert_not(dim_is_data_dependent(g, quo(n, 3)));
}

Test(dim, least_and_greatest) {
    dim d = dim_fresh(g, "found", 0, 300);
    cr_assert(dim_same(dim_min(g, d, DIM(300)), d));
    cr_assert(dim_is(dim_max(g, d, DIM(300)), 300));
    cr_assert(dim_same(dim_max(g, n, add(n, 1)), add(n, 1)));
    cr_assert(dim_same(dim_min(g, n, h), dim_min(g, h, n)));
    cr_assert_str_eq(text(dim_max(g, n, h)), "max(n,h)");
}

static int64_t settled(dim d) {
    int64_t lo, hi;
    dim_bounds(g, d, &lo, &hi);
    cr_assert_eq(lo, hi);
    return lo;
}

Test(dim, sizes_that_depend_on_data_settle) {
    dim d = dim_fresh(g, "found", 0, 300), all = dim_fresh(g, "all", 0, 900), few = dim_min(g, d, DIM(100));
    dim_expect(g, all, 7);
    cr_assert_eq(dim_expected(g, add(mul(few, 2), 1)), 201);
    cr_assert_eq(dim_expected(g, quo(d, 4)), 37);
    dim_settle(g, DATA_EXPECTED);
    cr_assert_eq(settled(d), 150);
    cr_assert_eq(settled(few), 100);
    cr_assert_eq(settled(all), 7);
}

Test(dim, sizes_settle_at_the_least_and_the_most) {
    dim d = dim_fresh(g, "found", 3, 300), few = dim_min(g, d, DIM(100));
    struct graph *least = graph_clone(g, &arena);
    dim_settle(g, DATA_MOST);
    cr_assert_eq(settled(quo(d, 7)), 42);
    cr_assert_eq(settled(few), 100);
    g = least;
    dim_settle(g, DATA_LEAST);
    cr_assert_eq(settled(few), 3);
}

Test(dim, substitutes_inside_functions) {
    dim d = dim_mul(g, add(quo(add(h, -1), 2), 1), n);
    cr_assert(dim_same(dim_substitute(g, d, "h", 224), mul(n, 112)));
    cr_assert(dim_is(dim_substitute(g, dim_substitute(g, d, "h", 224), "n", 3), 336));
}

Test(dim, divides_by_sums) {
    dim seq = add(mul(n, 2), 1), all = dim_mul(g, dim_mul(g, seq, h), DIM(64));
    cr_assert(dim_same(dim_floordiv(g, all, seq), mul(h, 64)));
    cr_assert(dim_same(dim_floordiv(g, dim_mul(g, seq, add(h, 3)), seq), add(h, 3)));
    cr_assert_str_eq(text(dim_floordiv(g, h, seq)), "floor(h/(2*n+1))");
    cr_assert(dim_same(quo(mul(n, 6), 4), quo(mul(n, 3), 2)));
    cr_assert(dim_same(quo(add(mul(n, 6), 1), 4), quo(mul(n, 3), 2)));
    cr_assert_str_eq(text(dim_ceildiv(g, n, n)), "1");
    cr_assert_str_eq(text(dim_ceildiv(g, mul(h, 3), h)), "3");
}

Test(dim, bounds_see_what_terms_share) {
    int64_t lo, hi;
    dim_bounds(g, dim_mod(g, n, DIM(4)), &lo, &hi);
    cr_assert_eq(lo, 0);
    cr_assert_eq(hi, 3);
    cr_assert(dim_is_positive(g, dim_sub(g, n, quo(n, 2))));
    cr_assert(dim_same(dim_max(g, n, quo(n, 2)), n));
    dim least = dim_min(g, n, h);
    cr_assert(dim_same(dim_min(g, least, h), least));
    cr_assert(dim_same(dim_max(g, least, h), h));
    dim_bounds(g, dim_sub(g, n, least), &lo, &hi);
    cr_assert_eq(lo, 0);
    cr_assert_eq(hi, INT64_MAX);
    dim_bounds(g, dim_sub(g, DIM(5), n), &lo, &hi);
    cr_assert_eq(lo, INT64_MIN);
    cr_assert_eq(hi, 4);
    cr_assert(dim_same(dim_min(g, n, DIM(INT64_MAX)), n));
    cr_assert(dim_same(dim_mod(g, dim_mod(g, n, DIM(4)), DIM(7)), dim_mod(g, n, DIM(4))));
}

/* Every level mentions the one below twice: without a limit a walk over it would take 2^100 steps. */
Test(dim, nesting_is_limited) {
    dim d = n;
    for (int i = 0; i < 100; i++) d = dim_floordiv(g, dim_mul(g, d, add(d, i)), add(h, i));
    cr_assert(dim_is_unknown(d));
}

/* Every expression, built from random steps, has the value that arithmetic on numbers gives, within its bounds. */
Test(dim, agrees_with_numbers) {
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        int64_t at_n = 1 + (int64_t)rng_below(&rng, 20), at_h = 1 + (int64_t)rng_below(&rng, 20), value = at_n, lo, hi;
        dim d = n;
        for (int step = 0; step < 6; step++) {
            int64_t k = (int64_t)rng_below(&rng, 9) - 3;
            bool symbol = rng_below(&rng, 3) == 0;
            dim other = symbol ? h : DIM(k);
            int64_t number = symbol ? at_h : k;
            switch (rng_below(&rng, 7)) {
            case 0:
                d = dim_add(g, d, other), value += number;
                break;
            case 1:
                d = dim_sub(g, d, other), value -= number;
                break;
            case 2:
                d = dim_mul(g, d, other), value *= number;
                break;
            case 3:
                if (!number) break;
                d = dim_floordiv(g, d, other), value = num_floordiv(value, number);
                break;
            case 4:
                if (number < 1) break;
                d = dim_mod(g, d, other), value -= number * num_floordiv(value, number);
                break;
            case 5:
                d = dim_min(g, d, other), value = value < number ? value : number;
                break;
            default:
                d = dim_max(g, d, other), value = value > number ? value : number;
            }
        }
        if (dim_is_unknown(d)) continue;
        dim_bounds(g, d, &lo, &hi);
        cr_assert(lo <= value && value <= hi, "%s: %ld not in %ld..%ld", text(d), value, lo, hi);
        dim found = dim_substitute(g, dim_substitute(g, d, "n", at_n), "h", at_h);
        cr_assert(dim_is(found, value), "%s at n=%ld h=%ld: %ld, not %ld", text(d), at_n, at_h, found.value, value);
    }
}

Test(dim, overflow_is_unknown) {
    cr_assert(dim_is_unknown(dim_mul(g, DIM(INT64_MAX), DIM(2))));
    cr_assert(dim_is_unknown(dim_add(g, DIM(INT64_MAX), DIM(1))));
    cr_assert(dim_is_unknown(dim_floordiv(g, DIM(INT64_MIN), DIM(-1))));
    cr_assert(dim_is_unknown(dim_floordiv(g, mul(n, INT64_MIN), mul(n, -1))) ||
              !dim_is_number(dim_floordiv(g, mul(n, INT64_MIN), mul(n, -1))));
    dim d = n;
    for (int i = 0; i < 10; i++) d = dim_mul(g, d, add(h, i));
    cr_assert(dim_is_unknown(d));
}

Test(dim, symbols_are_listed_once) {
    const char *names[4];
    size_t count = dim_symbols(g, dim_add(g, dim_mul(g, n, h), quo(n, 2)), names, 4);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(names[0], "n");
    cr_assert_str_eq(names[1], "h");
}

Test(dim, a_clone_grows_on_its_own) {
    struct arena other;
    arena_init(&other, NULL, NULL);
    struct graph *clone = graph_clone(g, &other);
    dim in_clone = dim_add(clone, n, h), in_original = dim_mul(g, n, w);
    char out[64];
    dim_print(clone, in_clone, out, sizeof out);
    cr_assert_str_eq(out, "n+h");
    cr_assert_str_eq(text(in_original), "n*w");
    arena_free(&other);
}
