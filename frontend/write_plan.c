/* Which nodes are written: those that are not dead, and dead ones that these still read (a folded constant is dead to
 * every analysis, and the model cannot do without it). */
#include "writer.h"

struct plan {
    struct writer *w;
    uint32_t *nodes; /* to be looked at */
    size_t n_nodes, cap_nodes;
};

static void want_node(struct plan *p, uint32_t node) {
    if (p->w->written[node]) return;
    p->w->written[node] = true;
    PUSH(p->w->arena, p, nodes, node);
}

static void want_tensor(struct plan *p, uint32_t tensor) {
    if (tensor == NONE) return;
    p->w->use[tensor] |= USE_READ;
    const struct tensor *t = &p->w->graph->tensors[tensor];
    if (t->producer != NONE && !(t->flags & TF_INITIALIZER)) want_node(p, t->producer);
}

static void want_body(struct plan *p, uint32_t body) {
    const struct body *b = &p->w->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++)
        if (!p->w->graph->nodes[b->nodes[i]].dead) want_node(p, b->nodes[i]);
    for (uint32_t i = 0; i < b->n_outputs; i++) want_tensor(p, b->outputs[i]);
}

static void want_attr(struct plan *p, const struct attr *a) {
    if (a->type == AT_GRAPH) want_body(p, a->body);
    if (a->type == AT_TENSOR || a->type == AT_SPARSE_TENSOR) p->w->use[a->tensor] |= USE_ATTRIBUTE;
    for (size_t i = 0; a->type == AT_GRAPHS && i < a->n; i++) want_body(p, a->bodies[i]);
    for (size_t i = 0; (a->type == AT_TENSORS || a->type == AT_SPARSE_TENSORS) && i < a->n; i++)
        p->w->use[a->tensors[i]] |= USE_ATTRIBUTE;
}

static void follow(struct plan *p, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++) want_tensor(p, node->inputs[i]);
    for (uint32_t i = 0; i < node->n_attrs; i++) want_attr(p, &node->attrs[i]);
}

/* Initializers that only forgotten nodes read go with them; attributes of forgotten nodes are no initializers. */
static void forget(struct plan *p, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE) p->w->use[node->inputs[i]] |= USE_FORGOTTEN;
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const struct attr *a = &node->attrs[i];
        if (a->type == AT_TENSOR || a->type == AT_SPARSE_TENSOR) p->w->use[a->tensor] |= USE_ATTRIBUTE;
        for (size_t k = 0; (a->type == AT_TENSORS || a->type == AT_SPARSE_TENSORS) && k < a->n; k++)
            p->w->use[a->tensors[k]] |= USE_ATTRIBUTE;
    }
}

static void sort_by_body(struct writer *w) {
    const struct graph *g = w->graph;
    w->body_start = arena_array(w->arena, g->n_bodies + 2, sizeof *w->body_start);
    w->body_list = arena_array(w->arena, g->n_tensors, sizeof *w->body_list);
    for (size_t i = 0; i < g->n_tensors; i++) w->body_start[g->tensors[i].body + 2]++;
    for (size_t i = 2; i < g->n_bodies + 2; i++) w->body_start[i] += w->body_start[i - 1];
    for (uint32_t i = 0; i < g->n_tensors; i++) w->body_list[w->body_start[g->tensors[i].body + 1]++] = i;
}

void write_plan(struct writer *w) {
    struct plan p = {.w = w};
    w->use = arena_alloc(w->arena, w->graph->n_tensors);
    w->written = arena_array(w->arena, w->graph->n_nodes, sizeof *w->written);
    want_body(&p, 0);
    while (p.n_nodes) follow(&p, &w->graph->nodes[p.nodes[--p.n_nodes]]);
    for (size_t i = 0; i < w->graph->n_nodes; i++)
        if (!w->written[i]) forget(&p, &w->graph->nodes[i]);
    sort_by_body(w);
}
