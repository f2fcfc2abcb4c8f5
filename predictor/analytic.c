/* The roofline (Williams, Waterman and Patterson, CACM 52(4), 2009) with what it leaves out on real devices: launches,
 * the share of the peaks that a kernel class reaches, the work it takes to fill the device, and the last-level cache.
 *
 * A kernel takes its launch plus the longer of its arithmetic and its memory traffic. Activations move at the cache's
 * bandwidth when the kernel's whole working set fits in the cache, since the kernel before has just written them;
 * weights do when those of the whole model stay there from one inference to the next. */
#include "predictor.h"

#include <math.h>

/* Shares of the peaks by kernel class, for targets that do not say: what tuned libraries reach on ordinary layer sizes.
 * docs/targets.md gives the reasons. */
void analytic_defaults(struct analytic *a) {
    static const struct {
        enum kernel_class kind;
        double compute, memory;
    } rows[] = {
        {KC_CONV, 0.5, 0.7},
        {KC_POINTWISE, 0.45, 0.7},
        {KC_GROUPED, 0.2, 0.6},
        {KC_DEPTHWISE, 0.1, 0.6},
        {KC_CONV_TRANSPOSE, 0.35, 0.6},
        {KC_GEMM, 0.5, 0.7},
        {KC_GEMV, 0.2, 0.7},
        {KC_MATMUL, 0.4, 0.7},
        {KC_ATTENTION, 0.4, 0.7},
        {KC_RNN, 0.2, 0.5},
        {KC_POOL, 0.1, 0.6},
        {KC_GLOBAL_POOL, 0.1, 0.6},
        {KC_REDUCE, 0.1, 0.6},
        {KC_NORM, 0.1, 0.5},
        {KC_SOFTMAX, 0.05, 0.5},
        {KC_ACTIVATION, 0.1, 0.7},
        {KC_ELEMENTWISE, 0.1, 0.7},
        {KC_MOVE, 0.1, 0.6},
        {KC_GATHER, 0.05, 0.3},
        {KC_RESIZE, 0.05, 0.5},
        {KC_QUANTIZE, 0.1, 0.7},
        {KC_SORT, 0.01, 0.1},
        {KC_SIGNAL, 0.1, 0.4},
        {KC_CONTROL, 0.1, 0.5},
        {KC_OTHER, 0.05, 0.4},
    };
    *a = (struct analytic){.relative_error = 0.5};
    for (int i = 0; i < KC_COUNT; i++) a->compute_efficiency[i] = a->memory_efficiency[i] = 1;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        a->compute_efficiency[rows[i].kind] = rows[i].compute;
        a->memory_efficiency[rows[i].kind] = rows[i].memory;
    }
}

double analytic_peak(const struct analytic *a, enum precision precision) {
    double highest = 0;
    if (a->peak_gflops[precision] > 0) return a->peak_gflops[precision];
    if (a->peak_gflops[PREC_FP32] > 0) return a->peak_gflops[PREC_FP32];
    for (int p = 0; p < PREC_COUNT; p++) highest = fmax(highest, a->peak_gflops[p]);
    return highest;
}

static enum precision kernel_precision(enum precision wanted, enum dtype dtype) {
    if (wanted != PREC_AS_WRITTEN) return wanted;
    if (dtype == DT_INT8 || dtype == DT_UINT8) return PREC_INT8;
    return dtype == DT_FLOAT16 || dtype == DT_BFLOAT16 ? PREC_FP16 : PREC_FP32;
}

/* A kernel's work is cut into shares of grain_macs, one a core; and constants are packed before they are used. */
static double compute_us(const struct analytic *a, enum precision precision, const struct kernel *k) {
    double peak = 1e3 * analytic_peak(a, kernel_precision(precision, k->dtype)); /* FLOPs a microsecond */
    if (k->dtype == DT_DOUBLE) peak /= 2;                                        /* at best: half as many to a vector */
    double efficiency = a->compute_efficiency[k->kind];
    double busy = (double)k->flops / (peak * efficiency);
    if (a->cores > 1) busy = fmax(busy, fmin((double)k->flops, 2 * a->grain_macs) * a->cores / (peak * efficiency));
    if (k->macs > 0) busy = fmax(busy, 2 * a->parallel_macs / peak);
    return a->weight_gbps > 0 ? busy + (double)k->weight_bytes / (1e3 * a->weight_gbps) : busy;
}

static double memory_us(const struct analytic *a, const struct kernel *k, bool weights_cached) {
    double main = 1e3 * a->bandwidth_gbps, cache = 1e3 * fmax(a->cache_gbps, a->bandwidth_gbps);
    double activations = (double)k->in_bytes + (double)k->out_bytes, weights = (double)k->weight_bytes;
    bool fits = activations + weights <= a->cache_bytes;
    double us = activations / (fits ? cache : main) + weights / (weights_cached ? cache : main);
    return us / a->memory_efficiency[k->kind];
}

struct kernel_roofline analytic_kernel(const struct analytic *a, enum precision precision, const struct kernel *k,
                                       bool weights_cached) {
    double launch_us = a->launch_us + a->class_launch_us[k->kind] + a->channel_us[k->kind] * (double)k->c_out;
    return (struct kernel_roofline){compute_us(a, precision, k), memory_us(a, k, weights_cached), launch_us};
}
