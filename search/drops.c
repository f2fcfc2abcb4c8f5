/* Residual blocks that can be bypassed: an Add of x and f(x) with equal shapes, whatever else enters f. What reads the
 * block's end reads x instead, and what only f needed dies.
 *
 * A block ends with its Add, or behind it: with the normalisation of a transformer layer that has it there, with a last
 * activation. Left alone, that would be applied twice in a row. It is the tensor that the same kind of node makes as x,
 * from the sum alone, where nothing else reads the sum. */
#include "rewrite.h"

#include <string.h>

struct finder {
    const struct graph *g;
    const struct coupling *coupling;
    uint32_t *stack, *seen, stamp; /* by node: of a search, stamped with its number */
    bool *marked;                  /* by tensor: of a walk along the nodes */
};

static bool same_shape(const struct tensor *a, const struct tensor *b) {
    if (a->rank < 1 || a->rank != b->rank || a->dtype != b->dtype) return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (!dim_same(a->dims[i], b->dims[i])) return false;
    return true;
}

static bool is_shape_of(const struct node *node) {
    return op_table[node->op].flags & F_SHAPE;
}

/* Stamps the nodes that `of` is computed from, but for what leads to it through x or through shapes alone. */
static void stamp_ancestors(struct finder *f, uint32_t of, uint32_t x) {
    const struct graph *g = f->g;
    uint32_t producer = of == x ? NONE : g->tensors[of].producer;
    size_t n = 0;
    f->stamp++;
    if (producer != NONE) f->seen[f->stack[n++] = producer] = f->stamp;
    while (n) {
        const struct node *node = &g->nodes[f->stack[--n]];
        for (uint32_t i = 0; i < node->n_inputs && !is_shape_of(node); i++) {
            if (node->inputs[i] == NONE || node->inputs[i] == x) continue;
            producer = g->tensors[node->inputs[i]].producer;
            if (producer == NONE || f->seen[producer] == f->stamp) continue;
            f->seen[producer] = f->stamp;
            f->stack[n++] = producer;
        }
    }
}

static bool has_weights(const struct graph *g, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (weight_behind(g, node, node->inputs[i]) != NONE) return true;
    return false;
}

static bool reads_marked(const struct finder *f, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE && f->marked[node->inputs[i]]) return true;
    return false;
}

/* Is `of` computed from x by something that was learned? Else the sum is arithmetic (the centre of a box, a polynomial)
 * that means what it says, and not a block. */
static bool learned_from(struct finder *f, uint32_t of, uint32_t x) {
    const struct graph *g = f->g;
    stamp_ancestors(f, of, x);
    memset(f->marked, 0, g->n_tensors * sizeof *f->marked);
    f->marked[x] = true;
    for (size_t i = 0; i < g->bodies[0].n_nodes; i++) {
        uint32_t id = g->bodies[0].nodes[i];
        const struct node *node = &g->nodes[id];
        if (f->seen[id] != f->stamp || is_shape_of(node) || !reads_marked(f, node)) continue;
        if (has_weights(g, node)) return true;
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] != NONE) f->marked[node->outputs[k]] = true;
    }
    return false;
}

/* ---- Where a block ends ---- */

static bool is_constant(const struct graph *g, uint32_t t) {
    return t == NONE || g->tensors[t].flags & (TF_INITIALIZER | TF_CONSTANT);
}

/* The same operator, with constants in the same places. */
static bool same_kind(const struct graph *g, uint32_t a, uint32_t b) {
    if (g->tensors[a].producer == NONE || g->tensors[b].producer == NONE) return false;
    const struct node *x = &g->nodes[g->tensors[a].producer], *y = &g->nodes[g->tensors[b].producer];
    if (strcmp(x->op_type, y->op_type) != 0 || strcmp(x->domain, y->domain) != 0 || x->n_inputs != y->n_inputs)
        return false;
    for (uint32_t i = 0; i < x->n_inputs; i++)
        if (is_constant(g, x->inputs[i]) != is_constant(g, y->inputs[i])) return false;
    return true;
}

/* Index by index in the same class, or both where nothing can be cut: then one can stand for the other in every cut. */
static bool same_classes(const struct coupling *c, uint32_t a, uint32_t b) {
    for (int32_t axis = 0; axis < c->g->tensors[a].rank; axis++) {
        int64_t size = couple_size(c, a, axis), same = 0;
        while (same < size && couple_element(c, a, axis, same) == couple_element(c, b, axis, same)) same++;
        if (same < size && !(axis_is_frozen(c, a, axis) && axis_is_frozen(c, b, axis))) return false;
    }
    return true;
}

/* Does the node read what is marked, and nothing else but constants? */
static bool reads_marked_only(const struct finder *f, const struct node *node) {
    bool reads = false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        if (is_constant(f->g, node->inputs[i])) continue;
        if (!f->marked[node->inputs[i]]) return false;
        reads = true;
    }
    return reads;
}

/* Does any way from `sum` to an output of the model, or into a subgraph, not lead through `end`? */
static bool leads_past(struct finder *f, uint32_t sum, uint32_t end) {
    const struct graph *g = f->g;
    memset(f->marked, 0, g->n_tensors * sizeof *f->marked);
    f->marked[sum] = true;
    for (size_t i = 0; i < g->bodies[0].n_nodes; i++) {
        const struct node *node = &g->nodes[g->bodies[0].nodes[i]];
        if (node->dead || !reads_marked(f, node)) continue;
        for (uint32_t k = 0; k < node->n_outputs; k++) {
            uint32_t t = node->outputs[k];
            if (t == NONE || t == end) continue;
            if (g->tensors[t].flags & (TF_OUTPUT | TF_CAPTURED)) return true;
            f->marked[t] = true;
        }
    }
    return false;
}

static bool can_go(const struct graph *g, uint32_t t) {
    return g->nodes[g->tensors[t].producer].n_outputs == 1 && !(g->tensors[t].flags & (TF_OUTPUT | TF_CAPTURED));
}

/* The first tensor made as x is, and of the sum alone. */
static uint32_t made_like(struct finder *f, uint32_t x, uint32_t sum) {
    const struct graph *g = f->g;
    memset(f->marked, 0, g->n_tensors * sizeof *f->marked);
    f->marked[sum] = true;
    for (size_t i = 0; i < g->bodies[0].n_nodes; i++) {
        const struct node *node = &g->nodes[g->bodies[0].nodes[i]];
        if (node->dead || node->n_outputs != 1 || does_macs(node) || !reads_marked_only(f, node)) continue;
        uint32_t t = node->outputs[0];
        f->marked[t] = true;
        if (same_kind(g, x, t) && same_shape(&g->tensors[x], &g->tensors[t])) return t;
    }
    return NONE;
}

static uint32_t end_of(struct finder *f, uint32_t x, uint32_t sum) {
    uint32_t end = made_like(f, x, sum);
    bool fits = end != NONE && can_go(f->g, end) && same_classes(f->coupling, x, end) && !leads_past(f, sum, end);
    return fits ? end : sum;
}

/* What the sum is of, besides itself: x, or NONE. */
static uint32_t start_of(struct finder *f, const struct node *node) {
    const struct graph *g = f->g;
    if (node->dead || strcmp(node->op_type, "Add") != 0 || node->domain[0]) return NONE;
    uint32_t a = node->inputs[0], b = node->inputs[1];
    if (is_constant(g, a) || is_constant(g, b) || !can_go(g, node->outputs[0])) return NONE;
    if (!same_shape(&g->tensors[a], &g->tensors[b]) || !dtype_is_float(g->tensors[a].dtype)) return NONE;
    return learned_from(f, b, a) ? a : learned_from(f, a, b) ? b : NONE;
}

void drops_find(struct knobs *k, struct arena *arena) {
    const struct graph *g = k->g;
    struct finder f = {.g = g,
                       .coupling = &k->coupling,
                       .stack = arena_array(arena, g->n_nodes + 1, sizeof *f.stack),
                       .seen = arena_array(arena, g->n_nodes + 1, sizeof *f.seen),
                       .marked = arena_array(arena, g->n_tensors + 1, sizeof *f.marked)};
    size_t cap = 0;
    for (size_t i = 0; i < g->bodies[0].n_nodes; i++) {
        const struct node *node = &g->nodes[g->bodies[0].nodes[i]];
        uint32_t x = start_of(&f, node);
        if (x == NONE) continue;
        uint32_t end = end_of(&f, x, node->outputs[0]);
        k->drops = arena_grow(arena, k->drops, k->n_drops, &cap, k->n_drops + 1u, sizeof *k->drops);
        k->drops[k->n_drops++] =
            (struct drop){.keep = x, .output = end, .name = knob_name(g, &g->nodes[g->tensors[end].producer])};
    }
}
