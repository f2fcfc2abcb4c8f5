/* Networks to rows of features, whether they come as files or as architectures. */
#include "study.h"

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
    s->scratch = arena_inside(&s->base.arena);
    s->has_cache = true;
}

/* Views that a space does not tell apart have the features of the first. */
static enum status arch_row(ol_study *s, const struct space *space, const struct arch *arch, int64_t batch,
                            struct matrix *m, size_t row) {
    struct features features;
    need_cache(s);
    for (size_t v = 0; v < m->n_views; v++) {
        if (v < space_views(space))
            TRY(space_features_cached(&s->cache, space, arch, batch, (enum view)v, &features, s->scratch,
                                      &s->base.diag));
        features_fold(&features, m->x[v] + row * FT_LEARNED);
    }
    arena_reset(s->scratch);
    return ST_OK;
}

static enum status lower_views(ol_model *model, struct matrix *m, size_t row) {
    TRY(model_analyse(model));
    TRY(model_check_closed(model));
    for (size_t v = 0; v < m->n_views; v++) {
        struct runtime runtime = space_runtime;
        const struct lowered *lowered;
        runtime.view = (enum view)v;
        TRY(model_lower(model, &runtime, &lowered));
        features_fold(&lowered->features, m->x[v] + row * FT_LEARNED);
    }
    return ST_OK;
}

static enum status read_model(ol_model *model, int64_t batch, struct matrix *m, size_t row) {
    if (setjmp(model->base.oom)) return (enum status)object_out_of_memory(&model->base);
    model->bind.batch = batch;
    return lower_views(model, m, row);
}

static enum status file_row(ol_study *s, const struct network *network, struct matrix *m, size_t row) {
    ol_model *model;
    enum status status = (enum status)ol_model_open(s->base.context, network->text, &model);
    if (status == ST_OK) status = read_model(model, network->batch, m, row);
    if (status != ST_OK) diag_fail(&s->base.diag, status, "%s", ol_model_error(model));
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

enum status study_rows(ol_study *s, const struct networks *list, struct samples *out) {
    struct matrix m = matrix_new(list->n, views_of(list), &s->base.arena);
    for (size_t i = 0; i < list->n; i++) {
        const struct network *network = &list->at[i];
        struct arch arch;
        m.y[i] = network->ms;
        if (!network->space) {
            TRY(file_row(s, network, &m, i));
            continue;
        }
        TRY(read_arch(list, network, &arch, &s->base.diag));
        TRY(arch_row(s, network->space, &arch, network->batch, &m, i));
    }
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
