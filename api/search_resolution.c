/* Smaller images. A size is possible when the whole graph can be inferred at it, its outputs stay as they are, and so
 * does every axis that can be cut: then each cut means the same at every size. */
#include "search_api.h"

enum { SIDE_STEP = 32, SIDE_LEAST = 64 };

uint32_t resolution_image(const struct graph *g) {
    uint32_t image = NONE;
    for (uint32_t i = 0; i < g->bodies[0].n_inputs; i++) {
        const struct tensor *t = &g->tensors[g->bodies[0].inputs[i]];
        bool is_image = t->rank == 4 && dtype_is_float(t->dtype) && dim_is_number(t->dims[2]) &&
                        dim_is_number(t->dims[3]) && t->dims[1].value <= 4;
        if (is_image && image != NONE) return NONE; /* two of them: which would have to follow is not known */
        if (is_image) image = g->bodies[0].inputs[i];
    }
    return image;
}

bool resolution_set(struct graph *g, const struct graph *before, uint32_t steps) {
    uint32_t image = resolution_image(before);
    if (image == NONE) return false;
    const struct tensor *t = &before->tensors[image];
    int64_t height = t->dims[2].value, width = t->dims[3].value, to = height - (int64_t)steps * SIDE_STEP;
    if (to < SIDE_LEAST || to < height / 2 || width * to % height) return false;
    dim dims[] = {t->dims[0], t->dims[1], DIM(to), DIM(width * to / height)};
    tensor_set_shape(g, image, t->dtype, dims, 4);
    return true;
}

double resolution_share(const struct graph *before, uint32_t steps) {
    uint32_t image = resolution_image(before);
    return image == NONE ? 1 : 1 - (double)steps * SIDE_STEP / (double)before->tensors[image].dims[2].value;
}

static bool keeps_axes(const struct knobs *k, const struct graph *g) {
    for (uint32_t id = 0; id < k->g->n_tensors; id++) {
        const struct tensor *now = &g->tensors[id], *was = &k->g->tensors[id];
        if (was->rank < 0) continue;
        if (now->rank != was->rank) return false;
        for (int32_t axis = 0; axis < was->rank; axis++) {
            bool fixed = was->flags & TF_OUTPUT || !axis_is_frozen(&k->coupling, id, axis);
            bool may_be_open = was->flags & TF_OUTPUT && !dim_is_number(was->dims[axis]);
            if (fixed && !may_be_open && !dim_same(now->dims[axis], was->dims[axis])) return false;
            if (dim_is_number(was->dims[axis]) && !(dim_is_number(now->dims[axis]) && now->dims[axis].value > 0))
                return false;
        }
    }
    for (uint32_t i = 0; i < k->n_drops; i++) { /* a block must still end as it starts */
        const struct tensor *from = &g->tensors[k->drops[i].keep], *to = &g->tensors[k->drops[i].output];
        for (int32_t axis = 0; axis < to->rank; axis++)
            if (!dim_same(from->dims[axis], to->dims[axis])) return false;
    }
    return true;
}

struct graph *resolution_try(const struct knobs *k, const struct graph *sized, uint32_t steps, struct arena *arena) {
    struct diag diag;
    struct graph *g = graph_clone(sized, arena);
    if (!resolution_set(g, sized, steps)) return NULL;
    for (size_t t = 0; t < g->n_tensors; t++) {
        if (g->tensors[t].producer == NONE) continue;
        g->tensors[t].rank = RANK_UNKNOWN;
        g->tensors[t].value = NULL;
        g->tensors[t].flags &= ~(uint32_t)TF_DECLARED;
    }
    diag_init(&diag, arena);
    struct run run = {.graph = g, .scratch = arena, .diag = &diag};
    return passes_run(&run, PASSES_ANALYSIS) == ST_OK && keeps_axes(k, g) ? g : NULL;
}
