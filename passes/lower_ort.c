/* The ONNX Runtime lowering: the graph is rewritten as the runtime's optimiser would (ort_*.c), then every node left is
 * a kernel, views too: the runtime launches those as well, if only to hand on a pointer. */
#include "lower_internal.h"
#include "ort_graph.h"

/* Subgraphs are not rewritten; their work is counted at the node that owns them. */
static bool is_kernel(const struct graph *g, uint32_t id) {
    const struct node *node = &g->nodes[id];
    return !node->dead && node->op != OP_UNKNOWN && !(op_table[node->op].flags & F_HOST);
}

static enum status cost_rewritten(struct run *run, struct graph *g, struct cost **costs) {
    struct run sub = {.graph = g, .scratch = run->scratch, .diag = run->diag, .facts = P_BOUND | P_TOPO | P_SHAPES};
    TRY(passes_run(&sub, 1u << PASS_cost));
    *costs = sub.costs;
    return ST_OK;
}

static void open_kernel(struct lowering *l, const struct ort_graph *o, uint32_t id, const struct cost *cost) {
    const struct node *node = &l->graph->nodes[id];
    uint32_t kernel = lowering_open(l, id, cost);
    struct kernel *k = &l->workload->kernels[kernel];
    k->has_activation = k->has_activation || node_int(node, "activated", 0) != 0;
    k->second_pass = node_int(node, "second_pass", 0) != 0;
    k->has_residual = node_int(node, "summed", 0) != 0;
    ort_facts(o, id, k);
    for (const struct cover *c = o->covers[id]; c; c = c->next)
        if (c->node < l->run->graph->n_nodes) lowering_cover(l, kernel, c->node);
}

enum status lower_ort(struct run *run) {
    struct ort_graph o;
    struct lowering l;
    struct cost *costs;
    ort_start(&o, run->graph, run->scratch, run->runtime ? run->runtime->block : 0);
    ort_clean(&o);
    ort_fuse(&o);
    ort_layout(&o);
    TRY(cost_rewritten(run, o.g, &costs));
    lowering_start(&l, run, o.g);
    const struct body *body = &o.g->bodies[0];
    for (size_t i = 0; i < body->n_nodes; i++)
        if (is_kernel(o.g, body->nodes[i]))
            open_kernel(&l, &o, body->nodes[i], &costs[body->nodes[i]]);
        else if (!o.g->nodes[body->nodes[i]].dead)
            lowering_skip(&l, body->nodes[i]);
    lowering_finish(&l);
    return ST_OK;
}
