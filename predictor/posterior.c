/* Few-shot adaptation: an empirical-Bayes mixture over graph views, proxies, prior widths and noise levels, all in
 * closed form.
 *
 * A component is a prior w ~ s m + N(0, g s^2 S): m the latency shares of a proxy or their mean, S the spread of
 * devices, s an unknown speed with a flat prior, held at a first guess within the spread. Noise is relative, so rows
 * are divided by their latency: 1 = s a + s X L z + e with a = X m, S = L L', z ~ N(0, g I), e ~ N(0, sigma^2 I). With
 * K = g s^2 X L L' X' + sigma^2 I the evidence of a component, s integrated out, is
 *     log p = -1/2 (log |K| + log a'K^-1 a + 1'K^-1 1 - (a'K^-1 1)^2 / a'K^-1 a)
 * up to a constant. S is the same for all proxies: one singular value decomposition X L = U d V' a view turns K^-1 into
 * sums over d for every component, width and noise. The smallest g is plain rescaling of a proxy: where that explains
 * the samples as well, it wins by itself. */
#include "bank.h"

#include <assert.h>
#include <string.h>

static const double widths[] = {1e-4, 1.0 / 16, 1.0 / 4, 1, 4};

enum prior { AS_DEVICES, AS_PROXY, VAGUE, VAGUER, PRIOR_COUNT };
static const struct {
    int factor;      /* FACTOR_... */
    double variance; /* multiplies its square; of all features together without a factor */
} priors[PRIOR_COUNT] = {
    {FACTOR_BANK, 1},
    {FACTOR_BANK, 0.1}, /* around one proxy: a share of the spread of devices */
    {FACTOR_NONE, 0.3}, /* that know no device */
    {FACTOR_NONE, 1},
};

#define N_GRID       (COUNT_OF(widths) * NOISE_LEVELS)
#define WIDER        2     /* by this the logarithm of the prior falls with each doubling of a width above 1, */
#define WIDER_HALF   6     /* by half of it with so many proxies: fewer say less of how far devices lie apart */
#define ANALYTIC     0.3   /* prior mass of a device that one thing limits, over that of one that was measured */
#define LEAST_LOG    (-14) /* of a mass over the largest: below it is none */
#define MOST_OF_MEAN 25    /* half the logarithm of a factor's largest value over its least */
#define SMALL_SHARE  1e-5  /* posterior mass below which a component is left out */

/* ---- One component on one view ---- */

#define MEAN_DEVICE 0 /* the first component */

struct component {
    const double *mean; /* p shares */
    enum prior prior;
    const double *view_share;
    double log_prior;
};

struct grid { /* of all components of one prior on one view */
    const struct spectrum *spectrum;
    double open[COUNT_OF(widths)]; /* prior variance of a direction: g s^2 */
    double *gain;                  /* rank rows of N_GRID: g s^2 / (g s^2 d^2 + sigma^2) */
    double log_evidence[N_GRID];   /* as far as no mean matters: the determinant, the prior of width and noise */
    double log_narrower[N_GRID];   /* the most of it at narrower widths, -infinity at the narrowest */
};

struct solution {        /* of the grid of one component on one view */
    bool likely;         /* has any mass */
    double mass[N_GRID]; /* posterior; before `normalize` the logarithm of the evidence */
    double scale;        /* first guess of s: what fits the mean to the samples */
    double square, left; /* a'a; e'e of e = 1 - along a, what the mean leaves; 1: the rows' weights */
    double along;        /* a'1 / a'a */
    double *mean, *rest; /* rank: d u'a, d u'e */
};

struct mixture {
    const struct bank *bank;
    const struct samples *samples;
    struct view_samples view[VIEW_COUNT];
    struct grid grid[VIEW_COUNT][PRIOR_COUNT];
    struct component *components;
    size_t n_components;
    struct solution *solutions; /* view-major */
    double top;                 /* of the logarithms of the evidence so far */
};

/* a, the component's mean prediction over the latencies, scaled to fit them; and e. */
static void fill_mean(const struct samples *s, const double *shares, const struct component *c, double *a, double *e,
                      struct solution *out) {
    double log_scale = 0, trusted = 0, sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        double weight = row_weight(s, i);
        a[i] = fmax(dot(shares + i * s->p, c->mean, s->p), weight * 1e-3 / s->y[i]);
        log_scale -= weight * weight * log(a[i] / weight);
        trusted += weight * weight;
    }
    out->scale = exp(log_scale / trusted);
    for (size_t i = 0; i < s->n; i++) {
        a[i] *= out->scale;
        sum += a[i] * row_weight(s, i);
    }
    out->square = dot(a, a, s->n);
    out->along = sum / out->square;
    for (size_t i = 0; i < s->n; i++) e[i] = row_weight(s, i) - out->along * a[i];
    out->left = dot(e, e, s->n);
}

#define FACTORS 16 /* of a determinant, each within 1e-9 and 1e13, are multiplied before a logarithm is taken */

/* Of a width and a noise. */
static double log_prior_of(const struct bank *b, size_t point) {
    double proxies = (double)b->n_proxies, wider = WIDER * proxies / (proxies + WIDER_HALF);
    return b->log_noise[point % NOISE_LEVELS] - wider * fmax(log2(widths[point / NOISE_LEVELS]), 0);
}

/* `scale`: a first guess of s. */
static struct grid grid_of(const struct mixture *m, const struct spectrum *f, enum prior prior, double scale,
                           struct arena *scratch) {
    struct grid g = {.spectrum = f, .gain = arena_array(scratch, f->rank * N_GRID, sizeof *g.gain)};
    double features = priors[prior].factor == FACTOR_NONE ? (double)m->bank->p : 1;
    double noise_only = (double)m->samples->n - (double)f->rank - 1; /* directions; one went with s */
    for (size_t w = 0; w < COUNT_OF(widths); w++)
        g.open[w] = widths[w] * scale * scale * priors[prior].variance / features;
    for (size_t i = 0; i < N_GRID; i++) {
        double open = g.open[i / NOISE_LEVELS], sigma = bank_noises[i % NOISE_LEVELS], product = 1;
        g.log_evidence[i] = log_prior_of(m->bank, i) - noise_only * log(sigma);
        for (size_t k = 0; k < f->rank; k++) {
            double factor = open * f->square[k] + sigma * sigma;
            g.gain[k * N_GRID + i] = open / factor;
            product *= factor;
            if (k % FACTORS != FACTORS - 1 && k != f->rank - 1) continue;
            g.log_evidence[i] -= 0.5 * log(product);
            product = 1;
        }
        g.log_narrower[i] =
            i < NOISE_LEVELS ? -INFINITY : fmax(g.log_narrower[i - NOISE_LEVELS], g.log_evidence[i - NOISE_LEVELS]);
    }
    return g;
}

struct forms { /* by noise level, times sigma^2: a'K^-1 a, a'K^-1 e, e'K^-1 e */
    double mean[NOISE_LEVELS], mixed[NOISE_LEVELS], rest[NOISE_LEVELS];
};

/* By Woodbury's formula. */
static void fill_forms(const struct grid *g, const struct solution *s, size_t width, struct forms *out) {
    for (size_t i = 0; i < NOISE_LEVELS; i++) out->mean[i] = s->square, out->mixed[i] = 0, out->rest[i] = s->left;
    for (size_t k = 0; k < g->spectrum->rank; k++) {
        const double *gain = g->gain + k * N_GRID + width * NOISE_LEVELS;
        double mean = s->mean[k] * s->mean[k], mixed = s->mean[k] * s->rest[k], rest = s->rest[k] * s->rest[k];
        for (size_t i = 0; i < NOISE_LEVELS; i++) {
            out->mean[i] -= mean * gain[i];
            out->mixed[i] -= mixed * gain[i];
            out->rest[i] -= rest * gain[i];
        }
    }
}

/* Widest first: whatever the noise, what a width leaves unexplained and its mean's form are no less at a narrower one,
 * so that most components are given up after the first. No logarithm is taken where the mass is too little whatever it
 * is: the mean's form is at least its square times sigma^2 over the largest factor. */
static void fill_evidence(struct mixture *m, const struct grid *g, double log_prior, struct solution *out) {
    bool go_on = true;
    for (size_t i = 0; i < N_GRID; i++) out->mass[i] = -INFINITY;
    for (size_t w = COUNT_OF(widths); w-- > 0 && go_on;) {
        struct forms forms;
        fill_forms(g, out, w, &forms);
        go_on = false;
        for (size_t i = 0, at = w * NOISE_LEVELS; i < NOISE_LEVELS; i++, at++) {
            double left = forms.rest[i] - forms.mixed[i] * forms.mixed[i] / forms.mean[i];
            double fit = log_prior - 0.5 * left / (bank_noises[i] * bank_noises[i]), least = m->top + LEAST_LOG;
            if (fit + MOST_OF_MEAN + fmax(g->log_evidence[at], g->log_narrower[at]) < least) continue;
            fit -= 0.5 * log(forms.mean[i] / out->square);
            out->mass[at] = fit + g->log_evidence[at];
            out->likely |= out->mass[at] >= least;
            go_on |= fit + g->log_narrower[at] >= least;
            m->top = fmax(m->top, out->mass[at]);
        }
    }
}

/* ---- Mixing ---- */

static struct component *components(const struct bank *b, size_t *n, struct arena *scratch) {
    size_t count = b->n_rows + 3; /* besides: the mean device and two that know none */
    struct component *c = arena_array(scratch, count, sizeof *c);
    double each = -log((double)count);
    const double *average = b->view_share[b->n_proxies];
    *n = 0;
    c[(*n)++] = (struct component){b->mean, AS_DEVICES, average, 0};
    for (size_t i = 0; i < b->n_rows; i++) {
        bool measured = i < b->n_proxies;
        c[(*n)++] = (struct component){b->rows + i * b->p, AS_PROXY, measured ? b->view_share[i] : average,
                                       measured ? each : each + log(ANALYTIC)};
    }
    size_t present = 0;
    double *flat = arena_array(scratch, b->p, sizeof *flat);
    for (size_t j = 0; j < b->p; j++) present += b->scale[j] > 0;
    for (size_t j = 0; j < b->p; j++) flat[j] = b->scale[j] > 0 ? 1 / (double)present : 0;
    c[(*n)++] = (struct component){flat, VAGUE, average, each};
    c[(*n)++] = (struct component){flat, VAGUER, average, each};
    return c;
}

/* Once for all components: `scale` is the mean device's. */
static void fill_grids(struct mixture *m, size_t view, double scale, struct arena *scratch) {
    for (int k = 0; k < PRIOR_COUNT; k++)
        m->grid[view][k] = grid_of(m, &m->view[view].spectrum[priors[k].factor], (enum prior)k, scale, scratch);
}

static void solve_view(struct mixture *m, size_t view, struct arena *scratch) {
    const struct samples *s = m->samples;
    double *a = arena_array(scratch, s->n, sizeof *a), *e = arena_array(scratch, s->n, sizeof *e);
    struct view_samples *seen = &m->view[view];
    *seen = see_view(m->bank, s, view, scratch);
    for (size_t i = 0; i < m->n_components; i++) {
        const struct component *c = &m->components[i];
        const struct spectrum *f = &seen->spectrum[priors[c->prior].factor];
        struct solution *out = &m->solutions[view * m->n_components + i];
        fill_mean(s, seen->shares, c, a, e, out);
        if (i == MEAN_DEVICE) fill_grids(m, view, out->scale, scratch);
        out->mean = arena_array(scratch, f->rank, sizeof *out->mean);
        out->rest = arena_array(scratch, f->rank, sizeof *out->rest);
        for (size_t k = 0; k < f->rank; k++) {
            out->mean[k] = dot(f->change + k * s->n, a, s->n);
            out->rest[k] = dot(f->change + k * s->n, e, s->n);
        }
        fill_evidence(m, &m->grid[view][c->prior], c->log_prior + log(fmax(c->view_share[view], 1e-12)), out);
    }
}

/* What is hopelessly unlikely gets no mass. */
static void normalize(struct mixture *m) {
    size_t count = m->n_components * m->samples->n_views;
    double top = m->top, total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID && m->solutions[i].likely; k++) {
            double *mass = &m->solutions[i].mass[k], log_mass = *mass - top;
            total += *mass = log_mass > LEAST_LOG ? exp(log_mass) : 0;
        }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID && m->solutions[i].likely; k++) m->solutions[i].mass[k] /= total;
}

struct sums {     /* over the grid of a component; directions are those of the spectrum */
    double speed; /* of s */
    double z[FT_LEARNED];
    double variance, tilt[FT_LEARNED]; /* of s; times the change of z with s */
};

struct spread { /* what the components of a factor add to the covariance: open L L' + W' inner W */
    double open, inner[FT_LEARNED * FT_LEARNED];
};

/* The posterior at one point of the grid: of s, and of z given s. Leaves how z changes with s, times the deviation of
 * s, in tilts[k][at]. No covariance is asked for: `spread` is NULL. */
static void add_point(const struct grid *g, const struct solution *s, size_t point, struct sums *sums,
                      struct spread *spread, double (*tilts)[N_GRID], size_t at) {
    const struct spectrum *f = g->spectrum;
    double mass = s->mass[point], sigma = bank_noises[point % NOISE_LEVELS], open = g->open[point / NOISE_LEVELS];
    double mean = s->square, mixed = 0, gain[FT_LEARNED], tilt[FT_LEARNED];
    for (size_t k = 0; k < f->rank; k++) {
        gain[k] = g->gain[k * N_GRID + point];
        tilt[k] = gain[k] * s->mean[k];
        mean -= tilt[k] * s->mean[k];
        mixed -= tilt[k] * s->rest[k];
    }
    double change = mixed / mean, variance = mass * sigma * sigma / mean, deviation = sqrt(variance);
    sums->speed += mass * (s->along + change);
    for (size_t k = 0; k < f->rank; k++) sums->z[k] += mass * (gain[k] * s->rest[k] - change * tilt[k]);
    if (!spread) return;
    sums->variance += variance;
    spread->open += mass * open;
    for (size_t k = 0; k < f->rank; k++) {
        sums->tilt[k] += variance * tilt[k];
        spread->inner[k * f->rank + k] -= mass * open * gain[k] * f->square[k];
        tilts[k][at] = deviation * tilt[k];
    }
}

static struct sums add_grid(const struct grid *g, const struct solution *s, struct spread *spread) {
    size_t rank = g->spectrum->rank;
    double tilts[FT_LEARNED][N_GRID];
    struct sums sums = {0};
    size_t n = 0;
    for (size_t i = 0; i < N_GRID; i++)
        if (s->mass[i] > 0) add_point(g, s, i, &sums, spread, tilts, n++);
    for (size_t k = 0; k < rank && spread; k++)
        for (size_t l = 0; l <= k; l++) {
            double product = dot(tilts[k], tilts[l], n);
            spread->inner[k * rank + l] += product;
            if (l < k) spread->inner[l * rank + k] += product;
        }
    return sums;
}

/* Adds the component's mean shares, times its mass, and what the uncertainty of s adds to the covariance, of which the
 * lower half is written, here and below, until `mirror`. */
static void add_component(const struct component *c, const struct spectrum *f, const struct solution *s,
                          const struct sums *sums, size_t p, double *mean, double *covariance) {
    double tilt[FT_LEARNED] = {0};
    add_scaled(mean, c->mean, s->scale * sums->speed, p);
    for (size_t k = 0; k < f->rank; k++) {
        add_scaled(mean, f->weight + k * p, sums->z[k], p);
        add_scaled(tilt, f->weight + k * p, sums->tilt[k], p);
    }
    for (size_t j = 0; j < p && covariance; j++) {
        double own = s->scale * c->mean[j];
        add_scaled(covariance + j * p, c->mean, s->scale * (sums->variance * own - tilt[j]), j + 1);
        add_scaled(covariance + j * p, tilt, -own, j + 1);
    }
}

static void add_spread(const struct spectrum *f, const struct spread *spread, size_t p, double *covariance) {
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k <= j; k++) {
            double prior = f->factor ? dot(f->factor + j * p, f->factor + k * p, k + 1) : j == k;
            covariance[j * p + k] += spread->open * prior;
        }
    for (size_t a = 0; a < f->rank; a++) {
        double row[FT_LEARNED] = {0};
        for (size_t b = 0; b < f->rank; b++) add_scaled(row, f->weight + b * p, spread->inner[a * f->rank + b], p);
        for (size_t j = 0; j < p; j++) add_scaled(covariance + j * p, row, f->weight[a * p + j], j + 1);
    }
}

static void add_outer(const double *a, const double *b, double factor, size_t p, double *out) {
    double difference[FT_LEARNED];
    for (size_t j = 0; j < p; j++) difference[j] = a[j] - b[j];
    for (size_t j = 0; j < p; j++) add_scaled(out + j * p, difference, factor * difference[j], j + 1);
}

static void mirror(double *square, size_t p) {
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k < j; k++) square[k * p + j] = square[j * p + k];
}

static void mix_view(const struct mixture *m, size_t view, struct posterior *post, struct arena *arena) {
    size_t p = m->bank->p, n = m->n_components;
    double *means = arena_array(arena, n * p, sizeof *means), *shares = arena_array(arena, n, sizeof *shares);
    double *w = post->weight[view], *covariance = post->covariance[view];
    struct spread *spreads = arena_array(arena, FACTOR_COUNT, sizeof *spreads);
    for (size_t i = 0; i < n; i++) {
        const struct component *c = &m->components[i];
        const struct solution *s = &m->solutions[view * n + i];
        const struct grid *g = &m->grid[view][c->prior];
        for (size_t k = 0; k < N_GRID && s->likely; k++) shares[i] += s->mass[k];
        if (shares[i] < SMALL_SHARE) continue;
        for (size_t k = 0; k < N_GRID; k++) {
            post->levels[k % NOISE_LEVELS].mass += s->mass[k];
            if (k < NOISE_LEVELS) post->scale_only += s->mass[k];
        }
        struct sums sums = add_grid(g, s, covariance ? &spreads[priors[c->prior].factor] : NULL);
        add_component(c, g->spectrum, s, &sums, p, means + i * p, covariance);
        post->share[view] += shares[i];
        for (size_t j = 0; j < p; j++) w[j] += means[i * p + j];
    }
    if (post->share[view] <= 0) return;
    for (size_t j = 0; j < p; j++) w[j] /= post->share[view];
    if (!covariance) return;
    for (int kind = 0; kind < FACTOR_COUNT; kind++)
        add_spread(&m->view[view].spectrum[kind], &spreads[kind], p, covariance);
    for (size_t i = 0; i < n; i++) {
        if (shares[i] < SMALL_SHARE) continue;
        for (size_t j = 0; j < p; j++) means[i * p + j] /= shares[i];
        add_outer(means + i * p, w, shares[i], p, covariance);
    }
    for (size_t j = 0; j < p * p; j++) covariance[j] /= post->share[view];
    mirror(covariance, p);
}

/* Weights of shares back to ms a unit of the feature. */
static void unscale(const struct bank *b, struct posterior *post, size_t view) {
    for (size_t j = 0; j < b->p; j++) {
        double a = b->scale[j] > 0 ? 1 / b->scale[j] : 0;
        post->weight[view][j] *= a;
        if (!post->covariance[view]) continue;
        for (size_t k = 0; k < b->p; k++) {
            post->covariance[view][j * b->p + k] *= a;
            post->covariance[view][k * b->p + j] *= a;
        }
    }
}

void bank_posterior(const struct bank *b, const struct samples *s, bool covariance, struct posterior *post,
                    struct arena *arena) {
    assert(s->p == b->p && s->n_views == b->n_views && s->n > 0);
    *post = (struct posterior){.p = b->p, .n_views = b->n_views};
    struct mixture m = {.bank = b, .samples = s, .top = -INFINITY};
    m.components = components(b, &m.n_components, arena);
    m.solutions = arena_array(arena, b->n_views * m.n_components, sizeof *m.solutions);
    for (size_t v = 0; v < b->n_views; v++) solve_view(&m, v, arena);
    normalize(&m);
    for (size_t v = 0; v < b->n_views; v++) {
        post->weight[v] = arena_array(arena, b->p, sizeof *post->weight[v]);
        if (covariance) post->covariance[v] = arena_array(arena, b->p * b->p, sizeof *post->covariance[v]);
        mix_view(&m, v, post, arena);
        unscale(b, post, v);
    }
    double total = 0; /* less than 1 by what was left out */
    for (size_t v = 0; v < b->n_views; v++) total += post->share[v];
    for (size_t v = 0; v < b->n_views; v++) post->share[v] /= total;
    for (size_t i = 0; i < NOISE_LEVELS; i++) {
        post->levels[i].noise = bank_noises[i];
        post->levels[i].mass /= total;
        post->noise += post->levels[i].mass * bank_noises[i] * bank_noises[i];
    }
    post->noise = sqrt(post->noise);
}

void posterior_predict(const struct posterior *post, const struct samples *s, double *ms, double *deviation) {
    size_t p = post->p;
    for (size_t i = 0; i < s->n; i++) {
        double mean = 0, square = 0, variance = 0;
        for (size_t v = 0; v < post->n_views; v++) {
            if (post->share[v] <= 0) continue;
            const double *x = s->x[v] + i * p;
            double y = 0;
            for (size_t j = 0; j < p; j++) y += x[j] * post->weight[v][j];
            mean += post->share[v] * y;
            square += post->share[v] * y * y;
            if (!deviation) continue;
            for (size_t j = 0; j < p; j++) {
                double dot = 0;
                for (size_t k = 0; k < p; k++) dot += post->covariance[v][j * p + k] * x[k];
                variance += post->share[v] * x[j] * dot;
            }
        }
        ms[i] = mean;
        if (deviation)
            deviation[i] = sqrt(fmax(variance + square - mean * mean, 0) / (mean * mean) + post->noise * post->noise);
    }
}
