/* The program that prices CPUs and times this machine. Skipped where it was not built (no LLVM 19). */
#include "measure.h"
#include "predictor.h"
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODEGEN BINARY_DIR "/bin/onnx-latency-codegen"
#define TABLE   SOURCE_DIR "/models/cpus.json"

static void need_program(void) {
    if (access(CODEGEN, X_OK) != 0) cr_skip_test("onnx-latency-codegen was not built: install llvm-19-dev");
}

/* Runs the program; its standard output (errors too), to be freed. */
static char *run(const char *arguments, int *code) {
    char command[1024], chunk[4096], *text = NULL;
    size_t length = 0, n;
    snprintf(command, sizeof command, "%s %s 2>&1", CODEGEN, arguments);
    FILE *in = popen(command, "r"), *out = open_memstream(&text, &length);
    cr_assert(in && out);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) fwrite(chunk, 1, n, out);
    fclose(out);
    *code = WEXITSTATUS(pclose(in));
    return text;
}

static cJSON *read_table(void) {
    struct arena arena;
    struct diag diag;
    cJSON *table;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    cr_assert_eq(json_read_file(&table, TABLE, &diag), ST_OK, "%s", diag.message);
    arena_free(&arena);
    return table;
}

static const cJSON *cpu_named(const cJSON *table, const char *name) {
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(table, "cpus")) {
        if (strcmp(json_string_or(row, "name", ""), name) == 0) return row;
    }
    cr_assert(false, "%s is not in the table", name);
    return NULL;
}

/* Equal structure and text, numbers within 2 %: LLVM's patch releases move them a little. */
static void check_same(const cJSON *kept, const cJSON *made, const char *name) {
    const cJSON *item;
    cr_assert_eq(cJSON_GetArraySize(kept), cJSON_GetArraySize(made), "%s: other keys", name);
    cJSON_ArrayForEach(item, kept) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(made, item->string);
        cr_assert(other && other->type == item->type, "%s: %s is missing", name, item->string);
        if (cJSON_IsObject(item)) check_same(item, other, name);
        if (cJSON_IsString(item)) cr_assert_str_eq(item->valuestring, other->valuestring);
        if (!cJSON_IsNumber(item)) continue;
        double off = fabs(other->valuedouble / item->valuedouble - 1);
        cr_assert(off <= 0.02, "%s: %s was %g, is %g: regenerate models/cpus.json with `onnx-latency-codegen all`",
                  name, item->string, item->valuedouble, other->valuedouble);
    }
}

Test(codegen, three_cpus_are_as_kept) {
    static const char *const names[] = {"cortex-a76", "haswell", "sifive-p670"};
    int code;
    need_program();
    char *text = run("cpu cortex-a76 haswell sifive-p670", &code);
    if (strstr(text, "did not start")) cr_skip_test("%s", text);
    cJSON *made = cJSON_Parse(text), *kept = read_table();
    cr_assert(code == 0 && made, "%s", text);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        check_same(cpu_named(kept, names[i]), cpu_named(made, names[i]), names[i]);
    cJSON_Delete(made);
    cJSON_Delete(kept);
    free(text);
}

Test(codegen, no_rate_is_above_its_peak) {
    static const struct {
        const char *rate, *peak;
    } pairs[] = {{"gemm_f32", "f32"},       {"gemm_f16", "f16"},       {"gemm_int8", "int8"},
                 {"depthwise3_f32", "f32"}, {"depthwise5_f32", "f32"}, {"gemv_f32", "f32"}};
    cJSON *table = read_table();
    const cJSON *row;
    cr_assert_geq(cJSON_GetArraySize(cJSON_GetObjectItem(table, "cpus")), 40);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(table, "cpus")) {
        for (size_t i = 0; i < COUNT_OF(pairs); i++) {
            double rate = json_number_or(cJSON_GetObjectItem(row, "per_cycle"), pairs[i].rate, 0);
            double peak = json_number_or(cJSON_GetObjectItem(row, "peak_per_cycle"), pairs[i].peak, 0);
            cr_expect(rate <= peak, "%s: %s", json_string_or(row, "name", "?"), pairs[i].rate);
            cr_expect(rate >= 0.25 * peak, "%s: %s is far below the peak", json_string_or(row, "name", "?"),
                      pairs[i].rate);
        }
    }
    cJSON_Delete(table);
}

Test(codegen, every_cpu_of_the_program_is_in_the_table) {
    int code;
    need_program();
    char *text = run("list", &code);
    cJSON *table = read_table();
    cr_assert_eq(code, 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        line[strcspn(line, " ")] = '\0';
        cpu_named(table, line);
    }
    cJSON_Delete(table);
    free(text);
}

Test(codegen, this_machine_is_timed) {
    int code;
    need_program();
    char *text = run("host", &code);
    if (code == 1 && strstr(text, "no kernels for this machine")) cr_skip_test("%s", text);
    cJSON *table = cJSON_Parse(text);
    cr_assert(code == 0 && table, "%s", text);
    const cJSON *host = cpu_named(table, "host"), *level;
    const cJSON *rates = cJSON_GetObjectItem(host, "per_cycle");
    cr_expect(json_number_or(host, "ghz", 0) > 0);
    cr_expect(json_number_or(host, "bandwidth_gbps", 0) > 0);
    cr_expect(json_number_or(rates, "gemm_f32", 0) > 0);
    cr_expect(json_number_or(rates, "depthwise3_f32", 0) > 0);
    cr_expect(cJSON_GetArraySize(cJSON_GetObjectItem(host, "threads")) > 0);
    cJSON_ArrayForEach(level, cJSON_GetObjectItem(host, "levels")) {
        cr_expect(json_number_or(level, "copy_gbps", 0) > 0);
        cr_expect(json_number_or(level, "read_gbps", 0) > 0);
    }
    cJSON_Delete(table);
    free(text);
}

Test(codegen, this_machine_is_a_target) {
    struct arena arena;
    struct diag diag;
    struct target *target;
    need_program();
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    setenv("ONNX_LATENCY_CODEGEN", CODEGEN, 1);
    enum status status = measure_host_cpu(&target, 2, &arena, &diag);
    if (status == ST_MISSING) cr_skip_test("%s", diag.message);
    cr_assert_eq(status, ST_OK, "%s", diag.message);
    cr_expect_str_eq(target->name, "host");
    cr_expect_eq(target->runtime.threads, 2);
    cr_expect_gt(target->analytic.peak_gflops[PREC_FP32], 0);
    cr_expect_gt(target->analytic.cache_gbps, 0);
    arena_free(&arena);
}

Test(codegen, a_missing_program_is_said) {
    struct arena arena;
    struct diag diag;
    struct target *target;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    setenv("ONNX_LATENCY_CODEGEN", "/nonexistent/codegen", 1);
    cr_assert_eq(measure_host_cpu(&target, 1, &arena, &diag), ST_MISSING);
    cr_expect(strstr(diag.message, "llvm-19-dev"), "%s", diag.message);
    arena_free(&arena);
}

Test(codegen, wrong_usage_says_so) {
    int code;
    need_program();
    char *text = run("cpu cortex-a9000", &code);
    cr_expect_eq(code, 2);
    cr_expect(strstr(text, "cortex-a9000: no such CPU"), "%s", text);
    free(text);
    text = run("", &code);
    cr_expect_eq(code, 2);
    cr_expect(strstr(text, "usage:"), "%s", text);
    free(text);
}
