/* A prediction: the model's kernels on the target's runtime, priced, as flat public structs. */
#include "api.h"

#include <string.h>

static const char *bound_name(enum bound bound) {
    static const char *const names[] = {
        [BOUND_COMPUTE] = "compute", [BOUND_MEMORY] = "memory", [BOUND_OVERHEAD] = "overhead"};
    return names[bound];
}

static int64_t kernel_bytes(const struct kernel *k) {
    return num_mul_sat(num_add_sat(num_add_sat(k->in_bytes, k->out_bytes), k->weight_bytes), k->count);
}

static ol_kernel show_kernel(const struct lowered *l, const struct kernel *k, struct kernel_estimate e,
                             struct arena *arena) {
    const char **nodes = arena_array(arena, k->n_nodes, sizeof *nodes);
    for (uint32_t i = 0; i < k->n_nodes; i++)
        nodes[i] = node_title(l->graph, &l->graph->nodes[l->workload->nodes[k->first_node + i]]);
    return (ol_kernel){.kind = kernel_class_name(k->kind),
                       .op = k->op,
                       .n_nodes = k->n_nodes,
                       .nodes = nodes,
                       .ms = e.ms,
                       .bound = bound_name(e.bound),
                       .macs = num_mul_sat(k->macs, k->count),
                       .bytes = kernel_bytes(k)};
}

static const ol_unresolved *show_uncovered(const struct lowered *l, struct arena *arena) {
    const struct workload *w = l->workload;
    ol_unresolved *list = arena_array(arena, w->n_uncovered, sizeof *list);
    for (size_t i = 0; i < w->n_uncovered; i++) list[i] = show_unresolved(l->graph, w->uncovered[i], arena);
    return list;
}

static ol_estimate *show(const struct ol_model *m, const struct target *t, const struct lowered *l,
                         const struct estimate *e, struct arena *arena) {
    ol_kernel *kernels = arena_array(arena, e->n_kernels, sizeof *kernels);
    ol_estimate *shown = arena_alloc(arena, sizeof *shown);
    for (size_t i = 0; i < e->n_kernels; i++)
        kernels[i] = show_kernel(l, &l->workload->kernels[i], e->kernels[i], arena);
    *shown = (ol_estimate){.model = m->graph->path,
                           .target = arena_strndup(arena, t->name, strlen(t->name)),
                           .latency_ms = e->ms,
                           .lo_ms = e->lo_ms,
                           .hi_ms = e->hi_ms,
                           .confidence = e->confidence,
                           .coverage = e->coverage,
                           .extrapolated = e->extrapolated,
                           .macs = l->workload->macs,
                           .params = l->workload->params,
                           .peak_memory_bytes = l->workload->peak_memory_bytes,
                           .data_dependent_nodes = l->workload->data_dependent_nodes,
                           .n_kernels = e->n_kernels,
                           .n_unresolved = l->workload->n_uncovered,
                           .kernels = kernels,
                           .unresolved = show_uncovered(l, arena)};
    return shown;
}

/* Targets fitted on measurements weigh the graph views against each other, so they need the features of each. */
static enum status gather(ol_model *m, const struct target *t, struct model_input *input, const struct lowered **own) {
    TRY(model_lower(m, &t->runtime, own));
    input->workload = (*own)->workload;
    if (!t->linear) return ST_OK;
    for (int v = 0; v < VIEW_COUNT; v++) {
        struct runtime runtime = t->runtime;
        const struct lowered *l;
        runtime.view = (enum view)v;
        TRY(model_lower(m, &runtime, &l));
        input->features[v] = l->features;
    }
    return ST_OK;
}

static void warn_of_data(ol_model *m, const struct target *t, const struct workload *w) {
    const char *priced = "are priced at the largest they can be";
    if (w->most) priced = "are priced as expected";
    if (w->most && t->calibrated) priced = "are priced as expected; the interval reaches from the least to the most";
    if (w->data_dependent_nodes)
        diag_warn(&m->base.diag, "%s: %lld nodes whose sizes depend on data %s", m->graph->path,
                  (long long)w->data_dependent_nodes, priced);
}

enum status model_predict(ol_model *m, const struct target *t, const ol_estimate **out) {
    struct model_input input = {0};
    const struct lowered *own;
    struct estimate estimate;
    TRY(model_analyse(m));
    TRY(check_closed(m->graph, &m->base.diag));
    TRY(gather(m, t, &input, &own));
    TRY(predict(t, &input, &m->base.arena, &estimate, &m->base.diag));
    warn_of_data(m, t, own->workload);
    if (estimate.extrapolated)
        diag_warn(&m->base.diag, "%s: lies far outside of what target %s was fitted on", m->graph->path, t->name);
    *out = show(m, t, own, &estimate, &m->base.arena);
    return ST_OK;
}
