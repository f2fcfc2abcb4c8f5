/* A model's latency on a target, by the target's kind. The kernels' times always sum to the total. */
#include "adapt.h"
#include "predictor.h"

#include <math.h>

#define CONFIDENCE 0.9
#define Z90        1.6448536269514722 /* 95 % quantile of the normal distribution: 5 % on either side */

static enum bound bound_of(struct kernel_roofline r) {
    if (r.launch_us > fmax(r.compute_us, r.memory_us)) return BOUND_OVERHEAD;
    return r.compute_us >= r.memory_us ? BOUND_COMPUTE : BOUND_MEMORY;
}

/* What an inference costs whatever the model is shared equally by its kernels, so that the breakdown is complete. */
static void analytic_kernels(const struct target *t, const struct workload *w, struct estimate *e) {
    const struct analytic *a = &t->analytic;
    bool cached = (double)w->weight_bytes + (double)w->peak_memory_bytes <= a->cache_bytes;
    double share_us = a->run_us / (double)w->n_kernels;
    for (size_t i = 0; i < w->n_kernels; i++) {
        const struct kernel *k = &w->kernels[i];
        struct kernel_roofline r = analytic_kernel(a, t->runtime.precision, k, cached);
        double us = r.launch_us + fmax(r.compute_us, r.memory_us);
        e->kernels[i] = (struct kernel_estimate){(us * (double)k->count + share_us) * 1e-3, bound_of(r)};
        e->ms += e->kernels[i].ms;
    }
}

/* Latencies err by factors, so the interval is symmetric in the logarithm. */
static void predict_analytic(const struct target *t, const struct workload *w, struct estimate *e) {
    double factor = exp(Z90 * t->analytic.relative_error);
    analytic_kernels(t, w, e);
    if (!w->n_kernels) e->ms = t->analytic.run_us * 1e-3;
    e->lo_ms = e->ms / factor;
    e->hi_ms = e->ms * factor;
}

static double coverage(const struct workload *w) {
    return w->graph_nodes > 0 ? (double)w->covered_nodes / (double)w->graph_nodes : 1;
}

enum status predict(const struct target *t, const struct model_input *input, struct arena *arena, struct estimate *e,
                    struct diag *diag) {
    const struct workload *w = input->workload;
    *e = (struct estimate){.confidence = CONFIDENCE, .coverage = coverage(w), .n_kernels = w->n_kernels};
    e->kernels = arena_array(arena, w->n_kernels, sizeof *e->kernels);
    predict_analytic(t, w, e);
    if (!isfinite(e->ms) || e->ms < 0)
        return diag_fail(diag, ST_TARGET, "%s: target %s gives no finite latency", w->model, t->name);
    return ST_OK;
}
