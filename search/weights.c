/* What pruning is about: the weights of convolutions, matrix products and recurrent cells. */
#include "rewrite.h"

#include <math.h>

bool does_macs(const struct node *node) {
    enum kernel_class kind = op_table[node->op].kernel;
    return kind == KC_CONV || kind == KC_CONV_TRANSPOSE || kind == KC_GEMM || kind == KC_RNN;
}

static bool is_dequantizer(const struct node *node) {
    return node->op == OP_DequantizeLinear && !node->dead && node->body == 0 && node_in(node, 0) != NONE;
}

uint32_t weight_behind(const struct graph *g, const struct node *node, uint32_t tensor) {
    if (tensor == NONE || !does_macs(node)) return NONE;
    uint32_t producer = g->tensors[tensor].producer;
    if (producer != NONE && is_dequantizer(&g->nodes[producer])) tensor = g->nodes[producer].inputs[0];
    return g->tensors[tensor].flags & TF_INITIALIZER && g->tensors[tensor].rank >= 2 ? tensor : NONE;
}

const uint32_t *weight_dequantizers(const struct graph *g, struct arena *arena) {
    uint32_t *by = arena_array(arena, g->n_tensors + 1, sizeof *by);
    for (size_t t = 0; t < g->n_tensors; t++) by[t] = NONE;
    for (uint32_t n = 0; n < g->n_nodes; n++)
        if (is_dequantizer(&g->nodes[n])) by[g->nodes[n].inputs[0]] = n;
    return by;
}

/* A scale or zero point; NULL where it is not known beforehand. */
static const struct tensor *known_operand(const struct graph *g, const struct node *node, uint32_t i) {
    uint32_t t = node_in(node, i);
    return t != NONE && g->tensors[t].flags & TF_INITIALIZER && tensor_has_numbers(&g->tensors[t]) ? &g->tensors[t]
                                                                                                   : NULL;
}

/* Scales of blocks are taken for equal. */
static void see_scales(const struct graph *g, const struct node *node, struct weight *w) {
    int64_t axis = node_int(node, "axis", 1);
    if (axis < 0) axis += w->stored->rank;
    w->scale = known_operand(g, node, 1);
    w->zero = known_operand(g, node, 2);
    if (axis < 0 || (w->scale && w->scale->rank > 1)) w->scale = NULL;
    if (w->scale) w->n_scales = weight_count(w->scale);
    if (w->zero && weight_count(w->zero) != w->n_scales) w->zero = NULL;
    for (int64_t i = axis + 1; axis >= 0 && i < w->stored->rank; i++) w->each *= w->stored->dims[i].value;
}

struct weight weight_open(const struct graph *g, uint32_t id, const uint32_t *dequantizers) {
    struct weight w = {.stored = &g->tensors[id], .each = 1, .n_scales = 1};
    if (dequantizers[id] != NONE) see_scales(g, &g->nodes[dequantizers[id]], &w);
    bool is_number = dtype_is_float(w.stored->dtype) || dequantizers[id] != NONE;
    w.is_known = is_number && tensor_has_numbers(w.stored);
    return w;
}

int64_t weight_count(const struct tensor *t) {
    int64_t n = 1;
    for (int32_t axis = 0; axis < t->rank; axis++)
        n = num_mul_sat(n, t->dims[axis].value > 0 ? t->dims[axis].value : 0);
    return n;
}

double weight_size(const struct weight *w, int64_t i) {
    double value = tensor_number(w->stored, i);
    int64_t at = w->n_scales > 1 ? i / w->each % w->n_scales : 0; /* of its scale */
    if (w->zero) value -= tensor_number(w->zero, at);
    if (w->scale) value *= tensor_number(w->scale, at);
    return isfinite(value) ? fabs(value) : 0; /* what is no number weighs nothing */
}
