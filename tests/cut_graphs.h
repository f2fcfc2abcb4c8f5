/* What the tests of cuts share: finding the knobs of a small graph, turning them, and looking at what is left. */
#ifndef CUT_GRAPHS_H
#define CUT_GRAPHS_H

#include "rewrite.h"
#include "small_graphs.h"

static struct knobs knobs;

static inline void find_as(enum coupling_view view, int64_t align) {
    run = (struct run){.graph = b.graph, .scratch = &arena, .diag = &diag};
    cr_assert_eq(passes_run(&run, PASSES_ANALYSIS), ST_OK, "%s", diag.message);
    knobs_find(&knobs, b.graph, view, align, IMPORTANCE_L2, 1, &arena);
}

static inline void find_knobs(int64_t align) {
    find_as(COUPLING_OUTER, align);
}

/* The cut, inferred again from its inputs alone; every shape must be the one that the coupling predicts. */
static inline struct graph *apply(const struct config *config) {
    struct graph *g;
    cr_assert_eq(rewrite_apply(&knobs, config, &arena, &g, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(graph_check(g, &diag), ST_OK, "%s", diag.message);
    struct graph *again = graph_clone(g, &arena);
    for (uint32_t t = 0; t < again->n_tensors; t++) {
        if (again->tensors[t].producer == NONE || again->tensors[t].flags & TF_OUTPUT) continue;
        again->tensors[t].rank = RANK_UNKNOWN;
        again->tensors[t].value = NULL;
    }
    struct run infer = {.graph = again, .scratch = &arena, .diag = &diag};
    cr_assert_eq(passes_run(&infer, PASSES_ANALYSIS), ST_OK, "%s", diag.message);
    cr_assert_eq(rewrite_verify(&knobs, config, knobs.g, again, &arena, &diag), ST_OK, "%s", diag.message);
    return g;
}

static inline struct graph *cut_all(uint32_t steps) {
    struct config config = config_new(&knobs, &arena);
    for (uint32_t i = 0; i < knobs.n_groups; i++)
        config.removed[i] = (uint16_t)(steps < knobs.groups[i].n_steps ? steps : knobs.groups[i].n_steps);
    return apply(&config);
}

static inline int64_t size_of(const struct graph *g, uint32_t tensor, int32_t axis) {
    return g->tensors[tensor].dims[axis].value;
}

static inline uint32_t weight_in(const struct graph *g, uint32_t tensor) {
    return g->nodes[producer(tensor)].inputs[1];
}

static inline uint32_t weight_of(uint32_t tensor) {
    return weight_in(b.graph, tensor);
}

#endif
