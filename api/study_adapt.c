/* New targets from measurements, for callers of the library. */
#include "study.h"

#include <math.h>
#include <string.h>

#define HOLDOUT      5   /* of so many rows one is held out to validate a full fit */
#define HOLDOUT_ROWS 100 /* rows from which that is done */
#define LOO_ROWS     80  /* rows up to which each is left out in turn */
#define UNSAID       0.3 /* noise of a device of which the measurements do not tell it */
#define DOUBTED      0.2 /* trust below which a measurement is named */

/* ---- Learning ---- */

struct learning {
    ol_study *study;
    const ol_adaptation *spec;
    enum method method;
    bool full; /* no proxies: a fit on many rows */
    struct networks networks;
    struct samples rows;
    struct bank bank;
    struct proxy *proxies;
    size_t n_proxies;
};

static struct samples subset(const struct samples *s, const uint32_t *rows, size_t n, struct arena *arena) {
    struct samples out = {.n = n, .p = s->p, .n_views = s->n_views};
    double *y = arena_array(arena, n + 1, sizeof *y), *trust = arena_array(arena, n + 1, sizeof *trust);
    for (size_t i = 0; i < n; i++) {
        y[i] = s->y[rows[i]];
        trust[i] = sample_trust(s, rows[i]);
    }
    out.y = y;
    out.trust = trust;
    for (size_t v = 0; v < s->n_views; v++) {
        double *x = arena_array(arena, n * s->p + 1, sizeof *x);
        for (size_t i = 0; i < n; i++) memcpy(x + i * s->p, s->x[v] + rows[i] * s->p, s->p * sizeof *x);
        out.x[v] = x;
    }
    return out;
}

/* Settled once with all measurements, for the folds too. */
static void settle_trust(struct learning *l) {
    double *trust = arena_array(&l->study->base.arena, l->rows.n, sizeof *trust);
    bank_trust(&l->bank, &l->rows, trust, &l->study->base.arena, study_scratch(l->study));
    l->rows.trust = trust;
    for (size_t i = 0; i < l->rows.n; i++)
        if (trust[i] < DOUBTED)
            diag_warn(&l->study->base.diag,
                      "%s: line %zu: %s: %g ms do not go with the other measurements and count %s",
                      l->spec->measurements, l->networks.at[i].line, l->networks.at[i].text, l->rows.y[i],
                      trust[i] < MISTAKEN ? "for nothing" : "little");
}

static double learn_bank(const struct learning *l, const struct samples *rows, struct linear *out,
                         struct arena *arena) {
    struct posterior posterior;
    bank_adapt(&l->bank, rows, true, &posterior, arena);
    posterior_linear(&posterior, rows, out, arena);
    out->quantile = interval_quantile(rows, &posterior, arena);
    return posterior.scale_only;
}

/* Everything is set by one proxy's view and the paper's three kinds of coefficient. */
static void learn_adaproxy(const struct learning *l, const struct samples *rows, struct linear *out,
                           struct arena *arena) {
    const struct proxy *proxy = &l->proxies[0];
    struct adaproxy model;
    size_t view = 0;
    for (size_t v = 1; v < rows->n_views; v++)
        if (proxy->share[v] > proxy->share[view]) view = v;
    adaproxy_fit(rows->x[view], rows->y, rows->n, rows->p, proxy->weight, -1, &model, arena);
    linear_from_weights(out, rows, (enum view)view, model.weight, NULL, 0, arena);
    out->weight[view][FT_CONST] += model.constant;
    double mean = 0;
    for (size_t i = 0; i < rows->n; i++) mean += rows->y[i] / (double)rows->n;
    out->noise = sqrt(model.loo_mse) / mean;
}

static void learn_full(const struct samples *rows, struct linear *out, struct arena *arena) {
    double scale[FT_LEARNED] = {0}, weight[FT_LEARNED],
           *covariance = arena_array(arena, rows->p * rows->p, sizeof(double));
    for (size_t i = 0; i < rows->n; i++)
        for (size_t j = 0; j < rows->p; j++) scale[j] += rows->x[0][i * rows->p + j] / (double)rows->n;
    struct fit fit = fit_source(rows, scale, 0, weight, covariance, arena);
    linear_from_weights(out, rows, fit.view, weight, covariance, fit.rms, arena);
}

/* Returns the probability that rescaling a proxy explains the rows. */
static double learn(const struct learning *l, const struct samples *rows, struct linear *out, struct arena *arena) {
    memset(out, 0, sizeof *out);
    if (!l->full && l->method == METHOD_BANK) return learn_bank(l, rows, out, arena);
    if (l->full)
        learn_full(rows, out, arena);
    else
        learn_adaproxy(l, rows, out, arena);
    return 0;
}

/* ---- Validation: rows that were not learned from ---- */

struct errors {
    size_t n;
    double *ratio, *deviation; /* log of truth over prediction; the relative deviation stated with it */
};

static struct errors errors_new(size_t n, struct arena *arena) {
    return (struct errors){0, arena_array(arena, n + 1, sizeof(double)), arena_array(arena, n + 1, sizeof(double))};
}

static void learn_some(struct learning *l, const uint32_t *known, size_t n, struct linear *out) {
    struct arena *scratch = study_scratch(l->study);
    arena_reset(scratch);
    struct samples rows = subset(&l->rows, known, n, scratch);
    learn(l, &rows, out, scratch);
}

static void error_of(const struct samples *s, const struct linear *linear, size_t tested, double *ratio,
                     double *deviation) {
    const double *row[VIEW_COUNT];
    for (size_t v = 0; v < VIEW_COUNT; v++) row[v] = s->x[v < s->n_views ? v : 0] + tested * s->p;
    struct linear_estimate estimate = linear_predict_row(linear, row);
    *ratio = log(s->y[tested] / estimate.ms);
    *deviation = estimate.deviation;
}

static void add_errors(const struct learning *l, const struct linear *linear, const uint32_t *tested, size_t n,
                       struct errors *e) {
    for (size_t i = 0; i < n; i++, e->n++) error_of(&l->rows, linear, tested[i], &e->ratio[e->n], &e->deviation[e->n]);
}

static double mape_of(const struct errors *e) {
    double sum = 0;
    for (size_t i = 0; i < e->n; i++) sum += fabs(exp(-e->ratio[i]) - 1) / (double)e->n;
    return sum;
}

static const char *summary(const struct errors *e, double quantile, struct arena *arena) {
    double within = 0, covered = 0;
    for (size_t i = 0; i < e->n; i++) {
        within += (fabs(exp(-e->ratio[i]) - 1) <= 0.1) / (double)e->n;
        covered += (fabs(e->ratio[i]) <= quantile * e->deviation[i]) / (double)e->n;
    }
    return arena_printf(arena, "{\"rows\":%zu,\"mape\":%.4f,\"within_10pct\":%.4f,\"covered_90\":%.4f}", e->n,
                        mape_of(e), within, covered);
}

static void shuffle(uint32_t *rows, size_t n, uint64_t seed) {
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(&rng, i);
        uint32_t swap = rows[i - 1];
        rows[i - 1] = rows[j];
        rows[j] = swap;
    }
}

/* The half width that holds nine tenths of held-out errors. */
static double quantile_of(const struct errors *e, struct arena *arena) {
    double *z = arena_array(arena, e->n, sizeof *z);
    for (size_t i = 0; i < e->n; i++) z[i] = fabs(e->ratio[i]) / fmax(e->deviation[i], 1e-9);
    return order_statistic(z, e->n, 0.9);
}

/* Each space in turn is predicted from the others. */
static const char *leave_spaces_out(struct learning *l, const struct space **seen, size_t n_seen, struct linear *out,
                                    struct arena *arena) {
    const char *text = "";
    struct linear *linear = arena_alloc(arena, sizeof *linear);
    uint32_t *known = arena_array(arena, l->rows.n + 1, sizeof *known);
    uint32_t *tested = arena_array(arena, l->rows.n + 1, sizeof *tested);
    out->partial = arena_array(arena, n_seen, sizeof *out->partial);
    for (size_t k = 0; k < n_seen; k++) {
        struct errors e = errors_new(l->rows.n, arena);
        size_t n_known = 0, n_tested = 0;
        for (size_t i = 0; i < l->rows.n; i++)
            if (l->networks.at[i].space == seen[k])
                tested[n_tested++] = (uint32_t)i;
            else
                known[n_known++] = (uint32_t)i;
        learn_some(l, known, n_known, linear);
        add_errors(l, linear, tested, n_tested, &e);
        out->partial[out->n_partial++] = linear_partial(linear, seen[k]->name);
        text = arena_printf(arena, "%s%s\"%s\":%s", text, k ? "," : "", seen[k]->name, summary(&e, Z90, arena));
    }
    return text;
}

static size_t spaces_of(const struct networks *list, const struct space **seen, size_t most) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (k < n && seen[k] != list->at[i].space) k++;
        if (k == n && n < most && list->at[i].space) seen[n++] = list->at[i].space;
    }
    return n;
}

/* Sets the quantile and what is learned without one of several spaces. */
static const char *validate_full(struct learning *l, struct linear *out, double *mape, struct arena *arena) {
    const struct space *seen[8];
    size_t n = l->rows.n, held = n / HOLDOUT, n_seen = spaces_of(&l->networks, seen, COUNT_OF(seen));
    uint32_t *rows = arena_array(arena, n, sizeof *rows);
    struct errors e = errors_new(n, arena);
    struct linear *linear = arena_alloc(arena, sizeof *linear);
    shuffle(rows, n, l->spec->seed);
    learn_some(l, rows + held, n - held, linear);
    add_errors(l, linear, rows, held, &e);
    out->quantile = quantile_of(&e, arena);
    *mape = mape_of(&e);
    const char *text = arena_printf(arena, "\"held_out\":%s", summary(&e, out->quantile, arena));
    if (n_seen < 2) return text;
    return arena_printf(arena, "%s,\"left_out_space\":{%s}", text, leave_spaces_out(l, seen, n_seen, out, arena));
}

/* The published method has no interval: errors of networks left out say how wide one must be (split conformal
 * prediction, with the largest where nine tenths of so few is more than all), and few are no less than Student's t. */
static double quantile_adaproxy(const struct errors *e, size_t rows, struct arena *arena) {
    double *z = arena_array(arena, e->n + 1, sizeof *z), least = Z90 * sqrt(1 + 6 / (double)(rows - 1));
    for (size_t i = 0; i < e->n; i++) z[i] = fabs(e->ratio[i]) / fmax(e->deviation[i], 1e-9);
    return e->n ? fmax(least, order_statistic(z, e->n, fmin(1, 0.9 * (double)(e->n + 1) / (double)e->n))) : least;
}

struct folds { /* of one row left out each */
    const struct learning *learning;
    double *ratio, *deviation;
};

static enum status leave_one_out(void *user, size_t left_out, unsigned worker, struct arena *scratch,
                                 struct diag *diag) {
    (void)worker, (void)diag;
    struct folds *f = user;
    const struct samples *all = &f->learning->rows;
    struct linear *linear = arena_alloc(scratch, sizeof *linear);
    uint32_t *known = arena_array(scratch, all->n, sizeof *known);
    size_t kept = 0;
    if (sample_trust(all, left_out) < MISTAKEN) return ST_OK;
    for (uint32_t i = 0; i < all->n; i++)
        if (i != left_out) known[kept++] = i;
    struct samples rows = subset(all, known, kept, scratch);
    learn(f->learning, &rows, linear, scratch);
    error_of(all, linear, left_out, &f->ratio[left_out], &f->deviation[left_out]);
    return ST_OK;
}

static enum status validate_few(struct learning *l, struct linear *out, double *mape, const char **text,
                                struct arena *arena) {
    size_t n = l->rows.n;
    struct folds folds = {l, arena_array(arena, n, sizeof(double)), arena_array(arena, n, sizeof(double))};
    struct errors e = errors_new(n, arena);
    unsigned jobs = l->spec->jobs ? l->spec->jobs : cpu_count();
    TRY(parallel_try(jobs, n, leave_one_out, &folds, arena, &l->study->base.diag));
    for (size_t row = 0; row < n; row++) {
        if (sample_trust(&l->rows, row) < MISTAKEN) continue;
        e.ratio[e.n] = folds.ratio[row];
        e.deviation[e.n++] = folds.deviation[row];
    }
    *mape = mape_of(&e);
    if (l->method == METHOD_ADAPROXY) out->quantile = quantile_adaproxy(&e, n, arena);
    *text = arena_printf(arena, "\"leave_one_out\":%s", summary(&e, out->quantile, arena));
    return ST_OK;
}

/* ---- The new target ---- */

static const char *join_proxies(const struct learning *l, struct arena *arena) {
    const char *text = "";
    for (size_t i = 0; i < l->n_proxies; i++)
        if (!l->proxies[i].without)
            text = arena_printf(arena, "%s%s\"%s\"", text, *text ? "," : "", l->proxies[i].name);
    return text;
}

static void describe(struct learning *l, const char *validation, struct target *t, struct arena *arena) {
    const ol_adaptation *spec = l->spec;
    t->name = spec->name;
    t->description = spec->description;
    t->vendor = spec->vendor;
    t->device = spec->device;
    t->source = spec->source;
    t->kind = l->full ? TARGET_MEASURED : TARGET_ADAPTED;
    t->runtime = space_runtime;
    for (size_t v = 1; v < VIEW_COUNT; v++)
        if (t->linear->share[v] > t->linear->share[t->runtime.view]) t->runtime.view = (enum view)v;
    t->validation = arena_printf(arena, "{\"method\":\"%s\",\"proxies\":[%s]%s%s}",
                                 l->full ? "least squares" : method_name(l->method), join_proxies(l, arena),
                                 *validation ? "," : "", validation);
}

static enum status learn_target(struct learning *l, ol_adapted *out) {
    struct arena *arena = &l->study->base.arena;
    struct target target = {.linear = arena_alloc(arena, sizeof *target.linear)};
    struct linear *linear = target.linear;
    const char *validation = "";
    out->loo_mape = NAN;
    out->rescaling = learn(l, &l->rows, linear, arena);
    if (l->method == METHOD_ADAPROXY && l->rows.n <= 3) /* so few fit anything */
        linear->noise = fmax(linear->noise, UNSAID);
    if (l->full && l->rows.n >= HOLDOUT_ROWS)
        validation = validate_full(l, linear, &out->loo_mape, arena);
    else if (!l->full && l->rows.n <= LOO_ROWS && l->rows.n > 3)
        TRY(validate_few(l, linear, &out->loo_mape, &validation, arena));
    if (!linear_is_finite(linear))
        return diag_fail(&l->study->base.diag, ST_DATA, "%s: no finite weights explain these latencies",
                         l->spec->measurements);
    describe(l, validation, &target, arena);
    out->rows = l->rows.n;
    out->noise = linear->noise;
    memcpy(out->view_share, linear->share, sizeof out->view_share);
    return target_save(&target, l->spec->output, &l->study->base.diag);
}

static bool is_name(const char *name) {
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return false;
    return *name;
}

static enum status adapt(struct learning *l, ol_adapted *out) {
    struct diag *diag = &l->study->base.diag;
    const ol_adaptation *spec = l->spec;
    struct samples reference;
    if (!spec->output) return diag_fail(diag, ST_USAGE, "name the file of the new target");
    if (!spec->name || !is_name(spec->name)) return diag_fail(diag, ST_USAGE, "name the new target, in printable text");
    TRY(study_method(spec->method, &l->method, diag));
    TRY(study_proxies(l->study, spec->proxies, spec->n_proxies, l->method == METHOD_BANK, &l->proxies, &l->n_proxies));
    l->full = l->n_proxies == 0 && strcmp(spec->proxies[0], "none") == 0;
    if (l->method == METHOD_ADAPROXY && l->n_proxies != 1)
        return diag_fail(diag, ST_USAGE, "method adaproxy takes one proxy, not %zu", l->n_proxies);
    TRY(study_measurements(l->study, spec, &l->networks));
    TRY(study_rows(l->study, &l->networks, &l->rows));
    if (l->full && l->rows.n < 2 * FT_LEARNED)
        return diag_fail(diag, ST_DATA, "%s: %zu networks; without a proxy at least %d are needed", spec->measurements,
                         l->rows.n, 2 * FT_LEARNED);
    TRY(study_reference(l->study, &l->networks, &l->rows, &reference));
    TRY(samples_check(&l->rows, diag));
    if (!l->full) bank_init(&l->bank, &reference, l->proxies, l->n_proxies, &l->study->base.arena);
    if (!l->full && l->method == METHOD_BANK) settle_trust(l);
    return learn_target(l, out);
}

ol_status ol_adapt(ol_context *context, const ol_adaptation *spec, const ol_adapted **adapted, ol_study **out) {
    ol_study *s = *out = object_new(context, sizeof *s);
    *adapted = NULL;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) return object_out_of_memory(&(*out)->base);
    struct learning l = {.study = s, .spec = spec};
    ol_adapted *answer = arena_alloc(&s->base.arena, sizeof *answer);
    *answer = (ol_adapted){.name = spec->name, .path = spec->output};
    enum status status = adapt(&l, answer);
    if (status == ST_OK) *adapted = answer;
    return object_end(&s->base, status);
}
