/* FLOPs and bytes of everything that is not a product. */
#include "cost_internal.h"

#include <string.h>

void cost_none(struct graph *graph, const struct node *node, struct cost *cost) {
    (void)graph, (void)node, (void)cost;
}

/* Copies: traffic alone. */
void cost_bytes(struct graph *graph, const struct node *node, struct cost *cost) {
    (void)graph, (void)node, (void)cost;
}

/* A lookup is a copy of what it picks: count_read knows. */
void cost_gather(struct graph *graph, const struct node *node, struct cost *cost) {
    cost_bytes(graph, node, cost);
}

/* An elimination over every matrix takes its side times its elements. */
static int64_t elimination(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *x = node_tensor(graph, node, 0);
    if (!x || x->rank < 1) return -1;
    return count_mul(count_elements(graph, x, cost), count_dim(graph, x->dims[x->rank - 1], cost));
}

static int64_t all_outputs(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t n = 0;
    for (uint32_t o = 0; o < node->n_outputs; o++) n = count_add(n, count_out(graph, node, o, cost));
    return n;
}

void cost_elementwise(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t each = 1;
    switch (node->op) {
    case OP_Det:
    case OP_MsInverse:
        cost->flops = elimination(graph, node, cost);
        return;
    case OP_TrainingAdagrad:
    case OP_TrainingAdam:
    case OP_TrainingMomentum:
        cost->flops = all_outputs(graph, node, cost);
        return;
    case OP_Sum:
    case OP_Max:
    case OP_Min:
        each = node->n_inputs > 1 ? node->n_inputs - 1 : 1;
        break;
    case OP_Mean:
        each = node->n_inputs;
        break;
    case OP_MsBiasGelu:
    case OP_MsBiasAdd:
        each = 2;
        break;
    default:
        break;
    }
    cost->flops = count_mul(each, count_out(graph, node, 0, cost));
}

/* By default as many as the region needs, for which two stand. */
int64_t region_ratio(const struct node *node) {
    int64_t ratio = node_int(node, "sampling_ratio", 0);
    return ratio < 1 ? 2 : ratio;
}

/* RoiAlign samples each bin in sampling_ratio^2 points of four neighbours. Regions of MaxRoiPool are taken as large as
 * the image. */
static int64_t region_flops(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t ratio = region_ratio(node);
    if (node->op == OP_RoiAlign)
        return count_mul(count_out(graph, node, 0, cost), num_mul_sat(4, num_mul_sat(ratio, ratio)));
    const struct tensor *rois = node_tensor(graph, node, 1);
    int64_t regions = rois && rois->rank == 2 ? count_dim(graph, rois->dims[0], cost) : -1;
    return count_mul(regions, count_tail(graph, node_tensor(graph, node, 0), 1, cost));
}

void cost_pool(struct graph *graph, const struct node *node, struct cost *cost) {
    size_t n;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n);
    if (node->op == OP_RoiAlign || node->op == OP_MaxRoiPool) {
        cost->flops = region_flops(graph, node, cost);
        return;
    }
    if (node->op == OP_MaxUnpool) {
        cost->flops = count_in(graph, node, 0, cost);
        return;
    }
    cost->flops = count_out(graph, node, 0, cost);
    for (size_t i = 0; i < n; i++) cost->flops = count_mul(cost->flops, kernel[i]);
}

void cost_reduce(struct graph *graph, const struct node *node, struct cost *cost) {
    cost->flops = count_in(graph, node, 0, cost);
}

static int64_t norm_operations(const struct node *node) {
    switch (node->op) {
    case OP_BatchNormalization:
        return 2;
    case OP_LpNormalization:
        return 3;
    case OP_RMSNormalization:
    case OP_SimplifiedLayerNormalization:
    case OP_MsSimplifiedLayerNormalization:
        return 4;
    case OP_MsSkipSimplifiedLayerNormalization:
        return 5;
    case OP_MeanVarianceNormalization:
        return 6;
    case OP_MsSkipLayerNormalization:
    case OP_MsSkipGroupNorm:
        return 8;
    case OP_MsEmbedLayerNormalization:
        return 9;
    case OP_LRN:
        return num_add_sat(node_int(node, "size", 1), 3);
    default:
        return 7;
    }
}

void cost_norm(struct graph *graph, const struct node *node, struct cost *cost) {
    cost->flops = count_mul(count_out(graph, node, 0, cost), norm_operations(node));
}

void cost_softmax(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t each = node->op == OP_MsBiasSoftmax ? 6 : 5;
    cost->flops = count_mul(count_in(graph, node, 0, cost), each);
}

/* Taps of the interpolation: 1, 2 or 4 along every axis that changes. */
void cost_resize(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *x = node_tensor(graph, node, 0), *y = node_result(graph, node, 0);
    const char *mode =
        node_string(node, "mode", node->op == OP_GridSample || node->op == OP_MsGridSample ? "linear" : "nearest");
    bool linear = strstr(mode, "linear") != NULL, cubic = strstr(mode, "cubic") != NULL;
    int64_t taps = 1;
    if ((!linear && !cubic) || !x || !y || x->rank != y->rank) {
        cost->flops = 0;
        return;
    }
    for (int32_t i = 0; i < y->rank; i++)
        if (!dim_same(x->dims[i], y->dims[i])) taps = num_mul_sat(taps, cubic ? 4 : 2);
    cost->flops = count_mul(count_elements(graph, y, cost), taps);
}

static int64_t constant_of(const struct graph *graph, const struct node *node, uint32_t input, int64_t otherwise) {
    const struct tensor *t = node_tensor(graph, node, input);
    const struct value *v = t ? t->value : NULL;
    return v && !v->is_float && v->n == 1 && dim_is_number(v->at[0].d) ? v->at[0].d.value : otherwise;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Boxes are taken by score until enough are kept, each compared with those kept before it until one suppresses it: half
 * of them on average. Most are compared when the last box completes what may be kept, fewest when the first stands for
 * all others. Expected is one box kept in five: detectors have three to nine anchors at a place, one of which stays. */
static int64_t count_pairs(const struct suppression *s, enum data_case at) {
    enum { ANCHORS = 5 };
    int64_t all_kept = num_mul_sat(s->most, s->most) / 2, looked_at = smaller(s->boxes, num_mul_sat(s->most, ANCHORS));
    if (s->nothing) return all_kept;
    if (at == DATA_LEAST) return smaller(s->boxes, all_kept);
    if (at == DATA_MOST) return num_mul_sat(s->boxes, s->most) / 2;
    return num_mul_sat(looked_at, num_ceildiv(looked_at, ANCHORS)) / 2;
}

bool suppression_read(struct graph *graph, const struct node *node, struct suppression *s, struct cost *cost) {
    const struct tensor *scores = node_tensor(graph, node, 1);
    if (!scores || scores->rank != 3) return false;
    s->boxes = count_dim(graph, scores->dims[2], cost);
    s->lists = count_mul(count_dim(graph, scores->dims[0], cost), count_dim(graph, scores->dims[1], cost));
    if (s->boxes < 0 || s->lists < 0) return false;
    s->nothing = suppresses_nothing(graph, node);
    s->most = constant_of(graph, node, 2, node_in(node, 2) == NONE ? 0 : s->boxes);
    if (s->most < 0 || s->most > s->boxes) s->most = s->boxes;
    s->pairs = count_pairs(s, graph->data_case);
    return true;
}

static void cost_suppression(struct graph *graph, const struct node *node, struct cost *cost) {
    struct suppression s;
    cost->flops = -1;
    if (suppression_read(graph, node, &s, cost))
        cost->flops = num_mul_sat(s.lists, num_add_sat(num_mul_sat(s.boxes, count_log2(s.boxes)), s.pairs));
}

/* n log n comparisons for n elements along the sorted axis; for boxes also those with each other. */
void cost_sort(struct graph *graph, const struct node *node, struct cost *cost) {
    if (node->op == OP_NonMaxSuppression) {
        cost_suppression(graph, node, cost);
        return;
    }
    const struct tensor *x = node_tensor(graph, node, 0);
    int64_t n = count_elements(graph, x, cost), along = n;
    if (n < 0 || x->rank < 1) {
        cost->flops = n;
        return;
    }
    int64_t axis = node_int(node, "axis", -1);
    if (axis < 0) axis += x->rank;
    bool whole = node->op != OP_TopK && !node_attr(node, "axis");
    if (!whole && axis >= 0 && axis < x->rank) along = count_dim(graph, x->dims[axis], cost);
    cost->flops = count_mul(n, count_log2(along));
}

/* 5 n log2 n for a transform of n points (Cooley and Tukey, 1965), whatever algorithm runs. */
static int64_t transform(int64_t n) {
    return count_mul(count_mul(n, 5), count_log2(n));
}

/* What an input says, once for all; -1: not known. */
static int64_t count_scalar(const struct graph *graph, const struct node *node, uint32_t input, struct cost *cost) {
    const struct value *v = node_tensor(graph, node, input)->value;
    return v && !v->is_float && v->n == 1 ? count_dim(graph, v->at[0].d, cost) : -1;
}

/* -1: not known. An attribute counted from 0 in opset 17 (default 1), an input from 20 on (default -2). */
static int64_t dft_axis(const struct graph *graph, const struct node *node, int32_t rank) {
    int64_t axis = rank - 2;
    if (graph_opset(graph, "") < 20) {
        axis = node_int(node, "axis", 1);
    } else if (node_tensor(graph, node, 2)) {
        const struct value *v = node_tensor(graph, node, 2)->value;
        if (!v || v->is_float || v->n != 1 || !dim_is_number(v->at[0].d)) return -1;
        axis = v->at[0].d.value;
    }
    if (axis < 0) axis += rank;
    return axis < rank ? axis : -1;
}

/* Of every line of x along an axis; its last axis holds real and imaginary parts, one transform either way. */
static int64_t transform_lines(struct graph *graph, const struct tensor *x, int64_t axis, int64_t n,
                               struct cost *cost) {
    int64_t flops = n < 0 ? -1 : transform(n);
    for (int32_t i = 0; i + 1 < x->rank; i++)
        if (i != axis) flops = count_mul(flops, count_dim(graph, x->dims[i], cost));
    return flops;
}

void cost_dft(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *x = node_tensor(graph, node, 0), *y = node_result(graph, node, 0);
    cost->flops = -1;
    if (!x || !y || x->rank < 2 || y->rank < 2) return;
    int64_t axis = dft_axis(graph, node, x->rank);
    if (axis < 0) return;
    bool real_out = node_int(node, "onesided", 0) && node_int(node, "inverse", 0);
    int64_t n = node_tensor(graph, node, 1) ? count_scalar(graph, node, 1, cost)
                                            : count_dim(graph, (real_out ? y : x)->dims[axis], cost);
    cost->flops = transform_lines(graph, x, axis, n, cost);
}

/* Rfft and Irfft of com.microsoft: along the last axis of the real side. */
void cost_real_fft(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *real = node->op == OP_MsRfft ? node_tensor(graph, node, 0) : node_result(graph, node, 0);
    cost->flops = -1;
    if (!real || real->rank < 1) return;
    cost->flops = transform_lines(graph, real, NONE, count_dim(graph, real->dims[real->rank - 1], cost), cost);
}

void cost_stft(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *y = node_result(graph, node, 0), *window = node_tensor(graph, node, 2);
    cost->flops = -1;
    if (!y || y->rank != 4) return;
    int64_t frame = -1;
    if (node_tensor(graph, node, 3))
        frame = count_scalar(graph, node, 3, cost);
    else if (window)
        frame = count_elements(graph, window, cost);
    int64_t frames = count_mul(count_dim(graph, y->dims[0], cost), count_dim(graph, y->dims[1], cost));
    if (frame >= 0) cost->flops = count_mul(frames, count_add(window ? frame : 0, transform(frame)));
}

/* Two products and a sum for each element. */
void cost_rotary(struct graph *graph, const struct node *node, struct cost *cost) {
    cost->flops = count_mul(count_in(graph, node, 0, cost), 3);
}
