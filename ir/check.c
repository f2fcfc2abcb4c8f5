/* The invariants of a graph:
 *  1. every body but the first has a parent, and an owner that stands in the parent and has it as attribute;
 *  2. every id in a body, node or attribute exists;
 *  3. a node stands once, in the body it names; a dead one may stand nowhere;
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
    for (size_t steps = 0; body < g->n_bodies && steps <= g->n_bodies; steps++, body = g->bodies[body].parent)
        if (body == outer) return true;
    return false;
}

static bool owns(const struct graph *g, uint32_t owner, uint32_t body) {
    const struct node *node = &g->nodes[owner];
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const struct attr *attr = &node->attrs[i];
        if (attr->type == AT_GRAPH && attr->body == body) return true;
        for (size_t k = 0; attr->type == AT_GRAPHS && k < attr->n; k++)
            if (attr->bodies[k] == body) return true;
    }
    return false;
}

static bool is_placed(const struct graph *g, uint32_t id) {
    const struct body *body = &g->bodies[id];
    if (id == 0) return body->parent == NONE && body->owner == NONE;
    return body->parent < g->n_bodies && body->owner < g->n_nodes && g->nodes[body->owner].body == body->parent &&
           owns(g, body->owner, id);
}

static bool all_exist(const struct graph *g, const uint32_t *tensors, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (tensors[i] >= g->n_tensors) return false;
    return true;
}

/* Marks the nodes of the body as standing. */
static enum status check_body(const struct graph *g, uint32_t id, bool *standing, struct diag *diag) {
    const struct body *body = &g->bodies[id];
    if (!is_placed(g, id)) return broken(g, diag, 1, "body", id);
    if (!all_exist(g, body->inputs, body->n_inputs)) return broken(g, diag, 2, "input of body", id);
    if (!all_exist(g, body->outputs, body->n_outputs)) return broken(g, diag, 2, "output of body", id);
    for (size_t i = 0; i < body->n_nodes; i++) {
        uint32_t node = body->nodes[i];
        if (node >= g->n_nodes) return broken(g, diag, 2, "node of body", id);
        if (g->nodes[node].body != id || standing[node]) return broken(g, diag, 3, "node", node);
        standing[node] = true;
    }
    return ST_OK;
}

static bool ids_exist(const struct graph *g, const struct attr *attr) {
    bool exist = attr->type != AT_GRAPH || attr->body < g->n_bodies;
    for (size_t i = 0; attr->type == AT_GRAPHS && i < attr->n; i++) exist = exist && attr->bodies[i] < g->n_bodies;
    if (attr->type == AT_TENSOR) exist = attr->tensor < g->n_tensors;
    return exist && (attr->type != AT_TENSORS || all_exist(g, attr->tensors, (uint32_t)attr->n));
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
        if (!ids_exist(g, &node->attrs[i])) return broken(g, diag, 2, "attribute of node", id);
    return ST_OK;
}

static bool produces(const struct node *node, uint32_t tensor) {
    for (uint32_t i = 0; i < node->n_outputs; i++)
        if (node->outputs[i] == tensor) return true;
    return false;
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
    if (t->producer != NONE && (t->producer >= g->n_nodes || !produces(&g->nodes[t->producer], id)))
        return broken(g, diag, 4, "tensor", id);
    if (t->producer != NONE && t->flags & TF_INITIALIZER) return broken(g, diag, 5, "tensor", id);
    if (t->rank < RANK_UNKNOWN || t->rank > RANK_MAX || (t->rank > 0 && !t->dims))
        return broken(g, diag, 7, "tensor", id);
    for (int32_t i = 0; i < t->rank; i++)
        if (dim_is_number(t->dims[i]) && t->dims[i].value < 0) return broken(g, diag, 7, "tensor", id);
    return !t->value || value_fits(t) ? ST_OK : broken(g, diag, 8, "tensor", id);
}

enum status graph_check(const struct graph *g, struct diag *diag) {
    bool *standing = arena_array(diag->arena, g->n_nodes, sizeof *standing);
    for (uint32_t n = 0; n < g->n_nodes; n++) TRY(check_node(g, n, diag));
    for (uint32_t b = 0; b < g->n_bodies; b++) TRY(check_body(g, b, standing, diag));
    for (uint32_t n = 0; n < g->n_nodes; n++)
        if (!standing[n] && !g->nodes[n].dead) return broken(g, diag, 3, "node", n);
    for (uint32_t t = 0; t < g->n_tensors; t++) TRY(check_tensor(g, t, diag));
    return ST_OK;
}
