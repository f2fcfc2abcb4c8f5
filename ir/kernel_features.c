/* What a kernel contributes to the features of its workload (predictor study, section 1). */
#include "ir.h"

#include <math.h>

#define TILE       32                 /* positions and channels a device pads a product to */
#define FILLED     (INT64_C(1) << 18) /* outputs below which a big device is not filled */
#define MILLION    1e6
#define LARGE_SIDE 5 /* of a depthwise window */

/* While the next kernel is launched a big device moves this much, or multiplies this much of a depthwise convolution:
 * of a network of small kernels the launches are all that is seen. */
#define HIDDEN_BYTES          12e6
#define HIDDEN_DEPTHWISE_MACS 32e6

struct family { /* the features a kernel class counts in; bytes == FT_CONST: none */
    enum feature launches, macs, bytes;
};

static struct family family_of(const struct kernel *k) {
    switch (k->kind) {
    case KC_CONV:
    case KC_CONV_TRANSPOSE:
        return (struct family){FT_N_CONV, FT_MAC_CONV, FT_BYTES_DENSE};
    case KC_POINTWISE:
        return (struct family){FT_N_POINTWISE, FT_MAC_POINTWISE, FT_BYTES_DENSE};
    case KC_GROUPED:
        return (struct family){FT_N_GROUPED, FT_MAC_GROUPED, FT_BYTES_DENSE};
    case KC_DEPTHWISE: {
        bool large = k->kernel_h >= LARGE_SIDE || k->kernel_w >= LARGE_SIDE;
        return (struct family){FT_N_DEPTHWISE, large ? FT_MAC_DEPTHWISE5 : FT_MAC_DEPTHWISE3, FT_BYTES_DEPTHWISE};
    }
    case KC_GEMM:
    case KC_GEMV:
    case KC_MATMUL:
    case KC_ATTENTION:
    case KC_SIGNAL:
        return (struct family){FT_N_PRODUCT, FT_MAC_PRODUCT, FT_BYTES_PRODUCT};
    case KC_RNN:
        return (struct family){FT_N_RECURRENT, FT_MAC_RECURRENT, FT_BYTES_PRODUCT};
    case KC_POOL:
        return (struct family){FT_N_POOL, FT_COUNT, FT_BYTES_POOL};
    case KC_GLOBAL_POOL:
    case KC_REDUCE:
    case KC_NORM:
    case KC_SOFTMAX:
        return (struct family){FT_N_REDUCE, FT_COUNT, FT_BYTES_REDUCE};
    case KC_QUANTIZE:
        return (struct family){FT_N_QUANTIZE, FT_COUNT, FT_BYTES_QUANTIZE};
    case KC_NONE:
    case KC_CONTROL:
        return (struct family){FT_COUNT, FT_COUNT, FT_COUNT};
    default:
        return (struct family){FT_N_ELEMENTWISE, FT_COUNT, FT_BYTES_ELEMENTWISE};
    }
}

static double round_up(double n) {
    return ceil(n / TILE) * TILE;
}

static bool is_dense(enum feature macs) {
    return macs == FT_MAC_CONV || macs == FT_MAC_POINTWISE || macs == FT_MAC_GROUPED || macs == FT_MAC_PRODUCT;
}

/* Positions of all products of a batch; those of convolutions and pools include the batch already. */
static double all_positions(const struct kernel *k) {
    bool batched = k->kind == KC_MATMUL || k->kind == KC_ATTENTION;
    return (double)k->positions * (batched ? (double)k->batch : 1);
}

enum sum_kind kernel_sum(const struct kernel *k) {
    if (k->kind == KC_POOL) return SUM_POOL;
    return family_of(k).macs == FT_COUNT ? SUM_NONE : SUM_PRODUCT;
}

/* Kernels that sum: convolutions, products, pools. */
static void add_sums(const struct kernel *k, enum feature macs, double times, double *x) {
    double reduction = (double)k->reduction, outputs = all_positions(k) * (double)k->c_out;
    if (kernel_sum(k) == SUM_NONE) return;
    x[FT_UTIL18] += times * reduction * fmax(outputs, (double)FILLED) / MILLION;
    double padded = is_dense(macs) ? round_up(all_positions(k)) * round_up((double)k->c_out) : outputs;
    x[FT_PAD32] += times * padded * reduction / MILLION;
    if (macs == FT_COUNT) return;
    x[macs] += times * (double)k->macs / MILLION;
    x[FT_WEIGHT_BYTES] += times * (double)k->weight_bytes / MILLION;
    x[FT_REDUCTION] += times * reduction / 1e3;
    x[FT_SQRT_MAC] += times * sqrt((double)k->macs / MILLION);
    if (k->kind == KC_DEPTHWISE)
        x[FT_MAC_DEPTHWISE_LARGE] += times * fmax((double)k->macs - HIDDEN_DEPTHWISE_MACS, 0) / MILLION;
}

void kernel_features(const struct kernel *k, struct features *features) {
    struct family family = family_of(k);
    double *x = features->x, times = (double)k->count;
    if (family.launches == FT_COUNT) return;
    /* A recurrent layer launches its products once a step; its positions are steps times batch. */
    double launches = k->kind == KC_RNN ? (double)k->positions / fmax((double)k->batch, 1) : 1;
    x[family.launches] += times * launches;
    double bytes = (double)k->in_bytes + (double)k->out_bytes;
    x[family.bytes] += times * bytes / MILLION;
    x[FT_BYTES_LARGE] += times * fmax(bytes - HIDDEN_BYTES, 0) / MILLION;
    add_sums(k, family.macs, times, x);
}

void launch_next(struct launches *l, enum sum_kind kind, struct features *features) {
    if (kind == SUM_NONE) return;
    features->x[FT_LAUNCH_GAP] += log(++l->n - l->last[kind]);
    l->last[kind] = l->n;
}

struct path kernel_path(const struct kernel *k) {
    return (struct path){(double)k->count, (double)k->count * (double)k->macs / MILLION};
}

struct path path_before(const uint32_t *preds, size_t n_preds, const struct path *paths) {
    struct path longest = {0, 0};
    for (size_t i = 0; i < n_preds; i++) {
        const struct path *p = &paths[preds[i]];
        if (p->kernels > longest.kernels) longest.kernels = p->kernels;
        if (p->macs > longest.macs) longest.macs = p->macs;
    }
    return longest;
}

struct path path_through(struct path before, struct path kernel, struct features *features) {
    double *x = features->x;
    struct path path = {before.kernels + kernel.kernels, before.macs + kernel.macs};
    if (path.kernels > x[FT_PATH_KERNELS]) x[FT_PATH_KERNELS] = path.kernels;
    if (path.macs > x[FT_PATH_MACS]) x[FT_PATH_MACS] = path.macs;
    return path;
}
