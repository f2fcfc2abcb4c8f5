/* MACs of convolutions, matrix products, attention and recurrent networks. */
#include "cost_internal.h"

static void set_macs(struct cost *cost, int64_t macs, int64_t other_flops) {
    cost->macs = macs;
    cost->flops = count_add(count_mul(macs, 2), other_flops);
}

static int64_t dim_of(const struct graph *graph, const struct tensor *t, int32_t axis, struct cost *cost) {
    if (!t || t->rank == RANK_UNKNOWN) return -1;
    if (axis < 0) axis += t->rank;
    return axis < 0 || axis >= t->rank ? -1 : count_dim(graph, t->dims[axis], cost);
}

/* Each output element sums over one filter; a fused activation and residual are one operation each. */
void cost_conv(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *weight = node_tensor(graph, node, node_operands(node).weight);
    int64_t out = count_out(graph, node, 0, cost);
    int64_t extras = node_attr(node, "activation") ? 1 : 0;
    bool residual = node->op == OP_MsFusedConv || node->op == OP_MsNhwcFusedConv || node->op == OP_NchwcConv;
    if (residual && node_in(node, 3) != NONE) extras++;
    set_macs(cost, count_mul(out, count_tail(graph, weight, 1, cost)), count_mul(out, extras));
}

/* Each input element is spread over one filter. */
void cost_conv_transpose(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t in = count_in(graph, node, 0, cost);
    set_macs(cost, count_mul(in, count_tail(graph, node_tensor(graph, node, 1), 1, cost)), 0);
}

void cost_gemm(struct graph *graph, const struct node *node, struct cost *cost) {
    int64_t k = dim_of(graph, node_tensor(graph, node, 0), node_int(node, "transA", 0) ? 0 : 1, cost);
    int64_t out = count_out(graph, node, 0, cost);
    set_macs(cost, count_mul(out, k), node_attr(node, "activation") ? out : 0);
}

void cost_matmul(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *a = node_tensor(graph, node, 0);
    bool moved = a && a->rank > 2 && node_int(node, "transBatchA", 0);
    bool transposed = a && a->rank > 1 && node_int(node, "transA", 0);
    int64_t k = dim_of(graph, a, !transposed ? -1 : moved ? 0 : -2, cost);
    set_macs(cost, count_mul(count_out(graph, node, 0, cost), k), 0);
}

void cost_matmul_nbits(struct graph *graph, const struct node *node, struct cost *cost) {
    set_macs(cost, count_mul(count_out(graph, node, 0, cost), node_int(node, "K", 0)), 0);
}

/* Every combination of labels is one MAC for each operand after the first; runtimes that contract in a better order do
 * with less for three operands and more. One operand is a plain sum. */
void cost_einsum(struct graph *graph, const struct node *node, struct cost *cost) {
    struct einsum e;
    struct why why;
    int64_t sizes[EINSUM_LABELS], points = 1;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct tensor *x = node_tensor(graph, node, i);
        if (!x || x->rank == RANK_UNKNOWN) points = -1;
    }
    if (points < 0 || !einsum_read(graph, node, &e, &why)) {
        set_macs(cost, -1, 0);
        return;
    }
    for (int label = 0; label < EINSUM_LABELS; label++) sizes[label] = 1;
    for (uint32_t i = 0; i < e.n_inputs; i++)
        for (int32_t k = 0; k < e.in[i].n; k++) {
            int64_t n = dim_of(graph, node_tensor(graph, node, i), k, cost), *size = &sizes[e.in[i].label[k]];
            *size = n < 0 || *size < 0 ? -1 : n == 1 ? *size : n; /* an axis of 1 broadcasts */
        }
    for (int label = 0; label < EINSUM_LABELS; label++) points = count_mul(points, sizes[label]);
    bool sums = e.n_inputs == 1 && points != count_out(graph, node, 0, cost);
    set_macs(cost, count_mul(points, e.n_inputs - 1), sums ? points : 0);
}

/* Both products of all scores, masked or not, softmax at 5 a score, and the fused projection. */
void cost_attention(struct graph *graph, const struct node *node, struct cost *cost) {
    struct attention a;
    attention_read(graph, node, &a);
    dim scores = dim_mul(graph, dim_mul(graph, a.batch, a.q_heads), dim_mul(graph, a.q_len, a.total_len));
    int64_t n_scores = count_dim(graph, scores, cost);
    int64_t macs = count_mul(n_scores, count_dim(graph, dim_add(graph, a.head, a.v_head), cost));
    if (!dim_is(a.hidden, 0)) {
        const struct tensor *x = node_tensor(graph, node, 0);
        int64_t columns = dim_of(graph, node_tensor(graph, node, 1), 1, cost);
        macs = count_add(macs, count_mul(count_elements(graph, x, cost), columns));
    }
    set_macs(cost, macs, count_mul(n_scores, 5));
}

struct cell { /* a recurrent cell: gates, and elementwise operations a hidden unit, from the operator's equations */
    int64_t gates, operations;
};

static struct cell cell_of(const struct node *node) {
    switch (node->op) {
    case OP_RNN:
        return (struct cell){.gates = 1, .operations = 2};
    case OP_GRU:
        return (struct cell){.gates = 3, .operations = 11};
    default:
        return (struct cell){.gates = 4, .operations = 13};
    }
}

void cost_rnn(struct graph *graph, const struct node *node, struct cost *cost) {
    const struct tensor *x = node_tensor(graph, node, 0), *r = node_tensor(graph, node, 2);
    struct cell cell = cell_of(node);
    int64_t steps = count_mul(dim_of(graph, x, 0, cost), dim_of(graph, x, 1, cost));
    int64_t input = dim_of(graph, x, 2, cost), dirs = dim_of(graph, r, 0, cost);
    int64_t hidden = dim_of(graph, r, node->op == OP_MsDynamicQuantizeLSTM ? 1 : 2, cost);
    int64_t units = count_mul(count_mul(steps, dirs), hidden);
    int64_t macs = count_mul(count_mul(units, cell.gates), count_add(input, hidden));
    set_macs(cost, macs, count_mul(units, cell.operations));
}

/* MoE: every token passes through its k experts: two products (three with a gate), each rows * weights of one expert.
 */
void cost_moe(struct graph *graph, const struct node *node, struct cost *cost) {
    bool quantised = node->op == OP_MsQMoE;
    const uint32_t plain[] = {2, 4, 6}, packed[] = {2, 5, 8};
    const struct tensor *x = node_tensor(graph, node, 0);
    int64_t hidden = dim_of(graph, x, -1, cost), elements = count_elements(graph, x, cost), weights = 0;
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        const struct tensor *w = node_tensor(graph, node, quantised ? packed[i] : plain[i]);
        if (!w) continue;
        int64_t of_expert = count_tail(graph, w, 1, cost);
        if (quantised && node_int(node, "expert_weight_bits", 4) == 4) of_expert = count_mul(of_expert, 2);
        weights = count_add(weights, of_expert);
    }
    int64_t tokens = hidden > 0 ? elements / hidden : hidden;
    set_macs(cost, count_mul(count_mul(tokens, node_int(node, "k", 1)), weights), 0);
}
