/* Few-shot adaptation on made-up devices whose truth is known. */
#include "learned.h"

TestSuite(bank, .init = learned_setup, .fini = learned_teardown);

static double near_weight[FT_LEARNED], far_weight[FT_LEARNED], target_weight[FT_LEARNED];
static struct proxy proxies[2];

static void make_proxies(enum view view) {
    for (size_t j = 0; j < FT_LEARNED; j++) {
        near_weight[j] = j % 3 == 0 ? 1 : 0.1;
        far_weight[j] = j % 3 == 1 ? 1 : 0.05;
        target_weight[j] = 7 * near_weight[j] * (j % 2 ? 1.1 : 0.9);
    }
    proxies[0] = (struct proxy){.name = "near", .weight = near_weight};
    proxies[1] = (struct proxy){.name = "far", .weight = far_weight};
    proxies[0].share[view] = proxies[1].share[view] = 1;
}

static double error_after(size_t n, double noise, size_t n_views, enum view view, struct posterior *posterior) {
    struct samples reference = random_networks(200, n_views, 1), few = random_networks(n, n_views, 2);
    struct samples test = random_networks(300, n_views, 3);
    struct bank bank;
    make_proxies(view);
    measure_with(&few, view, target_weight, noise, 4);
    measure_with(&test, view, target_weight, 0, 5);
    bank_init(&bank, &reference, proxies, 2, &memory);
    bank_adapt(&bank, &few, true, posterior, &memory);
    double *ms = arena_array(&memory, test.n, sizeof *ms), *deviation = arena_array(&memory, test.n, sizeof *ms);
    posterior_predict(posterior, &test, ms, deviation);
    for (size_t i = 0; i < test.n; i++) cr_assert(deviation[i] >= posterior->noise && isfinite(deviation[i]));
    return mean_error(&test, ms);
}

Test(bank, learns_from_few) {
    struct posterior posterior;
    double ten = error_after(10, 0.01, 1, VIEW_KEPT, &posterior);
    cr_expect(ten < 0.04, "error %g after 10 samples", ten);
    double sixty = error_after(60, 0.01, 1, VIEW_KEPT, &posterior);
    cr_expect(sixty < 0.01, "error %g after 60 samples", sixty);
    cr_expect(posterior.noise < 0.03, "noise %g", posterior.noise);
}

/* Simulators have no noise at all. */
Test(bank, is_certain_of_what_is_exact) {
    struct posterior posterior;
    double error = error_after(70, 0, 1, VIEW_KEPT, &posterior);
    cr_expect(error < 1e-4, "error %g", error);
    cr_expect(posterior.noise < 1e-4, "noise %g", posterior.noise);
}

Test(bank, finds_the_view) {
    struct posterior posterior;
    double error = error_after(12, 0.01, VIEW_COUNT, VIEW_KEPT, &posterior);
    cr_expect(posterior.share[VIEW_KEPT] > 0.9, "kept: %g", posterior.share[VIEW_KEPT]);
    cr_expect(error < 0.05, "error %g", error);
    double sum = posterior.share[0] + posterior.share[1] + posterior.share[2];
    cr_expect(fabs(sum - 1) < 1e-9);
}

/* A target that is a proxy at another speed is recognised as such. */
Test(bank, target_equals_proxy) {
    struct samples reference = random_networks(200, 1, 1), few = random_networks(5, 1, 2),
                   test = random_networks(50, 1, 3);
    struct posterior posterior;
    struct bank bank;
    make_proxies(VIEW_KEPT);
    measure_with(&few, 0, near_weight, 0, 0);
    measure_with(&test, 0, near_weight, 0, 0);
    bank_init(&bank, &reference, proxies, 2, &memory);
    bank_adapt(&bank, &few, false, &posterior, &memory);
    double ms[50];
    posterior_predict(&posterior, &test, ms, NULL);
    cr_expect(mean_error(&test, ms) < 0.002, "error %g", mean_error(&test, ms));
    cr_expect(posterior.scale_only > 0.5, "rescaling %g", posterior.scale_only);
}

/* A noise known for certain makes a normal interval; one that may turn out far larger, a narrower one than its variance
 * says, which still holds nine tenths. */
Test(bank, interval_of_a_mixture) {
    double nothing[FT_LEARNED * FT_LEARNED] = {0};
    struct samples s = random_networks(5, 1, 1);
    struct posterior sure = {.p = s.p, .n_views = 1, .share = {1}, .weight = {near_weight}, .covariance = {nothing}};
    make_proxies(VIEW_KEPT);
    sure.noise = 0.02;
    sure.levels[3] = (struct noise_level){0.02, 1};
    cr_expect_float_eq(interval_quantile(&s, &sure, &memory), Z90, 1e-6);
    struct posterior torn = sure;
    torn.noise = sqrt(0.9 * 0.02 * 0.02 + 0.1 * 0.05 * 0.05);
    torn.levels[3] = (struct noise_level){0.02, 0.9};
    torn.levels[9] = (struct noise_level){0.05, 0.1};
    double width = torn.noise * interval_quantile(&s, &torn, &memory);
    double held = 0.9 * erf(width / (0.02 * sqrt(2))) + 0.1 * erf(width / (0.05 * sqrt(2)));
    cr_expect_float_eq(held, 0.9, 1e-6);
    cr_expect(width < Z90 * torn.noise);
}

/* Over many devices that the proxies do describe, intervals hold what they say. */
Test(bank, intervals_hold) {
    struct samples reference = random_networks(200, 1, 1), test = random_networks(100, 1, 3);
    double ms[100], deviation[100], inside = 0;
    struct bank bank;
    make_proxies(VIEW_KEPT);
    bank_init(&bank, &reference, proxies, 2, &memory);
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct samples few = random_networks(10, 1, 100 + seed);
        struct posterior posterior;
        measure_with(&few, 0, target_weight, 0.05, 200 + seed);
        measure_with(&test, 0, target_weight, 0.05, 300 + seed);
        bank_adapt(&bank, &few, true, &posterior, &memory);
        posterior_predict(&posterior, &test, ms, deviation);
        double q = interval_quantile(&few, &posterior, &memory);
        for (size_t i = 0; i < test.n; i++) inside += fabs(log(test.y[i] / ms[i])) <= q * deviation[i];
    }
    cr_expect(inside > 0.85 * 4000 && inside < 0.95 * 4000, "%g of 4000", inside);
}

/* Errors on other networks after 20 samples of a device like a proxy, the third of them `wrong` times what it takes.
 */
static double error_with_wrong(double wrong, bool weighed, double trust[20]) {
    struct samples reference = random_networks(200, 1, 1), few = random_networks(20, 1, 2);
    struct samples test = random_networks(300, 1, 3);
    struct posterior posterior;
    struct bank bank;
    make_proxies(VIEW_KEPT);
    for (size_t j = 0; j < FT_LEARNED; j++) target_weight[j] = 7 * near_weight[j] * (j % 2 ? 1.02 : 0.98);
    measure_with(&few, 0, target_weight, 0.01, 4);
    measure_with(&test, 0, target_weight, 0, 5);
    double *y = arena_copy(&memory, few.y, few.n * sizeof *y), *ms = arena_array(&memory, test.n, sizeof *ms);
    y[2] *= wrong;
    few.y = y;
    bank_init(&bank, &reference, proxies, 2, &memory);
    bank_trust(&bank, &few, trust, &memory, arena_inside(&memory));
    if (weighed) few.trust = trust;
    bank_adapt(&bank, &few, false, &posterior, &memory);
    posterior_predict(&posterior, &test, ms, NULL);
    return mean_error(&test, ms);
}

Test(bank, one_wrong_measurement_counts_little) {
    double trust[20], least = 1, right = error_with_wrong(1, true, trust);
    for (size_t i = 0; i < 20; i++) least = fmin(least, trust[i]);
    cr_expect(least > 0.3, "a right one counts as %g", least);
    for (int slow = 0; slow < 2; slow++) {
        double wrong = slow ? 1.6 : 0.6, alike = error_with_wrong(wrong, false, trust);
        double error = error_with_wrong(wrong, true, trust);
        cr_expect(trust[2] < 0.15, "counts as %g", trust[2]);
        for (size_t i = 0; i < 20; i++) cr_expect(i == 2 || trust[i] > 2 * trust[2]);
        cr_expect(error < 0.6 * alike, "%g, all alike %g", error, alike);
        cr_expect(error < right + 0.02, "%g, without the error %g", error, right);
    }
}

/* Seconds for milliseconds, a digit lost: errors are relative, so that one far too low would outweigh all others. */
Test(bank, a_plain_mistake_counts_for_nothing) {
    static const double wrong[] = {1e-3, 0.1, 12, 1e3};
    double trust[20], right = error_with_wrong(1, true, trust);
    for (size_t k = 0; k < COUNT_OF(wrong); k++) {
        double error = error_with_wrong(wrong[k], true, trust);
        cr_expect(trust[2] < MISTAKEN, "%g: counts as %g", wrong[k], trust[2]);
        for (size_t i = 0; i < 20; i++)
            cr_expect(i == 2 || trust[i] > 0.2, "%g: %zu counts as %g", wrong[k], i, trust[i]);
        cr_expect(error < right + 0.02, "%g: %g, without the mistake %g", wrong[k], error, right);
    }
}

/* Intervals are those of any measurement, not of the trusted ones alone. */
Test(bank, noise_counts_all_alike) {
    struct samples reference = random_networks(200, 1, 1), few = random_networks(10, 1, 2);
    struct posterior alike, weighed;
    struct bank bank;
    double trust[10];
    make_proxies(VIEW_KEPT);
    measure_with(&few, 0, target_weight, 0.03, 4);
    bank_init(&bank, &reference, proxies, 2, &memory);
    bank_adapt(&bank, &few, false, &alike, &memory);
    for (size_t i = 0; i < 10; i++) trust[i] = 0.5;
    few.trust = trust;
    bank_adapt(&bank, &few, false, &weighed, &memory);
    cr_expect_float_eq(weighed.noise / alike.noise, 1, 0.2, "%g, %g", weighed.noise, alike.noise);
}

/* All samples alike: a singular design, which leaves the proxies' shape at the right scale. */
Test(bank, singular_design) {
    struct samples reference = random_networks(200, 1, 1), few = random_networks(4, 1, 2);
    double *x = arena_array(&memory, few.n * few.p, sizeof *x);
    for (size_t i = 0; i < few.n; i++) memcpy(x + i * few.p, few.x[0], few.p * sizeof *x);
    few.x[0] = x;
    struct posterior posterior;
    struct bank bank;
    make_proxies(VIEW_KEPT);
    measure_with(&few, 0, target_weight, 0.001, 6);
    cr_assert_eq(samples_check(&few, &messages), ST_OK);
    cr_expect_eq(messages.n_warnings, 1);
    bank_init(&bank, &reference, proxies, 2, &memory);
    bank_adapt(&bank, &few, true, &posterior, &memory);
    double ms[4];
    posterior_predict(&posterior, &few, ms, NULL);
    cr_expect(mean_error(&few, ms) < 0.02, "error %g", mean_error(&few, ms));
}

Test(bank, no_proxies_at_all) {
    struct samples reference = random_networks(200, 1, 1), few = random_networks(40, 1, 2);
    struct posterior posterior;
    struct bank bank;
    make_proxies(VIEW_KEPT);
    measure_with(&few, 0, target_weight, 0.01, 4);
    bank_init(&bank, &reference, NULL, 0, &memory);
    bank_adapt(&bank, &few, false, &posterior, &memory);
    double ms[40];
    posterior_predict(&posterior, &few, ms, NULL);
    cr_expect(mean_error(&few, ms) < 0.05, "error %g", mean_error(&few, ms));
}

Test(bank, refuses_bad_samples) {
    struct samples s = random_networks(4, 1, 1);
    double y[] = {1, 2, NAN, 3};
    s.y = y;
    cr_expect_eq(samples_check(&s, &messages), ST_DATA);
    cr_expect(strstr(messages.message, "measurement 3"), "%s", messages.message);
    y[2] = -1;
    cr_expect_eq(samples_check(&s, &messages), ST_DATA);
    s.n = 2;
    cr_expect_eq(samples_check(&s, &messages), ST_DATA);
}

/* Ten chosen networks tell more than ten at random, on average over devices; none is chosen twice. */
Test(bank, planned_samples) {
    struct samples candidates = random_networks(300, VIEW_COUNT, 7);
    struct bank bank;
    uint32_t chosen[20];
    make_proxies(VIEW_KEPT);
    bank_init(&bank, &candidates, proxies, 2, &memory);
    design_choose(&bank, &candidates, 20, chosen, &memory);
    for (size_t i = 0; i < 20; i++)
        for (size_t k = 0; k < i; k++) cr_assert_neq(chosen[i], chosen[k]);
}

Test(bank, structure_is_found_or_left) {
    enum { N = 60, E = 12 };
    double onehot[N * E] = {0}, ratio[N], none[N], centre[E];
    struct structure found, nothing;
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t j = 0; j < E; j++) centre[j] = 0.25;
    for (size_t i = 0; i < N; i++) {
        for (size_t g = 0; g < 3; g++) onehot[i * E + 4 * g + rng_below(&rng, 4)] = 1;
        none[i] = 0.02 * rng_normal(&rng);
        ratio[i] = 0.1 * (onehot[i * E] - onehot[i * E + 5]) + 0.005 * rng_normal(&rng);
    }
    structure_fit(onehot, ratio, N, E, centre, &found, &memory);
    structure_fit(onehot, none, N, E, centre, &nothing, &memory);
    cr_expect(found.share > 0.95, "%g", found.share);
    cr_expect(nothing.share < 0.5, "%g", nothing.share);
    double error = 0;
    for (size_t i = 0; i < N; i++) error += fabs(log(structure_factor(&found, onehot + i * E)) - ratio[i]) / N;
    cr_expect(error < 0.01, "%g", error);
}
