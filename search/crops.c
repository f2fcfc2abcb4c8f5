/* Kernels of convolutions that can shrink: 7x7 to 5x5 and 3x3. The rim of the weights goes, and the padding that
 * reached as far, so that every output stays where it was. */
#include "geometry.h"
#include "rewrite.h"

enum { LEAST_SIDE = 3 };

int64_t crop_rim(int64_t side, int64_t steps) {
    int64_t most = side % 2 && side > LEAST_SIDE ? (side - LEAST_SIDE) / 2 : 0; /* an even side has no middle */
    return steps < most ? steps : most;
}

/* Is there as much padding on both sides as the rim reaches? */
static bool padding_allows(const struct window *w, int32_t i, int64_t rim) {
    int64_t reach = rim * w->dilation[i], span = (w->kernel[i].value - 1) * w->dilation[i] + 1;
    switch (w->auto_pad) {
    case PAD_EXPLICIT:
        return w->begin[i] >= reach && w->end[i] >= reach;
    case PAD_VALID:
        return rim == 0;
    default: /* it shrinks on both sides alike while it does not come to nothing, whatever the size of the image */
        return rim == 0 || span - 2 * reach >= w->stride[i];
    }
}

/* Does the step make the kernel smaller, and nothing else different? */
static bool can_take(const struct window *w, uint32_t step) {
    bool smaller = false;
    for (int32_t i = 0; i < w->n; i++) {
        int64_t rim = crop_rim(w->kernel[i].value, step);
        if (!padding_allows(w, i, rim)) return false;
        smaller = smaller || rim > crop_rim(w->kernel[i].value, step - 1);
    }
    return smaller;
}

static uint32_t steps_of(const struct graph *g, const struct node *node) {
    struct window w;
    struct why why;
    uint32_t steps = 0;
    if (!window_read(g, node, &w, &why) || w.n != g->tensors[node->inputs[1]].rank - 2) return 0;
    while (can_take(&w, steps + 1)) steps++;
    return steps;
}

static bool has_own_kernel(const struct knobs *k, const struct node *node) {
    if (node->dead || node->body != 0 || (node->op != OP_Conv && node->op != OP_MsFusedConv)) return false;
    const struct tensor *weight = &k->g->tensors[node->inputs[1]];
    if (!(weight->flags & TF_INITIALIZER) || !couple_can_cut(weight)) return false;
    for (int32_t axis = 2; axis < weight->rank; axis++)
        if (!dim_is(weight->dims[axis], 1) && couple_element(&k->coupling, node->inputs[1], axis, 0) == NONE)
            return false;
    return weight->rank > 2;
}

void crops_find(struct knobs *k, struct arena *arena) {
    size_t cap = 0;
    for (size_t i = 0; i < k->g->bodies[0].n_nodes; i++) {
        const struct node *node = &k->g->nodes[k->g->bodies[0].nodes[i]];
        uint32_t steps = has_own_kernel(k, node) ? steps_of(k->g, node) : 0;
        if (!steps) continue;
        k->crops = arena_grow(arena, k->crops, k->n_crops, &cap, k->n_crops + 1u, sizeof *k->crops);
        k->crops[k->n_crops++] =
            (struct crop){.weight = node->inputs[1], .n_steps = steps, .name = knob_name(k->g, node)};
    }
}
