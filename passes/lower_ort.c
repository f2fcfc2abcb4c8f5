/* The ONNX Runtime lowering: the graph is rewritten as the runtime's optimiser would (ort_*.c), then every node left is
 * a kernel, views too: the runtime launches those as well, if only to hand on a pointer. Bodies of control nodes are
 * not rewritten; their kernels follow the node's own, as many times as the cost pass says that they run.
 *
 * Where data decide what runs, this is done for what can be expected, for the least and for the most. */
#include "lower_internal.h"
#include "ort_graph.h"

struct ort_lowering {
    struct lowering l;
    struct ort_graph o;
    struct cost *costs; /* of the rewritten graph */
};

static bool is_kernel(const struct node *node) {
    return node->op != OP_UNKNOWN && node->op != OP_Constant && !(op_table[node->op].flags & F_HOST);
}

static enum status cost_rewritten(struct run *run, struct graph *g, struct cost **costs) {
    struct run sub = {.graph = g, .scratch = run->scratch, .diag = run->diag, .facts = P_BOUND | P_TOPO | P_SHAPES};
    TRY(passes_run(&sub, 1u << PASS_cost));
    *costs = sub.costs;
    return ST_OK;
}

static void open_kernel(struct ort_lowering *x, uint32_t id) {
    struct lowering *l = &x->l;
    const struct node *node = &l->graph->nodes[id];
    uint32_t kernel = lowering_open(l, id, &x->costs[id]);
    struct kernel *k = &l->workload->kernels[kernel];
    k->has_activation = k->has_activation || node_int(node, "activated", 0) != 0;
    k->second_pass = node_int(node, "second_pass", 0) != 0;
    k->has_residual = node_int(node, "summed", 0) != 0;
    ort_facts(&x->o, id, k);
    for (const struct cover *c = x->o.covers[id]; c; c = c->next)
        if (c->node < l->run->graph->n_nodes) lowering_cover(l, kernel, c->node);
}

static void lower_body(void *lowering, uint32_t body) {
    struct ort_lowering *x = lowering;
    const struct body *b = &x->o.g->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        uint32_t id = b->nodes[i];
        const struct node *node = &x->o.g->nodes[id];
        if (node->dead || (body && x->costs[id].runs == 0)) continue;
        if (is_kernel(node))
            open_kernel(x, id);
        else
            lowering_skip(&x->l, id);
        if (op_table[node->op].flags & F_CONTROL) lowering_bodies(&x->l, id, lower_body, x);
    }
}

static enum status lower_case(struct run *run, enum data_case at) {
    struct ort_lowering x;
    ort_start(&x.o, run->graph, run->scratch, run->runtime ? run->runtime->block : 0);
    dim_settle(x.o.g, at);
    ort_clean(&x.o);
    ort_fuse(&x.o);
    ort_layout(&x.o);
    TRY(cost_rewritten(run, x.o.g, &x.costs));
    lowering_start(&x.l, run, x.o.g);
    lower_body(&x, 0);
    lowering_finish(&x.l);
    return ST_OK;
}

enum status lower_ort(struct run *run) {
    TRY(lower_case(run, DATA_EXPECTED));
    struct workload *expected = run->workload;
    if (!expected->data_dependent_nodes) return ST_OK;
    TRY(lower_case(run, DATA_LEAST));
    expected->least = run->workload;
    TRY(lower_case(run, DATA_MOST));
    expected->most = run->workload;
    run->workload = expected;
    return ST_OK;
}
