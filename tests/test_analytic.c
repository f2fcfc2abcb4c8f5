/* The roofline, worked out by hand on single kernels. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "predictor.h"

static struct arena arena;
static struct diag diag;

static void start(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
}

static void stop(void) {
    arena_free(&arena);
}

TestSuite(analytic, .init = start, .fini = stop);

static bool is_near(double a, double b) {
    return fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

/* 1 TFLOPS, 100 GB/s, everything reached in full, nothing for a launch. */
static struct analytic ideal(void) {
    struct analytic a;
    analytic_defaults(&a);
    a.peak_gflops[PREC_FP32] = 1000;
    a.bandwidth_gbps = 100;
    for (int i = 0; i < KC_COUNT; i++) a.compute_efficiency[i] = a.memory_efficiency[i] = 1;
    return a;
}

static struct kernel convolution(void) {
    return (struct kernel){.kind = KC_CONV,
                           .dtype = DT_FLOAT,
                           .macs = 500000000,
                           .flops = 1000000000,
                           .in_bytes = 2000000,
                           .out_bytes = 1000000,
                           .weight_bytes = 1000000,
                           .count = 1};
}

Test(analytic, compute_and_memory) {
    struct analytic a = ideal();
    struct kernel k = convolution();
    struct kernel_roofline r = analytic_kernel(&a, PREC_AS_WRITTEN, &k, false);
    cr_expect(is_near(r.compute_us, 1000), "%g", r.compute_us); /* 1e9 FLOPs at 1e12 a second */
    cr_expect(is_near(r.memory_us, 40), "%g", r.memory_us);     /* 4e6 bytes at 1e11 a second */
    a.compute_efficiency[KC_CONV] = 0.5;
    a.memory_efficiency[KC_CONV] = 0.25;
    r = analytic_kernel(&a, PREC_AS_WRITTEN, &k, false);
    cr_expect(is_near(r.compute_us, 2000));
    cr_expect(is_near(r.memory_us, 160));
}

Test(analytic, a_device_has_to_be_filled) {
    struct analytic a = ideal();
    struct kernel k = convolution();
    a.parallel_macs = 1e9;
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).compute_us, 2000));
    k.macs = 0; /* elementwise work is no matter of filling */
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).compute_us, 1000));
}

Test(analytic, what_fits_the_cache_is_faster) {
    struct analytic a = ideal();
    struct kernel k = convolution();
    a.cache_gbps = 1000;
    a.cache_bytes = 3999999;
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).memory_us, 40));
    a.cache_bytes = 4000000;
    cr_expect(
        is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).memory_us, 3 + 10)); /* weights come from outside */
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, true).memory_us, 4));
}

Test(analytic, precision_picks_the_peak) {
    struct analytic a = ideal();
    struct kernel k = convolution();
    k.dtype = DT_DOUBLE;
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).compute_us, 2000));
    k.dtype = DT_FLOAT;
    a.peak_gflops[PREC_FP16] = 4000;
    cr_expect(is_near(analytic_kernel(&a, PREC_FP16, &k, false).compute_us, 250));
    cr_expect(is_near(analytic_kernel(&a, PREC_INT8, &k, false).compute_us, 1000)); /* has none: as fp32 */
    k.dtype = DT_BFLOAT16;
    cr_expect(is_near(analytic_kernel(&a, PREC_AS_WRITTEN, &k, false).compute_us, 250));
    a.peak_gflops[PREC_FP32] = 0;
    cr_expect(is_near(analytic_peak(&a, PREC_INT8), 4000)); /* a device without fp32: the best it has */
}

/* ---- Whole workloads ---- */

static struct workload workload_of(struct kernel *kernels, size_t n) {
    return (struct workload){.model = "net", .kernels = kernels, .n_kernels = n, .graph_nodes = 4, .n_uncovered = 1};
}

static struct estimate estimate_of(const struct target *t, const struct workload *w) {
    struct model_input input = {.workload = w};
    struct estimate e;
    cr_assert_eq(predict(t, &input, &arena, &e, &diag), ST_OK, "%s", diag.message);
    return e;
}

Test(analytic, kernels_sum_to_the_total) {
    struct target t = {.name = "ideal", .analytic = ideal()};
    struct kernel kernels[] = {convolution(), convolution(), convolution()};
    struct workload w = workload_of(kernels, 3);
    t.analytic.launch_us = 1500;
    t.analytic.run_us = 300;
    kernels[1].flops = kernels[1].macs = 0; /* memory: 40 us, under a launch of 1500 */
    kernels[2].count = 4;
    struct estimate e = estimate_of(&t, &w);
    cr_expect(is_near(e.kernels[0].ms, 2.6), "%g", e.kernels[0].ms); /* 1500 + 1000 + 300 / 3 */
    cr_expect(is_near(e.kernels[1].ms, 1.64), "%g", e.kernels[1].ms);
    cr_expect(is_near(e.kernels[2].ms, 10.1), "%g", e.kernels[2].ms);
    cr_expect(is_near(e.ms, e.kernels[0].ms + e.kernels[1].ms + e.kernels[2].ms));
    cr_expect(is_near(e.coverage, 0.75));
}

Test(analytic, what_bounds_a_kernel) {
    struct target t = {.name = "ideal", .analytic = ideal()};
    struct kernel kernels[] = {convolution(), convolution(), convolution()};
    struct workload w = workload_of(kernels, 3);
    t.analytic.launch_us = 20;
    kernels[1].flops = kernels[1].macs = 0;
    kernels[2] = (struct kernel){.kind = KC_ACTIVATION, .in_bytes = 100000, .out_bytes = 100000, .count = 1};
    struct estimate e = estimate_of(&t, &w);
    cr_expect_eq(e.kernels[0].bound, BOUND_COMPUTE);
    cr_expect_eq(e.kernels[1].bound, BOUND_MEMORY);
    cr_expect_eq(e.kernels[2].bound, BOUND_OVERHEAD);
}

/* 90 % of a normal distribution lie within 1.645 standard deviations. */
Test(analytic, the_interval_is_symmetric_in_the_logarithm) {
    struct target t = {.name = "ideal", .analytic = ideal()};
    struct kernel kernels[] = {convolution()};
    struct workload w = workload_of(kernels, 1);
    t.analytic.relative_error = 0.2;
    struct estimate e = estimate_of(&t, &w);
    cr_expect(is_near(e.lo_ms * e.hi_ms, e.ms * e.ms));
    cr_expect(fabs(e.hi_ms / e.ms - 1.3895) < 1e-4, "%g", e.hi_ms / e.ms);
    cr_expect(is_near(e.confidence, 0.9));
}

/* Weights stay in the cache only when those of the whole model do. */
Test(analytic, large_models_read_their_weights_again) {
    struct target t = {.name = "ideal", .analytic = ideal()};
    struct kernel kernels[] = {convolution(), convolution()};
    struct workload w = workload_of(kernels, 2);
    for (int i = 0; i < 2; i++) kernels[i].flops = kernels[i].macs = 0;
    t.analytic.cache_gbps = 1000;
    t.analytic.cache_bytes = 5000000;
    w.weight_bytes = 2000000;
    cr_expect(is_near(estimate_of(&t, &w).ms, 0.008));
    w.weight_bytes = 2000001;
    cr_expect(is_near(estimate_of(&t, &w).ms, 0.026));
}

Test(analytic, a_model_that_launches_nothing) {
    struct target t = {.name = "ideal", .analytic = ideal()};
    struct workload w = workload_of(NULL, 0);
    t.analytic.run_us = 5;
    cr_expect(is_near(estimate_of(&t, &w).ms, 0.005));
    w.graph_nodes = 0;
    cr_expect(is_near(estimate_of(&t, &w).coverage, 1));
}

Test(analytic, every_class_has_an_efficiency) {
    struct analytic a;
    analytic_defaults(&a);
    for (int i = KC_NONE + 1; i < KC_COUNT; i++) {
        cr_expect(a.compute_efficiency[i] > 0 && a.compute_efficiency[i] < 1, "%s",
                  kernel_class_name((enum kernel_class)i));
        cr_expect(a.memory_efficiency[i] > 0 && a.memory_efficiency[i] < 1, "%s",
                  kernel_class_name((enum kernel_class)i));
    }
}
