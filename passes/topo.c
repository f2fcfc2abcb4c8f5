/* The topo pass: every body's nodes in an order in which values exist before they are read. What a node's bodies
 * capture counts as read by the node. Files that are already in order keep theirs; the others are ordered depth first
 * from the file's order, so the result is deterministic.
 *
 * Needs: nothing. Gives: topological order. */
#include "passes.h"

#include <string.h>

struct edges { /* CSR: what node n waits for, in its own body, is from[start[n] .. start[n + 1]) */
    uint32_t *start, *from;
};

struct topo {
    struct run *run;
    struct graph *graph;
    uint32_t *count; /* while edges are collected: how many per node, then where the next one goes */
    struct edges edges;
    bool filling;
    uint8_t *mark; /* of the depth-first walk, by node; made when the first body needs it */
    uint32_t *stack, *next;
};

/* The node of body `body` that is `node` or owns the bodies it is in; NONE when it is not inside. */
static uint32_t reader_in_body(const struct graph *g, uint32_t node, uint32_t body) {
    while (node != NONE && g->nodes[node].body != body) node = g->bodies[g->nodes[node].body].owner;
    return node;
}

static enum status add_edge(struct topo *t, uint32_t reader, uint32_t tensor) {
    if (tensor == NONE || reader == NONE) return ST_OK;
    struct graph *g = t->graph;
    uint32_t producer = g->tensors[tensor].producer;
    if (producer == NONE || g->nodes[producer].dead) return ST_OK;
    uint32_t node = reader_in_body(g, reader, g->nodes[producer].body);
    if (node == NONE)
        return diag_fail(t->run->diag, ST_MODEL, "%s: %s reads \"%s\", which only exists inside a subgraph", g->path,
                         node_label(g, reader), g->tensors[tensor].name);
    if (t->filling)
        t->edges.from[t->count[node]++] = producer;
    else
        t->count[node]++;
    return ST_OK;
}

static enum status visit_edges(struct topo *t) {
    struct graph *g = t->graph;
    for (uint32_t n = 0; n < g->n_nodes; n++) {
        if (g->nodes[n].dead) continue;
        for (uint32_t i = 0; i < g->nodes[n].n_inputs; i++) TRY(add_edge(t, n, g->nodes[n].inputs[i]));
    }
    for (uint32_t b = 1; b < g->n_bodies; b++) { /* a body may just hand on what it captures */
        const struct body *body = &g->bodies[b];
        if (body->owner == NONE || g->nodes[body->owner].dead) continue;
        for (uint32_t i = 0; i < body->n_outputs; i++) {
            uint32_t out = body->outputs[i];
            if (out != NONE && g->tensors[out].body != b) TRY(add_edge(t, body->owner, out));
        }
    }
    return ST_OK;
}

static enum status collect_edges(struct topo *t) {
    size_t n = t->graph->n_nodes;
    t->count = arena_array(t->run->scratch, n + 1, sizeof *t->count);
    t->edges.start = arena_array(t->run->scratch, n + 1, sizeof *t->edges.start);
    TRY(visit_edges(t));
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        t->edges.start[i] = sum;
        sum += t->count[i];
        t->count[i] = t->edges.start[i];
    }
    t->edges.start[n] = sum;
    t->edges.from = arena_array(t->run->scratch, sum, sizeof *t->edges.from);
    t->filling = true;
    return visit_edges(t);
}

static bool is_in_order(const struct topo *t, const struct body *body, const uint32_t *position) {
    for (size_t i = 0; i < body->n_nodes; i++) {
        uint32_t n = body->nodes[i];
        for (uint32_t e = t->edges.start[n]; e < t->edges.start[n + 1]; e++)
            if (position[t->edges.from[e]] >= i) return false;
    }
    return true;
}

enum mark { FRESH, OPEN, DONE };

/* Appends `root` after all it waits for. */
static enum status append_after_needs(struct topo *t, uint32_t root, uint32_t *order, size_t *n_order) {
    uint8_t *mark = t->mark;
    uint32_t *stack = t->stack, *next = t->next;
    size_t depth = 0;
    stack[depth++] = root;
    mark[root] = OPEN;
    next[root] = t->edges.start[root];
    while (depth > 0) {
        uint32_t n = stack[depth - 1];
        if (next[n] == t->edges.start[n + 1]) {
            mark[n] = DONE;
            order[(*n_order)++] = n;
            depth--;
            continue;
        }
        uint32_t need = t->edges.from[next[n]++];
        if (mark[need] == OPEN)
            return diag_fail(t->run->diag, ST_MODEL, "%s: %s is part of a cycle: it needs its own result",
                             t->graph->path, node_label(t->graph, need));
        if (mark[need] == DONE) continue;
        mark[need] = OPEN;
        next[need] = t->edges.start[need];
        stack[depth++] = need;
    }
    return ST_OK;
}

static enum status order_body(struct topo *t, struct body *body) {
    struct arena *scratch = t->run->scratch;
    size_t all = t->graph->n_nodes;
    if (!t->mark) {
        t->mark = arena_array(scratch, all, sizeof *t->mark);
        t->stack = arena_array(scratch, all, sizeof *t->stack);
        t->next = arena_array(scratch, all, sizeof *t->next);
    }
    uint32_t *order = arena_array(t->graph->arena, body->n_nodes, sizeof *order);
    size_t n_order = 0;
    for (size_t i = 0; i < body->n_nodes; i++)
        if (t->mark[body->nodes[i]] == FRESH) TRY(append_after_needs(t, body->nodes[i], order, &n_order));
    body->nodes = order;
    body->n_nodes = body->cap_nodes = n_order;
    return ST_OK;
}

enum status pass_topo(struct run *run) {
    struct graph *g = run->graph;
    struct topo t = {.run = run, .graph = g};
    TRY(collect_edges(&t));
    uint32_t *position = arena_array(run->scratch, g->n_nodes, sizeof *position);
    for (size_t b = 0; b < g->n_bodies; b++)
        for (size_t i = 0; i < g->bodies[b].n_nodes; i++) position[g->bodies[b].nodes[i]] = (uint32_t)i;
    for (size_t b = 0; b < g->n_bodies; b++)
        if (!is_in_order(&t, &g->bodies[b], position)) TRY(order_body(&t, &g->bodies[b]));
    return ST_OK;
}
