/* A model's latency on a target, by the target's kind. The kernels' times always sum to the total. */
#include "adapt.h"
#include "calibrated.h"
#include "predictor.h"

#include <math.h>

#define CONFIDENCE 0.9

/* ---- Analytic targets ---- */

static enum bound bound_of(struct kernel_roofline r) {
    if (r.launch_us > fmax(r.compute_us, r.memory_us)) return BOUND_OVERHEAD;
    return r.compute_us >= r.memory_us ? BOUND_COMPUTE : BOUND_MEMORY;
}

/* Do the weights of all kernels stay in the last-level cache while the largest kernel's activations pass through it? */
static bool weights_stay(const struct workload *w, double cache_bytes) {
    double largest = 0;
    for (size_t i = 0; i < w->n_kernels; i++)
        largest = fmax(largest, (double)w->kernels[i].in_bytes + (double)w->kernels[i].out_bytes);
    return (double)w->weight_bytes + largest <= cache_bytes;
}

/* What an inference costs whatever the model is shared equally by its kernels, so that the breakdown is complete. */
static void analytic_kernels(const struct target *t, const struct workload *w, struct estimate *e) {
    const struct analytic *a = &t->analytic;
    bool cached = weights_stay(w, a->cache_bytes);
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

/* ---- Measured and adapted targets ---- */

static double contribution(const struct kernel *k, const double weight[FT_COUNT]) {
    struct features f = {{0}};
    double ms = 0;
    kernel_features(k, &f);
    for (int i = 0; i < FT_COUNT; i++) ms += weight[i] * f.x[i];
    return fmax(ms, 0);
}

/* What a kernel's features weigh, by the kind of feature: that says what its time goes to. */
static enum bound linear_bound(const struct kernel *k, const double weight[FT_COUNT]) {
    struct kernel idle = *k;
    idle.macs = idle.flops = idle.reduction = 0;
    double all = contribution(k, weight), without_work = contribution(&idle, weight);
    idle.in_bytes = idle.out_bytes = idle.weight_bytes = 0;
    double launch = contribution(&idle, weight), memory = without_work - launch, compute = all - without_work;
    if (launch > fmax(compute, memory)) return BOUND_OVERHEAD;
    return compute >= memory ? BOUND_COMPUTE : BOUND_MEMORY;
}

/* The weights price whole models: what they say of single kernels is scaled to the total, which also holds the constant
 * and the critical path. */
static void linear_kernels(const struct workload *w, const double weight[FT_COUNT], struct estimate *e) {
    double sum = 0;
    for (size_t i = 0; i < w->n_kernels; i++) {
        e->kernels[i].ms = contribution(&w->kernels[i], weight);
        e->kernels[i].bound = linear_bound(&w->kernels[i], weight);
        sum += e->kernels[i].ms;
    }
    for (size_t i = 0; i < w->n_kernels; i++)
        e->kernels[i].ms = sum > 0 ? e->kernels[i].ms * (e->ms / sum) : e->ms / (double)w->n_kernels;
}

static void predict_linear(const struct target *t, const struct model_input *input, struct estimate *e) {
    struct linear_estimate total = linear_predict(t->linear, input->features);
    double weight[FT_COUNT];
    linear_weights(t->linear, weight);
    e->ms = total.ms;
    e->lo_ms = total.lo_ms;
    e->hi_ms = total.hi_ms;
    e->extrapolated = total.extrapolated;
    linear_kernels(input->workload, weight, e);
}

static double coverage(const struct workload *w) {
    return w->graph_nodes > 0 ? 1 - (double)w->n_uncovered / (double)w->graph_nodes : 1;
}

enum status predict(const struct target *t, const struct model_input *input, struct arena *arena, struct estimate *e,
                    struct diag *diag) {
    const struct workload *w = input->workload;
    *e = (struct estimate){.confidence = CONFIDENCE, .coverage = coverage(w), .n_kernels = w->n_kernels};
    e->kernels = arena_array(arena, w->n_kernels, sizeof *e->kernels);
    if (t->linear)
        predict_linear(t, input, e);
    else if (t->calibrated)
        predict_calibrated(t, w, e);
    else
        predict_analytic(t, w, e);
    if (!isfinite(e->ms) || e->ms < 0)
        return diag_fail(diag, ST_TARGET, "%s: target %s gives no finite latency", w->model, t->name);
    return ST_OK;
}
