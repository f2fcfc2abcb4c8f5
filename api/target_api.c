/* Targets, for callers of the library. */
#include "api.h"

#include <string.h>

static ol_target_info describe(const struct target *t) {
    return (ol_target_info){.name = t->name,
                            .kind = target_kind_name(t->kind),
                            .description = t->description,
                            .vendor = t->vendor,
                            .device = t->device,
                            .source = t->source,
                            .path = t->path,
                            .precision = precision_name(t->runtime.precision),
                            .hardware = t->hardware,
                            .validation = t->validation};
}

static enum status open_target(ol_target *t, const char *name) {
    struct diag *diag = &t->base.diag;
    const char *path;
    if (llvm_target_is(name)) {
        TRY(llvm_target(&t->target, name, cpu_table_path(&t->base.arena), &t->base.arena, diag));
    } else {
        TRY(target_find(t->base.context, name, &path, &t->base.arena, diag));
        TRY(target_load(&t->target, path, &t->base.arena, diag));
        if (!lowering_known(t->target->runtime.lowering))
            return diag_fail(diag, ST_TARGET, "%s: \"lowering\": \"%s\" is not known", path,
                             t->target->runtime.lowering);
        if (path != name) t->target->name = arena_strndup(&t->base.arena, name, strlen(name)); /* what finds it */
    }
    t->info = describe(t->target);
    return ST_OK;
}

ol_status ol_target_open(ol_context *context, const char *name, ol_target **out) {
    ol_target *t = *out = object_new(context, sizeof *t);
    if (!t) return OL_EMEMORY;
    if (setjmp(t->base.oom)) return object_opened(&(*out)->base, (enum status)object_out_of_memory(&(*out)->base));
    return object_opened(&t->base, open_target(t, name));
}

void ol_target_free(ol_target *t) {
    if (t) object_free(&t->base);
}

const char *ol_target_error(const ol_target *t) {
    return object_error(t ? &t->base : NULL);
}

const char *const *ol_target_warnings(const ol_target *t, size_t *count) {
    *count = t ? t->base.diag.n_warnings : 0;
    return t ? t->base.diag.warnings : NULL;
}

const ol_target_info *ol_target_describe(const ol_target *t) {
    return &t->info;
}

static enum status set_precision(ol_target *t, const char *text) {
    struct target *target = t->target;
    enum precision precision;
    if (!precision_parse(text, &precision) || precision == PREC_AS_WRITTEN)
        return diag_fail(&t->base.diag, ST_USAGE, "target %s: precision \"%s\" is not one of fp32, fp16, int8",
                         target->name, text);
    if (target->kind != TARGET_ANALYTIC && precision != target->runtime.precision)
        return diag_fail(&t->base.diag, ST_USAGE,
                         "target %s was measured in one precision, %s; it cannot answer for %s", target->name,
                         precision_name(target->runtime.precision), text);
    if (target->kind == TARGET_ANALYTIC && target->analytic.peak_gflops[precision] <= 0)
        return diag_fail(&t->base.diag, ST_USAGE, "target %s gives no rate for %s", target->name, text);
    target->runtime.precision = precision;
    t->info.precision = precision_name(precision);
    return ST_OK;
}

ol_status ol_target_set_precision(ol_target *t, const char *precision) {
    OBJECT_BEGIN(&t->base);
    return object_end(&t->base, set_precision(t, precision));
}
