/* Candidates are priced by the passes and the predictor that a file meets, on a thread's own memory. */
#include "search_api.h"

#include "adapt.h"

#include <math.h>

static enum status lower(const struct graph *g, const struct runtime *runtime, struct arena *scratch, struct run *run,
                         struct diag *diag) {
    static const uint32_t mask =
        1u << PASS_fold | 1u << PASS_dead | 1u << PASS_cost | 1u << PASS_lower | 1u << PASS_features;
    *run = (struct run){.graph = graph_clone(g, scratch),
                        .scratch = scratch,
                        .diag = diag,
                        .runtime = runtime,
                        .facts = P_BOUND | P_TOPO | P_SHAPES,
                        .peak_memory_bytes = -1};
    return passes_run(run, mask);
}

enum status search_price(const struct target *t, const struct graph *g, struct arena *scratch, struct estimate *e,
                         struct diag *diag) {
    struct model_input input = {0};
    struct run run;
    TRY(lower(g, &t->runtime, scratch, &run, diag));
    input.workload = run.workload;
    for (int v = 0; t->linear && v < VIEW_COUNT; v++) {
        struct runtime runtime = t->runtime;
        runtime.view = (enum view)v;
        TRY(lower(g, &runtime, scratch, &run, diag));
        input.features[v] = run.features;
    }
    return predict(t, &input, scratch, e, diag);
}

/* Standard normal quantile, by bisection: exact enough for what is asked for a few times an estimate. */
static double quantile(double p) {
    double lo = -8, hi = 8;
    for (int i = 0; i < 60; i++) {
        double middle = (lo + hi) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            lo = middle;
        else
            hi = middle;
    }
    return (lo + hi) / 2;
}

/* Latencies err by factors: the interval's ends are quantiles of a log-normal distribution. */
static double deviation(const struct estimate *e) {
    return e->ms > 0 && e->hi_ms > e->ms ? log(e->hi_ms / e->ms) / quantile(0.5 + e->confidence / 2) : 0;
}

double search_bound(const struct estimate *e, double risk) {
    return e->ms * exp(quantile(1 - risk) * deviation(e));
}

double search_holds(const struct estimate *e, double budget_ms) {
    double d = deviation(e);
    return d > 0 ? 0.5 * erfc(log(e->ms / budget_ms) / (d * sqrt(2))) : e->ms <= budget_ms;
}

ol_setting search_setting(ol_search *s, const struct outcome *o) {
    size_t n = s->request->n_targets;
    return (ol_setting){.latency_ms = o->ms[0],
                        .bound_ms = o->bound_ms[0],
                        .latencies_ms = arena_copy(&s->base.arena, o->ms, n * sizeof *o->ms),
                        .bounds_ms = arena_copy(&s->base.arena, o->bound_ms, n * sizeof *o->bound_ms),
                        .score = o->score};
}

const char *search_id(ol_search *s, const char *what) {
    const ol_search_request *r = s->request;
    for (size_t i = 0; i < r->n_targets; i++)
        what = arena_printf(&s->base.arena, "%s, %s", what, r->targets[i]->target->name);
    return arena_printf(&s->base.arena, "%s, seed %llu, risk %g, score %s", what, (unsigned long long)r->seed, r->risk,
                        r->score_cmd ? r->score_cmd : "own");
}

void search_workers_start(ol_search *s) {
    const ol_search_request *r = s->request;
    s->n_workers = r->jobs ? r->jobs : cpu_count();
    s->workers = arena_array(&s->base.arena, s->n_workers, sizeof *s->workers);
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct search_worker *w = &s->workers[i];
        arena_init(&w->scratch, s->base.arena.allocator, &w->oom);
        space_cache_init(&w->cache, s->base.arena.allocator, &w->oom);
    }
}

void search_workers_free(ol_search *s) {
    for (unsigned i = 0; s->workers && i < s->n_workers; i++) {
        arena_free(&s->workers[i].scratch);
        space_cache_free(&s->workers[i].cache);
    }
    s->workers = NULL;
}

struct arena *search_worker_begin(ol_search *s, unsigned worker) {
    struct search_worker *w = &s->workers[worker];
    arena_reset(&w->scratch);
    diag_init(&w->diag, &w->scratch);
    return &w->scratch;
}
