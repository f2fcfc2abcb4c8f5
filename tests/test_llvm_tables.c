/* llvm: targets against measured tables: nothing of a table is used but the order and size of its latencies.
 * Constants were settled on pixel3, gold_6240, silver_4210r and samsung_a50; the others are blind. What is asked of the
 * phones is low because their tables are: whole milliseconds, and little agreement with any model of the network. */
#include "passes.h"
#include "predictor.h"
#include "space.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS 500 /* of a table, evenly spread */

struct wanted {
    const char *table, *device, *target;
    double srcc; /* at least */
};

static const struct wanted nasbench201[] = {
    {"nasbench201", "raspi4", "llvm:cortex-a72@1.5GHz,cores=1", 0.90},
    {"nasbench201", "pixel3", "llvm:cortex-a75@2.5GHz,cores=1", 0.90},
    {"nasbench201", "silver_4114", "llvm:skylake-avx512-1fma@2.2GHz,cores=10", 0.90},
    {"nasbench201", "silver_4210r", "llvm:cascadelake-1fma@2.4GHz,cores=10", 0.90},
    {"nasbench201", "gold_6240", "llvm:cascadelake@2.6GHz,cores=18", 0.90},
    {"nasbench201", "samsung_a50", "llvm:cortex-a73@2.3GHz,runtime=mobile", 0.90},
    {"nasbench201", "samsung_s7", "llvm:cortex-a73@2.3GHz,runtime=mobile", 0.85},
    {"nasbench201", "essential_ph_1", "llvm:cortex-a73@2.35GHz,runtime=mobile", 0.87},
};

static const struct wanted fbnet[] = {
    {"fbnet", "raspi4", "llvm:cortex-a72@1.5GHz,cores=1", 0.90},
    {"fbnet", "pixel3", "llvm:cortex-a75@2.5GHz,cores=1", 0.90},
    {"fbnet", "silver_4114", "llvm:skylake-avx512-1fma@2.2GHz,cores=10", 0.86},
    {"fbnet", "silver_4210r", "llvm:cascadelake-1fma@2.4GHz,cores=10", 0.90},
    {"fbnet", "gold_6240", "llvm:cascadelake@2.6GHz,cores=18", 0.90},
    {"fbnet", "samsung_a50", "llvm:cortex-a73@2.3GHz,runtime=mobile", 0.86},
    {"fbnet", "samsung_s7", "llvm:cortex-a73@2.3GHz,runtime=mobile", 0.68},
    {"fbnet", "essential_ph_1", "llvm:cortex-a73@2.35GHz,runtime=mobile", 0.68},
};

static const struct wanted oneproxy[] = {
    {"oneproxy_nasbench201", "rice_raspi4", "llvm:cortex-a72@1.5GHz,cores=1", 0.90},
    {"oneproxy_nasbench201", "rice_pixel3", "llvm:cortex-a75@2.5GHz,cores=1", 0.90},
};

static const char *table_path(const char *name, struct arena *arena) {
    const char *folder = getenv("ONNX_LATENCY_DATA");
    if (!folder) folder = SOURCE_DIR "/../shared/data/latency";
    const char *path = arena_printf(arena, "%s/%s.csv", folder, name);
    if (access(path, R_OK) != 0) cr_skip_test("no %s: set ONNX_LATENCY_DATA", path);
    return path;
}

static double latency_of(const struct space *space, const struct arch *arch, const struct target *target,
                         struct diag *diag) {
    struct arena arena;
    struct estimate estimate;
    arena_init(&arena, NULL, NULL);
    struct run run = {.graph = space_graph(space, arch, 1, 1, true, &arena),
                      .scratch = &arena,
                      .diag = diag,
                      .runtime = &target->runtime};
    cr_assert_eq(passes_run(&run, PASSES_ALL), ST_OK, "%s", diag->message);
    struct model_input input = {.workload = run.workload};
    cr_assert_eq(predict(target, &input, &arena, &estimate, diag), ST_OK, "%s", diag->message);
    arena_free(&arena);
    return estimate.ms;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

static void report(const struct wanted *w, const double *said, const double *truth, size_t n, struct arena *arena) {
    double *ratio = arena_array(arena, n, sizeof *ratio), *error = arena_array(arena, n, sizeof *error);
    for (size_t i = 0; i < n; i++) {
        ratio[i] = said[i] / truth[i];
        error[i] = fabs(ratio[i] - 1);
    }
    double srcc = metric_srcc(said, truth, n, arena);
    fprintf(stderr, "%-20s %-14s %-42s SRCC %.3f  median error %2.0f %%  median ratio %.2f\n", w->table, w->device,
            w->target, srcc, 100 * median(error, n), median(ratio, n));
    cr_expect(srcc >= w->srcc, "%s, %s: SRCC %.3f, wanted %.2f", w->table, w->device, srcc, w->srcc);
}

static void check(const struct space *space, const struct csv *csv, const struct wanted *w, struct arena *arena,
                  struct diag *diag) {
    struct target *target;
    double said[ROWS], truth[ROWS];
    uint32_t column = csv_column(csv, w->device);
    size_t n = 0;
    struct arch *archs = arena_array(arena, csv->n_rows, sizeof *archs);
    cr_assert_neq(column, NONE);
    cr_assert_eq(space_read_archs(space, csv, "table", archs, diag), ST_OK, "%s", diag->message);
    cr_assert_eq(llvm_target(&target, w->target, SOURCE_DIR "/models/cpus.json", arena, diag), ST_OK, "%s",
                 diag->message);
    for (size_t i = 0; i < ROWS; i++) {
        size_t row = i * csv->n_rows / ROWS;
        cr_assert(num_parse_f64(csv->cells[row * csv->n_columns + column], &truth[n]));
        if (truth[n] <= 0) continue;
        said[n++] = latency_of(space, &archs[row], target, diag);
    }
    report(w, said, truth, n, arena);
}

static void check_all(const char *space, const struct wanted *wanted, size_t n) {
    struct arena arena;
    struct diag diag;
    struct csv csv;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    const char *path = table_path(wanted[0].table, &arena);
    cr_assert_eq(csv_read(&csv, path, &arena, &diag), ST_OK, "%s", diag.message);
    for (size_t i = 0; i < n; i++) check(space_find(space), &csv, &wanted[i], &arena, &diag);
    arena_free(&arena);
}

Test(llvm_tables, nasbench201) {
    check_all("nasbench201", nasbench201, COUNT_OF(nasbench201));
}

Test(llvm_tables, nasbench201_10) {
    check_all("nasbench201-c10", oneproxy, COUNT_OF(oneproxy));
}

Test(llvm_tables, fbnet) {
    check_all("fbnet", fbnet, COUNT_OF(fbnet));
}
