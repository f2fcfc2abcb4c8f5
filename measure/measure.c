/* A process for each measurement: the child loads the runtime, measures and answers JSON through a pipe. */
#include "measure.h"
#include "ort.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static cJSON *node_json(const struct node_time *node) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", node->name);
    cJSON_AddStringToObject(json, "op", node->op);
    cJSON_AddStringToObject(json, "in", node->in_shapes);
    cJSON_AddStringToObject(json, "out", node->out_shapes);
    cJSON_AddNumberToObject(json, "us", node->mean_us);
    cJSON_AddNumberToObject(json, "weight_bytes", (double)node->weight_bytes);
    return json;
}

static cJSON *answer(enum status status, const struct measurement *m, const struct diag *diag) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "status", status);
    if (status != ST_OK) {
        cJSON_AddStringToObject(json, "message", diag->message);
        return json;
    }
    cJSON_AddStringToObject(json, "runtime", m->runtime);
    cJSON_AddNumberToObject(json, "threads", m->threads);
    cJSON_AddNumberToObject(json, "runs", m->runs);
    if (!isnan(m->min_ms)) {
        cJSON_AddNumberToObject(json, "min", m->min_ms);
        cJSON_AddNumberToObject(json, "median", m->median_ms);
        cJSON_AddNumberToObject(json, "p90", m->p90_ms);
    }
    cJSON_AddNumberToObject(json, "profiled_runs", m->profiled_runs);
    cJSON *nodes = cJSON_AddArrayToObject(json, "nodes");
    for (size_t i = 0; i < m->n_nodes; i++) cJSON_AddItemToArray(nodes, node_json(&m->nodes[i]));
    return json;
}

static void write_all(int fd, const char *text, size_t n) {
    while (n) {
        ssize_t done = write(fd, text, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return;
        text += done;
        n -= (size_t)done;
    }
}

/* A blank says that the library is loaded: what dies before is no fault of the model. */
static enum status load_and_measure(int fd, const char *path, const uint8_t *bytes, size_t length,
                                    const struct measure_options *options, struct arena *arena,
                                    struct measurement *result, struct diag *diag) {
    jmp_buf oom;
    struct ort ort;
    if (setjmp(oom)) {
        *diag = (struct diag){.status = ST_MEMORY, .message = status_text(ST_MEMORY)};
        return ST_MEMORY;
    }
    arena->on_oom = &oom;
    TRY(ort_open(&ort, arena, diag));
    write_all(fd, " ", 1);
    return ort_measure(&ort, path, bytes, length, options, arena, result, diag);
}

_Noreturn static void child(int fd, pid_t parent, const char *path, const uint8_t *bytes, size_t length,
                            const struct measure_options *options) {
    struct arena arena;
    struct diag diag;
    struct measurement result;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for what goes on behind a parent that was killed */
    if (getppid() != parent) _exit(1);
    signal(SIGPIPE, SIG_IGN);
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    enum status status = load_and_measure(fd, path, bytes, length, options, &arena, &result, &diag);
    cJSON *json = answer(status, &result, &diag);
    char *text = cJSON_PrintUnformatted(json);
    if (text) write_all(fd, text, strlen(text));
    _exit(text ? 0 : 1); /* the runtime's own clean-up at exit is not ours to wait for */
}

static char *read_all(int fd, struct arena *arena) {
    size_t n = 0, cap = 0;
    char *text = NULL;
    for (;;) {
        text = arena_grow(arena, text, n, &cap, n + 65536, 1);
        ssize_t got = read(fd, text + n, cap - n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return text;
}

static const char *copy_string(const cJSON *json, const char *key, struct arena *arena) {
    return arena_printf(arena, "%s", json_string_or(json, key, ""));
}

static void take(const cJSON *json, struct arena *arena, struct measurement *result) {
    const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(json, "nodes"), *node;
    *result = (struct measurement){.runtime = copy_string(json, "runtime", arena),
                                   .threads = (int)json_number_or(json, "threads", 1),
                                   .runs = (int)json_number_or(json, "runs", 0),
                                   .min_ms = json_number_or(json, "min", NAN),
                                   .median_ms = json_number_or(json, "median", NAN),
                                   .p90_ms = json_number_or(json, "p90", NAN),
                                   .profiled_runs = (int)json_number_or(json, "profiled_runs", 0)};
    result->nodes = arena_array(arena, (size_t)cJSON_GetArraySize(nodes) + 1, sizeof *result->nodes);
    cJSON_ArrayForEach(node, nodes) result->nodes[result->n_nodes++] =
        (struct node_time){.name = copy_string(node, "name", arena),
                           .op = copy_string(node, "op", arena),
                           .in_shapes = copy_string(node, "in", arena),
                           .out_shapes = copy_string(node, "out", arena),
                           .mean_us = json_number_or(node, "us", 0),
                           .weight_bytes = (int64_t)json_number_or(node, "weight_bytes", 0)};
}

static enum status judge(const char *text, int wait_status, const char *name, struct arena *arena,
                         struct measurement *result, struct diag *diag) {
    if (!*text) {
        const char *said = getenv("ORT_DYLIB_PATH");
        return diag_fail(diag, ST_MISSING, "%s: ONNX Runtime ended while it was loaded (%s)",
                         said && *said ? said : "libonnxruntime.so",
                         WIFSIGNALED(wait_status) ? strsignal(WTERMSIG(wait_status)) : "it called exit");
    }
    if (WIFSIGNALED(wait_status))
        return diag_fail(diag, ST_MODEL, "%s: ONNX Runtime died on it (%s)", name, strsignal(WTERMSIG(wait_status)));
    cJSON *json = cJSON_Parse(text);
    if (!json) return diag_fail(diag, ST_MODEL, "%s: ONNX Runtime ended without an answer", name);
    enum status status = (enum status)json_number_or(json, "status", ST_MODEL);
    if (status == ST_OK)
        take(json, arena, result);
    else
        diag_fail(diag, status, "%s", json_string_or(json, "message", name));
    cJSON_Delete(json);
    return status;
}

static enum status isolate(const char *name, const uint8_t *bytes, size_t length, const struct measure_options *options,
                           struct arena *arena, struct measurement *result, struct diag *diag) {
    int fds[2], wait_status = 0;
    if (pipe(fds)) return diag_fail(diag, ST_IO, "%s: no pipe: %s", name, strerror(errno));
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(fds[1], parent, name, bytes, length, options);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return diag_fail(diag, ST_IO, "%s: no process: %s", name, strerror(errno));
    }
    const char *text = read_all(fds[0], arena);
    close(fds[0]);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    return judge(text, wait_status, name, arena, result, diag);
}

enum status measure_file(const char *path, const struct measure_options *options, struct arena *arena,
                         struct measurement *result, struct diag *diag) {
    return isolate(path, NULL, 0, options, arena, result, diag);
}

enum status measure_bytes(const uint8_t *bytes, size_t length, const char *name, const struct measure_options *options,
                          struct arena *arena, struct measurement *result, struct diag *diag) {
    return isolate(name, bytes, length, options, arena, result, diag);
}
