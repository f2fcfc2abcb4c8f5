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

void cost_dft(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *x = node_tensor(graph, node, 0), *y = node_result(graph, node, 0);
    bool rfft = node->op == OP_MsRfft;
    const struct tensor *longer = rfft || node->op == OP_DFT ? x : y; /* Irfft: the real side */
    if (!longer || longer->rank < 1) {
        cost->flops = -1;
        return;
    }
    int32_t axis = longer->rank - 1;
    if (node->op == OP_DFT) {
        int64_t given = node_int(node, "axis", graph_opset(graph, "") < 20 ? 1 : longer->rank - 2);
        axis = given >= 0 && given < longer->rank ? (int32_t)given : longer->rank - 2;
    }
    int64_t n = axis < 0 ? -1 : count_dim(graph, longer->dims[axis], cost);
    int64_t all = count_elements(graph, longer, cost);
    if (node->op == OP_DFT && all > 0) /* real or complex: one transform for each line either way */
        all /= count_dim(graph, longer->dims[longer->rank - 1], cost);
    cost->flops = n > 0 && all >= 0 ? count_mul(all / n, transform(n)) : -1;
}

void cost_stft(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *y = node_result(graph, node, 0), *window = node_tensor(graph, node, 2);
    int64_t frame = window ? count_elements(graph, window, cost) : -1;
    if (!y || y->rank != 4) {
        cost->flops = -1;
        return;
    }
    int64_t bins = count_dim(graph, y->dims[2], cost);
    if (frame < 0 && bins >= 0) frame = node_int(node, "onesided", 1) ? num_mul_sat(bins - 1, 2) : bins;
    int64_t frames = count_mul(count_dim(graph, y->dims[0], cost), count_dim(graph, y->dims[1], cost));
    cost->flops = frame < 0 ? -1 : count_mul(frames, count_add(frame, transform(frame)));
}

/* Two products and a sum for each element. */
void cost_rotary(struct graph *graph, const struct node *node, struct cost *cost) {
    cost->flops = count_mul(count_in(graph, node, 0, cost), 3);
}
