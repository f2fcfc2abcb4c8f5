/* Counting with sizes that may be unknown, symbolic or data-dependent. */
#include "cost_internal.h"

int64_t count_mul(int64_t a, int64_t b) {
    return a < 0 || b < 0 ? -1 : num_mul_sat(a, b);
}

int64_t count_add(int64_t a, int64_t b) {
    return a < 0 || b < 0 ? -1 : num_add_sat(a, b);
}

int64_t count_open_dim(const struct graph *graph, dim d, struct cost *cost) {
    if (dim_is_unknown(d) || !dim_is_data_dependent(graph, d)) return -1;
    int64_t lo, hi;
    dim_bounds(graph, d, &lo, &hi);
    if (hi == INT64_MAX) return -1;
    cost->upper_bound = true;
    return hi < 0 ? 0 : hi;
}

int64_t count_tail(const struct graph *graph, const struct tensor *t, int32_t first, struct cost *cost) {
    if (!t || t->rank == RANK_UNKNOWN) return -1;
    int64_t n = 1;
    for (int32_t i = first; i < t->rank; i++) n = count_mul(n, count_dim(graph, t->dims[i], cost));
    return n;
}

int64_t count_elements(const struct graph *graph, const struct tensor *t, struct cost *cost) {
    return count_tail(graph, t, 0, cost);
}

int64_t count_bytes(const struct graph *graph, const struct tensor *t, struct cost *cost) {
    unsigned bits = dtype_bits(t->dtype);
    if (t->kind != TY_TENSOR || (bits == 0 && t->dtype == DT_STRING)) return 0;
    int64_t n = count_elements(graph, t, cost);
    if (bits == 0 || n < 0) return -1;
    return bits % 8 == 0 ? num_mul_sat(n, bits / 8) : num_ceildiv(num_mul_sat(n, bits), 8);
}

static bool picks_from(const struct node *node, uint32_t i) {
    switch (node->op) {
    case OP_Gather:
    case OP_GatherElements:
    case OP_GatherND:
    case OP_MsGatherND:
    case OP_MsGatherBlockQuantized:
    case OP_Slice:
        return i == 0;
    case OP_MsEmbedLayerNormalization: /* the word, position and segment tables */
        return i >= 2 && i <= 4;
    default:
        return false;
    }
}

int64_t count_read(const struct graph *graph, const struct node *node, uint32_t i, struct cost *cost) {
    int64_t all = count_bytes(graph, &graph->tensors[node->inputs[i]], cost);
    if (!picks_from(node, i) || !node_result(graph, node, 0)) return all;
    int64_t picked = count_bytes(graph, node_result(graph, node, 0), cost);
    return all >= 0 && all < picked ? all : picked;
}

int64_t count_log2(int64_t n) {
    int64_t bits = 1;
    while (bits < 62 && (int64_t)1 << bits < n) bits++;
    return bits;
}

const struct tensor *node_result(const struct graph *graph, const struct node *node, uint32_t output) {
    uint32_t id = node_out(node, output);
    return id == NONE ? NULL : &graph->tensors[id];
}

int64_t count_in(const struct graph *graph, const struct node *node, uint32_t input, struct cost *cost) {
    return count_elements(graph, node_tensor(graph, node, input), cost);
}

int64_t count_out(const struct graph *graph, const struct node *node, uint32_t output, struct cost *cost) {
    return count_elements(graph, node_result(graph, node, output), cost);
}
