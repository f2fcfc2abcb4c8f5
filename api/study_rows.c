/* Networks to rows of features, whether they come as files or as architectures. */
#include "study.h"

#include <stdlib.h>
#include <string.h>

#define REFERENCE 16 /* architectures that stand for their space: they set the scale of each feature, no more */

struct matrix {
    size_t n, n_views;
    double *x[VIEW_COUNT], *y;
};

static struct matrix matrix_new(size_t n, size_t n_views, struct arena *arena) {
    struct matrix m = {.n = n, .n_views = n_views, .y = arena_array(arena, n + 1, sizeof(double))};
    for (size_t v = 0; v < n_views; v++) m.x[v] = arena_array(arena, n * FT_LEARNED + 1, sizeof(double));
    return m;
}

static struct samples as_samples(const struct matrix *m) {
    struct samples s = {.n = m->n, .p = FT_LEARNED, .n_views = m->n_views, .y = m->y};
    for (size_t v = 0; v < m->n_views; v++) s.x[v] = m->x[v];
    return s;
}

static void need_cache(ol_study *s) {
    if (s->has_cache) return;
    space_cache_init(&s->cache, s->base.arena.allocator, &s->base.oom);
    s->has_cache = true;
}

/* Views that a space does not tell apart have the features of the first. */
static enum status arch_row(ol_study *s, const struct space *space, const struct arch *arch, int64_t batch,
                            struct matrix *m, size_t row) {
    struct features features;
    struct arena *scratch = study_scratch(s);
    need_cache(s);
    for (size_t v = 0; v < m->n_views; v++) {
        if (v < space_views(space))
            TRY(space_features_cached(&s->cache, space, arch, batch, (enum view)v, &features, scratch, &s->base.diag));
        features_fold(&features, m->x[v] + row * FT_LEARNED);
    }
    arena_reset(scratch);
    return ST_OK;
}

static enum status lower_views(ol_model *model, struct matrix *m, size_t row) {
    TRY(model_analyse(model));
    TRY(check_closed(model->graph, &model->base.diag));
    for (size_t v = 0; v < m->n_views; v++) {
        struct runtime runtime = space_runtime;
        const struct lowered *lowered;
        runtime.view = (enum view)v;
        TRY(model_lower(model, &runtime, &lowered));
        features_fold(&lowered->features, m->x[v] + row * FT_LEARNED);
        if (v == 0 && lowered->workload->n_uncovered)
            diag_warn(&model->base.diag,
                      "%s: %zu of its %lld nodes cannot be priced, and what they take is put down to "
                      "the others",
                      model->graph->path, lowered->workload->n_uncovered, (long long)lowered->workload->graph_nodes);
    }
    return ST_OK;
}

/* A batch that was stated is not that of a model whose own is another. */
static enum status check_batch(ol_model *model, const struct network *network, bool was_open) {
    const struct graph *g = model->graph;
    if (!network->batch_is_stated || network->batch == 1 || was_open || !g->bodies[0].n_inputs) return ST_OK;
    const struct tensor *t = &g->tensors[g->bodies[0].inputs[0]];
    if (t->rank > 0 && dim_is(t->dims[0], network->batch)) return ST_OK;
    return diag_fail(&model->base.diag, ST_DATA, "%s: batch %lld was asked for, but the model states its sizes",
                     g->path, (long long)network->batch);
}

static bool leads_open(const struct graph *g) {
    for (uint32_t i = 0; i < g->bodies[0].n_inputs; i++) {
        const struct tensor *t = &g->tensors[g->bodies[0].inputs[i]];
        if (t->rank == RANK_UNKNOWN || (t->rank > 0 && !dim_is_number(t->dims[0]))) return true;
    }
    return false;
}

static enum status read_model(ol_model *model, const struct networks *list, const struct network *network,
                              struct matrix *m, size_t row) {
    if (setjmp(model->base.oom)) return (enum status)object_out_of_memory(&model->base);
    for (size_t i = 0; i < list->n_dims; i++)
        if (ol_model_leaves_open(model, list->dims[i].name))
            TRY((enum status)ol_model_set_dim(model, list->dims[i].name, list->dims[i].size));
    if (setjmp(model->base.oom)) return (enum status)object_out_of_memory(&model->base);
    bool was_open = leads_open(model->graph);
    model->bind.batch = network->batch;
    TRY(lower_views(model, m, row));
    return check_batch(model, network, was_open);
}

static enum status file_row(ol_study *s, const struct networks *list, const struct network *network, struct matrix *m,
                            size_t row, struct diag *diag) {
    ol_model *model;
    size_t n_warnings;
    enum status status = (enum status)ol_model_open(s->base.context, network->text, &model);
    if (status == ST_OK) status = read_model(model, list, network, m, row);
    if (status != ST_OK) diag_fail(diag, status, "%s", ol_model_error(model));
    const char *const *warnings = ol_model_warnings(model, &n_warnings);
    for (size_t i = 0; i < n_warnings; i++) diag_warn(&s->base.diag, "%s", warnings[i]);
    ol_model_free(model);
    return status;
}

static size_t views_of(const struct networks *list) {
    size_t views = 1;
    for (size_t i = 0; i < list->n; i++)
        if (!list->at[i].space || list->at[i].space->views) views = VIEW_COUNT;
    return views;
}

static enum status read_arch(const struct networks *list, const struct network *network, struct arch *arch,
                             struct diag *diag) {
    struct diag own;
    diag_init(&own, diag->arena);
    if (space_parse(network->space, network->text, arch, &own) == ST_OK) return ST_OK;
    return diag_fail_at(diag, &own, list->path, network->line);
}

const char *network_key(const struct network *n, struct arena *arena) {
    struct arch arch;
    struct diag unsaid;
    const char *text = n->text;
    diag_init(&unsaid, arena);
    char *real = n->space ? NULL : realpath(n->text, NULL);
    if (n->space && space_parse(n->space, n->text, &arch, &unsaid) == ST_OK) text = space_print(n->space, &arch, arena);
    const char *key =
        arena_printf(arena, "%s\n%s\n%lld", n->space ? n->space->name : "", real ? real : text, (long long)n->batch);
    free(real);
    return key;
}

static enum status network_row(ol_study *s, const struct networks *list, const struct network *network,
                               struct matrix *m, size_t row, struct diag *diag) {
    struct arch arch;
    m->y[row] = network->ms;
    if (!network->space) return file_row(s, list, network, m, row, diag);
    TRY(read_arch(list, network, &arch, diag));
    return arch_row(s, network->space, &arch, network->batch, m, row);
}

enum status study_rows(ol_study *s, struct networks *list, struct samples *out) {
    struct matrix m = matrix_new(list->n, views_of(list), &s->base.arena);
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct diag own;
        diag_init(&own, &s->base.arena);
        enum status status = network_row(s, list, &list->at[i], &m, kept, &own);
        if (status == ST_OK)
            list->at[kept++] = list->at[i];
        else if (list->may_fail && own.message && status != ST_MEMORY)
            PUSH(&s->base.arena, list, failures, own.message);
        else
            return own.message ? diag_fail(&s->base.diag, status, "%s", own.message) : status;
    }
    list->n = m.n = kept;
    *out = as_samples(&m);
    return ST_OK;
}

enum status study_reference(ol_study *s, const struct networks *list, const struct samples *rows,
                            struct samples *reference) {
    const struct network *first = &list->at[0];
    *reference = *rows;
    for (size_t i = 0; i < list->n; i++)
        if (!list->at[i].space || list->at[i].space != first->space || list->at[i].batch != first->batch) return ST_OK;
    struct matrix m = matrix_new(REFERENCE, 1, &s->base.arena);
    struct arch archs[REFERENCE];
    struct rng rng;
    rng_seed(&rng, 0);
    space_cover(first->space, &rng, archs, REFERENCE);
    for (size_t i = 0; i < REFERENCE; i++) TRY(arch_row(s, first->space, &archs[i], first->batch, &m, i));
    *reference = as_samples(&m);
    reference->n_views = rows->n_views;
    for (size_t v = 1; v < rows->n_views; v++) reference->x[v] = m.x[0];
    return ST_OK;
}
