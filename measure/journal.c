/* The measurements of a calibration, a line of JSON each, as they are made. */
#include "calibrate.h"
#include "probes.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA "onnx-latency/measurements/1"

static void write_line(FILE *stream, cJSON *json) {
    char *text = cJSON_PrintUnformatted(json);
    if (text) fprintf(stream, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(json);
}

static void write_header(FILE *stream, const struct settings *s) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "schema", SCHEMA);
    cJSON_AddNumberToObject(json, "version", PROBE_VERSION);
    cJSON_AddNumberToObject(json, "seed", (double)s->seed);
    cJSON_AddNumberToObject(json, "threads", s->threads);
    cJSON_AddStringToObject(json, "runtime", s->runtime);
    cJSON_AddNumberToObject(json, "block", (double)s->block);
    write_line(stream, json);
}

static bool same_settings(const cJSON *json, const struct settings *s) {
    return strcmp(json_string_or(json, "schema", ""), SCHEMA) == 0 &&
           json_number_or(json, "version", 0) == PROBE_VERSION && json_number_or(json, "seed", -1) == (double)s->seed &&
           json_number_or(json, "threads", 0) == s->threads &&
           strcmp(json_string_or(json, "runtime", ""), s->runtime) == 0 &&
           json_number_or(json, "block", -1) == (double)s->block;
}

static size_t count_or(const cJSON *json, const char *key, double least) {
    return (size_t)fmin(fmax(json_number_or(json, key, least), least), UINT32_MAX - 1.0);
}

static void take_line(const cJSON *json, void (*take)(void *user, const struct profile *), void *user,
                      struct arena *arena) {
    struct profile p = {.number = (uint32_t)count_or(json, "probe", 0),
                        .n_passes = count_or(json, "pass", 1),
                        .n_nodes = count_or(json, "nodes", 0),
                        .sum_us = json_number_or(json, "sum_us", NAN),
                        .plain_us = json_number_or(json, "plain_us", NAN)};
    p.n_kernels = (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "us"));
    p.us = arena_array(arena, p.n_kernels + 1, sizeof *p.us);
    json_numbers(json, "us", p.us, p.n_kernels);
    take(user, &p);
}

/* A file that ends in the middle of a line was interrupted: what follows the last whole line is overwritten. Nothing is
 * written over a file that does not begin as one of these. */
static enum status read_lines(struct journal *j, const struct settings *s,
                              void (*take)(void *user, const struct profile *), void *user, struct arena *arena,
                              long *whole, struct diag *diag) {
    char *line = NULL;
    size_t cap = 0, number = 0;
    enum status status = ST_OK;
    for (ssize_t n; status == ST_OK && (n = getline(&line, &cap, j->stream)) > 0; number++) {
        cJSON *json = cJSON_Parse(line);
        bool interrupted = line[n - 1] != '\n';
        if (!*whole && (interrupted ? line[0] != '{' : !json || !*json_string_or(json, "schema", "")))
            status = diag_fail(diag, ST_DATA, "%s: is no file of measurements", j->path);
        else if (!interrupted && !json)
            diag_warn(diag, "%s: line %zu is damaged and left out", j->path, number + 1);
        else if (!interrupted && *whole)
            take_line(json, take, user, arena);
        else if (!interrupted && !same_settings(json, s))
            status = diag_fail(diag, ST_DATA,
                               "%s: measured with another seed, number of threads or runtime, or with the probes of "
                               "another version of this program; remove it to start anew",
                               j->path);
        cJSON_Delete(json);
        if (!interrupted) *whole = ftell(j->stream);
    }
    free(line);
    return status;
}

static enum status fail_errno(const struct journal *j, struct diag *diag) {
    return diag_fail(diag, ST_IO, "%s: %s", j->path, strerror(errno));
}

enum status journal_open(struct journal *j, const char *path, const struct settings *s,
                         void (*take)(void *user, const struct profile *), void *user, struct arena *arena,
                         struct diag *diag) {
    long whole = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    *j = (struct journal){.stream = fd < 0 ? NULL : fdopen(fd, "r+"), .path = path};
    if (!j->stream) return fail_errno(j, diag);
    enum status status = ST_OK;
    if (flock(fd, LOCK_EX | LOCK_NB)) status = diag_fail(diag, ST_IO, "%s: another calibration is writing it", path);
    if (status == ST_OK) status = read_lines(j, s, take, user, arena, &whole, diag);
    if (status == ST_OK && (fseek(j->stream, whole, SEEK_SET) || ftruncate(fd, whole))) status = fail_errno(j, diag);
    if (status == ST_OK && !whole) write_header(j->stream, s);
    if (status != ST_OK) journal_close(j);
    return status;
}

static double rounded(double us) {
    return round(us * 1000) / 1000;
}

enum status journal_add(struct journal *j, const struct profile *p, struct diag *diag) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "probe", p->number);
    cJSON_AddNumberToObject(json, "pass", (double)p->n_passes);
    cJSON_AddNumberToObject(json, "nodes", (double)p->n_nodes);
    cJSON_AddNumberToObject(json, "sum_us", rounded(p->sum_us));
    if (!isnan(p->plain_us)) cJSON_AddNumberToObject(json, "plain_us", rounded(p->plain_us));
    cJSON *us = cJSON_AddArrayToObject(json, "us");
    for (size_t i = 0; i < p->n_kernels; i++) cJSON_AddItemToArray(us, cJSON_CreateNumber(rounded(p->us[i])));
    write_line(j->stream, json);
    if (fflush(j->stream) == 0 && !ferror(j->stream)) return ST_OK;
    return fail_errno(j, diag);
}

void journal_close(struct journal *j) {
    if (j->stream) fclose(j->stream);
    j->stream = NULL;
}
