/* Searches, for callers of the library. */
#include "search_api.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { EVALUATIONS = 20000, EVALUATIONS_CMD = 200 };
/* A model is cut until it just fits, so what it is held to leaves a margin. Of a list all that may well fit is
 * considered, and how surely it does weighed against the score (docs/search.md has the figures). */
#define RISK      0.05
#define RISK_LIST 0.6

static enum status check(const ol_search_request *r, struct diag *diag) {
    if (!r->model == !r->space) return diag_fail(diag, ST_USAGE, "name a model or a search space");
    if (!r->n_targets) return diag_fail(diag, ST_USAGE, "name a target");
    if (r->model) TRY(object_check(&r->model->base, diag));
    for (size_t i = 0; i < r->n_targets; i++) TRY(object_check(&r->targets[i]->base, diag));
    if (r->n_targets > FIND_TARGETS_MAX)
        return diag_fail(diag, ST_USAGE, "%zu targets; at most %d are possible", r->n_targets, FIND_TARGETS_MAX);
    for (size_t i = 0; i < r->n_targets; i++)
        if (r->budgets_ms && !(r->budgets_ms[i] > 0)) return diag_fail(diag, ST_USAGE, "a budget must be above 0 ms");
    if (!(r->risk >= 0 && r->risk < 1)) return diag_fail(diag, ST_USAGE, "the risk is a probability, such as 0.05");
    if (!(r->minutes >= 0)) return diag_fail(diag, ST_USAGE, "the minutes must not be negative");
    if (!(r->score_seconds >= 0)) return diag_fail(diag, ST_USAGE, "the seconds of a score must not be negative");
    if (r->align < 0) return diag_fail(diag, ST_USAGE, "an alignment cannot be %lld", (long long)r->align);
    if (r->score_table && r->score_cmd) return diag_fail(diag, ST_USAGE, "name a score table or a score command");
    if (r->state && (r->score_table || (r->strategy && strcmp(r->strategy, "evolution") != 0)))
        return diag_fail(diag, ST_USAGE, "only an evolution keeps a state to resume from");
    if (r->score_table && r->model) return diag_fail(diag, ST_USAGE, "a score table goes with a search space");
    return ST_OK;
}

static enum status parse_strategy(const char *name, enum strategy *out, struct diag *diag) {
    static const char *const names[] = {
        [STRATEGY_EVOLUTION] = "evolution", [STRATEGY_RANDOM] = "random", [STRATEGY_UNIFORM] = "uniform"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], name ? name : names[0]) != 0) continue;
        *out = (enum strategy)i;
        return ST_OK;
    }
    return diag_fail(diag, ST_USAGE, "strategy \"%s\" is not evolution, random or uniform", name);
}

static void settle(ol_search *s, ol_search_request *own) {
    s->weighs = own->score_table && !own->risk;
    if (!own->risk) own->risk = own->score_table ? RISK_LIST : RISK;
    if (!own->evaluations && !own->minutes) own->evaluations = own->score_cmd ? EVALUATIONS_CMD : EVALUATIONS;
    if (!own->score_seconds) own->score_seconds = 60;
    s->request = own;
}

/* Said before the search, not after it. */
static enum status can_write(const ol_search_request *r, struct diag *diag) {
    TRY(file_can_write(r->output, diag));
    const struct graph *g = r->model ? r->model->graph : NULL;
    return g ? onnx_can_write(g, r->output, g->n_files > 1, diag) : ST_OK;
}

static enum status can_write_candidates(ol_search *s) {
    const char *folder = score_model_folder(), *path = score_model_path(&s->base.arena);
    if (!path)
        return diag_fail(&s->base.diag, ST_IO, "%s: models to be scored cannot be written there: %s", folder,
                         strerror(errno));
    score_model_remove(path);
    return ST_OK;
}

static enum status begin(ol_search *s, const ol_search_request *r) {
    ol_search_request *own = arena_copy(&s->base.arena, r, sizeof *r);
    TRY(check(r, &s->base.diag));
    if (r->output && !r->plan) TRY(can_write(r, &s->base.diag));
    if (r->score_cmd) TRY(can_write_candidates(s));
    settle(s, own);
    TRY(parse_strategy(r->strategy, &s->strategy, &s->base.diag));
    search_workers_start(s);
    return ST_OK;
}

static enum status run(ol_search *s, const ol_search_request *r, const ol_search_result **out) {
    ol_search_result *result = arena_alloc(&s->base.arena, sizeof *result);
    TRY(begin(s, r));
    TRY(r->model ? search_model(s, result) : search_space(s, result));
    *out = result;
    return ST_OK;
}

ol_status ol_search_run(ol_context *context, const ol_search_request *r, const ol_search_result **out,
                        ol_search **search) {
    ol_search *s = *search = object_new(context, sizeof *s);
    *out = NULL;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) {
        search_workers_free(*search);
        return object_out_of_memory(&(*search)->base);
    }
    enum status status = run(s, r, out);
    search_workers_free(s);
    return object_end(&s->base, status);
}

ol_status ol_search_knobs(ol_context *context, const ol_search_request *r, const ol_knob **knobs, size_t *count,
                          ol_search **search) {
    ol_search *s = *search = object_new(context, sizeof *s);
    *knobs = NULL;
    *count = 0;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) {
        search_workers_free(*search);
        return object_out_of_memory(&(*search)->base);
    }
    enum status status = begin(s, r);
    if (status == ST_OK && !r->model) status = diag_fail(&s->base.diag, ST_USAGE, "knobs are those of a model");
    if (status == ST_OK) status = search_model_knobs(s, knobs, count);
    search_workers_free(s);
    return object_end(&s->base, status);
}

void ol_search_free(ol_search *s) {
    if (s) object_free(&s->base);
}

const char *ol_search_error(const ol_search *s) {
    return object_error(s ? &s->base : NULL);
}

const char *const *ol_search_warnings(const ol_search *s, size_t *count) {
    *count = s ? s->base.diag.n_warnings : 0;
    return s ? s->base.diag.warnings : NULL;
}
