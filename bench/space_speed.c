/* Speed in the search spaces, in one process on one core, by its processor time: space_speed FOLDER
 *
 * Prints markdown rows: features of random architectures from cached parts and from whole graphs, and adapting with 10
 * and with 70 samples, all proxies weighed (the measurements are made up: sums of features; the file and the new target
 * are written to the folder). */
#include "onnx_latency.h"
#include "space_piece.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_ARCHS 4000
#define N_WHOLE 1000
#define N_TRIES 7

/* Processor time: everything here runs on one thread, and other programs should not count. */
static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void fail(const char *message) {
    fprintf(stderr, "space_speed: %s\n", message);
    exit(1);
}

/* Architectures a second; without a cache each is a whole graph. */
static double rate(const struct space *s, struct space_cache *cache, size_t n) {
    struct arena scratch;
    struct rng rng;
    arena_init(&scratch, NULL, NULL);
    rng_seed(&rng, 1);
    double start = now_ms();
    for (size_t i = 0; i < n; i++) {
        struct features features[VIEW_COUNT];
        struct diag diag;
        struct arch a;
        diag_init(&diag, &scratch);
        space_random(s, &rng, &a);
        enum status status = cache ? ST_OK : space_features(s, &a, 1, features, &scratch, &diag);
        for (enum view v = VIEW_KEPT; cache && v < space_views(s) && status == ST_OK; v++)
            status = space_features_cached(cache, s, &a, 1, v, &features[v], &scratch, &diag);
        if (status != ST_OK) fail(diag.message);
        arena_reset(&scratch);
    }
    double seconds = (now_ms() - start) / 1e3;
    arena_free(&scratch);
    return (double)n / seconds;
}

static void print_rates(void) {
    printf("| space | views | architectures a second | of whole graphs | times faster |\n|---|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < space_count(); i++) {
        const struct space *s = space_at(i);
        struct space_cache cache;
        space_cache_init(&cache, NULL, NULL);
        double whole = rate(s, NULL, N_WHOLE), parts = rate(s, &cache, N_ARCHS);
        space_cache_free(&cache);
        printf("| %s | %zu | %.0f | %.0f | %.1f |\n", s->name, space_views(s), parts, whole, parts / whole);
    }
}

static void write_measurements(const struct space *s, const char *path, size_t n) {
    struct arena scratch;
    struct diag diag;
    struct rng rng;
    FILE *out = fopen(path, "w");
    if (!out) fail(path);
    arena_init(&scratch, NULL, NULL);
    diag_init(&diag, &scratch);
    rng_seed(&rng, 2);
    fprintf(out, "model,latency_ms\n");
    for (size_t i = 0; i < n; i++) {
        struct features features[VIEW_COUNT];
        struct arch a;
        double sum = 0;
        space_random(s, &rng, &a);
        if (space_features(s, &a, 1, features, &scratch, &diag) != ST_OK) fail(diag.message);
        for (int f = 0; f < FT_LEARNED; f++) sum += features[0].x[f];
        fprintf(out, "%s,%.6f\n", space_print(s, &a, &scratch), 0.01 * sum);
    }
    fclose(out);
    arena_free(&scratch);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median milliseconds of the whole call: reading, features, fit, validation, writing. */
static double adapt_ms(const char *measurements, const char *output, const char *space) {
    static const char *const all[] = {"auto"};
    double ms[N_TRIES];
    for (size_t i = 0; i < N_TRIES; i++) {
        ol_context *context = ol_context_new(NULL);
        ol_adaptation spec = {.measurements = measurements,
                              .space = space,
                              .proxies = all,
                              .n_proxies = 1,
                              .name = "bench",
                              .output = output};
        const ol_adapted *adapted;
        ol_study *study;
        double start = now_ms();
        if (ol_adapt(context, &spec, &adapted, &study) != OL_OK) fail(ol_study_error(study));
        ms[i] = now_ms() - start;
        ol_study_free(study);
        ol_context_free(context);
    }
    qsort(ms, N_TRIES, sizeof *ms, ascending);
    return ms[N_TRIES / 2];
}

static void print_adapting(const char *folder) {
    static const size_t samples[] = {10, 70};
    printf("\n| adapting in | samples | ms |\n|---|---:|---:|\n");
    for (size_t i = 0; i < space_count(); i++)
        for (size_t k = 0; k < COUNT_OF(samples); k++) {
            char measurements[4096], output[4096];
            snprintf(measurements, sizeof measurements, "%s/measurements.csv", folder);
            snprintf(output, sizeof output, "%s/adapted.json", folder);
            write_measurements(space_at(i), measurements, samples[k]);
            printf("| %s | %zu | %.1f |\n", space_at(i)->name, samples[k],
                   adapt_ms(measurements, output, space_at(i)->name));
        }
}

int main(int argc, char **argv) {
    if (argc != 2) fail("usage: space_speed FOLDER");
    print_rates();
    print_adapting(argv[1]);
    return 0;
}
