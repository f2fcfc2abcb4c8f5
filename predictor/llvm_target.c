/* Targets without measurements: llvm:CPU[@GHz][,cores=N][,bw=GB/s][,runtime=NAME][,view=NAME].
 *
 * What the CPU's arithmetic can do comes from a table that onnx-latency-codegen made by compiling kernels for it and
 * simulating them (llvm-mca); what a runtime makes of that, from cpu_runtimes.def. Together they are a roofline. */
#include "predictor.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "llvm:"

enum rate { RATE_GEMM, RATE_GEMV, RATE_DEPTHWISE, RATE_POOL, RATE_ELEMENTWISE, RATE_EXP, RATE_COUNT };

/* How the table names them, and how many operations one of its units is. */
static const struct {
    const char *key;
    double operations;
} rates[RATE_COUNT] = {
    [RATE_GEMM] = {"gemm_f32", 1},
    [RATE_GEMV] = {"gemv_f32", 1},
    [RATE_DEPTHWISE] = {"depthwise3_f32", 1},
    [RATE_POOL] = {"maxpool3_f32", 9},
    [RATE_ELEMENTWISE] = {"add_relu_f32", 1},
    [RATE_EXP] = {"exp_f32", 1},
};

struct cost_row {
    enum kernel_class kind;
    enum rate rate;
    double share, memory;
    double launch_kcycles, channel_kcycles;
};

enum runtime_id {
#define RUNTIME(id, name, about, lowering, view, fuses, all, launch, run, pack, grain, error) RT_##id,
#define COST(runtime, kind, rate, share, memory, launch, channel)
#include "cpu_runtimes.def"
#undef RUNTIME
#undef COST
    RT_COUNT
};

static const struct cpu_runtime {
    const char *name, *about, *lowering;
    enum view view;
    bool fuses;
    bool all_cores; /* uses them all unless told otherwise */
    double launch_kcycles, run_kcycles, pack_bytes_per_cycle, grain_macs, relative_error;
} runtimes[] = {
#define RUNTIME(id, name, about, lowering, view, fuses, all, launch, run, pack, grain, error)                          \
    {name, about, lowering, view, fuses, all, launch, run, pack, grain, error},
#define COST(runtime, kind, rate, share, memory, launch, channel)
#include "cpu_runtimes.def"
#undef RUNTIME
#undef COST
};

static const struct {
    enum runtime_id runtime;
    struct cost_row row;
} costs[] = {
#define RUNTIME(id, name, about, lowering, view, fuses, all, launch, run, pack, grain, error)
#define COST(runtime, kind, rate, share, memory, launch, channel)                                                      \
    {RT_##runtime, {KC_##kind, RATE_##rate, share, memory, launch, channel}},
#include "cpu_runtimes.def"
#undef RUNTIME
#undef COST
};

/* What joins the kernel before it where nothing else reads that. */
static const struct fuse_rule fusions[] = {
    {KC_CONV, KC_NORM},
    {KC_POINTWISE, KC_NORM},
    {KC_GROUPED, KC_NORM},
    {KC_DEPTHWISE, KC_NORM},
    {KC_CONV, KC_ACTIVATION},
    {KC_POINTWISE, KC_ACTIVATION},
    {KC_GROUPED, KC_ACTIVATION},
    {KC_DEPTHWISE, KC_ACTIVATION},
    {KC_GEMM, KC_ACTIVATION},
    {KC_GEMV, KC_ACTIVATION},
    {KC_ELEMENTWISE, KC_ACTIVATION},
    {KC_CONV_TRANSPOSE, KC_NORM},
    {KC_CONV_TRANSPOSE, KC_ACTIVATION},
};

struct spec { /* what was asked for; 0 or NULL: not said */
    const char *text;
    const char *cpu;
    double ghz, cores, gbps;
    const struct cpu_runtime *runtime;
    bool has_view;
    enum view view;
};

struct maker {
    struct spec spec;
    const cJSON *row; /* of the CPU */
    struct arena *arena;
    struct diag *diag;
    const char *table_path;
};

/* ---- Reading the specification ---- */

static enum status number_of(struct maker *m, const char *what, const char *text, double least, double most,
                             double *out) {
    if (*out > 0) return diag_fail(m->diag, ST_USAGE, "%s: %s is said twice", m->spec.text, what);
    if (num_parse_f64(text, out) && *out >= least && *out <= most) return ST_OK;
    return diag_fail(m->diag, ST_USAGE, "%s: %s \"%s\" is not a number from %g to %g", m->spec.text, what, text, least,
                     most);
}

static enum status parse_clock(struct maker *m, char *text) {
    size_t n = strlen(text);
    if (n > 3 && strcmp(text + n - 3, "GHz") == 0) text[n - 3] = '\0';
    return number_of(m, "clock in GHz", text, 0.01, 20, &m->spec.ghz);
}

static enum status parse_runtime(struct maker *m, const char *name) {
    const char *known = "";
    for (size_t i = 0; i < RT_COUNT; i++) {
        if (strcmp(runtimes[i].name, name) == 0) m->spec.runtime = &runtimes[i];
        known = arena_printf(m->arena, "%s%s%s", known, *known ? ", " : "", runtimes[i].name);
    }
    if (m->spec.runtime) return ST_OK;
    return diag_fail(m->diag, ST_USAGE, "%s: no runtime is called \"%s\": %s", m->spec.text, name, known);
}

static enum status parse_option(struct maker *m, char *option) {
    char *value = strchr(option, '=');
    if (!value) return diag_fail(m->diag, ST_USAGE, "%s: \"%s\" is not KEY=VALUE", m->spec.text, option);
    *value++ = '\0';
    if (strcmp(option, "bw") == 0) return number_of(m, "bandwidth in GB/s", value, 0.01, 1e5, &m->spec.gbps);
    if (strcmp(option, "runtime") == 0) return parse_runtime(m, value);
    if (strcmp(option, "cores") == 0) {
        TRY(number_of(m, "number of cores", value, 1, 4096, &m->spec.cores));
        if (m->spec.cores == floor(m->spec.cores)) return ST_OK;
        return diag_fail(m->diag, ST_USAGE, "%s: number of cores \"%s\" is not a whole number", m->spec.text, value);
    }
    if (strcmp(option, "view") == 0) {
        m->spec.has_view = view_parse(value, &m->spec.view);
        if (m->spec.has_view) return ST_OK;
        return diag_fail(m->diag, ST_USAGE, "%s: view \"%s\" is not kept, prune or full", m->spec.text, value);
    }
    return diag_fail(m->diag, ST_USAGE, "%s: no option is called \"%s\": cores, bw, runtime, view", m->spec.text,
                     option);
}

static enum status parse_spec(struct maker *m) {
    char *text = arena_strndup(m->arena, m->spec.text + strlen(PREFIX), strlen(m->spec.text) - strlen(PREFIX));
    char *rest = strchr(text, ',');
    if (rest) *rest++ = '\0';
    char *clock = strchr(text, '@');
    if (clock) *clock++ = '\0';
    m->spec.cpu = text;
    if (clock) TRY(parse_clock(m, clock));
    while (rest) {
        char *option = rest;
        rest = strchr(option, ',');
        if (rest) *rest++ = '\0';
        TRY(parse_option(m, option));
    }
    return ST_OK;
}

/* ---- The table ---- */

static enum status unknown_cpu(struct maker *m, const cJSON *cpus) {
    const char *known = "";
    const cJSON *row;
    cJSON_ArrayForEach(row, cpus) known =
        arena_printf(m->arena, "%s%s%s", known, *known ? ", " : "", json_string_or(row, "name", "?"));
    return diag_fail(m->diag, ST_TARGET, "%s: no CPU is called \"%s\"; known: %s", m->spec.text, m->spec.cpu, known);
}

static enum status find_cpu(struct maker *m, const cJSON *table) {
    const cJSON *cpus = cJSON_GetObjectItemCaseSensitive(table, "cpus"), *row;
    cJSON_ArrayForEach(row, cpus) {
        if (strcmp(json_string_or(row, "name", ""), m->spec.cpu) == 0) m->row = row;
    }
    return m->row ? ST_OK : unknown_cpu(m, cpus);
}

static bool is_x86(const struct maker *m) {
    return strncmp(json_string_or(m->row, "triple", ""), "x86", 3) == 0;
}

/* What the specification leaves open: the CPU's usual machine, and the runtime such CPUs usually meet. */
static enum status fill_defaults(struct maker *m) {
    struct spec *s = &m->spec;
    double ghz, cores, gbps;
    TRY(json_number(m->row, "ghz", &ghz, m->table_path, m->diag));
    TRY(json_number(m->row, "cores", &cores, m->table_path, m->diag));
    TRY(json_number(m->row, "bandwidth_gbps", &gbps, m->table_path, m->diag));
    if (!s->runtime) s->runtime = &runtimes[is_x86(m) ? RT_EAGER : RT_TFLITE];
    if (s->ghz <= 0) s->ghz = ghz;
    if (s->cores <= 0) s->cores = s->runtime->all_cores ? cores : 1;
    if (s->gbps <= 0) s->gbps = gbps;
    if (!s->has_view) s->view = s->runtime->view;
    return ST_OK;
}

/* ---- The target ---- */

static enum status set_peaks(struct maker *m, struct analytic *a) {
    const cJSON *peaks = cJSON_GetObjectItemCaseSensitive(m->row, "peak_per_cycle");
    const cJSON *reached = cJSON_GetObjectItemCaseSensitive(m->row, "per_cycle");
    double peak, gemm, all = m->spec.ghz * m->spec.cores;
    TRY(json_number(peaks, "f32", &peak, m->table_path, m->diag));
    TRY(json_number(reached, rates[RATE_GEMM].key, &gemm, m->table_path, m->diag));
    /* Shares are of f32 kernels: the peak of a narrower type is what stands to f32's as its matrix kernel does. */
    a->peak_gflops[PREC_FP32] = peak * all;
    a->peak_gflops[PREC_FP16] = peak * all * json_number_or(reached, "gemm_f16", 0) / gemm;
    a->peak_gflops[PREC_INT8] = peak * all * json_number_or(reached, "gemm_int8", 0) / gemm;
    return ST_OK;
}

static enum status set_cost(struct maker *m, const struct cost_row *row, struct analytic *a) {
    const cJSON *reached = cJSON_GetObjectItemCaseSensitive(m->row, "per_cycle");
    double rate, peak = a->peak_gflops[PREC_FP32] / (m->spec.ghz * m->spec.cores);
    TRY(json_number(reached, rates[row->rate].key, &rate, m->table_path, m->diag));
    a->compute_efficiency[row->kind] = fmin(1, row->share * rate * rates[row->rate].operations / peak);
    a->memory_efficiency[row->kind] = row->memory;
    a->class_launch_us[row->kind] = row->launch_kcycles / m->spec.ghz;
    a->channel_us[row->kind] = row->channel_kcycles / m->spec.ghz;
    return ST_OK;
}

static enum status set_numbers(struct maker *m, struct analytic *a) {
    const struct spec *s = &m->spec;
    double mib, bytes;
    TRY(json_number(m->row, "cache_mib", &mib, m->table_path, m->diag));
    TRY(json_number(m->row, "cache_bytes_per_cycle", &bytes, m->table_path, m->diag));
    analytic_defaults(a);
    TRY(set_peaks(m, a));
    a->bandwidth_gbps = s->gbps;
    a->cache_bytes = mib * 1048576;
    a->cache_gbps = bytes * s->ghz; /* of one core: what is small enough stays in the cache of the core that made it */
    a->launch_us = s->runtime->launch_kcycles / s->ghz;
    a->run_us = s->runtime->run_kcycles / s->ghz;
    a->weight_gbps = s->runtime->pack_bytes_per_cycle * s->ghz;
    a->cores = s->cores;
    a->grain_macs = s->runtime->grain_macs;
    a->relative_error = s->runtime->relative_error;
    for (size_t i = 0; i < COUNT_OF(costs); i++)
        if (&runtimes[costs[i].runtime] == s->runtime) TRY(set_cost(m, &costs[i].row, a));
    return ST_OK;
}

static struct runtime make_runtime(const struct maker *m) {
    const struct cpu_runtime *r = m->spec.runtime;
    struct runtime runtime = {.lowering = r->lowering, .view = m->spec.view, .threads = (int)m->spec.cores};
    if (r->fuses) {
        runtime.fuse = fusions;
        runtime.n_fuse = COUNT_OF(fusions);
    }
    /* ONNX Runtime blocks channels by its vectors on x86 only. */
    if (r == &runtimes[RT_ORT] && is_x86(m)) runtime.block = json_number_or(m->row, "vector_bits", 0) >= 512 ? 16 : 8;
    return runtime;
}

static const char *copied(struct maker *m, const char *text) {
    return arena_strndup(m->arena, text, strlen(text));
}

static void describe(struct maker *m, const cJSON *table, struct target *t) {
    const struct spec *s = &m->spec;
    const cJSON *peaks = cJSON_GetObjectItemCaseSensitive(m->row, "peak_per_cycle");
    t->path = t->name = s->text;
    t->vendor = "";
    t->device = copied(m, json_string_or(m->row, "description", s->cpu));
    t->description = arena_printf(m->arena, "%s, %g core%s at %g GHz, under %s", t->device, s->cores,
                                  s->cores > 1 ? "s" : "", s->ghz, s->runtime->about);
    t->source = arena_printf(m->arena, "nothing measured: LLVM %s, scheduling model of %s; peaks: %s",
                             json_string_or(table, "llvm", "?"), json_string_or(m->row, "model", "?"),
                             json_string_or(peaks, "source", "?"));
    t->hardware = arena_printf(m->arena, "{\"cores\":%g,\"ghz\":%g,\"bandwidth_gbps\":%g}", s->cores, s->ghz, s->gbps);
}

static enum status make_target(struct maker *m, const cJSON *table, struct target *t) {
    TRY(find_cpu(m, table));
    TRY(fill_defaults(m));
    TRY(set_numbers(m, &t->analytic));
    t->kind = TARGET_ANALYTIC;
    t->runtime = make_runtime(m);
    describe(m, table, t);
    return ST_OK;
}

bool llvm_target_is(const char *name) {
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

/* cJSON's memory is not the arena's: when the arena runs out, the tree is released before the jump goes on. */
static enum status make_guarded(struct maker *m, cJSON *table, struct target *t) {
    jmp_buf *outer = m->arena->on_oom, here;
    if (setjmp(here)) {
        m->arena->on_oom = outer;
        cJSON_Delete(table);
        if (!outer) abort();
        longjmp(*outer, 1);
    }
    m->arena->on_oom = &here;
    enum status status = make_target(m, table, t);
    m->arena->on_oom = outer;
    return status;
}

enum status llvm_target(struct target **out, const char *spec, const char *table_path, struct arena *arena,
                        struct diag *diag) {
    struct maker m = {.arena = arena, .diag = diag, .table_path = table_path};
    struct target *t = arena_alloc(arena, sizeof *t);
    cJSON *table;
    m.spec.text = copied(&m, spec);
    TRY(parse_spec(&m));
    TRY(json_read_file(&table, table_path, diag));
    enum status status = make_guarded(&m, table, t);
    cJSON_Delete(table);
    if (status == ST_OK) *out = t;
    return status;
}
