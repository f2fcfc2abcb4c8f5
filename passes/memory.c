/* Memory: when each activation is alive, and the most bytes alive at once.
 * needs: shapes, topological order   gives: run->peak_memory_bytes (-1 when a size is unknown)   breaks: nothing
 *
 * Activations only: graph inputs, intermediate results and outputs; weights and folded constants are counted apart, as
 * weight bytes. A tensor is alive from the node that makes it (an input from the start) to its last reader (an output
 * to the end); while a node runs, what it reads and what it writes are alive. Views share the memory of what they look
 * at; no other result overwrites its input. Data-dependent sizes count at their upper bound.
 *
 * Bodies run at the place of the node that owns them: what they read from outside stays alive until that node is done,
 * their own tensors at most as long as the body. Rounds of a loop and branches of an If follow each other, so the most
 * demanding one decides. */
#include "cost_internal.h"

struct clock { /* steps are numbered as nodes finish; a body's lie before its owner's */
    const struct graph *graph;
    uint32_t now;
    uint32_t *done; /* by node */
    uint32_t *body_start, *body_end;
};

static void number_body(struct clock *clock, uint32_t body) {
    const struct body *b = &clock->graph->bodies[body];
    clock->body_start[body] = clock->now;
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *node = &clock->graph->nodes[b->nodes[i]];
        if (node->dead) continue;
        for (uint32_t k = 0; k < node->n_attrs; k++)
            if (node->attrs[k].type == AT_GRAPH) number_body(clock, node->attrs[k].body);
        clock->done[b->nodes[i]] = clock->now++;
    }
    clock->body_end[body] = clock->now ? clock->now - 1 : 0;
}

struct lives {
    const struct graph *graph;
    const struct clock *clock;
    uint32_t *root; /* by tensor: the one whose memory it shares */
    uint32_t *born, *last;
};

static void use(struct lives *l, uint32_t id, uint32_t at) {
    uint32_t root = l->root[id];
    if (at > l->last[root]) l->last[root] = at;
}

/* When a reader of tensor `id` is done with it: itself, or the node around it in the tensor's own body. */
static uint32_t end_of_use(const struct lives *l, uint32_t node, uint32_t id) {
    const struct graph *g = l->graph;
    uint32_t home = g->tensors[id].body;
    while (g->nodes[node].body != home && g->bodies[g->nodes[node].body].owner != NONE)
        node = g->bodies[g->nodes[node].body].owner;
    return l->clock->done[node];
}

static void live_node(struct lives *l, uint32_t id) {
    const struct node *node = &l->graph->nodes[id];
    uint32_t done = l->clock->done[id];
    bool view = op_table[node->op].flags & F_VIEW;
    for (uint32_t o = 0; o < node->n_outputs; o++) {
        uint32_t out = node->outputs[o];
        if (out == NONE) continue;
        if (view && o == 0 && node_in(node, 0) != NONE)
            l->root[out] = l->root[node->inputs[0]];
        else
            l->born[out] = l->last[out] = done;
        use(l, out, done);
    }
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE) use(l, node->inputs[i], end_of_use(l, id, node->inputs[i]));
}

static void live_body(struct lives *l, uint32_t body) {
    const struct body *b = &l->graph->bodies[body];
    for (uint32_t i = 0; i < b->n_inputs; i++)
        l->born[b->inputs[i]] = l->last[b->inputs[i]] = l->clock->body_start[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *node = &l->graph->nodes[b->nodes[i]];
        if (node->dead) continue;
        for (uint32_t k = 0; k < node->n_attrs; k++)
            if (node->attrs[k].type == AT_GRAPH) live_body(l, node->attrs[k].body);
        live_node(l, b->nodes[i]);
    }
    for (uint32_t o = 0; o < b->n_outputs; o++)
        if (b->outputs[o] != NONE) use(l, b->outputs[o], l->clock->body_end[body]);
}

static bool is_gone(const struct graph *g, uint32_t body) {
    for (; g->bodies[body].owner != NONE; body = g->bodies[body].parent)
        if (g->nodes[g->bodies[body].owner].dead) return true;
    return false;
}

/* Tensors that are made or given while the model runs, not looked at through another one. */
static bool takes_memory(const struct lives *l, uint32_t id) {
    const struct graph *g = l->graph;
    const struct tensor *t = &g->tensors[id];
    if (l->root[id] != id || t->flags & (TF_CONSTANT | TF_INITIALIZER) || is_gone(g, t->body)) return false;
    if (t->producer == NONE) return t->flags & (TF_INPUT | TF_PRIVATE);
    return !g->nodes[t->producer].dead && g->nodes[t->producer].op != OP_Constant;
}

static int64_t peak(const struct lives *l, uint32_t steps, struct arena *scratch) {
    int64_t *grow = arena_array(scratch, (size_t)steps + 2, sizeof *grow), now = 0, most = 0;
    struct cost bound = {0};
    for (size_t t = 0; t < l->graph->n_tensors; t++) {
        if (!takes_memory(l, (uint32_t)t)) continue;
        int64_t bytes = count_bytes(l->graph, &l->graph->tensors[t], &bound);
        if (bytes < 0) return -1;
        grow[l->born[t]] = num_add_sat(grow[l->born[t]], bytes);
        grow[l->last[t] + 1] = num_add_sat(grow[l->last[t] + 1], -bytes);
    }
    for (uint32_t step = 0; step <= steps; step++) {
        now = num_add_sat(now, grow[step]);
        if (now > most) most = now;
    }
    return most;
}

enum status pass_memory(struct run *run) {
    const struct graph *g = run->graph;
    struct clock clock = {.graph = g};
    clock.done = arena_array(run->scratch, g->n_nodes + 1, sizeof *clock.done);
    clock.body_start = arena_array(run->scratch, g->n_bodies, sizeof *clock.body_start);
    clock.body_end = arena_array(run->scratch, g->n_bodies, sizeof *clock.body_end);
    number_body(&clock, 0);
    struct lives lives = {.graph = g, .clock = &clock};
    lives.root = arena_array(run->scratch, g->n_tensors + 1, sizeof *lives.root);
    lives.born = arena_array(run->scratch, g->n_tensors + 1, sizeof *lives.born);
    lives.last = arena_array(run->scratch, g->n_tensors + 1, sizeof *lives.last);
    for (size_t t = 0; t < g->n_tensors; t++) lives.root[t] = (uint32_t)t;
    live_body(&lives, 0);
    run->peak_memory_bytes = peak(&lives, clock.now, run->scratch);
    return ST_OK;
}
