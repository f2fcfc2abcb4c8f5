/* One measurement, in this process: session, inputs, warm-up, timed runs, then a profiled session. */
#include "ort.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 3, MIN_RUNS = 10, MAX_RUNS = 200, PROFILE_WARM_UP = 2, OPTIMISE_BASIC = 1, OPTIMISE_ALL = 99 };
static const double DEFAULT_SECONDS = 0.5;

struct job {
    const struct ort *ort;
    const char *path;
    const uint8_t *bytes;
    size_t length;
    const struct measure_options *options;
    struct arena *arena;
    struct diag *diag;
    struct ort_env *env;
};

struct live_session {
    struct ort_session *session;
    struct ort_inputs inputs;
    size_t n_outputs;
    const char **output_names;
    struct ort_value **outputs;
};

static enum status check(const struct job *job, struct ort_status *status) {
    return ort_check(job->ort, status, job->path, job->diag);
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static const char *provider_names(const struct job *job) {
    char **names = NULL;
    int n = 0;
    const char *all = "";
    if (check(job, job->ort->GetAvailableProviders(&names, &n)) != ST_OK) return all;
    for (int i = 0; i < n; i++) all = arena_printf(job->arena, "%s%s%s", all, i ? ", " : "", names[i]);
    if (check(job, job->ort->ReleaseAvailableProviders(names, n)) != ST_OK) return all;
    return all;
}

/* Libraries with a provider built in export OrtSessionOptionsAppendExecutionProvider_NAME(options, device). */
static enum status add_provider(const struct job *job, struct ort_options *options) {
    static const char suffix[] = "ExecutionProvider";
    const char *provider = job->options->provider;
    if (!provider) return ST_OK;
    size_t length = strlen(provider), tail = sizeof suffix - 1;
    if (length > tail && !strcasecmp(provider + length - tail, suffix))
        provider = arena_strndup(job->arena, provider, length - tail);
    if (!strcasecmp(provider, "cpu")) return ST_OK;
    const char *spelled[] = {provider, "CUDA", "Tensorrt", "ROCM", "OpenVINO", "Dnnl", "CoreML", "ACL", "ArmNN"};
    for (size_t i = 0; i < COUNT_OF(spelled); i++) {
        if (strcasecmp(spelled[i], provider)) continue;
        void *symbol = dlsym(job->ort->library,
                             arena_printf(job->arena, "OrtSessionOptionsAppendExecutionProvider_%s", spelled[i]));
        struct ort_status *(*append)(struct ort_options *, int);
        memcpy(&append, &symbol, sizeof append);
        if (symbol) return check(job, append(options, 0));
    }
    return diag_fail(job->diag, ST_MISSING, "provider \"%s\" is not in ONNX Runtime %s; it has: %s", provider,
                     job->ort->version, provider_names(job));
}

static enum status set_options(const struct job *job, struct ort_options *options, const char *profile_prefix) {
    const struct ort *ort = job->ort;
    const struct bindings *bind = job->options->bind;
    TRY(check(job, ort->SetIntraOpNumThreads(options, job->options->threads > 0 ? job->options->threads : 1)));
    TRY(check(job, ort->SetInterOpNumThreads(options, 1)));
    TRY(check(job, ort->SetSessionExecutionMode(options, 0)));
    TRY(check(job, ort->SetSessionLogSeverityLevel(options, 4)));
    TRY(check(job,
              ort->SetSessionGraphOptimizationLevel(options, job->options->basic ? OPTIMISE_BASIC : OPTIMISE_ALL)));
    for (size_t i = 0; bind && i < bind->n_dims; i++)
        TRY(check(job, ort->AddFreeDimensionOverrideByName(options, bind->dims[i].symbol, bind->dims[i].value)));
    TRY(add_provider(job, options));
    return profile_prefix ? check(job, ort->EnableProfiling(options, profile_prefix)) : ST_OK;
}

static enum status name_outputs(const struct job *job, struct live_session *live) {
    struct ort_allocator *allocator;
    TRY(check(job, job->ort->GetAllocatorWithDefaultOptions(&allocator)));
    TRY(check(job, job->ort->SessionGetOutputCount(live->session, &live->n_outputs)));
    live->output_names = arena_array(job->arena, live->n_outputs + 1, sizeof *live->output_names);
    live->outputs = arena_array(job->arena, live->n_outputs + 1, sizeof *live->outputs);
    for (size_t i = 0; i < live->n_outputs; i++) {
        char *name;
        TRY(check(job, job->ort->SessionGetOutputName(live->session, i, allocator, &name)));
        live->output_names[i] = arena_printf(job->arena, "%s", name);
        TRY(check(job, job->ort->AllocatorFree(allocator, name)));
    }
    return ST_OK;
}

static enum status open_session(const struct job *job, const char *profile_prefix, struct live_session *live) {
    struct ort_options *options;
    TRY(check(job, job->ort->CreateSessionOptions(&options)));
    enum status status = set_options(job, options, profile_prefix);
    if (status == ST_OK && job->bytes)
        status =
            check(job, job->ort->CreateSessionFromArray(job->env, job->bytes, job->length, options, &live->session));
    else if (status == ST_OK)
        status = check(job, job->ort->CreateSession(job->env, job->path, options, &live->session));
    job->ort->ReleaseSessionOptions(options);
    if (status == ST_OK)
        status =
            ort_make_inputs(job->ort, live->session, job->options, job->path, job->arena, &live->inputs, job->diag);
    return status == ST_OK ? name_outputs(job, live) : status;
}

static void close_session(const struct job *job, struct live_session *live) {
    for (size_t i = 0; i < live->n_outputs; i++) job->ort->ReleaseValue(live->outputs[i]);
    for (size_t i = 0; i < live->inputs.n; i++) job->ort->ReleaseValue(live->inputs.values[i]);
    job->ort->ReleaseSession(live->session);
}

/* Outputs are allocated by the first run and released after each: sizes may depend on data. */
static enum status run_once(const struct job *job, struct live_session *live, double *ms) {
    double start = now_ms();
    struct ort_status *status =
        job->ort->Run(live->session, NULL, live->inputs.names, (const struct ort_value *const *)live->inputs.values,
                      live->inputs.n, live->output_names, live->n_outputs, live->outputs);
    *ms = now_ms() - start;
    for (size_t i = 0; i < live->n_outputs; i++) {
        job->ort->ReleaseValue(live->outputs[i]);
        live->outputs[i] = NULL;
    }
    return check(job, status);
}

static bool enough(const struct measure_options *options, int runs, double total_ms) {
    if (options->runs > 0) return runs >= options->runs;
    double wanted = options->min_seconds > 0 ? options->min_seconds : DEFAULT_SECONDS;
    return runs >= MAX_RUNS || (runs >= MIN_RUNS && total_ms >= wanted * 1e3);
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarise(double *times, int n, struct measurement *result) {
    qsort(times, (size_t)n, sizeof *times, by_number);
    result->runs = n;
    result->min_ms = times[0];
    result->median_ms = (times[(n - 1) / 2] + times[n / 2]) / 2;
    result->p90_ms = times[(int)ceil(0.9 * n) - 1];
}

static enum status time_runs(const struct job *job, struct measurement *result) {
    struct live_session live = {0};
    int cap = job->options->runs > 0 ? job->options->runs : MAX_RUNS, n = 0;
    double *times = arena_array(job->arena, (size_t)cap, sizeof *times), total = 0, ms;
    enum status status = open_session(job, NULL, &live);
    for (int i = 0; status == ST_OK && i < WARM_UP; i++) status = run_once(job, &live, &ms);
    while (status == ST_OK && n < cap && !enough(job->options, n, total)) {
        status = run_once(job, &live, &times[n]);
        total += times[n++];
    }
    close_session(job, &live);
    if (status == ST_OK) summarise(times, n, result);
    return status;
}

/* The runtime appends a date to the prefix; the folder is ours alone, so the one file in it is the profile. It is
 * already open then, and taken out of the folder at once: whatever ends this process leaves nothing behind. */
static int take_profile(const char *folder, struct arena *arena) {
    int fd = -1;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        const char *path = arena_printf(arena, "%s/%s", folder, entry->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(folder);
    return fd;
}

static enum status profile_runs(const struct job *job, struct measurement *result) {
    struct live_session live = {0};
    const char *base = getenv("TMPDIR");
    char *folder = arena_printf(job->arena, "%s/onnx-latency-XXXXXX", base && *base ? base : P_tmpdir);
    if (!mkdtemp(folder)) return diag_fail(job->diag, ST_IO, "%s: no folder for the runtime's profile", folder);
    enum status status = open_session(job, arena_printf(job->arena, "%s/p", folder), &live);
    int fd = take_profile(folder, job->arena);
    double total = 0, ms;
    for (int n = -PROFILE_WARM_UP; status == ST_OK && (n < 6 || !enough(job->options, n, total)); n++) {
        status = run_once(job, &live, &ms);
        if (n >= 0) total += ms;
    }
    close_session(job, &live); /* writes the profile */
    if (status == ST_OK && fd < 0) status = diag_fail(job->diag, ST_IO, "%s: the runtime wrote no profile", job->path);
    if (status == ST_OK)
        status = ort_read_profile(arena_printf(job->arena, "/proc/self/fd/%d", fd), PROFILE_WARM_UP, job->path,
                                  job->arena, result, job->diag);
    if (fd >= 0) close(fd);
    return status;
}

enum status ort_measure(const struct ort *ort, const char *path, const uint8_t *bytes, size_t length,
                        const struct measure_options *options, struct arena *arena, struct measurement *result,
                        struct diag *diag) {
    struct job job = {ort, path, bytes, length, options, arena, diag, NULL};
    memset(result, 0, sizeof *result);
    result->runtime = arena_printf(arena, "onnxruntime %s", ort->version);
    result->threads = options->threads > 0 ? options->threads : 1;
    result->min_ms = result->median_ms = result->p90_ms = NAN;
    TRY(check(&job, ort->CreateEnv(4, "onnx-latency", &job.env)));
    enum status status = options->only_profile ? ST_OK : time_runs(&job, result);
    if (status == ST_OK && (options->per_node || options->only_profile)) status = profile_runs(&job, result);
    ort->ReleaseEnv(job.env);
    return status;
}
