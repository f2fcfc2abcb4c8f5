/* Choosing an architecture of a search space. */
#include "search_api.h"

#include "adapt.h"
#include "choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct space_search {
    ol_search *s;
    const ol_search_request *r;
    const struct space *space;
    uint16_t *max;
    size_t n_archs; /* of the table */
    struct arch *archs;
    double *scores;
    struct outcome *outcomes; /* by architecture of the table */
    struct odds {
        double holds;        /* the probability that every budget is kept */
        double lo_ms, hi_ms; /* on the first target */
    } * odds;                /* likewise */
};

static enum status price_arch(const struct space_search *ss, const struct arch *a, struct outcome *o, struct odds *odds,
                              struct search_worker *worker) {
    struct arena *arena = &worker->scratch;
    struct diag *diag = &worker->diag;
    bool all_linear = true;
    for (size_t t = 0; t < ss->r->n_targets; t++) all_linear = all_linear && ss->r->targets[t]->target->linear;
    struct features views[VIEW_COUNT] = {{{0}}};
    struct graph *g = NULL;
    if (all_linear)
        for (enum view v = VIEW_KEPT; v < space_views(ss->space); v++)
            TRY(space_features_cached(&worker->cache, ss->space, a, 1, v, &views[v], arena, diag));
    else {
        g = space_graph(ss->space, a, 1, 0, true, arena);
        struct run run = {.graph = g, .scratch = arena, .diag = diag};
        TRY(passes_run(&run, PASSES_ANALYSIS));
    }
    for (size_t v = space_views(ss->space); all_linear && v < VIEW_COUNT; v++) views[v] = views[0];
    *odds = (struct odds){.holds = 1};
    for (size_t t = 0; t < ss->r->n_targets; t++) {
        const struct target *target = ss->r->targets[t]->target;
        struct estimate e = {.confidence = 0.9};
        if (all_linear) {
            struct linear_estimate l = linear_predict(target->linear, views);
            e.ms = l.ms, e.lo_ms = l.lo_ms, e.hi_ms = l.hi_ms;
        } else
            TRY(search_price(target, g, arena, &e, diag));
        o->ms[t] = e.ms;
        o->bound_ms[t] = search_bound(&e, ss->r->risk);
        odds->holds *= search_holds(&e, ss->r->budgets_ms[t]);
        if (t == 0) odds->lo_ms = e.lo_ms, odds->hi_ms = e.hi_ms;
    }
    return ST_OK;
}

/* ---- From a table of scores: every architecture in it is priced ---- */

static enum status read_table(struct space_search *ss) {
    struct arena *arena = &ss->s->base.arena;
    struct diag *diag = &ss->s->base.diag;
    const char *path = ss->r->score_table;
    struct csv csv;
    TRY(csv_read(&csv, path, arena, diag));
    uint32_t column = csv_column(&csv, "accuracy");
    if (column == NONE) column = csv_column(&csv, "score");
    if (column == NONE) return diag_fail(diag, ST_DATA, "%s: has no column \"accuracy\" or \"score\"", path);
    ss->archs = arena_array(arena, csv.n_rows + 1, sizeof *ss->archs);
    ss->scores = arena_array(arena, csv.n_rows + 1, sizeof *ss->scores);
    TRY(space_read_archs(ss->space, &csv, path, ss->archs, diag));
    for (size_t i = 0; i < csv.n_rows; i++) {
        const char *text = csv.cells[i * csv.n_columns + column];
        if (!num_parse_f64(text, &ss->scores[i]))
            return diag_fail(diag, ST_DATA, "%s: line %zu: score \"%s\" is not a number", path, csv.lines[i], text);
    }
    ss->n_archs = csv.n_rows;
    return csv.n_rows ? ST_OK : diag_fail(diag, ST_DATA, "%s: has no architectures", path);
}

static void price_row(void *user, size_t i, unsigned worker) {
    struct space_search *ss = user;
    struct outcome *o = &ss->outcomes[i];
    o->score = NAN;
    if (setjmp(ss->s->workers[worker].oom)) return;
    search_worker_begin(ss->s, worker);
    if (price_arch(ss, &ss->archs[i], o, &ss->odds[i], &ss->s->workers[worker]) == ST_OK) o->score = ss->scores[i];
}

static bool within(const struct space_search *ss, const double ms[]) {
    for (size_t t = 0; t < ss->r->n_targets; t++)
        if (!(ms[t] <= ss->r->budgets_ms[t])) return false;
    return true;
}

static ol_setting show(const struct space_search *ss, const struct arch *a, const struct outcome *o) {
    ol_setting s = search_setting(ss->s, o);
    s.arch = space_print(ss->space, a, &ss->s->base.arena);
    return s;
}

static int by_latency(const void *a, const void *b) {
    const ol_setting *x = a, *y = b;
    if (x->latency_ms != y->latency_ms) return x->latency_ms < y->latency_ms ? -1 : 1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return strcmp(x->arch, y->arch);
}

/* Fastest first, each better than all before it. */
static void keep_frontier(ol_search_result *out, ol_setting *all, size_t n) {
    size_t kept = 0;
    qsort(all, n, sizeof *all, by_latency);
    for (size_t i = 0; i < n; i++)
        if (!kept || all[i].score > all[kept - 1].score) all[kept++] = all[i];
    out->frontier = all;
    out->n_frontier = kept;
}

static void show_interval(const struct odds *odds, ol_search_result *out) {
    out->after_lo_ms = odds->lo_ms;
    out->after_hi_ms = odds->hi_ms;
}

static enum status choose_row(struct space_search *ss, ol_search_result *out, size_t *chosen) {
    ol_setting *all = arena_array(&ss->s->base.arena, ss->n_archs + 1, sizeof *all);
    struct chance *fit = arena_array(&ss->s->base.arena, ss->n_archs + 1, sizeof *fit);
    size_t n = 0, n_fit = 0;
    bool met = false;
    for (size_t i = 0; i < ss->n_archs; i++) {
        const struct outcome *o = &ss->outcomes[i];
        if (isnan(o->score)) continue;
        all[n++] = show(ss, &ss->archs[i], o);
        if (!within(ss, o->bound_ms)) continue;
        met = met || !ss->s->weighs || within(ss, o->ms);
        fit[n_fit++] = (struct chance){i, o->score, ss->s->weighs ? ss->odds[i].holds : 1};
    }
    if (!n) return diag_fail(&ss->s->base.diag, ST_MODEL, "no architecture could be priced");
    keep_frontier(out, all, n);
    out->fastest = out->chosen = out->frontier[0];
    out->met = met;
    if (out->met) {
        *chosen = choose(fit, n_fit);
        out->chosen = show(ss, &ss->archs[*chosen], &ss->outcomes[*chosen]);
        show_interval(&ss->odds[*chosen], out);
    }
    out->evaluated = ss->n_archs;
    return ST_OK;
}

/* ---- Without one: the whole space, by evolution ---- */

static struct arch arch_of(const struct space_search *ss, const uint16_t *genes) {
    struct arch a = {{0}};
    for (size_t i = 0; i < space_genes(ss->space); i++) a.gene[i] = (uint8_t)genes[i];
    return a;
}

static double command_score(const struct space_search *ss, const struct arch *a, struct arena *arena,
                            struct diag *diag) {
    const char *path = score_model_path(arena);
    double score = NAN;
    if (!path) return NAN;
    if (onnx_write(space_graph(ss->space, a, 1, ss->r->seed, false, arena), path, false, diag) == ST_OK)
        score = score_command(ss->r->score_cmd, path, ss->r->score_seconds);
    score_model_remove(path);
    return score;
}

/* Without a table or a command capacity stands for quality: the logarithm of the multiply-accumulates. */
static double capacity(const struct space_search *ss, const struct arch *a, struct arena *arena, struct diag *diag) {
    struct run run = {.graph = space_graph(ss->space, a, 1, 0, true, arena), .scratch = arena, .diag = diag};
    double macs = 0;
    if (passes_run(&run, PASSES_ANALYSIS | 1u << PASS_cost) != ST_OK) return NAN;
    for (size_t n = 0; n < run.graph->n_nodes; n++) macs += run.costs[n].macs > 0 ? (double)run.costs[n].macs : 0;
    return log2(macs + 1);
}

static bool judge(void *user, const uint16_t *genes, struct outcome *o, unsigned worker) {
    struct space_search *ss = user;
    struct arch a = arch_of(ss, genes);
    if (setjmp(ss->s->workers[worker].oom)) return false;
    struct arena *arena = search_worker_begin(ss->s, worker);
    struct diag *diag = &ss->s->workers[worker].diag;
    struct odds odds;
    if (price_arch(ss, &a, o, &odds, &ss->s->workers[worker]) != ST_OK) return false;
    if (isnan(o->score))
        o->score = ss->r->score_cmd ? command_score(ss, &a, arena, diag) : capacity(ss, &a, arena, diag);
    return true;
}

static enum status price_alone(const struct space_search *ss, const struct arch *a, struct outcome *o,
                               struct odds *odds) {
    struct search_worker *worker = &ss->s->workers[0];
    if (setjmp(worker->oom)) longjmp(ss->s->base.oom, 1);
    search_worker_begin(ss->s, 0);
    enum status status = price_arch(ss, a, o, odds, worker);
    return status == ST_OK ? ST_OK : diag_fail(&ss->s->base.diag, status, "%s", worker->diag.message);
}

/* What one architecture takes tells other targets of the same name from these. */
static enum status problem_id(const struct space_search *ss, const char **id) {
    struct arena *arena = &ss->s->base.arena;
    struct outcome o;
    struct odds odds;
    TRY(price_alone(ss, &(struct arch){{0}}, &o, &odds));
    *id = arena_printf(arena, "space %s", ss->space->name);
    for (size_t t = 0; t < ss->r->n_targets; t++) *id = arena_printf(arena, "%s, %.9g ms", *id, o.ms[t]);
    *id = search_id(ss->s, *id);
    return ST_OK;
}

static enum status evolve_space(struct space_search *ss, ol_search_result *out, struct arch *chosen) {
    const ol_search_request *r = ss->r;
    ol_search *s = ss->s;
    struct findings found;
    size_t n_genes = space_genes(ss->space);
    ss->max = arena_array(&s->base.arena, n_genes + 1, sizeof *ss->max);
    for (size_t i = 0; i < n_genes; i++) ss->max[i] = (uint16_t)(space_options(ss->space, i) - 1);
    s->find = (struct find){.strategy = s->strategy,
                            .n_genes = n_genes,
                            .n_widths = n_genes,
                            .n_targets = r->n_targets,
                            .max = ss->max,
                            .budget_ms = r->budgets_ms,
                            .judge = judge,
                            .user = ss,
                            .jobs = s->n_workers,
                            .seed = r->seed,
                            .evaluations = r->evaluations,
                            .seconds = r->minutes * 60,
                            .progress = r->progress,
                            .progress_user = r->user,
                            .none = r->score_cmd ? NO_SCORE : NULL,
                            .state_path = r->state,
                            .arena = &s->base.arena};
    TRY(problem_id(ss, &s->find.state_id));
    TRY(find_best(&s->find, &found, &s->base.diag));
    ol_setting *frontier = arena_array(&s->base.arena, found.n_frontier + 1, sizeof *frontier);
    for (size_t i = 0; i < found.n_frontier; i++) {
        struct arch a = arch_of(ss, found.frontier[i].genes);
        frontier[i] = show(ss, &a, &found.frontier[i].outcome);
    }
    *chosen = arch_of(ss, found.chosen.genes);
    struct arch fastest = arch_of(ss, found.fastest.genes);
    *out = (ol_search_result){.met = found.met,
                              .chosen = show(ss, chosen, &found.chosen.outcome),
                              .fastest = show(ss, &fastest, &found.fastest.outcome),
                              .n_frontier = found.n_frontier,
                              .frontier = frontier,
                              .evaluated = found.evaluated,
                              .seconds = found.seconds};
    return ST_OK;
}

enum status search_space(ol_search *s, ol_search_result *out) {
    struct space_search ss = {.s = s, .r = s->request};
    struct arch chosen = {{0}};
    size_t row = 0;
    TRY(space_named(s->request->space, &ss.space, &s->base.diag));
    if (!s->request->budgets_ms) return diag_fail(&s->base.diag, ST_USAGE, "give a budget in milliseconds");
    if (ss.r->score_table) {
        TRY(read_table(&ss));
        ss.outcomes = arena_array(&s->base.arena, ss.n_archs + 1, sizeof *ss.outcomes);
        ss.odds = arena_array(&s->base.arena, ss.n_archs + 1, sizeof *ss.odds);
        double start = monotonic_ms();
        parallel_for(s->n_workers, ss.n_archs, price_row, &ss);
        TRY(choose_row(&ss, out, &row));
        out->seconds = (monotonic_ms() - start) / 1e3;
        if (out->met) chosen = ss.archs[row];
    } else {
        TRY(evolve_space(&ss, out, &chosen));
        struct outcome outcome;
        struct odds odds; /* the search keeps no intervals */
        if (out->met) {
            TRY(price_alone(&ss, &chosen, &outcome, &odds));
            show_interval(&odds, out);
        }
    }
    if (!out->met || !ss.r->output || ss.r->plan) return ST_OK;
    out->written = 1;
    struct graph *g = space_graph(ss.space, &chosen, 1, s->request->seed, false, &s->base.arena);
    return onnx_write(g, ss.r->output, false, &s->base.diag);
}
