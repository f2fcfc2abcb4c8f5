/* The profile ONNX Runtime writes: an array of events; those of category "Node" named "..._kernel_time" are kernels. */
#include "ort.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

struct event {
    double start_us, duration_us;
    const cJSON *json;
    int run;
};

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static int by_start(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    return (x->start_us > y->start_us) - (x->start_us < y->start_us);
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean of the fastest 70 %: the rest was disturbed. The runtime truncates to whole microseconds: half of one is added.
 */
static double trimmed_mean_us(double *durations, size_t n) {
    qsort(durations, n, sizeof *durations, by_number);
    size_t kept = n * 7 / 10 ? n * 7 / 10 : 1;
    double sum = 0;
    for (size_t i = 0; i < kept; i++) sum += durations[i];
    return sum / (double)kept + 0.5;
}

static const char *shapes_text(const cJSON *args, const char *key, struct arena *arena) {
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(args, key));
    const char *copy = arena_printf(arena, "%s", text ? text : "[]");
    cJSON_free(text);
    return copy;
}

static const char *label_of(const cJSON *event) {
    return json_string_or(event, "name", "");
}

/* Nodes of one run and all runs' durations of each: names repeat run for run in the same order or, with threads, nearly
 * so; a node is therefore matched by name. */
static void collect(const struct event *nodes, size_t n, int skip, struct arena *arena, struct measurement *result) {
    struct map index;
    map_init(&index, arena);
    double **durations = arena_array(arena, n + 1, sizeof *durations);
    size_t *counts = arena_array(arena, n + 1, sizeof *counts);
    result->nodes = arena_array(arena, n + 1, sizeof *result->nodes);
    for (size_t i = 0; i < n; i++) {
        if (nodes[i].run < skip) continue;
        const cJSON *args = cJSON_GetObjectItemCaseSensitive(nodes[i].json, "args");
        const char *name = label_of(nodes[i].json);
        uint32_t at;
        if (!map_get(&index, name, strlen(name), &at)) {
            at = (uint32_t)result->n_nodes++;
            map_put(&index, name, strlen(name), at);
            result->nodes[at] =
                (struct node_time){.name = arena_strndup(arena, name, strlen(name) - strlen("_kernel_time")),
                                   .op = arena_printf(arena, "%s", json_string_or(args, "op_name", "?")),
                                   .in_shapes = shapes_text(args, "input_type_shape", arena),
                                   .out_shapes = shapes_text(args, "output_type_shape", arena),
                                   .weight_bytes = strtoll(json_string_or(args, "parameter_size", "0"), NULL, 10)};
            durations[at] = arena_array(arena, (size_t)result->profiled_runs + 1, sizeof **durations);
        }
        if (counts[at] < (size_t)result->profiled_runs) durations[at][counts[at]++] = nodes[i].duration_us;
    }
    for (size_t i = 0; i < result->n_nodes; i++) result->nodes[i].mean_us = trimmed_mean_us(durations[i], counts[i]);
}

static void assign_runs(struct event *nodes, size_t n_nodes, const struct event *runs, size_t n_runs) {
    size_t run = 0;
    for (size_t i = 0; i < n_nodes; i++) {
        while (run + 1 < n_runs && nodes[i].start_us >= runs[run + 1].start_us) run++;
        nodes[i].run = (int)run;
    }
}

enum status ort_read_profile(const char *path, int skip, const char *model, struct arena *arena,
                             struct measurement *result, struct diag *diag) {
    cJSON *json;
    struct diag own;
    diag_init(&own, arena);
    if (json_read_file(&json, path, &own) != ST_OK)
        return diag_fail(diag, ST_FORMAT, "%s: the runtime's profile cannot be read (a quote in a node's name?)",
                         model);
    size_t n = (size_t)cJSON_GetArraySize(json), n_nodes = 0, n_runs = 0;
    struct event *nodes = arena_array(arena, n + 1, sizeof *nodes), *runs = arena_array(arena, n + 1, sizeof *runs);
    const cJSON *event;
    cJSON_ArrayForEach(event, json) {
        struct event e = {json_number_or(event, "ts", 0), json_number_or(event, "dur", 0), event, 0};
        const char *category = json_string_or(event, "cat", ""), *name = label_of(event);
        if (!strcmp(category, "Node") && ends_with(name, "_kernel_time")) nodes[n_nodes++] = e;
        if (!strcmp(category, "Session") && !strcmp(name, "model_run")) runs[n_runs++] = e;
    }
    qsort(nodes, n_nodes, sizeof *nodes, by_start);
    qsort(runs, n_runs, sizeof *runs, by_start);
    assign_runs(nodes, n_nodes, runs, n_runs);
    result->profiled_runs = n_runs > (size_t)skip ? (int)n_runs - skip : 0;
    collect(nodes, n_nodes, skip, arena, result);
    cJSON_Delete(json);
    return result->profiled_runs ? ST_OK : diag_fail(diag, ST_FORMAT, "%s: the runtime's profile is empty", model);
}
