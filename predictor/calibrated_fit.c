/* Closed forms and residuals from the profiles of a calibration; how well they do on networks left out. */
#include "adapt.h"
#include "calibrated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOLDS = 5,
    ROUNDS = 5,     /* the first weighs all alike, the others those far off less */
    FEW_ROWS = 20,  /* classes with fewer have no neighbours */
    LEAST_ROWS = 3, /* classes with fewer are left to their kin */
    MOST_TERMS = FORM_TERMS + WEIGHT_KNOTS + 1
};

static const double LEAST_SPREAD = 0.2; /* signs that hardly vary must not set everything else apart */
static const double RIDGE = 1e-3, OUTLIER = 0.15, CLIP = 0.4;
static const double WORST = 0.7;  /* a log error counts as no larger */
static const double UNSEEN = 0.3; /* of a class that no network left out tells about */

struct sample {
    struct kernel_form form;
    uint32_t net;
    double us;
};

struct group { /* the samples of a class */
    const char *name;
    size_t n, cap_at, n_at;
    uint32_t *at;
};

struct fitting {
    struct arena *arena;
    int64_t block;
    const struct calibration_row *rows;
    size_t n_samples, n_groups, cap_groups;
    struct sample *samples;
    struct group *groups;
    struct calibration_net *nets;
    size_t n_nets;
    double *run_ms;    /* by net: of an inference */
    uint32_t left_out; /* nets of this fold take no part; FOLDS: all do */
};

static bool takes_part(const struct fitting *f, const struct sample *s) {
    return s->net % FOLDS != f->left_out;
}

/* ---- Samples ---- */

static struct group *group_named(struct fitting *f, const char *name) {
    for (size_t i = 0; i < f->n_groups; i++)
        if (strcmp(f->groups[i].name, name) == 0) return &f->groups[i];
    PUSH(f->arena, f, groups, ((struct group){.name = arena_printf(f->arena, "%s", name)}));
    return &f->groups[f->n_groups - 1];
}

static bool same_kernel(const struct sample *a, const struct sample *b) {
    return a->net == b->net && a->form.n_terms == b->form.n_terms &&
           memcmp(a->form.terms, b->form.terms, sizeof a->form.terms) == 0 &&
           memcmp(a->form.signs, b->form.signs, sizeof a->form.signs) == 0;
}

/* Equal kernels of one network count once, at their mean. */
static void add_sample(struct fitting *f, const struct sample *s, size_t *times) {
    struct group *group = group_named(f, s->form.name);
    for (size_t i = group->n_at; i-- > 0 && f->samples[group->at[i]].net == s->net;) {
        struct sample *old = &f->samples[group->at[i]];
        if (!same_kernel(old, s)) continue;
        size_t n = ++times[group->at[i]];
        old->us += (s->us - old->us) / (double)n;
        return;
    }
    times[f->n_samples] = 1;
    f->samples[f->n_samples] = *s;
    PUSH(f->arena, group, at, (uint32_t)f->n_samples);
    f->n_samples++;
}

static double measured_us(const struct calibration_row *row) {
    return row->us > 0 && isfinite(row->us) ? row->us : 0;
}

static void time_networks(struct fitting *f) {
    f->run_ms = arena_array(f->arena, f->n_nets + 1, sizeof *f->run_ms);
    for (size_t n = 0; n < f->n_nets; n++)
        for (size_t i = 0; i < f->nets[n].n_rows; i++)
            f->run_ms[n] += measured_us(&f->rows[f->nets[n].first_row + i]) * 1e-3;
}

static void collect(struct fitting *f, size_t n_rows) {
    f->samples = arena_array(f->arena, n_rows + 1, sizeof *f->samples);
    size_t *times = arena_array(f->arena, n_rows + 1, sizeof *times);
    for (size_t i = 0; i < n_rows; i++) {
        const struct calibration_row *row = &f->rows[i];
        struct sample s = {.net = row->net, .us = row->us};
        if (!measured_us(row)) continue;
        kernel_form(row->kernel, f->block > 0 ? f->block : 1, row->weight_bytes, &s.form);
        add_sample(f, &s, times);
    }
}

/* ---- One class ---- */

struct columns { /* a linear system, a row a sample */
    size_t n, p;
    double *x, *y; /* n * p, n */
};

/* Relative least squares with coefficients >= 0: every row is divided by its time. Columns are scaled to the same size
 * so that the ridge treats terms of different units alike. */
static void solve(const struct columns *c, double *w, struct arena *arena) {
    size_t p = c->p;
    double *scale = arena_array(arena, p, sizeof *scale), *weight = arena_array(arena, c->n, sizeof *weight);
    double *gram = arena_array(arena, p * p, sizeof *gram), *rhs = arena_array(arena, p, sizeof *rhs);
    for (size_t j = 0; j < p; j++) {
        for (size_t i = 0; i < c->n; i++) scale[j] += c->x[i * p + j] * c->x[i * p + j] / (c->y[i] * c->y[i]);
        scale[j] = scale[j] > 0 ? sqrt(scale[j] / (double)c->n) : 1;
        w[j] = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        memset(gram, 0, p * p * sizeof *gram);
        memset(rhs, 0, p * sizeof *rhs);
        for (size_t i = 0; i < c->n; i++) {
            double guess = 0;
            for (size_t j = 0; j < p; j++) guess += w[j] * c->x[i * p + j];
            double off = round ? fabs(guess / c->y[i] - 1) : 0;
            weight[i] = 1 / fmax(1, off / OUTLIER);
            for (size_t j = 0; j < p; j++) {
                double a = c->x[i * p + j] / c->y[i] / scale[j];
                rhs[j] += weight[i] * a;
                for (size_t k = 0; k < p; k++) gram[j * p + k] += weight[i] * a * c->x[i * p + k] / c->y[i] / scale[k];
            }
        }
        for (size_t j = 0; j < p; j++) gram[j * p + j] += RIDGE;
        nnls(gram, rhs, p, w, arena);
        for (size_t j = 0; j < p; j++) w[j] /= scale[j];
    }
}

static struct columns system_of(const struct fitting *f, const struct group *g, size_t extra) {
    struct columns c = {.p = f->samples[g->at[0]].form.n_terms + extra};
    c.x = arena_array(f->arena, g->n_at * c.p, sizeof *c.x);
    c.y = arena_array(f->arena, g->n_at, sizeof *c.y);
    for (size_t i = 0; i < g->n_at; i++) {
        const struct sample *s = &f->samples[g->at[i]];
        if (!takes_part(f, s)) continue;
        memcpy(c.x + c.n * c.p, s->form.terms, s->form.n_terms * sizeof *c.x);
        c.y[c.n++] = s->us;
    }
    return c;
}

/* A product with a vector reads its weights once and does little else: it tells what a megabyte of them costs in an
 * inference of a given duration: between one and the next others evict them, on a shared machine those of other people
 * too. Durations that the calibration did not reach cost as the neighbour that it did; the shortest half. */
static void fit_weights(struct fitting *f, const struct group *g, struct calibrated *c) {
    struct columns system = system_of(f, g, WEIGHT_KNOTS);
    size_t terms = system.p - WEIGHT_KNOTS, row = 0;
    double w[MOST_TERMS], reached[WEIGHT_KNOTS] = {0};
    for (size_t i = 0; i < g->n_at; i++) {
        const struct sample *s = &f->samples[g->at[i]];
        double hats[WEIGHT_KNOTS];
        if (!takes_part(f, s)) continue;
        weight_hats(f->run_ms[s->net], hats);
        for (int k = 0; k < WEIGHT_KNOTS; k++) {
            system.x[row * system.p + terms + (size_t)k] = hats[k] * s->form.weight_mb;
            reached[k] += hats[k];
        }
        row++;
    }
    for (size_t i = 0; i < system.n; i++) system.x[i * system.p + 1] = 0; /* the curve stands for the bytes */
    if (system.n < LEAST_ROWS) return;
    solve(&system, w, f->arena);
    for (int k = 0; k < WEIGHT_KNOTS; k++) c->weight_us_mb[k] = reached[k] > 1 ? w[terms + (size_t)k] : 0;
    for (int k = 1; k < WEIGHT_KNOTS; k++)
        if (c->weight_us_mb[k] <= 0) c->weight_us_mb[k] = c->weight_us_mb[k - 1];
    for (int k = WEIGHT_KNOTS - 1; k-- > 0;)
        if (c->weight_us_mb[k] <= 0) c->weight_us_mb[k] = k ? c->weight_us_mb[k + 1] : c->weight_us_mb[1] / 2;
}

static bool fit_class(struct fitting *f, const struct group *g, const struct calibrated *c,
                      struct calibrated_class *class) {
    struct columns system = system_of(f, g, 1);
    size_t terms = system.p - 1, row = 0;
    for (size_t i = 0; i < g->n_at; i++) {
        const struct sample *s = &f->samples[g->at[i]];
        if (takes_part(f, s)) system.x[row++ * system.p + terms] = calibrated_weight_us(c, &s->form, f->run_ms[s->net]);
    }
    *class = (struct calibrated_class){.name = g->name, .n_terms = terms, .n_rows = system.n};
    if (system.n < LEAST_ROWS) return false;
    solve(&system, class->coefficients, f->arena);
    return true;
}

/* ---- Residuals ---- */

static void standardise(const struct fitting *f, const struct group *g, struct calibrated_class *class) {
    double n = (double)class->n_rows;
    for (size_t i = 0; i < g->n_at; i++) {
        const struct sample *s = &f->samples[g->at[i]];
        for (int j = 0; takes_part(f, s) && j < FORM_SIGNS; j++) class->centre[j] += s->form.signs[j] / n;
    }
    for (int j = 0; j < FORM_SIGNS; j++) {
        double square = 0;
        for (size_t i = 0; i < g->n_at; i++) {
            const struct sample *s = &f->samples[g->at[i]];
            double d = s->form.signs[j] - class->centre[j];
            square += takes_part(f, s) ? d * d / n : 0;
        }
        class->spread[j] = square > 1e-6 ? fmax(sqrt(square), LEAST_SPREAD) : 1;
    }
}

/* Numbers are kept to the precision they are written with, so that a target read back predicts the same. */
static float rounded(double x) {
    return (float)(round(x * 1000) / 1000);
}

static void keep_residuals(const struct fitting *f, const struct group *g, const struct calibrated *c,
                           struct calibrated_class *class) {
    if (class->n_rows < FEW_ROWS) return;
    class->near = arena_array(f->arena, class->n_rows, sizeof *class->near);
    class->net = arena_array(f->arena, class->n_rows, sizeof *class->net);
    for (size_t i = 0; i < g->n_at; i++) {
        const struct sample *s = &f->samples[g->at[i]];
        if (!takes_part(f, s)) continue;
        float *row = class->near[class->n_near];
        for (int j = 0; j < FORM_SIGNS; j++) row[j] = rounded((s->form.signs[j] - class->centre[j]) / class->spread[j]);
        row[FORM_SIGNS] =
            rounded(fmin(fmax(log(s->us / calibrated_formula(c, class, &s->form, f->run_ms[s->net])), -CLIP), CLIP));
        class->net[class->n_near++] = s->net;
    }
}

/* All memory-bound operators together, for those the calibration does not know. */
static void add_shared_class(struct fitting *f) {
    struct group shared = {.name = "memory"};
    for (size_t i = 0; i < f->n_samples; i++)
        if (f->samples[i].form.form == FORM_MEMORY) PUSH(f->arena, &shared, at, (uint32_t)i);
    if (shared.n_at) PUSH(f->arena, f, groups, shared);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct group *)a)->name, ((const struct group *)b)->name);
}

static void fit_all(struct fitting *f, struct calibrated *c) {
    *c = (struct calibrated){.block = f->block, .scale = 1};
    c->classes = arena_array(f->arena, f->n_groups + 1, sizeof *c->classes);
    for (size_t i = 0; i < f->n_groups; i++)
        if (strcmp(f->groups[i].name, "gemv") == 0) fit_weights(f, &f->groups[i], c);
    for (size_t i = 0; i < f->n_groups; i++) {
        struct calibrated_class *class = &c->classes[c->n_classes];
        if (!fit_class(f, &f->groups[i], c, class)) continue;
        standardise(f, &f->groups[i], class);
        if (strcmp(f->groups[i].name, "memory") != 0) keep_residuals(f, &f->groups[i], c, class);
        class->error = UNSEEN;
        c->n_classes++;
    }
}

/* ---- Validation ---- */

/* Of kernels left out, by row; 0 where nothing was measured. */
static void guess_left_out(struct fitting *f, double *guess) {
    for (uint32_t fold = 0; fold < FOLDS; fold++) {
        struct calibrated c;
        f->left_out = fold;
        fit_all(f, &c);
        for (size_t n = 0; n < f->n_nets; n++)
            for (size_t i = 0; i < f->nets[n].n_rows; i++) {
                const struct calibration_row *row = &f->rows[f->nets[n].first_row + i];
                struct kernel_guess g;
                if (row->net % FOLDS != fold || !measured_us(row)) continue;
                calibrated_kernel(&c, row->kernel, row->weight_bytes, f->run_ms[n], &g);
                guess[f->nets[n].first_row + i] = g.us;
            }
    }
    f->left_out = FOLDS;
}

struct check { /* of networks left out, by network and group */
    size_t n_groups;
    double *truth, *guess; /* sums, microseconds; 0 where there is nothing of the group */
};

static struct check sum_by_class(struct fitting *f, const double *guess) {
    size_t cells = f->n_nets * f->n_groups + 1;
    struct check x = {f->n_groups, arena_array(f->arena, cells, sizeof *x.truth),
                      arena_array(f->arena, cells, sizeof *x.guess)};
    for (size_t n = 0; n < f->n_nets; n++)
        for (size_t i = 0; i < f->nets[n].n_rows; i++) {
            size_t row = f->nets[n].first_row + i;
            struct kernel_form form;
            if (!(guess[row] > 0)) continue;
            kernel_form(f->rows[row].kernel, f->block > 0 ? f->block : 1, f->rows[row].weight_bytes, &form);
            size_t cell = n * f->n_groups + (size_t)(group_named(f, form.name) - f->groups);
            x.truth[cell] += f->rows[row].us;
            x.guess[cell] += guess[row];
        }
    return x;
}

static double log_error(double guess, double truth) {
    return fmin(fmax(log(guess / truth), -WORST), WORST);
}

static double network_us(const struct check *x, size_t net) {
    double sum = 0;
    for (size_t g = 0; g < x->n_groups; g++) sum += x->truth[net * x->n_groups + g];
    return sum;
}

/* Kernels of one class in one network err together: the error of a class is that of their sum. What it does to the
 * network goes by its share there, so networks count by that, squared: a microsecond more or less says nothing of
 * models in which the class takes long. */
static double class_error(const struct fitting *f, const struct check *x, const char *name) {
    double square = 0, weights = 0;
    size_t n = 0, g = 0;
    while (g < f->n_groups && strcmp(f->groups[g].name, name) != 0) g++;
    for (size_t i = 0; i < f->n_nets && g < f->n_groups; i++) {
        size_t cell = i * x->n_groups + g;
        if (!(x->truth[cell] > 0)) continue;
        double off = log_error(x->guess[cell], x->truth[cell]), share = x->truth[cell] / network_us(x, i);
        square += share * share * off * off;
        weights += share * share;
        n++;
    }
    if (!n) return UNSEEN;
    double unseen = weights / (double)n; /* as much as a network */
    return sqrt((square + unseen * UNSEEN * UNSEEN) / (weights + unseen));
}

/* By how much whole networks are off, and how that compares with what their classes make one expect. */
static void judge_networks(const struct fitting *f, const struct check *x, struct calibrated *c) {
    double *off = arena_array(f->arena, f->n_nets + 1, sizeof *off);
    double *relative = arena_array(f->arena, f->n_nets + 1, sizeof *relative);
    size_t n = 0;
    for (size_t i = 0; i < f->n_nets; i++) {
        struct class_time *times = arena_array(f->arena, x->n_groups, sizeof *times);
        double truth = 0, guess = 0;
        for (size_t g = 0; g < x->n_groups; g++) {
            truth += x->truth[i * x->n_groups + g];
            guess += x->guess[i * x->n_groups + g];
            times[g] = (struct class_time){x->guess[i * x->n_groups + g], class_error(f, x, f->groups[g].name)};
        }
        if (!(truth > 0)) continue;
        f->nets[i].off = log_error(guess, truth);
        off[n] = fabs(f->nets[i].off);
        relative[n] = off[n] / calibrated_deviation(times, x->n_groups, guess);
        n++;
    }
    c->error = n ? order_statistic(off, n, 0.5) : UNSEEN;
    c->widening = n ? order_statistic(relative, n, 0.9) / Z90 : 1;
}

/* What an unprofiled run takes, over the sum of its kernels. */
static double plain_scale(const struct fitting *f) {
    double *ratios = arena_array(f->arena, f->n_nets + 1, sizeof *ratios);
    size_t n = 0;
    for (size_t i = 0; i < f->n_nets; i++) {
        double sum = 0;
        for (size_t k = 0; k < f->nets[i].n_rows; k++) sum += fmax(f->rows[f->nets[i].first_row + k].us, 0);
        if (f->nets[i].plain_us > 0 && sum > 0) ratios[n++] = f->nets[i].plain_us / sum;
    }
    return n >= FOLDS ? fmin(fmax(order_statistic(ratios, n, 0.5), 0.5), 1.5) : 1;
}

enum status calibrated_fit(struct calibrated **out, const struct calibration_row *rows, size_t n_rows,
                           struct calibration_net *nets, size_t n_nets, int64_t block, struct arena *arena,
                           struct diag *diag) {
    struct fitting f = {
        .arena = arena, .block = block, .rows = rows, .nets = nets, .n_nets = n_nets, .left_out = FOLDS};
    time_networks(&f);
    collect(&f, n_rows);
    if (n_nets < FOLDS || f.n_samples < FEW_ROWS)
        return diag_fail(diag, ST_DATA, "%zu networks with %zu kernels measured: too few to calibrate; take more time",
                         n_nets, f.n_samples);
    add_shared_class(&f);
    qsort(f.groups, f.n_groups, sizeof *f.groups, by_name);
    struct calibrated *c = arena_alloc(arena, sizeof *c);
    double *guess = arena_array(arena, n_rows + 1, sizeof *guess);
    guess_left_out(&f, guess);
    fit_all(&f, c);
    struct check check = sum_by_class(&f, guess);
    for (size_t i = 0; i < c->n_classes; i++) c->classes[i].error = class_error(&f, &check, c->classes[i].name);
    judge_networks(&f, &check, c);
    c->scale = plain_scale(&f);
    c->networks = n_nets;
    c->kernels = f.n_samples;
    *out = c;
    return ST_OK;
}
