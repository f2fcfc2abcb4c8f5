/* Measurements, for callers of the library. */
#include "api.h"
#include "measure.h"

static const ol_node_time *show_nodes(const struct measurement *m, struct arena *arena) {
    ol_node_time *nodes = arena_array(arena, m->n_nodes + 1, sizeof *nodes);
    for (size_t i = 0; i < m->n_nodes; i++)
        nodes[i] = (ol_node_time){m->nodes[i].name, m->nodes[i].op, m->nodes[i].mean_us / 1e3};
    return nodes;
}

/* The inputs as they are bound. */
static struct bindings bound_inputs(const ol_model *m, struct arena *arena) {
    const struct graph *g = m->graph;
    const struct body *main = &g->bodies[0];
    struct shape_binding *shapes = arena_array(arena, main->n_inputs + 1, sizeof *shapes);
    struct bindings bind = {.dims = m->bind.dims, .n_dims = m->bind.n_dims, .shapes = shapes};
    for (uint32_t i = 0; i < main->n_inputs; i++) {
        const struct tensor *t = &g->tensors[main->inputs[i]];
        if (t->kind != TY_TENSOR) continue;
        int64_t *dims = arena_array(arena, (size_t)t->rank + 1, sizeof *dims);
        for (int32_t k = 0; k < t->rank; k++) dims[k] = t->dims[k].value;
        shapes[bind.n_shapes++] = (struct shape_binding){.input = t->name, .rank = t->rank, .dims = dims};
    }
    return bind;
}

static enum status measure_model(ol_model *m, const ol_measuring *how, const ol_measurement **out) {
    struct arena *arena = &m->base.arena;
    struct measurement result;
    TRY(model_bind(m));
    TRY(check_closed(m->graph, &m->base.diag));
    struct bindings bind = bound_inputs(m, arena);
    struct measure_options options = {.threads = how->threads,
                                      .runs = how->runs,
                                      .per_node = how->per_node != 0,
                                      .provider = how->provider,
                                      .bind = &bind,
                                      .seed = how->seed};
    TRY(measure_file(m->graph->path, &options, arena, &result, &m->base.diag));
    ol_measurement *shown = arena_alloc(arena, sizeof *shown);
    *shown = (ol_measurement){.model = m->graph->path,
                              .runtime = result.runtime,
                              .threads = result.threads,
                              .runs = result.runs,
                              .min_ms = result.min_ms,
                              .median_ms = result.median_ms,
                              .p90_ms = result.p90_ms,
                              .n_nodes = result.n_nodes,
                              .nodes = show_nodes(&result, arena)};
    *out = shown;
    return ST_OK;
}

ol_status ol_model_measure(ol_model *m, const ol_measuring *how, const ol_measurement **out) {
    *out = NULL;
    OBJECT_BEGIN(&m->base);
    return object_end(&m->base, measure_model(m, how, out));
}
