/* The fold pass: nodes whose results do not depend on any graph input run once, before inference, and no more. Their
 * results stay where they are, as constants. What an output of the graph or of a body names is left alone. The graph is
 * then fit for pricing, not for writing.
 *
 * Needs: shapes (they say what is constant). Gives: folded. */
#include "passes.h"

static bool is_folded(const struct graph *g, const struct node *node, const bool *handed_out) {
    if (node->dead || node->op == OP_UNKNOWN || node->n_outputs == 0) return false;
    if (op_table[node->op].flags & (F_RANDOM | F_CONTROL)) return false;
    for (uint32_t o = 0; o < node->n_outputs; o++) {
        uint32_t id = node->outputs[o];
        if (id != NONE && (handed_out[id] || !(g->tensors[id].flags & TF_CONSTANT))) return false;
    }
    return true;
}

enum status pass_fold(struct run *run) {
    struct graph *g = run->graph;
    bool *handed_out = arena_array(run->scratch, g->n_tensors, sizeof *handed_out);
    for (size_t b = 0; b < g->n_bodies; b++)
        for (uint32_t i = 0; i < g->bodies[b].n_outputs; i++) handed_out[g->bodies[b].outputs[i]] = true;
    for (size_t n = 0; n < g->n_nodes; n++)
        if (is_folded(g, &g->nodes[n], handed_out)) g->nodes[n].dead = true;
    return ST_OK;
}
