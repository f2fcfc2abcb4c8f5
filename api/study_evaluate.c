/* Few-shot experiments on a table, for callers of the library. */
#include "study.h"

#include <math.h>
#include <string.h>

/* Known devices of HELP's protocol (Lee et al., NeurIPS 2021, appendix). */
static const char *const help_sources[] = {"1080ti_1",     "1080ti_32",   "1080ti_64", "1080ti_256",     "silver_4114",
                                           "silver_4210r", "samsung_a50", "pixel3",    "essential_ph_1", "samsung_s7"};
static const char *const oneproxy_sources[] = {"true_vpu"}; /* Lu et al., SIGMETRICS 2022 */

struct evaluation {
    ol_study *study;
    const ol_experiment *spec;
    const struct space *space;
    struct table table;
    struct experiment experiment; /* all proxies; `seed` and the rest as asked */
    struct sources sources;
    size_t n_targets, *targets;
    ol_score *scores;
};

static enum status find_protocol(const char *name, enum protocol *protocol, struct diag *diag) {
    *protocol = PROTOCOL_RANDOM;
    for (int i = 0; i < PROTOCOL_COUNT; i++) {
        if (name && strcmp(name, protocol_name((enum protocol)i)) != 0) continue;
        *protocol = (enum protocol)i;
        return ST_OK;
    }
    return diag_fail(diag, ST_USAGE, "protocol \"%s\" is not random, help or oneproxy", name);
}

static size_t find_column(const struct table *t, const char *name) {
    size_t i = 0;
    while (i < t->n_columns && strcmp(t->columns[i].name, name) != 0) i++;
    return i;
}

static enum status no_column(const struct evaluation *e, const char *name) {
    return diag_fail(&e->study->base.diag, ST_DATA, "%s: no column is called \"%s\"", e->spec->table, name);
}

static enum status listed_columns(struct evaluation *e, const char *const *names, size_t n, size_t *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = find_column(&e->table, names[i]);
        if (out[i] == e->table.n_columns) return no_column(e, names[i]);
    }
    return ST_OK;
}

static bool contains(const size_t *list, size_t n, size_t value) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == value) return true;
    return false;
}

static bool is_target(const struct evaluation *e, const char *name) {
    struct arena *arena = &e->study->base.arena;
    struct diag unsaid;
    const char *path;
    diag_init(&unsaid, arena);
    return target_find(e->study->base.context, name, &path, arena, &unsaid) == ST_OK;
}

/* Columns of the table, and targets fitted on other measurements. */
static enum status named_proxies(struct evaluation *e, size_t *columns, size_t *n_columns) {
    const ol_experiment *spec = e->spec;
    const char **targets = arena_array(&e->study->base.arena, spec->n_proxies, sizeof *targets);
    struct proxy *fitted;
    size_t n = 0;
    for (size_t i = 0; i < spec->n_proxies; i++) {
        size_t column = find_column(&e->table, spec->proxies[i]);
        if (column < e->table.n_columns)
            columns[(*n_columns)++] = column;
        else if (is_target(e, spec->proxies[i]))
            targets[n++] = spec->proxies[i];
        else
            return no_column(e, spec->proxies[i]);
    }
    if (!n) return ST_OK;
    TRY(study_proxies(e->study, targets, n, true, &fitted, &e->experiment.n_fitted));
    e->experiment.fitted = fitted;
    return ST_OK;
}

/* As asked, or the protocol's known devices as far as the table has them, or all columns. */
static enum status choose_proxies(struct evaluation *e) {
    size_t *list = arena_array(&e->study->base.arena, e->table.n_columns + e->spec->n_proxies + 1, sizeof *list), n = 0;
    const char *const *defaults = e->experiment.protocol == PROTOCOL_HELP ? help_sources : oneproxy_sources;
    size_t n_defaults = e->experiment.protocol == PROTOCOL_HELP       ? COUNT_OF(help_sources)
                        : e->experiment.protocol == PROTOCOL_ONEPROXY ? COUNT_OF(oneproxy_sources)
                                                                      : 0;
    TRY(named_proxies(e, list, &n));
    for (size_t i = 0; !e->spec->n_proxies && i < n_defaults; i++) {
        size_t column = find_column(&e->table, defaults[i]);
        if (column < e->table.n_columns) list[n++] = column;
    }
    for (size_t i = 0; !n && !e->spec->n_proxies && i < e->table.n_columns; i++) list[i] = i;
    if (!n && !e->spec->n_proxies) n = e->table.n_columns;
    e->experiment.proxies = list;
    e->experiment.n_proxies = n;
    return ST_OK;
}

static enum status choose_targets(struct evaluation *e) {
    size_t n_columns = e->table.n_columns;
    e->targets = arena_array(&e->study->base.arena, n_columns + e->spec->n_targets + 1, sizeof *e->targets);
    TRY(listed_columns(e, e->spec->targets, e->spec->n_targets, e->targets));
    e->n_targets = e->spec->n_targets;
    bool all = e->experiment.n_proxies == n_columns; /* leave one out */
    for (size_t i = 0; !e->spec->n_targets && i < n_columns; i++)
        if (all || !contains(e->experiment.proxies, e->experiment.n_proxies, i)) e->targets[e->n_targets++] = i;
    if (e->n_targets) return ST_OK;
    return diag_fail(&e->study->base.diag, ST_DATA, "%s: no column is left to be a target", e->spec->table);
}

/* A device is not its own proxy at another batch size, unless it was asked to be. */
static void own_proxies(const struct evaluation *e, size_t target, struct experiment *x, struct sources *s,
                        struct arena *arena) {
    size_t n = 0, *columns = arena_array(arena, e->experiment.n_proxies + 1, sizeof *columns);
    s->proxies = arena_array(arena, e->experiment.n_proxies + 1, sizeof *s->proxies);
    s->onehot_weights = arena_array(arena, e->experiment.n_proxies + 1, sizeof *s->onehot_weights);
    for (size_t i = 0; i < e->experiment.n_proxies; i++) {
        const struct column *c = &e->table.columns[e->experiment.proxies[i]], *t = &e->table.columns[target];
        bool asked = e->experiment.protocol == PROTOCOL_HELP || e->spec->n_proxies;
        if (e->experiment.n_proxies > 1 && !asked && strcmp(c->family, t->family) == 0) continue;
        columns[n] = e->experiment.proxies[i];
        s->proxies[n] = e->sources.proxies[i];
        s->onehot_weights[n++] = e->sources.onehot_weights[i];
    }
    *x = e->experiment;
    x->proxies = columns;
    x->n_proxies = n;
}

static enum status run_target(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *diag) {
    struct evaluation *e = user;
    struct experiment experiment;
    struct sources sources;
    struct score score;
    size_t target = e->targets[i];
    double start = monotonic_ms();
    (void)worker;
    own_proxies(e, target, &experiment, &sources, scratch);
    TRY(experiment_run(&e->table, &experiment, &sources, target, &score, scratch, diag));
    e->scores[i] = (ol_score){.target = e->table.columns[target].name,
                              .srcc = score.srcc,
                              .srcc_min = score.srcc_min,
                              .srcc_sd = score.srcc_sd,
                              .kendall = score.kendall,
                              .mape = score.mape,
                              .within_10pct = score.within_10pct,
                              .covered = score.covered,
                              .covered_pool = score.covered_pool,
                              .raw_proxy_srcc = score.raw_proxy_srcc,
                              .trial_ms = (monotonic_ms() - start) / (double)experiment.trials};
    return ST_OK;
}

static enum status run_all(struct evaluation *e, unsigned jobs) {
    struct object *o = &e->study->base;
    struct diag own;
    diag_init(&own, &o->arena);
    e->scores = arena_array(&o->arena, e->n_targets, sizeof *e->scores);
    enum status status = parallel_try(jobs, e->n_targets, run_target, e, &o->arena, &own);
    return status == ST_OK ? ST_OK : diag_fail(&o->diag, status, "%s: %s", e->spec->table, own.message);
}

static const ol_scores *show(const struct evaluation *e) {
    struct arena *arena = &e->study->base.arena;
    ol_scores *scores = arena_alloc(arena, sizeof *scores);
    size_t n = e->experiment.n_proxies + e->experiment.n_fitted;
    const char **proxies = arena_array(arena, n, sizeof *proxies);
    n = 0;
    for (size_t i = 0; i < e->experiment.n_proxies; i++) proxies[n++] = e->table.columns[e->experiment.proxies[i]].name;
    for (size_t i = 0; i < e->experiment.n_fitted; i++)
        if (!e->experiment.fitted[i].without) proxies[n++] = e->experiment.fitted[i].name;
    *scores = (ol_scores){.space = e->space->name,
                          .method = method_name(e->experiment.method),
                          .protocol = protocol_name(e->experiment.protocol),
                          .samples = e->experiment.samples,
                          .trials = e->experiment.trials,
                          .n_proxies = n,
                          .proxies = proxies,
                          .n_scores = e->n_targets,
                          .scores = e->scores};
    size_t ranked = 0; /* a column of equal latencies has no ranks */
    for (size_t i = 0; i < e->n_targets; i++) ranked += !isnan(e->scores[i].srcc);
    for (size_t i = 0; i < e->n_targets; i++)
        scores->mean_srcc += isnan(e->scores[i].srcc) ? 0 : e->scores[i].srcc / (double)ranked;
    return scores;
}

static enum status evaluate(struct evaluation *e, const ol_scores **out) {
    struct object *o = &e->study->base;
    const ol_experiment *spec = e->spec;
    unsigned jobs = spec->jobs ? spec->jobs : cpu_count();
    struct experiment *x = &e->experiment;
    if (!spec->table) return diag_fail(&o->diag, ST_USAGE, "name a table of measured latencies");
    TRY(space_named(spec->space, &e->space, &o->diag));
    TRY(study_method(spec->method, &x->method, &o->diag));
    TRY(find_protocol(spec->protocol, &x->protocol, &o->diag));
    x->samples = spec->samples ? spec->samples : 10;
    x->trials = spec->trials ? spec->trials : 20;
    x->seed = spec->seed;
    x->planned = spec->planned;
    TRY(space_table_read(&e->table, e->space, spec->table, jobs, &o->arena, &o->diag));
    /* HELP samples from the first 900 of NAS-Bench-201 and the first 4,000 of FBNet. */
    x->pool = e->space->views ? 900 : 4000;
    if (x->pool > e->table.n * 4 / 5) x->pool = e->table.n * 4 / 5;
    TRY(choose_proxies(e));
    TRY(choose_targets(e));
    if (x->method == METHOD_ADAPROXY && (x->n_proxies != 1 || x->n_fitted))
        return diag_fail(&o->diag, ST_USAGE, "method adaproxy takes one column as proxy");
    TRY(sources_fit(&e->sources, &e->table, x, &o->arena, &o->diag));
    TRY(run_all(e, jobs));
    *out = show(e);
    return ST_OK;
}

ol_status ol_evaluate(ol_context *context, const ol_experiment *spec, const ol_scores **scores, ol_study **out) {
    ol_study *s = *out = object_new(context, sizeof *s);
    *scores = NULL;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) return object_out_of_memory(&(*out)->base);
    struct evaluation e = {.study = s, .spec = spec};
    return object_end(&s->base, evaluate(&e, scores));
}
