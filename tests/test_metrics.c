/* Rank correlations and error shares, against their definitions. */
#include <criterion/criterion.h>
#include <math.h>

#include "predictor.h"

static struct arena arena;

static void start(void) {
    arena_init(&arena, NULL, NULL);
}

static void stop(void) {
    arena_free(&arena);
}

TestSuite(metrics, .init = start, .fini = stop);

static bool is_near(double a, double b) {
    return fabs(a - b) < 1e-12;
}

/* Textbook cases, worked out by hand. */
Test(metrics, known_values) {
    double a[] = {1, 2, 3, 4, 5}, same[] = {10, 20, 30, 40, 50}, reversed[] = {5, 4, 3, 2, 1},
           swapped[] = {1, 3, 2, 4, 5};
    cr_expect(is_near(metric_srcc(a, same, 5, &arena), 1));
    cr_expect(is_near(metric_srcc(a, reversed, 5, &arena), -1));
    cr_expect(is_near(metric_srcc(a, swapped, 5, &arena), 0.9)); /* 1 - 6 * 2 / (5 * 24) */
    cr_expect(is_near(metric_kendall(a, same, 5, &arena), 1));
    cr_expect(is_near(metric_kendall(a, reversed, 5, &arena), -1));
    cr_expect(is_near(metric_kendall(a, swapped, 5, &arena), 0.8)); /* (9 - 1) / 10 */
}

Test(metrics, ties_share_ranks) {
    double a[] = {1, 2, 2, 3}, b[] = {1, 2, 3, 4};
    /* ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4 */
    cr_expect(is_near(metric_srcc(a, b, 4, &arena), 4.5 / sqrt(4.5 * 5)));
    cr_expect(is_near(metric_kendall(a, b, 4, &arena), 5 / sqrt(5.0 * 6)));
}

Test(metrics, no_order_is_no_number) {
    double a[] = {1, 1, 1}, b[] = {1, 2, 3};
    cr_expect(isnan(metric_srcc(a, b, 3, &arena)));
    cr_expect(isnan(metric_kendall(a, b, 3, &arena)));
    cr_expect(isnan(metric_mape(a, b, 0)));
}

/* Tau-b over all pairs, as it is defined. */
static double kendall_by_pairs(const double *a, const double *b, size_t n) {
    double concordant = 0, only_a = 0, only_b = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double da = a[i] - a[j], db = b[i] - b[j], product = da * db;
            concordant += product > 0 ? 1 : product < 0 ? -1 : 0;
            only_a += da != 0;
            only_b += db != 0;
        }
    return concordant / sqrt(only_a * only_b);
}

Test(metrics, kendall_is_the_sum_over_pairs) {
    struct rng rng;
    double a[200], b[200];
    rng_seed(&rng, 7);
    for (size_t n = 2; n <= 200; n += 11) {
        for (size_t i = 0; i < n; i++) {
            a[i] = (double)rng_below(&rng, 1 + n / 3); /* many ties */
            b[i] = a[i] + (double)rng_below(&rng, 5);
        }
        double expected = kendall_by_pairs(a, b, n), found = metric_kendall(a, b, n, &arena);
        cr_expect(is_near(expected, found) || (isnan(expected) && isnan(found)), "n %zu: %.17g, not %.17g", n, found,
                  expected);
    }
}

Test(metrics, order_is_all_that_counts) {
    struct rng rng;
    double a[100], b[100], c[100];
    rng_seed(&rng, 3);
    for (size_t i = 0; i < 100; i++) {
        a[i] = rng_unit(&rng);
        b[i] = a[i] + rng_unit(&rng);
        c[i] = exp(3 * b[i]);
    }
    cr_expect(is_near(metric_srcc(a, b, 100, &arena), metric_srcc(a, c, 100, &arena)));
    cr_expect(is_near(metric_srcc(a, b, 100, &arena), metric_srcc(b, a, 100, &arena)));
    cr_expect(is_near(metric_kendall(a, b, 100, &arena), metric_kendall(c, a, 100, &arena)));
}

Test(metrics, errors_are_relative_to_the_truth) {
    double predicted[] = {110, 90, 100, 150}, truth[] = {100, 100, 100, 100};
    cr_expect(is_near(metric_mape(predicted, truth, 4), 0.175));
    cr_expect(is_near(metric_within(predicted, truth, 4, 0.1000001), 0.75));
    cr_expect(is_near(metric_within(predicted, truth, 4, 0.05), 0.25));
}
