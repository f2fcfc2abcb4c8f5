/* Targets to JSON: every number that was read or defaulted, so that a file written states all it stands for. */
#include "adapt.h"
#include "calibrated.h"
#include "predictor.h"

#include <cjson/cJSON.h>
#include <string.h>

static void add_text(cJSON *object, const char *key, const char *text) {
    if (text && *text) cJSON_AddStringToObject(object, key, text);
}

static void add_object_text(cJSON *object, const char *key, const char *text) {
    if (text) cJSON_AddItemToObject(object, key, cJSON_Parse(text));
}

static void add_runtime(cJSON *root, const struct runtime *runtime) {
    cJSON *object = cJSON_AddObjectToObject(root, "runtime");
    cJSON_AddStringToObject(object, "lowering", runtime->lowering);
    cJSON_AddStringToObject(object, "view", view_name(runtime->view));
    cJSON_AddStringToObject(object, "precision", precision_name(runtime->precision));
    if (runtime->block) cJSON_AddNumberToObject(object, "block", (double)runtime->block);
    cJSON_AddNumberToObject(object, "threads", runtime->threads);
    cJSON *list = cJSON_AddArrayToObject(object, "fuse");
    for (size_t i = 0; i < runtime->n_fuse; i++) {
        const char *pair[] = {kernel_class_name(runtime->fuse[i].producer),
                              kernel_class_name(runtime->fuse[i].consumer)};
        cJSON_AddItemToArray(list, cJSON_CreateStringArray(pair, 2));
    }
}

static void add_efficiency(cJSON *object, const char *key, const double *efficiency) {
    cJSON *classes = cJSON_AddObjectToObject(object, key);
    for (int i = KC_NONE + 1; i < KC_COUNT; i++)
        cJSON_AddNumberToObject(classes, kernel_class_name((enum kernel_class)i), efficiency[i]);
}

/* Numbers that are 0 unless said otherwise. */
static void add_present(cJSON *object, const char *key, double value) {
    if (value > 0) cJSON_AddNumberToObject(object, key, value);
}

static void add_overheads(cJSON *object, const struct analytic *a) {
    cJSON *launches = cJSON_CreateObject(), *channels = cJSON_CreateObject();
    for (int i = KC_NONE + 1; i < KC_COUNT; i++) {
        add_present(launches, kernel_class_name((enum kernel_class)i), a->class_launch_us[i]);
        add_present(channels, kernel_class_name((enum kernel_class)i), a->channel_us[i]);
    }
    cJSON_AddItemToObject(object, "class_launch_us", launches);
    cJSON_AddItemToObject(object, "channel_us", channels);
    add_present(object, "weight_gbps", a->weight_gbps);
    add_present(object, "cores", a->cores);
    add_present(object, "grain_macs", a->grain_macs);
}

static void add_analytic(cJSON *root, const struct analytic *a) {
    cJSON *object = cJSON_AddObjectToObject(root, "analytic");
    cJSON *peaks = cJSON_AddObjectToObject(object, "peak_gflops");
    for (int p = PREC_FP32; p < PREC_COUNT; p++)
        if (a->peak_gflops[p] > 0) cJSON_AddNumberToObject(peaks, precision_name((enum precision)p), a->peak_gflops[p]);
    cJSON_AddNumberToObject(object, "bandwidth_gbps", a->bandwidth_gbps);
    cJSON_AddNumberToObject(object, "cache_bytes", a->cache_bytes);
    if (a->cache_gbps > 0) cJSON_AddNumberToObject(object, "cache_gbps", a->cache_gbps);
    cJSON_AddNumberToObject(object, "launch_us", a->launch_us);
    cJSON_AddNumberToObject(object, "run_us", a->run_us);
    cJSON_AddNumberToObject(object, "parallel_macs", a->parallel_macs);
    cJSON_AddNumberToObject(object, "relative_error", a->relative_error);
    add_overheads(object, a);
    add_efficiency(object, "compute_efficiency", a->compute_efficiency);
    add_efficiency(object, "memory_efficiency", a->memory_efficiency);
}

static cJSON *target_json(const struct target *t) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "schema", TARGET_SCHEMA);
    cJSON_AddStringToObject(root, "name", t->name);
    cJSON_AddStringToObject(root, "kind", target_kind_name(t->kind));
    add_text(root, "description", t->description);
    add_text(root, "vendor", t->vendor);
    add_text(root, "device", t->device);
    add_text(root, "source", t->source);
    add_object_text(root, "hardware", t->hardware);
    add_runtime(root, &t->runtime);
    if (t->kind == TARGET_ANALYTIC) add_analytic(root, &t->analytic);
    if (t->linear) linear_write(cJSON_AddObjectToObject(root, "linear"), t->linear);
    if (t->calibrated) calibrated_write(cJSON_AddObjectToObject(root, "calibrated"), t->calibrated);
    add_object_text(root, "validation", t->validation);
    return root;
}

enum status target_save(const struct target *t, const char *path, struct diag *diag) {
    struct file_out out;
    TRY(file_out_open(&out, path, diag));
    cJSON *root = target_json(t);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text) {
        file_out_abandon(&out);
        return diag_fail(diag, ST_MEMORY, "%s: %s", path, status_text(ST_MEMORY));
    }
    fprintf(out.stream, "%s\n", text);
    cJSON_free(text);
    return file_out_commit(&out, diag);
}
