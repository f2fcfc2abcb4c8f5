/* Targets from JSON. What a file leaves out gets a default where there is a sensible one; what it says is checked. */
#include "adapt.h"
#include "calibrated.h"
#include "predictor.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[TARGET_KIND_COUNT] = {"analytic", "measured", "adapted", "calibrated"};
static const char *const precision_names[PREC_COUNT] = {"as-written", "fp32", "fp16", "int8"};

const char *target_kind_name(enum target_kind kind) {
    return kind_names[kind];
}
const char *precision_name(enum precision precision) {
    return precision_names[precision];
}

static int find_name(const char *const *names, int count, const char *name) {
    int i = 0;
    while (i < count && strcmp(names[i], name) != 0) i++;
    return i;
}

bool precision_parse(const char *name, enum precision *precision) {
    int found = find_name(precision_names, PREC_COUNT, name);
    if (found < PREC_COUNT) *precision = (enum precision)found;
    return found < PREC_COUNT;
}

struct reader {
    const char *path;
    struct arena *arena;
    struct diag *diag;
};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static enum status wrong(struct reader *r, const char *key, const char *what) {
    return diag_fail(r->diag, ST_TARGET, "%s: \"%s\" %s", r->path, key, what);
}

/* A text, left as it is when absent. */
static enum status text(struct reader *r, const cJSON *object, const char *key, const char **out) {
    const cJSON *item = get(object, key);
    if (!item) return ST_OK;
    if (!cJSON_IsString(item)) return wrong(r, key, "is not a text");
    *out = arena_strndup(r->arena, item->valuestring, strlen(item->valuestring));
    return ST_OK;
}

/* The text of an object, left as it is when absent. */
static enum status object_text(struct reader *r, const cJSON *parent, const char *key, const char **out) {
    const cJSON *object = get(parent, key);
    if (!object || cJSON_IsNull(object)) return ST_OK;
    if (!cJSON_IsObject(object)) return wrong(r, key, "is not an object");
    char *printed = cJSON_PrintUnformatted(object);
    *out = printed ? arena_strndup(r->arena, printed, strlen(printed)) : NULL;
    cJSON_free(printed);
    return ST_OK;
}

static void warn_unknown(struct reader *r, const cJSON *object, const char *where, const char *const *known,
                         size_t n_known) {
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        if (find_name(known, (int)n_known, item->string) < (int)n_known) continue;
        diag_warn(r->diag, "%s: \"%s%s\" is not known and was ignored", r->path, where, item->string);
    }
}

/* A number above `above` (and not above `most`), left as it is when absent. */
static enum status number(struct reader *r, const cJSON *object, const char *key, double above, double most,
                          double *out) {
    const cJSON *item = get(object, key);
    if (!item) return ST_OK;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) return wrong(r, key, "is not a number");
    if (item->valuedouble < above) return wrong(r, key, above > 0 ? "must be above 0" : "must not be negative");
    if (item->valuedouble > most)
        return diag_fail(r->diag, ST_TARGET, "%s: \"%s\" must be at most %g", r->path, key, most);
    *out = item->valuedouble;
    return ST_OK;
}

#define POSITIVE 1e-12

static enum status integer(struct reader *r, const cJSON *object, const char *key, int64_t most, int64_t *out) {
    double value = (double)*out;
    TRY(number(r, object, key, 0, (double)most, &value));
    if (value != floor(value)) return wrong(r, key, "must be a whole number");
    *out = (int64_t)value;
    return ST_OK;
}

/* ---- Runtime ---- */

/* What practically every runtime does; for targets that do not say. */
static const struct fuse_rule usual_fusions[] = {
    {KC_CONV, KC_NORM},           {KC_CONV, KC_ACTIVATION},           {KC_CONV, KC_ELEMENTWISE},
    {KC_CONV_TRANSPOSE, KC_NORM}, {KC_CONV_TRANSPOSE, KC_ACTIVATION}, {KC_GEMM, KC_ACTIVATION},
    {KC_GEMM, KC_ELEMENTWISE},    {KC_NORM, KC_ACTIVATION},           {KC_ELEMENTWISE, KC_ACTIVATION},
};

static enum status read_fusions(struct reader *r, const cJSON *object, struct runtime *runtime) {
    const cJSON *list = get(object, "fuse"), *pair;
    if (!list) return ST_OK;
    runtime->n_fuse = 0;
    if (!cJSON_IsArray(list)) return wrong(r, "fuse", "must be a list of pairs of kernel classes");
    struct fuse_rule *rules = arena_array(r->arena, (size_t)cJSON_GetArraySize(list), sizeof *rules);
    cJSON_ArrayForEach(pair, list) {
        const char *producer = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
        const char *consumer = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1));
        if (cJSON_GetArraySize(pair) != 2 || !producer || !consumer)
            return wrong(r, "fuse", "must be a list of pairs of kernel classes");
        struct fuse_rule rule = {kernel_class_parse(producer), kernel_class_parse(consumer)};
        if (rule.producer == KC_COUNT || rule.consumer == KC_COUNT)
            return diag_fail(r->diag, ST_TARGET, "%s: \"fuse\": no kernel class is called \"%s\"", r->path,
                             rule.producer == KC_COUNT ? producer : consumer);
        rules[runtime->n_fuse++] = rule;
    }
    runtime->fuse = rules;
    return ST_OK;
}

static enum status read_runtime(struct reader *r, const cJSON *root, struct runtime *runtime) {
    static const char *const known[] = {"lowering", "view", "precision", "block", "threads", "fuse"};
    const cJSON *object = get(root, "runtime");
    const char *view = "prune", *precision = "as-written";
    int64_t threads = 1;
    *runtime = (struct runtime){.lowering = "plain",
                                .view = VIEW_PRUNE,
                                .threads = 1,
                                .n_fuse = COUNT_OF(usual_fusions),
                                .fuse = usual_fusions};
    if (!object) return ST_OK;
    if (!cJSON_IsObject(object)) return wrong(r, "runtime", "must be an object");
    warn_unknown(r, object, "runtime.", known, COUNT_OF(known));
    TRY(text(r, object, "lowering", &runtime->lowering));
    TRY(text(r, object, "view", &view));
    TRY(text(r, object, "precision", &precision));
    if (!view_parse(view, &runtime->view)) return wrong(r, "view", "must be \"kept\", \"prune\" or \"full\"");
    if (!precision_parse(precision, &runtime->precision))
        return wrong(r, "precision", "must be \"as-written\", \"fp32\", \"fp16\" or \"int8\"");
    TRY(integer(r, object, "block", 1024, &runtime->block));
    TRY(integer(r, object, "threads", 4096, &threads));
    runtime->threads = (int)threads;
    return read_fusions(r, object, runtime);
}

/* ---- Roofline ---- */

/* A number for fp32, or an object with a number a precision. */
static enum status read_peaks(struct reader *r, const cJSON *object, struct analytic *a) {
    const cJSON *peaks = get(object, "peak_gflops");
    if (!peaks) return wrong(r, "analytic.peak_gflops", "is missing: floating-point operations a second, in 1e9");
    if (cJSON_IsNumber(peaks)) return number(r, object, "peak_gflops", POSITIVE, INFINITY, &a->peak_gflops[PREC_FP32]);
    if (!cJSON_IsObject(peaks)) return wrong(r, "peak_gflops", "must be a number, or an object of them by precision");
    warn_unknown(r, peaks, "analytic.peak_gflops.", precision_names + 1, PREC_COUNT - 1);
    for (int p = PREC_FP32; p < PREC_COUNT; p++)
        TRY(number(r, peaks, precision_names[p], 0, INFINITY, &a->peak_gflops[p]));
    if (analytic_peak(a, PREC_AS_WRITTEN) <= 0) return wrong(r, "peak_gflops", "gives no rate above 0");
    return ST_OK;
}

/* A number a kernel class, or one for all; "default" sets all classes, then each class has its own. */
static enum status read_by_class(struct reader *r, const cJSON *parent, const char *key, double least, double most,
                                 double *values) {
    const cJSON *object = get(parent, key), *item;
    double every = -1;
    if (!object) return ST_OK;
    if (cJSON_IsNumber(object))
        TRY(number(r, parent, key, least, most, &every));
    else
        TRY(number(r, object, "default", least, most, &every));
    for (int i = 0; i < KC_COUNT && every >= 0; i++) values[i] = every;
    if (cJSON_IsNumber(object)) return ST_OK;
    if (!cJSON_IsObject(object)) return wrong(r, key, "must be a number, or an object of them by kernel class");
    cJSON_ArrayForEach(item, object) {
        enum kernel_class kind = kernel_class_parse(item->string);
        if (strcmp(item->string, "default") == 0) continue;
        if (kind == KC_COUNT)
            return diag_fail(r->diag, ST_TARGET, "%s: \"%s\": no kernel class is called \"%s\"", r->path, key,
                             item->string);
        TRY(number(r, object, item->string, least, most, &values[kind]));
    }
    return ST_OK;
}

/* What a CPU's runtime adds to a kernel. */
static enum status read_overheads(struct reader *r, const cJSON *object, struct analytic *a) {
    TRY(number(r, object, "weight_gbps", 0, INFINITY, &a->weight_gbps));
    TRY(number(r, object, "cores", 0, 4096, &a->cores));
    TRY(number(r, object, "grain_macs", 0, INFINITY, &a->grain_macs));
    TRY(read_by_class(r, object, "class_launch_us", 0, INFINITY, a->class_launch_us));
    return read_by_class(r, object, "channel_us", 0, INFINITY, a->channel_us);
}

static enum status read_analytic(struct reader *r, const cJSON *object, struct analytic *a) {
    static const char *const known[] = {"peak_gflops",   "bandwidth_gbps", "cache_bytes",        "cache_gbps",
                                        "launch_us",     "run_us",         "compute_efficiency", "memory_efficiency",
                                        "parallel_macs", "relative_error", "class_launch_us",    "channel_us",
                                        "weight_gbps",   "cores",          "grain_macs"};
    if (!cJSON_IsObject(object)) return wrong(r, "analytic", "must be an object");
    warn_unknown(r, object, "analytic.", known, COUNT_OF(known));
    analytic_defaults(a);
    TRY(read_peaks(r, object, a));
    if (!get(object, "bandwidth_gbps"))
        return wrong(r, "analytic.bandwidth_gbps", "is missing: main memory, in 1e9 bytes a second");
    if (!get(object, "launch_us")) return wrong(r, "analytic.launch_us", "is missing: what starting a kernel costs");
    TRY(number(r, object, "bandwidth_gbps", POSITIVE, INFINITY, &a->bandwidth_gbps));
    TRY(number(r, object, "cache_bytes", 0, INFINITY, &a->cache_bytes));
    TRY(number(r, object, "cache_gbps", POSITIVE, INFINITY, &a->cache_gbps));
    TRY(number(r, object, "launch_us", 0, INFINITY, &a->launch_us));
    TRY(number(r, object, "run_us", 0, INFINITY, &a->run_us));
    TRY(number(r, object, "parallel_macs", 0, INFINITY, &a->parallel_macs));
    TRY(number(r, object, "relative_error", 0, 3, &a->relative_error));
    TRY(read_overheads(r, object, a));
    TRY(read_by_class(r, object, "compute_efficiency", POSITIVE, 1, a->compute_efficiency));
    return read_by_class(r, object, "memory_efficiency", POSITIVE, 1, a->memory_efficiency);
}

/* ---- The whole ---- */

static enum status read_kind(struct reader *r, const cJSON *root, enum target_kind *kind) {
    const char *name = "analytic";
    TRY(text(r, root, "kind", &name));
    int found = find_name(kind_names, TARGET_KIND_COUNT, name);
    if (found == TARGET_KIND_COUNT)
        return wrong(r, "kind", "must be \"analytic\", \"measured\", \"adapted\" or \"calibrated\"");
    *kind = (enum target_kind)found;
    return ST_OK;
}

/* What is said of the device, and how well it was validated. */
static enum status read_description(struct reader *r, const cJSON *root, struct target *t) {
    t->name = t->description = t->vendor = t->device = t->source = "";
    TRY(text(r, root, "name", &t->name));
    if (!*t->name) return wrong(r, "name", "is missing");
    TRY(text(r, root, "description", &t->description));
    TRY(text(r, root, "vendor", &t->vendor));
    TRY(text(r, root, "device", &t->device));
    TRY(text(r, root, "source", &t->source));
    TRY(object_text(r, root, "validation", &t->validation));
    return object_text(r, root, "hardware", &t->hardware);
}

/* The numbers of the target's kind. */
static enum status read_numbers(struct reader *r, const cJSON *root, struct target *t) {
    const char *key = t->kind == TARGET_ANALYTIC ? "analytic" : t->kind == TARGET_CALIBRATED ? "calibrated" : "linear";
    const cJSON *object = get(root, key);
    if (!object) return wrong(r, key, "is missing");
    if (t->kind == TARGET_ANALYTIC) return read_analytic(r, object, &t->analytic);
    if (t->kind == TARGET_CALIBRATED) return calibrated_read(&t->calibrated, object, r->path, r->arena, r->diag);
    return linear_read(&t->linear, object, r->path, r->arena, r->diag);
}

static enum status read_target(struct reader *r, const cJSON *root, struct target *t) {
    static const char *const known[] = {"schema",     "name",       "kind",    "description", "vendor",
                                        "device",     "source",     "runtime", "analytic",    "linear",
                                        "calibrated", "validation", "hardware"};
    if (!cJSON_IsObject(root)) return diag_fail(r->diag, ST_TARGET, "%s: is not a target", r->path);
    const char *schema = json_string_or(root, "schema", NULL);
    if (!schema) return wrong(r, "schema", "is missing: it must be \"" TARGET_SCHEMA "\"");
    if (strcmp(schema, TARGET_SCHEMA) != 0) return wrong(r, "schema", "must be \"" TARGET_SCHEMA "\"");
    t->path = arena_strndup(r->arena, r->path, strlen(r->path));
    TRY(read_description(r, root, t));
    warn_unknown(r, root, "", known, COUNT_OF(known));
    TRY(read_kind(r, root, &t->kind));
    TRY(read_runtime(r, root, &t->runtime));
    return read_numbers(r, root, t);
}

/* cJSON's memory is not the arena's: when the arena runs out, the tree is released before the jump goes on. */
static enum status read_guarded(struct reader *r, cJSON *root, struct target *t) {
    jmp_buf *outer = r->arena->on_oom, here;
    volatile enum status status;
    if (setjmp(here)) {
        r->arena->on_oom = outer;
        cJSON_Delete(root);
        if (!outer) abort();
        longjmp(*outer, 1);
    }
    r->arena->on_oom = &here;
    status = read_target(r, root, t);
    r->arena->on_oom = outer;
    return status;
}

static enum status read_json(struct target **out, struct target *t, cJSON *root, const char *path, struct arena *arena,
                             struct diag *diag) {
    struct reader r = {path, arena, diag};
    enum status status = read_guarded(&r, root, t);
    cJSON_Delete(root);
    if (status == ST_OK) *out = t;
    return status;
}

enum status target_load(struct target **out, const char *path, struct arena *arena, struct diag *diag) {
    struct target *t = arena_alloc(arena, sizeof *t);
    cJSON *root;
    TRY(json_read_file(&root, path, diag));
    return read_json(out, t, root, path, arena, diag);
}

enum status target_load_proxy(struct target **out, const char *path, struct arena *arena, struct diag *diag) {
    static const char *const unread[] = {"features", "covariance", "weights"};
    struct target *t = arena_alloc(arena, sizeof *t);
    cJSON *root;
    TRY(json_read_file_without(&root, path, unread, COUNT_OF(unread), diag));
    return read_json(out, t, root, path, arena, diag);
}
