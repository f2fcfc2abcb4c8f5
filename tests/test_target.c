/* Target files: what one may leave out, what is refused and how, and those that come with the program. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapt.h"

static struct arena arena;
static struct diag diag;
static char path[] = BINARY_DIR "/target-XXXXXX";

static void start(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    close(mkstemp(path));
}

static void stop(void) {
    unlink(path);
    arena_free(&arena);
}

TestSuite(target, .init = start, .fini = stop);

#define START   "{\"schema\":\"onnx-latency/target/1\",\"name\":\"t\","
#define NUMBERS "\"peak_gflops\":20,\"bandwidth_gbps\":8,\"launch_us\":2"
#define MINIMAL START "\"analytic\":{" NUMBERS "}}"

static enum status load_text(const char *text, struct target **t) {
    FILE *out = fopen(path, "wb");
    cr_assert_not_null(out);
    fputs(text, out);
    fclose(out);
    return target_load(t, path, &arena, &diag);
}

static struct target *load(const char *text) {
    struct target *t = NULL;
    cr_assert_eq(load_text(text, &t), ST_OK, "%s: %s", text, diag.message);
    return t;
}

/* ---- What may be left out ---- */

Test(target, a_minimal_one) {
    struct target *t = load(MINIMAL);
    struct analytic usual;
    analytic_defaults(&usual);
    cr_expect_str_eq(t->name, "t");
    cr_expect_eq(t->kind, TARGET_ANALYTIC);
    cr_expect_str_eq(t->runtime.lowering, "plain");
    cr_expect_eq(t->runtime.view, VIEW_PRUNE);
    cr_expect_eq(t->runtime.precision, PREC_AS_WRITTEN);
    cr_expect_gt(t->runtime.n_fuse, 0);
    cr_expect_eq(t->analytic.peak_gflops[PREC_FP32], 20);
    cr_expect_eq(t->analytic.peak_gflops[PREC_FP16], 0);
    cr_expect_eq(t->analytic.launch_us, 2);
    cr_expect_eq(t->analytic.relative_error, usual.relative_error);
    cr_expect(memcmp(t->analytic.compute_efficiency, usual.compute_efficiency, sizeof usual.compute_efficiency) == 0);
    cr_expect_null(t->validation);
    cr_expect_eq(diag.n_warnings, 0);
}

Test(target, efficiencies_by_class_over_a_default) {
    const struct target *t =
        load(START "\"analytic\":{" NUMBERS ",\"compute_efficiency\":{\"depthwise\":0.05,\"default\":0.3},"
                   "\"memory_efficiency\":0.5}}");
    cr_expect_eq(t->analytic.compute_efficiency[KC_DEPTHWISE], 0.05);
    cr_expect_eq(t->analytic.compute_efficiency[KC_CONV], 0.3);
    cr_expect_eq(t->analytic.memory_efficiency[KC_GATHER], 0.5);
}

Test(target, a_runtime_of_its_own) {
    const struct target *t = load(
        START "\"runtime\":{\"lowering\":\"ort\",\"view\":\"full\",\"precision\":\"int8\",\"block\":16,\"threads\":4,"
              "\"fuse\":[[\"conv\",\"activation\"]]},\"analytic\":{" NUMBERS "}}");
    cr_expect_str_eq(t->runtime.lowering, "ort");
    cr_expect_eq(t->runtime.view, VIEW_FULL);
    cr_expect_eq(t->runtime.precision, PREC_INT8);
    cr_expect_eq(t->runtime.block, 16);
    cr_expect_eq(t->runtime.threads, 4);
    cr_assert_eq(t->runtime.n_fuse, 1);
    cr_expect_eq(t->runtime.fuse[0].producer, KC_CONV);
    cr_expect_eq(t->runtime.fuse[0].consumer, KC_ACTIVATION);
    cr_expect_eq(load(START "\"runtime\":{\"fuse\":[]},\"analytic\":{" NUMBERS "}}")->runtime.n_fuse, 0);
}

Test(target, what_is_not_known_is_a_warning) {
    load(START "\"colour\":\"red\",\"analytic\":{" NUMBERS ",\"cahce_bytes\":1}}");
    cr_assert_eq(diag.n_warnings, 2);
    cr_expect_not_null(strstr(diag.warnings[0], ": \"colour\" is not known and was ignored"));
    cr_expect_not_null(strstr(diag.warnings[1], ": \"analytic.cahce_bytes\" is not known and was ignored"));
}

/* ---- What is refused ---- */

static const struct refused {
    const char *text, *says; /* after the path and ": " */
} refused[] = {
    {"[]", "is not a target"},
    {"{}", "\"schema\" is missing: it must be \"onnx-latency/target/1\""},
    {"{\"schema\":\"onnx-latency/target/2\"}", "\"schema\" must be \"onnx-latency/target/1\""},
    {"{\"schema\":\"onnx-latency/target/1\"}", "\"name\" is missing"},
    {START "\"kind\":5}", "\"kind\" is not a text"},
    {START "\"vendor\":5}", "\"vendor\" is not a text"},
    {START "\"hardware\":5}", "\"hardware\" is not an object"},
    {START "\"runtime\":{\"view\":5}}", "\"view\" is not a text"},
    {START "\"runtime\":{\"lowering\":5}}", "\"lowering\" is not a text"},
    {START "\"kind\":\"guessed\"}", "\"kind\" must be \"analytic\", \"measured\", \"adapted\" or \"calibrated\""},
    {START "\"x\":1}", "\"analytic\" is missing"},
    {START "\"kind\":\"measured\"}", "\"linear\" is missing"},
    {START "\"analytic\":7}", "\"analytic\" must be an object"},
    {START "\"analytic\":{}}", "\"analytic.peak_gflops\" is missing: floating-point operations a second, in 1e9"},
    {START "\"analytic\":{\"peak_gflops\":1}}",
     "\"analytic.bandwidth_gbps\" is missing: main memory, in 1e9 bytes a second"},
    {START "\"analytic\":{\"peak_gflops\":1,\"bandwidth_gbps\":1}}",
     "\"analytic.launch_us\" is missing: what starting a kernel costs"},
    {START "\"analytic\":{\"peak_gflops\":0}}", "\"peak_gflops\" must be above 0"},
    {START "\"analytic\":{\"peak_gflops\":\"fast\"}}",
     "\"peak_gflops\" must be a number, or an object of them by precision"},
    {START "\"analytic\":{\"peak_gflops\":{\"fp16\":0}}}", "\"peak_gflops\" gives no rate above 0"},
    {START "\"analytic\":{\"peak_gflops\":1,\"bandwidth_gbps\":\"8\",\"launch_us\":1}}",
     "\"bandwidth_gbps\" is not a number"},
    {START "\"analytic\":{" NUMBERS ",\"run_us\":-1}}", "\"run_us\" must not be negative"},
    {START "\"analytic\":{" NUMBERS ",\"compute_efficiency\":{\"conv\":1.5}}}", "\"conv\" must be at most 1"},
    {START "\"analytic\":{" NUMBERS ",\"compute_efficiency\":{\"konv\":0.5}}}",
     "\"compute_efficiency\": no kernel class is called \"konv\""},
    {START "\"runtime\":{\"view\":\"all\"},\"analytic\":{" NUMBERS "}}",
     "\"view\" must be \"kept\", \"prune\" or \"full\""},
    {START "\"runtime\":{\"threads\":1.5},\"analytic\":{" NUMBERS "}}", "\"threads\" must be a whole number"},
    {START "\"runtime\":{\"fuse\":[[\"conv\"]]},\"analytic\":{" NUMBERS "}}",
     "\"fuse\" must be a list of pairs of kernel classes"},
    {START "\"runtime\":{\"fuse\":[[\"conv\",\"relu\"]]},\"analytic\":{" NUMBERS "}}",
     "\"fuse\": no kernel class is called \"relu\""},
};

Test(target, what_is_refused) {
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct target *t;
        diag_init(&diag, &arena);
        cr_expect_eq(load_text(refused[i].text, &t), ST_TARGET, "%s", refused[i].text);
        const char *expected = arena_printf(&arena, "%s: %s", path, refused[i].says);
        cr_expect(diag.message && strcmp(diag.message, expected) == 0, "%s\n  says %s\n  not  %s", refused[i].text,
                  diag.message, expected);
    }
}

Test(target, no_json) {
    struct target *t;
    cr_expect_eq(load_text(START "\n\n\"analytic\":}", &t), ST_FORMAT);
    cr_expect_str_eq(diag.message, arena_printf(&arena, "%s:3: is not JSON", path));
}

/* ---- There and back ---- */

static void expect_same(const struct target *a, const struct target *b) {
    cr_expect_str_eq(a->name, b->name);
    cr_expect_str_eq(a->description, b->description);
    cr_expect_str_eq(a->source, b->source);
    cr_expect_str_eq(a->hardware, b->hardware);
    cr_expect_eq(a->kind, b->kind);
    cr_expect_eq(a->runtime.view, b->runtime.view);
    cr_expect_eq(a->runtime.precision, b->runtime.precision);
    cr_assert_eq(a->runtime.n_fuse, b->runtime.n_fuse);
    cr_expect(memcmp(a->runtime.fuse, b->runtime.fuse, a->runtime.n_fuse * sizeof *a->runtime.fuse) == 0);
    /* KC_NONE is no kernel and has no name worth writing */
    struct analytic x = a->analytic, y = b->analytic;
    x.compute_efficiency[KC_NONE] = y.compute_efficiency[KC_NONE] = 0;
    x.memory_efficiency[KC_NONE] = y.memory_efficiency[KC_NONE] = 0;
    cr_expect(memcmp(&x, &y, sizeof x) == 0, "%s: the numbers changed", a->name);
}

/* Every shipped target states all it stands for, loads without a warning, and survives being written. */
Test(target, shipped_ones) {
    glob_t found;
    size_t n_analytic = 0;
    cr_assert_eq(glob(SOURCE_DIR "/models/targets/*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct target *t = NULL, *again = NULL;
        const char *file = strrchr(found.gl_pathv[i], '/') + 1;
        diag_init(&diag, &arena);
        cr_assert_eq(target_load(&t, found.gl_pathv[i], &arena, &diag), ST_OK, "%s", diag.message);
        cr_expect_eq(diag.n_warnings, 0, "%s", diag.n_warnings ? diag.warnings[0] : "");
        cr_expect_str_eq(arena_printf(&arena, "%s.json", t->name), file);
        cr_expect(*t->device && *t->source && *t->description, "%s: says too little", file);
        if (t->linear) {
            struct linear without = *t->linear;
            memset(without.covariance, 0, sizeof without.covariance);
            memset(without.weight, 0, sizeof without.weight);
            cr_assert_eq(target_load_proxy(&again, found.gl_pathv[i], &arena, &diag), ST_OK, "%s", diag.message);
            cr_assert_eq(again->linear->n_partial, without.n_partial, "%s", file);
            for (size_t k = 0; k < without.n_partial; k++)
                cr_expect_arr_eq(again->linear->partial[k].weight, without.partial[k].weight,
                                 sizeof without.partial[k].weight, "%s", file);
            without.partial = again->linear->partial;
            cr_expect_eq(memcmp(again->linear, &without, sizeof without), 0, "%s", file);
            cJSON *validation = cJSON_Parse(t->validation); /* one for each space that was left out */
            const cJSON *spaces = cJSON_GetObjectItem(validation, "left_out_space");
            cr_expect_eq((size_t)cJSON_GetArraySize(spaces), without.n_partial, "%s", file);
            cJSON_Delete(validation);
        }
        if (t->kind != TARGET_ANALYTIC) continue;
        n_analytic++;
        cr_expect_not_null(t->hardware, "%s", file);
        cr_expect_null(t->validation, "%s: a datasheet is no validation", file);
        cr_assert_eq(target_save(t, path, &diag), ST_OK, "%s", diag.message);
        cr_assert_eq(target_load(&again, path, &arena, &diag), ST_OK, "%s", diag.message);
        expect_same(t, again);
    }
    cr_expect_geq(n_analytic, 23);
    globfree(&found);
}

/* No reading of a datasheet is off by orders of magnitude without somebody noticing here. */
Test(target, shipped_numbers_are_plausible) {
    glob_t found;
    cr_assert_eq(glob(SOURCE_DIR "/models/targets/*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct target *t = NULL;
        cr_assert_eq(target_load(&t, found.gl_pathv[i], &arena, &diag), ST_OK, "%s", diag.message);
        if (t->kind != TARGET_ANALYTIC) continue;
        const struct analytic *a = &t->analytic;
        double peak = analytic_peak(a, PREC_AS_WRITTEN), fp16 = a->peak_gflops[PREC_FP16],
               int8 = a->peak_gflops[PREC_INT8];
        double balance = peak / a->bandwidth_gbps; /* FLOPs a byte */
        cr_expect(peak > 10 && peak < 1e5, "%s: fp32 %g GFLOPS", t->name, peak);
        cr_expect(fp16 == 0 || (fp16 >= peak && fp16 < 40 * peak), "%s: fp16 %g", t->name, fp16);
        cr_expect(int8 == 0 || (int8 >= peak && int8 < 80 * peak), "%s: int8 %g", t->name, int8);
        cr_expect(balance > 0.5 && (balance < 110 || t->runtime.precision == PREC_INT8), "%s: %g FLOPs a byte", t->name,
                  balance);
        cr_expect(a->launch_us > 0 && a->launch_us < 50, "%s: launch %g us", t->name, a->launch_us);
        cr_expect(a->relative_error >= 0.3, "%s: too sure of a first guess", t->name);
    }
    globfree(&found);
}
