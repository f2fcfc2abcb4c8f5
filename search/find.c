/* The search loop. */
#include "find.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { UNIFORM_STARTS = 24, SAVE_EVERY = 8, SIMPLE_TRIES = 1000 };

struct loop {
    const struct find *f;
    struct evolve evolve;
    double started;
    atomic_bool priced;  /* there was one */
    struct arena *other; /* of the two that hold a generation in turn: not evolve's */
};

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool time_is_up(const struct loop *l) {
    return l->f->seconds > 0 && seconds_now() - l->started >= l->f->seconds;
}

/* Costs of evolve: latency on each target, then what the score lacks. A score may take long: time ends within a
 * generation, too. */
static void price(void *user, const uint16_t *genes, double *cost, unsigned worker) {
    struct loop *l = user;
    const struct find *f = l->f;
    struct outcome o = {.score = NAN};
    bool too_late = atomic_exchange(&l->priced, true) && time_is_up(l);
    bool valid = !too_late && f->judge(f->user, genes, &o, worker) && !isnan(o.score);
    for (size_t t = 0; t < f->n_targets; t++) cost[t] = valid ? o.bound_ms[t] : INFINITY;
    cost[f->n_targets] = valid ? -o.score : INFINITY;
}

static bool meets(const struct find *f, const double *bound_ms) {
    for (size_t t = 0; t < f->n_targets; t++)
        if (bound_ms[t] > f->budget_ms[t]) return false;
    return true;
}

/* How far beyond the worst-missed budget, as a ratio. */
static double excess(const struct find *f, const double *bound_ms) {
    double worst = 0;
    for (size_t t = 0; t < f->n_targets; t++) worst = fmax(worst, bound_ms[t] / f->budget_ms[t]);
    return worst;
}

/* Evaluations that are left. */
static size_t left(const struct loop *l) {
    if (!l->f->evaluations) return SIZE_MAX;
    return l->evolve.evaluated < l->f->evaluations ? l->f->evaluations - l->evolve.evaluated : 0;
}

static bool exhausted(const struct loop *l) {
    return !left(l) || time_is_up(l);
}

static void tell_progress(const struct loop *l, double share) {
    if (l->f->progress) l->f->progress(l->f->progress_user, l->evolve.evaluated, share);
}

/* What is neither a survivor nor on the frontier is forgotten, tries in hand too. */
static void forget(struct loop *l) {
    struct arena *next = l->other;
    l->other = l->evolve.arena;
    arena_reset(next);
    evolve_move(&l->evolve, next);
}

/* ---- Where the search starts ---- */

static uint16_t *uniform(const struct loop *l, double share) {
    const struct find *f = l->f;
    uint16_t *genes = arena_array(l->evolve.arena, f->n_genes + 1, sizeof *genes);
    for (size_t i = 0; i < f->n_widths; i++) genes[i] = (uint16_t)lround(share * f->max[i]);
    return genes;
}

/* Kernels and images shrink as much; yes-or-no knobs stay as they are. */
static const uint16_t *uniform_in_all(const struct loop *l, double share) {
    const struct find *f = l->f;
    uint16_t *genes = uniform(l, share);
    for (size_t i = f->n_widths; i < f->n_genes; i++)
        if (f->max[i] > 1) genes[i] = (uint16_t)lround(share * f->max[i]);
    return genes;
}

static size_t starts(const struct loop *l, const uint16_t **out) {
    size_t n = 0;
    for (int i = 0; l->f->uniform && i < UNIFORM_STARTS; i++) {
        double share = (double)i / (UNIFORM_STARTS - 1);
        out[n++] = i % 2 ? uniform_in_all(l, share) : uniform(l, share);
    }
    if (!n) out[n++] = uniform(l, 0);
    return n;
}

/* One more step of every knob from a setting: which buys the most latency for the least score? */
static const struct candidate *cheapest_step(struct loop *l, const struct candidate *from) {
    const struct find *f = l->f;
    struct arena *arena = l->evolve.arena;
    const uint16_t **tries = arena_array(arena, f->n_genes + 1, sizeof *tries);
    size_t n = 0;
    for (size_t i = 0; i < f->n_genes; i++) {
        if (from->genes[i] >= f->max[i]) continue;
        uint16_t *genes = arena_copy(arena, from->genes, f->n_genes * sizeof *genes);
        int step = f->max[i] / 16 > 1 ? f->max[i] / 16 : 1;
        genes[i] = (uint16_t)(genes[i] + step < f->max[i] ? genes[i] + step : f->max[i]);
        tries[n++] = genes;
    }
    if (n > left(l)) n = left(l);
    struct candidate *priced = arena_array(arena, n + 1, sizeof *priced);
    evolve_price(&l->evolve, tries, n, priced);
    const struct candidate *best = NULL;
    double best_rate = 0;
    for (size_t i = 0; i < n; i++) {
        double gain = excess(f, from->cost) - excess(f, priced[i].cost);
        double loss = priced[i].cost[f->n_targets] - from->cost[f->n_targets];
        double rate = gain / (loss > 1e-9 ? loss : 1e-9);
        if (gain > 0 && rate > best_rate) best_rate = rate, best = &priced[i];
    }
    return best;
}

static void descend(struct loop *l) {
    struct candidate here;
    const uint16_t *zero = uniform(l, 0);
    evolve_price(&l->evolve, &zero, 1, &here);
    while (!exhausted(l) && isfinite(here.cost[0]) && excess(l->f, here.cost) > 0.9) {
        const struct candidate *next = cheapest_step(l, &here);
        if (!next) return;
        here = *next;
        tell_progress(l, 0);
    }
}

/* ---- Choosing ---- */

static const struct candidate *choose(const struct loop *l) {
    const struct find *f = l->f;
    const struct candidate *best = NULL;
    for (size_t i = 0; i < l->evolve.n_frontier; i++) {
        const struct candidate *c = &l->evolve.frontier[i];
        if (!best) {
            best = c;
            continue;
        }
        bool ours = meets(f, c->cost), theirs = meets(f, best->cost);
        double mine = c->cost[f->n_targets], other = best->cost[f->n_targets];
        if (ours != theirs ? ours : ours ? mine < other : excess(f, c->cost) < excess(f, best->cost)) best = c;
    }
    return best;
}

/* Gives back what the budget leaves room for, or takes what costs nothing: single steps, until none helps. */
static void refine(struct loop *l) {
    const struct find *f = l->f;
    for (int round = 0; round < 64 && !exhausted(l); round++) {
        const struct candidate *best = choose(l);
        if (!best || !meets(f, best->cost)) return;
        const uint16_t **tries = arena_array(l->evolve.arena, f->n_genes * 2 + 1, sizeof *tries);
        size_t n = 0;
        for (size_t i = 0; i < f->n_genes; i++)
            for (int way = -1; way <= 1; way += 2) {
                int moved = best->genes[i] + way;
                if (moved < 0 || moved > f->max[i]) continue;
                uint16_t *genes = arena_copy(l->evolve.arena, best->genes, f->n_genes * sizeof *genes);
                genes[i] = (uint16_t)moved;
                tries[n++] = genes;
            }
        double before = best->cost[f->n_targets];
        evolve_offer(&l->evolve, tries, n < left(l) ? n : left(l));
        if (!(choose(l)->cost[f->n_targets] < before)) return;
    }
}

/* ---- What the search is compared with ---- */

static const uint16_t *drawn(struct loop *l) {
    const struct find *f = l->f;
    uint16_t *genes = arena_array(l->evolve.arena, f->n_genes + 1, sizeof *genes);
    double share = rng_unit(&l->evolve.rng);
    for (size_t i = 0; i < f->n_genes; i++) genes[i] = (uint16_t)(rng_unit(&l->evolve.rng) * share * (f->max[i] + 1));
    return genes;
}

static void try_simple(struct loop *l) {
    const struct find *f = l->f;
    const uint16_t *batch[EVOLVE_POPULATION];
    struct candidate priced[EVOLVE_POPULATION];
    size_t total = f->evaluations ? f->evaluations : SIMPLE_TRIES;
    for (size_t done = 0, n; done < total && (!done || !exhausted(l)); done += n) {
        for (n = 0; n < EVOLVE_POPULATION && done + n < total; n++)
            batch[n] = f->strategy == STRATEGY_RANDOM ? drawn(l) : uniform(l, (double)(done + n) / (double)total);
        evolve_price(&l->evolve, batch, n, priced);
        forget(l);
        tell_progress(l, (double)done / (double)total);
    }
}

static enum status save(const struct loop *l, struct diag *diag) {
    return l->f->state_path ? state_save(l->f, &l->evolve, diag) : ST_OK;
}

static enum status start(struct loop *l, struct diag *diag) {
    bool resumed = false;
    const uint16_t *seeds[UNIFORM_STARTS];
    if (l->f->state_path) TRY(state_load(l->f, &l->evolve, &resumed, diag));
    if (resumed) return ST_OK;
    evolve_start(&l->evolve, seeds, starts(l, seeds), left(l));
    if (l->f->greedy) descend(l);
    return save(l, diag);
}

static enum status generations(struct loop *l, struct diag *diag) {
    for (int n = 1; !exhausted(l); n++) {
        evolve_generation(&l->evolve, left(l));
        if (n % SAVE_EVERY == 0) refine(l);
        forget(l);
        if (n % SAVE_EVERY == 0 || !l->f->greedy) TRY(save(l, diag)); /* what is not cheap is kept at once */
        double by_count = l->f->evaluations ? (double)l->evolve.evaluated / (double)l->f->evaluations : 0;
        double by_time = l->f->seconds > 0 ? (seconds_now() - l->started) / l->f->seconds : 0;
        tell_progress(l, fmax(by_count, by_time));
    }
    return save(l, diag);
}

static struct found show(const struct loop *l, const struct candidate *c) {
    struct found found = {.genes = c->genes, .outcome.score = -c->cost[l->f->n_targets]};
    if (!l->f->judge(l->f->user, c->genes, &found.outcome, 0)) found.outcome.score = NAN;
    return found;
}

static void report(struct loop *l, struct findings *out) {
    const struct evolve *e = &l->evolve;
    const struct candidate *best = choose(l);
    *out = (struct findings){.evaluated = e->evaluated, .seconds = seconds_now() - l->started};
    if (!best) return;
    out->met = meets(l->f, best->cost);
    out->chosen = show(l, best);
    out->frontier = arena_array(l->f->arena, e->n_frontier, sizeof *out->frontier);
    for (size_t i = 0; i < e->n_frontier; i++) out->frontier[out->n_frontier++] = show(l, &e->frontier[i]);
    out->fastest = out->frontier[0];
}

enum status find_best(const struct find *f, struct findings *out, struct diag *diag) {
    struct loop l = {.f = f, .started = seconds_now(), .other = arena_inside(f->arena)};
    l.evolve = (struct evolve){.n_genes = f->n_genes,
                               .n_costs = f->n_targets + 1,
                               .max = f->max,
                               .price = price,
                               .user = &l,
                               .jobs = f->jobs,
                               .arena = arena_inside(f->arena)};
    rng_seed(&l.evolve.rng, f->seed);
    if (f->strategy == STRATEGY_EVOLUTION) {
        TRY(start(&l, diag));
        TRY(generations(&l, diag));
        refine(&l);
    } else
        try_simple(&l);
    report(&l, out);
    return out->n_frontier ? ST_OK : diag_fail(diag, ST_MODEL, "%s", f->none ? f->none : "no setting could be priced");
}
