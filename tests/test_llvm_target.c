/* Targets made of a CPU's table and a runtime's habits. */
#include "predictor.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE SOURCE_DIR "/models/cpus.json"

static struct arena arena;
static struct diag diag;

static void start(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
}

static void end(void) {
    arena_free(&arena);
}

TestSuite(llvm_target, .init = start, .fini = end);

static struct target *made(const char *spec) {
    struct target *target = NULL;
    cr_assert_eq(llvm_target(&target, spec, TABLE, &arena, &diag), ST_OK, "%s", diag.message);
    return target;
}

static void refused(const char *spec, const char *message) {
    struct target *target = NULL;
    diag_init(&diag, &arena);
    cr_assert_neq(llvm_target(&target, spec, TABLE, &arena, &diag), ST_OK, "%s was taken", spec);
    cr_expect(strstr(diag.message, message), "%s", diag.message);
    cr_expect(strstr(diag.message, spec), "%s", diag.message);
    cr_expect_null(target);
}

Test(llvm_target, says_what_it_is) {
    struct target *t = made("llvm:cortex-a76@2.8GHz,cores=1,bw=14");
    cr_expect_str_eq(t->name, "llvm:cortex-a76@2.8GHz,cores=1,bw=14");
    cr_expect_eq(t->kind, TARGET_ANALYTIC);
    cr_expect_float_eq(t->analytic.peak_gflops[PREC_FP32], 16 * 2.8, 1e-9);
    cr_expect_float_eq(t->analytic.bandwidth_gbps, 14, 0);
    cr_expect_gt(t->analytic.peak_gflops[PREC_INT8], 3 * t->analytic.peak_gflops[PREC_FP32]);
    cr_expect_eq(t->runtime.view, VIEW_PRUNE);
    cr_expect_eq(t->runtime.threads, 1);
    cr_expect(strstr(t->source, "neoverse-n1"), "%s", t->source);
    cr_expect(strstr(t->device, "Cortex-A76"));
}

Test(llvm_target, what_is_left_out_is_usual) {
    struct target *phone = made("llvm:cortex-a72"), *server = made("llvm:cascadelake");
    cr_expect_gt(phone->analytic.bandwidth_gbps, 0);
    cr_expect_float_eq(phone->analytic.peak_gflops[PREC_FP32], 8 * 1.5, 1e-9);
    cr_expect_eq(server->runtime.view, VIEW_KEPT);
    cr_expect_gt(server->runtime.threads, 1);
    cr_expect_eq(server->runtime.n_fuse, 0);
}

Test(llvm_target, options_change_it) {
    struct target *t = made("llvm:haswell@3.4,runtime=ort,view=kept,cores=2");
    cr_expect_str_eq(t->runtime.lowering, "ort");
    cr_expect_eq(t->runtime.view, VIEW_KEPT);
    cr_expect_eq(t->runtime.block, 8);
    cr_expect_eq(t->runtime.threads, 2);
    cr_expect_eq(made("llvm:skylake-avx512,runtime=ort")->runtime.block, 16);
    cr_expect_eq(made("llvm:cortex-a76,runtime=ort")->runtime.block, 0);
}

Test(llvm_target, wrong_ones_are_refused) {
    refused("llvm:cortex-a9000", "no CPU is called \"cortex-a9000\"; known: cortex-a53, cortex-a55");
    refused("llvm:", "no CPU is called \"\"");
    refused("llvm:haswell@fast", "clock in GHz \"fast\"");
    refused("llvm:haswell@0GHz", "clock in GHz \"0\"");
    refused("llvm:haswell@1e9", "clock in GHz");
    refused("llvm:haswell,cores=1.5", "not a whole number");
    refused("llvm:haswell,cores=-1", "number of cores");
    refused("llvm:haswell,bw=", "bandwidth in GB/s");
    refused("llvm:haswell,bandwidth=3", "no option is called \"bandwidth\": cores, bw, runtime, view");
    refused("llvm:haswell,cores", "\"cores\" is not KEY=VALUE");
    refused("llvm:haswell,runtime=tvm", "no runtime is called \"tvm\": tflite, eager, mobile, ort");
    refused("llvm:haswell,view=none", "view \"none\"");
}

Test(llvm_target, a_missing_table_is_named) {
    struct target *target;
    cr_assert_neq(llvm_target(&target, "llvm:haswell", "/nonexistent/cpus.json", &arena, &diag), ST_OK);
    cr_expect(strstr(diag.message, "/nonexistent/cpus.json"), "%s", diag.message);
}

static struct kernel kernel_of(enum kernel_class kind, int64_t macs, int64_t bytes) {
    return (struct kernel){.kind = kind,
                           .dtype = DT_FLOAT,
                           .macs = macs,
                           .flops = 2 * macs,
                           .in_bytes = bytes,
                           .out_bytes = bytes,
                           .count = 1,
                           .c_out = 16};
}

static double us(const struct target *t, struct kernel k) {
    struct kernel_roofline r = analytic_kernel(&t->analytic, PREC_AS_WRITTEN, &k, true);
    return r.launch_us + fmax(r.compute_us, r.memory_us);
}

Test(llvm_target, faster_machines_are_faster) {
    struct kernel conv = kernel_of(KC_CONV, 100000000, 100000);
    cr_expect_lt(us(made("llvm:cortex-a76@2.8"), conv), us(made("llvm:cortex-a76@1.4"), conv));
    cr_expect_lt(us(made("llvm:cortex-a76@2"), conv), us(made("llvm:cortex-a72@2"), conv));
    cr_expect_lt(us(made("llvm:skylake-avx512@3,cores=4"), conv), us(made("llvm:skylake-avx512@3,cores=1"), conv));
    cr_expect_lt(us(made("llvm:cascadelake@2,cores=1"), conv), us(made("llvm:cascadelake-1fma@2,cores=1"), conv));
}

Test(llvm_target, small_kernels_stay_on_one_core) {
    struct kernel small = kernel_of(KC_POINTWISE, 10000, 1000);
    double one = us(made("llvm:haswell@3,cores=1,runtime=ort"), small);
    cr_expect_float_eq(one, us(made("llvm:haswell@3,cores=4,runtime=ort"), small), 1e-9);
}

Test(llvm_target, every_class_has_a_rate) {
    static const char *const specs[] = {"llvm:cortex-a53", "llvm:apple-m1,runtime=ort", "llvm:znver4",
                                        "llvm:sifive-x280", "llvm:a64fx,runtime=eager"};
    for (size_t i = 0; i < COUNT_OF(specs); i++) {
        const struct analytic *a = &made(specs[i])->analytic;
        for (int k = KC_NONE + 1; k < KC_COUNT; k++) {
            cr_expect(a->compute_efficiency[k] > 0 && a->compute_efficiency[k] <= 1, "%s, class %d", specs[i], k);
            cr_expect(a->memory_efficiency[k] > 0 && a->memory_efficiency[k] <= 1, "%s, class %d", specs[i], k);
        }
    }
}

Test(llvm_target, can_be_saved_and_read) {
    char path[] = BINARY_DIR "/llvm-target-XXXXXX.json";
    int file = mkstemps(path, 5);
    struct target *t = made("llvm:cascadelake@2.6GHz,cores=18"), *again;
    cr_assert_neq(file, -1);
    close(file);
    cr_assert_eq(target_save(t, path, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(target_load(&again, path, &arena, &diag), ST_OK, "%s", diag.message);
    unlink(path);
    struct kernel kernels[] = {kernel_of(KC_CONV, 10000000, 10000), kernel_of(KC_DEPTHWISE, 100000, 100000),
                               kernel_of(KC_NORM, 0, 1000)};
    for (size_t i = 0; i < COUNT_OF(kernels); i++)
        cr_expect_float_eq(us(t, kernels[i]), us(again, kernels[i]), 1e-6 * us(t, kernels[i]));
}
