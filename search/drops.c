/* Residual blocks that can be bypassed: an Add of x and f(x) with equal shapes can give x. What only f needed dies. */
#include "rewrite.h"

#include <string.h>

static bool same_shape(const struct tensor *a, const struct tensor *b) {
    if (a->rank < 1 || a->rank != b->rank) return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (!dim_same(a->dims[i], b->dims[i])) return false;
    return true;
}

/* Is tensor `x` among what `of` is computed from? `seen` is by node, stamped with a number a search. */
static bool depends_on(const struct graph *g, uint32_t of, uint32_t x, uint32_t *stack, uint32_t *seen,
                       uint32_t stamp) {
    size_t n = 0;
    if (g->tensors[of].producer == NONE) return false;
    stack[n++] = g->tensors[of].producer;
    while (n) {
        const struct node *node = &g->nodes[stack[--n]];
        for (uint32_t i = 0; i < node->n_inputs; i++) {
            if (node->inputs[i] == x) return true;
            uint32_t producer = node->inputs[i] == NONE ? NONE : g->tensors[node->inputs[i]].producer;
            if (producer == NONE || seen[producer] == stamp) continue;
            seen[producer] = stamp;
            stack[n++] = producer;
        }
    }
    return false;
}

static void add_drop(struct knobs *k, size_t *cap, uint32_t node, uint32_t keep, struct arena *arena) {
    const struct node *add = &k->g->nodes[node];
    k->drops = arena_grow(arena, k->drops, k->n_drops, cap, k->n_drops + 1u, sizeof *k->drops);
    k->drops[k->n_drops++] =
        (struct drop){.node = node, .keep = keep, .output = add->outputs[0], .name = knob_name(k->g, add)};
}

void drops_find(struct knobs *k, struct arena *arena) {
    const struct graph *g = k->g;
    uint32_t *stack = arena_array(arena, g->n_nodes + 1, sizeof *stack);
    uint32_t *seen = arena_array(arena, g->n_nodes + 1, sizeof *seen), stamp = 0;
    size_t cap = 0;
    for (size_t i = 0; i < g->bodies[0].n_nodes; i++) {
        uint32_t id = g->bodies[0].nodes[i];
        const struct node *node = &g->nodes[id];
        if (node->dead || strcmp(node->op_type, "Add") != 0 || node->domain[0]) continue;
        uint32_t a = node->inputs[0], b = node->inputs[1];
        bool constant = (g->tensors[a].flags | g->tensors[b].flags) & (TF_INITIALIZER | TF_CONSTANT);
        if (constant || g->tensors[node->outputs[0]].flags & (TF_OUTPUT | TF_CAPTURED)) continue;
        if (!same_shape(&g->tensors[a], &g->tensors[b])) continue;
        if (depends_on(g, b, a, stack, seen, ++stamp))
            add_drop(k, &cap, id, a, arena);
        else if (depends_on(g, a, b, stack, seen, ++stamp))
            add_drop(k, &cap, id, b, arena);
    }
}
