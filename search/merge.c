/* After a cut: private copies of one initializer that still hold the same are one initializer again, so that a file
 * with shared weights does not grow. */
#include "rewrite.h"

#include <string.h>

static bool same_data(const struct data *x, const struct data *y) {
    if (x->encoding != y->encoding || x->length != y->length) return false;
    return x->bytes == y->bytes || (x->bytes && y->bytes && !memcmp(x->bytes, y->bytes, x->length));
}

static bool same(const struct tensor *a, const struct tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || !a->sparse != !b->sparse) return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (!dim_same(a->dims[i], b->dims[i])) return false;
    if (!a->sparse) return same_data(&a->data, &b->data);
    return same_data(&a->sparse->values, &b->sparse->values) && same_data(&a->sparse->indices, &b->sparse->indices);
}

/* The first of its family that holds the same; `next` chains a family, the original at its head. */
static uint32_t stand_in(const struct graph *g, const uint32_t *next, uint32_t original, uint32_t copy) {
    uint32_t at = original;
    while (at != copy && !same(&g->tensors[at], &g->tensors[copy])) at = next[at];
    return at;
}

void merge_copies(struct graph *g, const struct knobs *k, struct arena *arena) {
    uint32_t n = (uint32_t)k->g->n_tensors, copies = 0;
    uint32_t *next = arena_array(arena, n + 1u, sizeof *next), *last = arena_array(arena, n + 1u, sizeof *last);
    uint32_t *instead = arena_array(arena, n + 1u, sizeof *instead);
    for (uint32_t t = 0; t < n; t++) {
        last[t] = instead[t] = t;
        if (k->copy_of[t] == t) continue;
        next[last[k->copy_of[t]]] = t;
        last[k->copy_of[t]] = t;
        instead[t] = stand_in(g, next, k->copy_of[t], t);
        copies++;
    }
    for (size_t i = 0; i < g->n_nodes && copies; i++) {
        struct node *node = &g->nodes[i];
        uint32_t *inputs = arena_copy(arena, node->inputs, node->n_inputs * sizeof *inputs);
        for (uint32_t x = 0; x < node->n_inputs; x++)
            if (inputs[x] != NONE && inputs[x] < n) inputs[x] = instead[inputs[x]];
        node->inputs = inputs;
    }
}
