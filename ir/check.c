/* The invariants of a graph:
 *  1. every body but the first has a parent and an owner, and is owned once;
 *  2. every id in a body, node or attribute exists;
 *  3. a node stands in exactly one body, the one it names;
 *  4. a tensor has at most one producer, which lists it among its outputs;
 *  5. an initializer has no producer;
 *  6. a node reads tensors of its own body or of one around it;
 *  7. known ranks are within 0..RANK_MAX and their dims are there, none a negative number;
 *  8. a value has as many elements as a shape of numbers says. */
#include "ir.h"

static enum status broken(const struct graph *g, struct diag *diag, int rule, const char *what, uint32_t id) {
    return diag_fail(diag, ST_MODEL, "%s: invariant %d of the graph does not hold: %s %u", g->path, rule, what, id);
}

static bool tensor_exists(const struct graph *g, uint32_t id) {
    return id == NONE || id < g->n_tensors;
}

static bool encloses(const struct graph *g, uint32_t outer, uint32_t body) {
    for (size_t steps = 0; body != NONE && steps <= g->n_bodies; steps++, body = g->bodies[body].parent)
        if (body == outer) return true;
    return false;
}

static enum status check_bodies(const struct graph *g, struct diag *diag) {
    for (uint32_t b = 0; b < g->n_bodies; b++) {
        const struct body *body = &g->bodies[b];
        bool main_body = b == 0, placed = body->parent != NONE && body->parent < g->n_bodies;
        if (main_body ? body->parent != NONE : !placed) return broken(g, diag, 1, "body", b);
        for (uint32_t i = 0; i < body->n_inputs; i++)
            if (body->inputs[i] >= g->n_tensors) return broken(g, diag, 2, "input of body", b);
        for (uint32_t i = 0; i < body->n_outputs; i++)
            if (body->outputs[i] >= g->n_tensors) return broken(g, diag, 2, "output of body", b);
        for (size_t i = 0; i < body->n_nodes; i++) {
            if (body->nodes[i] >= g->n_nodes) return broken(g, diag, 2, "node of body", b);
            if (g->nodes[body->nodes[i]].body != b) return broken(g, diag, 3, "node", body->nodes[i]);
        }
    }
    return ST_OK;
}

static enum status check_node(const struct graph *g, uint32_t id, struct diag *diag) {
    const struct node *node = &g->nodes[id];
    if (node->body >= g->n_bodies || node->op >= OP_COUNT) return broken(g, diag, 2, "node", id);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        if (!tensor_exists(g, node->inputs[i])) return broken(g, diag, 2, "input of node", id);
        if (node->inputs[i] != NONE && !encloses(g, g->tensors[node->inputs[i]].body, node->body))
            return broken(g, diag, 6, "node", id);
    }
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        if (!tensor_exists(g, node->outputs[i])) return broken(g, diag, 2, "output of node", id);
        if (!node->dead && node->outputs[i] != NONE && g->tensors[node->outputs[i]].producer != id)
            return broken(g, diag, 4, "node", id);
    }
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i].type == AT_GRAPH && node->attrs[i].body >= g->n_bodies)
            return broken(g, diag, 2, "subgraph of node", id);
    return ST_OK;
}

static bool value_fits(const struct tensor *t) {
    int64_t n = 1;
    for (int32_t i = 0; i < t->rank; i++) {
        if (!dim_is_number(t->dims[i])) return true;
        n = num_mul_sat(n, t->dims[i].value);
    }
    return t->rank < 0 || n == (int64_t)t->value->n;
}

static enum status check_tensor(const struct graph *g, uint32_t id, struct diag *diag) {
    const struct tensor *t = &g->tensors[id];
    if (t->producer != NONE && (t->producer >= g->n_nodes || t->flags & TF_INITIALIZER))
        return broken(g, diag, 5, "tensor", id);
    if (t->rank < RANK_UNKNOWN || t->rank > RANK_MAX || (t->rank > 0 && !t->dims))
        return broken(g, diag, 7, "tensor", id);
    for (int32_t i = 0; i < t->rank; i++)
        if (dim_is_number(t->dims[i]) && t->dims[i].value < 0) return broken(g, diag, 7, "tensor", id);
    return !t->value || value_fits(t) ? ST_OK : broken(g, diag, 8, "tensor", id);
}

enum status graph_check(const struct graph *g, struct diag *diag) {
    TRY(check_bodies(g, diag));
    for (uint32_t n = 0; n < g->n_nodes; n++) TRY(check_node(g, n, diag));
    for (uint32_t t = 0; t < g->n_tensors; t++) TRY(check_tensor(g, t, diag));
    return ST_OK;
}
