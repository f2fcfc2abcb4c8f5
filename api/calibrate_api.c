/* This machine as a target, for callers of the library. */
#include "calibrate.h"
#include "study.h"

/* Without the runtime: what the compiler's kernels reach here. Both missing, the message names both. */
static enum status without_runtime(ol_study *s, const ol_calibration *spec, struct target **target) {
    struct diag *diag = &s->base.diag, other;
    const char *missing = diag->message;
    diag_init(&other, &s->base.arena);
    if (measure_host_cpu(target, spec->threads, &s->base.arena, &other) != ST_OK) {
        diag_init(diag, &s->base.arena);
        return diag_fail(diag, ST_MISSING, "%s; without it: %s", missing, other.message);
    }
    diag_init(diag, &s->base.arena);
    diag_warn(diag, "%s; the target rests on compiled kernels alone, which is less exact", missing);
    return ST_OK;
}

static enum status calibrate(ol_study *s, const ol_calibration *spec, ol_calibrated *out) {
    struct diag *diag = &s->base.diag;
    struct arena *arena = &s->base.arena;
    struct target *target;
    if (!spec->output) return diag_fail(diag, ST_USAGE, "name the file of the new target");
    if (spec->threads < 0 || spec->threads > (int)cpu_count())
        return diag_fail(diag, ST_USAGE, "%d threads; this machine runs %u at once", spec->threads, cpu_count());
    TRY(file_can_write(spec->output, diag)); /* said before the measuring, not after it */
    struct calibration calibration = {.journal = arena_printf(arena, "%s.measurements", spec->output),
                                      .minutes = spec->minutes,
                                      .threads = spec->threads,
                                      .seed = spec->seed,
                                      .progress = spec->progress,
                                      .user = spec->user};
    enum status status = calibrate_runtime(&calibration, &target, arena, diag);
    if (status == ST_MISSING) status = without_runtime(s, spec, &target);
    TRY(status);
    if (spec->name) target->name = spec->name;
    if (target->calibrated) {
        out->journal = calibration.journal;
        out->networks = target->calibrated->networks;
        out->kernels = target->calibrated->kernels;
        out->error = target->calibrated->error;
    } else
        out->error = target->analytic.relative_error;
    out->source = target->source;
    return target_save(target, spec->output, diag);
}

ol_status ol_calibrate(ol_context *context, const ol_calibration *spec, const ol_calibrated **calibrated,
                       ol_study **out) {
    ol_study *s = *out = object_new(context, sizeof *s);
    *calibrated = NULL;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) return object_out_of_memory(&(*out)->base);
    ol_calibrated *answer = arena_alloc(&s->base.arena, sizeof *answer);
    *answer = (ol_calibrated){.path = spec->output};
    enum status status = calibrate(s, spec, answer);
    if (status == ST_OK) *calibrated = answer;
    return object_end(&s->base, status);
}
