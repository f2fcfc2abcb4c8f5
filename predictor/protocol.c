/* Few-shot experiments on measured tables: who is sampled, who is tested, and how well it went. */
#include "protocol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIM        0.1  /* PROTOCOL_HELP leaves out at either end */
#define SOURCE_TRIM 0.02 /* of a proxy's latencies: readings gone wrong, disconnected networks */
#define RIDGE       1e-6 /* of a proxy's own fit on its one-hot encoding, which is collinear */
#define SEED_STEP   UINT64_C(0x9e3779b97f4a7c15)

const char *protocol_name(enum protocol p) {
    static const char *const names[] = {"random", "help", "oneproxy"};
    return names[p];
}

const char *method_name(enum method m) {
    static const char *const names[] = {"bank", "adaproxy"};
    return names[m];
}

static bool is_measured(const struct column *c, size_t row) {
    return isfinite(c->ms[row]) && c->ms[row] > 0;
}

struct rows {
    size_t n;
    uint32_t *at;
};

static struct rows measured_rows(const struct column *c, size_t from, size_t to, struct arena *arena) {
    struct rows r = {0, arena_array(arena, to - from + 1, sizeof *r.at)};
    for (size_t i = from; i < to; i++)
        if (is_measured(c, i)) r.at[r.n++] = (uint32_t)i;
    return r;
}

static void trim(struct rows *r, const struct column *c, struct arena *scratch) {
    double *sorted = arena_array(scratch, r->n + 1, sizeof *sorted);
    for (size_t i = 0; i < r->n; i++) sorted[i] = c->ms[r->at[i]];
    double lo = order_statistic(sorted, r->n, TRIM), hi = order_statistic(sorted, r->n, 1 - TRIM);
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++)
        if (c->ms[r->at[i]] >= lo && c->ms[r->at[i]] <= hi) r->at[kept++] = r->at[i];
    r->n = kept;
}

/* The named rows of a table as samples of a device. */
static struct samples gather(const struct table *t, const struct column *c, const uint32_t *rows, size_t n,
                             struct arena *arena) {
    struct samples s = {.n = n, .p = t->p, .n_views = t->n_views};
    double *y = arena_array(arena, n + 1, sizeof *y);
    for (size_t i = 0; i < n; i++) y[i] = c->ms[rows[i]];
    s.y = y;
    for (size_t v = 0; v < t->n_views; v++) {
        double *x = arena_array(arena, n * t->p + 1, sizeof *x);
        for (size_t i = 0; i < n; i++) memcpy(x + i * t->p, t->x[c->batch][v] + rows[i] * t->p, t->p * sizeof *x);
        s.x[v] = x;
    }
    return s;
}

static double *gather_onehot(const struct table *t, const uint32_t *rows, size_t n, struct arena *arena) {
    double *x = arena_array(arena, n * t->encoding + 1, sizeof *x);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * t->encoding, t->onehot + rows[i] * t->encoding, t->encoding * sizeof *x);
    return x;
}

/* ---- Proxies ---- */

static size_t known_rows(const struct table *t, const struct experiment *e) {
    return e->protocol == PROTOCOL_HELP && e->pool < t->n ? e->pool : t->n;
}

enum status sources_fit(struct sources *out, const struct table *t, const struct experiment *e, struct arena *arena,
                        struct diag *diag) {
    out->proxies = arena_array(arena, e->n_proxies, sizeof *out->proxies);
    out->onehot_weights = arena_array(arena, e->n_proxies, sizeof *out->onehot_weights);
    for (size_t i = 0; i < e->n_proxies; i++) {
        const struct column *c = &t->columns[e->proxies[i]];
        struct rows rows = measured_rows(c, 0, known_rows(t, e), arena);
        if (rows.n < 3) return diag_fail(diag, ST_DATA, "proxy \"%s\" has %zu measurements; 3 needed", c->name, rows.n);
        struct samples s = gather(t, c, rows.at, rows.n, arena);
        double *weight = arena_array(arena, t->p, sizeof *weight), *scale = arena_array(arena, FT_COUNT, sizeof *scale);
        for (size_t k = 0; k < s.n; k++)
            for (size_t j = 0; j < t->p; j++) scale[j] += s.x[0][k * t->p + j] / (double)s.n;
        struct fit fit = fit_source(&s, scale, SOURCE_TRIM, weight, NULL, arena);
        out->proxies[i] = (struct proxy){.name = c->name, .weight = weight, .scale = scale, .noise = fit.rms};
        out->proxies[i].share[fit.view] = 1;
        if (e->method != METHOD_ADAPROXY) continue;
        out->onehot_weights[i] = arena_array(arena, t->encoding, sizeof(double));
        ridge_fit(gather_onehot(t, rows.at, rows.n, arena), s.y, rows.n, t->encoding, RIDGE, out->onehot_weights[i],
                  arena);
    }
    return ST_OK;
}

/* ---- One target ---- */

struct trial {
    const struct table *table;
    const struct experiment *e;
    const struct sources *sources;
    const struct column *target;
    struct bank bank;
    struct rows pool, tested; /* tested: candidates; the sampled ones are taken out */
    double *predicted, *deviation, *truth;
    uint32_t *rows; /* predicted in this trial: the n tested, then those of the pool where they are others */
    size_t n, n_rows;
};

static struct samples reference_of(const struct trial *t, struct arena *arena) {
    struct rows all = {known_rows(t->table, t->e), NULL};
    all.at = arena_array(arena, all.n, sizeof *all.at);
    for (size_t i = 0; i < all.n; i++) all.at[i] = (uint32_t)i;
    return gather(t->table, t->target, all.at, all.n, arena);
}

static void make_bank(struct trial *t, size_t target, struct arena *arena) {
    struct proxy *proxies = arena_array(arena, t->e->n_proxies + t->e->n_fitted, sizeof *proxies);
    size_t n = 0;
    for (size_t i = 0; i < t->e->n_proxies; i++)
        if (t->e->proxies[i] != target) proxies[n++] = t->sources->proxies[i];
    for (size_t i = 0; i < t->e->n_fitted; i++) proxies[n++] = t->e->fitted[i];
    struct samples reference = reference_of(t, arena);
    bank_init(&t->bank, &reference, proxies, n, arena);
}

/* A random choice of `count` of the rows to the front, by exchange. */
static void draw(struct rows *r, size_t count, struct rng *rng) {
    for (size_t i = 0; i < count; i++) {
        size_t j = i + (size_t)rng_below(rng, r->n - i);
        uint32_t swap = r->at[i];
        r->at[i] = r->at[j];
        r->at[j] = swap;
    }
}

static int by_row(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t *sample_rows(struct trial *t, struct rng *rng, struct arena *scratch) {
    struct rows pool = {t->pool.n, arena_copy(scratch, t->pool.at, t->pool.n * sizeof *pool.at)};
    size_t n = t->e->samples;
    if (!t->e->planned) {
        draw(&pool, n, rng);
        return pool.at;
    }
    size_t half = pool.n / 2 > n ? pool.n / 2 : n;
    draw(&pool, half, rng);
    struct samples candidates = gather(t->table, t->target, pool.at, half, scratch);
    uint32_t *chosen = arena_array(scratch, n, sizeof *chosen);
    design_choose(&t->bank, &candidates, n, chosen, scratch);
    for (size_t i = 0; i < n; i++) chosen[i] = pool.at[chosen[i]];
    return chosen;
}

static void add_unsampled(struct trial *t, const struct rows *from, const uint32_t *sampled) {
    size_t k = 0, n = t->e->samples;
    for (size_t i = 0; i < from->n; i++) {
        while (k < n && sampled[k] < from->at[i]) k++;
        if (k == n || sampled[k] != from->at[i]) t->rows[t->n_rows++] = from->at[i];
    }
}

/* Everything the trial predicts: what was not sampled. */
static void set_rows(struct trial *t, const uint32_t *sampled, struct arena *scratch) {
    uint32_t *sorted = arena_copy(scratch, sampled, t->e->samples * sizeof *sorted);
    qsort(sorted, t->e->samples, sizeof *sorted, by_row);
    t->rows = arena_array(scratch, t->tested.n + t->pool.n + 1, sizeof *t->rows);
    t->n_rows = 0;
    add_unsampled(t, &t->tested, sorted);
    t->n = t->n_rows;
    if (t->e->protocol == PROTOCOL_HELP) add_unsampled(t, &t->pool, sorted);
}

/* What the samples say about places in the search space, on top of the costs; fewer samples than options would mistake
 * a wrong graph view for it. */
static void correct_structure(struct trial *t, const uint32_t *sampled, const struct samples *s,
                              const struct posterior *posterior, struct arena *scratch) {
    const struct table *table = t->table;
    size_t e = table->encoding;
    double *fitted = arena_array(scratch, s->n, sizeof *fitted), *centre = arena_array(scratch, e, sizeof *centre);
    struct structure structure;
    posterior_predict(posterior, s, fitted, NULL);
    for (size_t i = 0; i < s->n; i++) fitted[i] = log(s->y[i] / fmax(fitted[i], 1e-3 * s->y[i]));
    for (size_t i = 0; i < t->pool.n; i++)
        for (size_t j = 0; j < e; j++) centre[j] += table->onehot[t->pool.at[i] * e + j] / (double)t->pool.n;
    structure_fit(gather_onehot(table, sampled, s->n, scratch), fitted, s->n, e, centre, &structure, scratch);
    for (size_t i = 0; i < t->n_rows; i++) {
        t->predicted[i] *= structure_factor(&structure, table->onehot + t->rows[i] * e);
        t->deviation[i] *= structure.noise_ratio;
    }
}

static void predict_bank(struct trial *t, const uint32_t *sampled, const struct samples *test, struct arena *scratch) {
    struct samples s = gather(t->table, t->target, sampled, t->e->samples, scratch);
    struct posterior posterior;
    double *trust = arena_array(scratch, s.n, sizeof *trust);
    bank_trust(&t->bank, &s, trust, scratch, arena_inside(scratch));
    s.trust = trust;
    bank_adapt(&t->bank, &s, true, &posterior, scratch);
    posterior_predict(&posterior, test, t->predicted, t->deviation);
    double q = interval_quantile(&s, &posterior, scratch);
    for (size_t i = 0; i < test->n; i++) t->deviation[i] *= q;
    if (s.n >= t->table->encoding) correct_structure(t, sampled, &s, &posterior, scratch);
}

static void predict_adaproxy(struct trial *t, const uint32_t *sampled, struct arena *scratch) {
    const struct table *table = t->table;
    struct samples s = gather(table, t->target, sampled, t->e->samples, scratch);
    struct adaproxy model;
    adaproxy_fit(gather_onehot(table, sampled, s.n, scratch), s.y, s.n, table->encoding, t->sources->onehot_weights[0],
                 -1, &model, scratch);
    for (size_t i = 0; i < t->n_rows; i++)
        t->predicted[i] = adaproxy_predict(&model, table->onehot + t->rows[i] * table->encoding, table->encoding);
}

static double covered(const struct trial *t, size_t from, size_t to) {
    double inside = 0;
    if (t->e->method == METHOD_ADAPROXY) return NAN;
    for (size_t i = from; i < to; i++)
        inside += fabs(log(t->truth[i] / fmax(t->predicted[i], 1e-9))) <= t->deviation[i];
    return inside / (double)(to - from);
}

/* How well the first proxy's own latencies rank the target, where both were measured. */
static double raw_proxy(const struct trial *t, struct arena *scratch) {
    if (!t->e->n_proxies) return NAN;
    const struct column *proxy = &t->table->columns[t->e->proxies[0]];
    double *a = arena_array(scratch, t->n + 1, sizeof *a), *b = arena_array(scratch, t->n + 1, sizeof *b);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (!is_measured(proxy, t->rows[i])) continue;
        a[n] = proxy->ms[t->rows[i]];
        b[n++] = t->truth[i];
    }
    return metric_srcc(a, b, n, scratch);
}

static struct score run_trial(struct trial *t, struct rng *rng, struct arena *scratch) {
    uint32_t *sampled = sample_rows(t, rng, scratch);
    set_rows(t, sampled, scratch);
    struct samples test = gather(t->table, t->target, t->rows, t->n_rows, scratch);
    t->truth = arena_copy(scratch, test.y, t->n_rows * sizeof *t->truth);
    t->predicted = arena_array(scratch, t->n_rows, sizeof *t->predicted);
    t->deviation = arena_array(scratch, t->n_rows, sizeof *t->deviation);
    if (t->e->method == METHOD_ADAPROXY)
        predict_adaproxy(t, sampled, scratch);
    else
        predict_bank(t, sampled, &test, scratch);
    return (struct score){.srcc = metric_srcc(t->predicted, t->truth, t->n, scratch),
                          .kendall = metric_kendall(t->predicted, t->truth, t->n, scratch),
                          .mape = metric_mape(t->predicted, t->truth, t->n),
                          .within_10pct = metric_within(t->predicted, t->truth, t->n, 0.1),
                          .covered = covered(t, 0, t->n),
                          .covered_pool = covered(t, t->n < t->n_rows ? t->n : 0, t->n_rows),
                          .raw_proxy_srcc = raw_proxy(t, scratch)};
}

static void add_trial(struct score *sum, const struct score *s, double trials) {
    sum->srcc += s->srcc / trials;
    sum->srcc_sd += s->srcc * s->srcc / trials; /* its square, until the end */
    sum->srcc_min = isnan(s->srcc) ? NAN : s->srcc < sum->srcc_min ? s->srcc : sum->srcc_min;
    sum->kendall += s->kendall / trials;
    sum->mape += s->mape / trials;
    sum->within_10pct += s->within_10pct / trials;
    sum->covered += s->covered / trials;
    sum->covered_pool += s->covered_pool / trials;
    sum->raw_proxy_srcc += s->raw_proxy_srcc / trials;
}

static enum status pools(struct trial *t, struct arena *arena, struct diag *diag) {
    size_t n = t->table->n, known = known_rows(t->table, t->e);
    t->pool = measured_rows(t->target, 0, known, arena);
    t->tested = measured_rows(t->target, t->e->protocol == PROTOCOL_HELP ? known : 0, n, arena);
    if (t->e->protocol == PROTOCOL_HELP && t->pool.n && t->tested.n) {
        trim(&t->pool, t->target, arena);
        trim(&t->tested, t->target, arena);
    }
    size_t apart = t->e->protocol == PROTOCOL_HELP ? 0 : t->e->samples;
    if (t->e->samples < 3) return diag_fail(diag, ST_DATA, "%zu samples: at least 3 are needed", t->e->samples);
    if (t->pool.n < t->e->samples || t->tested.n < apart + 3)
        return diag_fail(diag, ST_DATA, "target \"%s\": %zu measurements to draw %zu samples from, %zu to test on",
                         t->target->name, t->pool.n, t->e->samples, t->tested.n);
    return ST_OK;
}

enum status experiment_run(const struct table *table, const struct experiment *e, const struct sources *sources,
                           size_t target, struct score *score, struct arena *scratch, struct diag *diag) {
    struct arena *trial_arena = arena_inside(scratch);
    struct trial t = {.table = table, .e = e, .sources = sources, .target = &table->columns[target]};
    TRY(pools(&t, scratch, diag));
    if (e->method == METHOD_BANK) make_bank(&t, target, scratch);
    *score = (struct score){.srcc_min = INFINITY};
    for (size_t i = 0; i < e->trials; i++) {
        struct rng rng;
        rng_seed(&rng, e->seed + i * SEED_STEP);
        struct score one = run_trial(&t, &rng, trial_arena);
        add_trial(score, &one, (double)e->trials);
        arena_reset(trial_arena);
    }
    arena_free(trial_arena);
    score->srcc_sd = sqrt(fmax(score->srcc_sd - score->srcc * score->srcc, 0));
    return ST_OK;
}
