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
static const double vague[] = {0.3, 1}; /* prior variances of components that know no device */

#define N_GRID       (COUNT_OF(widths) * NOISE_LEVELS)
#define WIDER        2     /* by this the logarithm of the prior falls with each doubling of a width above 1, */
#define WIDER_HALF   6     /* by half of it with so many proxies: fewer say less of how far devices lie apart */
#define NEAR         0.1   /* spread around one proxy, as a share of the spread of devices */
#define ANALYTIC     0.3   /* prior mass of a device that one thing limits, over that of one that was measured */
#define LEAST_LOG    (-14) /* of a mass over the largest: below it is none */
#define MOST_OF_MEAN 25    /* half the logarithm of a factor's largest value over its least */
#define SMALL_SHARE  1e-5  /* posterior mass below which a component is left out */

/* ---- One component on one view ---- */

struct component {
    const double *mean; /* p shares */
    int factor;         /* FACTOR_... */
    double narrow;      /* multiplies the factor */
    const double *view_share;
    double log_prior;
};

struct solution {        /* of the grid of one component on one view */
    double mass[N_GRID]; /* posterior; before `normalize` the logarithm of the evidence */
    double scale;        /* first guess of s: what fits the mean to the samples */
    double open;         /* prior variance of a direction at width 1 */
    double square, left; /* a'a; e'e of e = 1 - along a, what the mean leaves; 1: the rows' weights */
    double along;        /* a'1 / a'a */
    double *mean, *rest; /* rank: d u'a, d u'e */
};

struct mixture {
    const struct bank *bank;
    const struct samples *samples;
    struct view_samples view[VIEW_COUNT];
    struct component *components;
    size_t n_components;
    struct solution *solutions; /* view-major */
    double log_sigma[NOISE_LEVELS];
    double top; /* of the logarithms of the evidence so far */
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

struct forms { /* by noise level, times sigma^2: a'K^-1 a, a'K^-1 e, e'K^-1 e; and the determinant within the rank, as a
                * product of at most FACTORS of its factors and the logarithm of the others */
    double mean[NOISE_LEVELS], mixed[NOISE_LEVELS], rest[NOISE_LEVELS], determinant[NOISE_LEVELS],
        log_others[NOISE_LEVELS];
};

#define FACTORS 16 /* each lies within 1e-7 and 1e13 */

/* By Woodbury's formula. */
static void fill_forms(const struct spectrum *f, const struct solution *s, double width, struct forms *out) {
    double g = width * s->open;
    for (size_t i = 0; i < NOISE_LEVELS; i++)
        out->mean[i] = s->square, out->mixed[i] = 0, out->rest[i] = s->left, out->determinant[i] = 1,
        out->log_others[i] = 0;
    for (size_t k = 0; k < f->rank; k++) {
        double square = g * f->square[k], mean = g * s->mean[k] * s->mean[k];
        double mixed = g * s->mean[k] * s->rest[k], rest = g * s->rest[k] * s->rest[k];
        for (size_t i = 0; i < NOISE_LEVELS; i++) {
            double t = square + bank_noises[i] * bank_noises[i], inverse = 1 / t;
            out->determinant[i] *= t;
            out->mean[i] -= mean * inverse;
            out->mixed[i] -= mixed * inverse;
            out->rest[i] -= rest * inverse;
        }
        if (k % FACTORS == FACTORS - 1)
            for (size_t i = 0; i < NOISE_LEVELS; i++)
                out->log_others[i] += log(out->determinant[i]), out->determinant[i] = 1;
    }
}

static void fill_evidence(struct mixture *m, const struct spectrum *f, double log_prior, struct solution *out) {
    struct forms forms;
    double free = (double)m->samples->n - (double)f->rank - 1; /* directions of noise alone; one went with s */
    double proxies = (double)m->bank->n_proxies, wider = WIDER * proxies / (proxies + WIDER_HALF);
    for (size_t w = 0; w < COUNT_OF(widths); w++) {
        double log_width = -wider * fmax(log2(widths[w]), 0);
        fill_forms(f, out, widths[w], &forms);
        for (size_t i = 0; i < NOISE_LEVELS; i++) {
            double *mass = &out->mass[w * NOISE_LEVELS + i], log_sigma = m->log_sigma[i];
            double left = forms.rest[i] - forms.mixed[i] * forms.mixed[i] / forms.mean[i];
            double fit = log_prior + log_width + m->bank->log_noise[i] - free * log_sigma -
                         0.5 * left / (bank_noises[i] * bank_noises[i]);
            *mass = -INFINITY; /* no logarithm for what is hopeless whatever it is: the determinant is sigma^2rank at
                                  least, and the mean's form sigma^2 over the largest of its factors */
            if (fit - (double)f->rank * log_sigma + MOST_OF_MEAN < m->top + LEAST_LOG) continue;
            *mass = fit - 0.5 * log(forms.determinant[i] * forms.mean[i] / out->square) - 0.5 * forms.log_others[i];
            if (*mass > m->top) m->top = *mass;
        }
    }
}

/* ---- Mixing ---- */

static struct component *components(const struct bank *b, size_t *n, struct arena *scratch) {
    struct component *c = arena_array(scratch, 1 + b->n_rows + COUNT_OF(vague), sizeof *c);
    double each = -log((double)(b->n_rows + COUNT_OF(vague) + 1)), near = sqrt(NEAR);
    const double *average = b->view_share[b->n_proxies];
    *n = 0;
    c[(*n)++] = (struct component){b->mean, FACTOR_BANK, 1, average, 0};
    for (size_t i = 0; i < b->n_rows; i++)
        c[(*n)++] =
            (struct component){b->rows + i * b->p, FACTOR_BANK, near, i < b->n_proxies ? b->view_share[i] : average,
                               each + (i < b->n_proxies ? 0 : log(ANALYTIC))};
    size_t present = 0;
    double *flat = arena_array(scratch, b->p, sizeof *flat);
    for (size_t j = 0; j < b->p; j++) present += b->scale[j] > 0;
    for (size_t j = 0; j < b->p; j++) flat[j] = b->scale[j] > 0 ? 1 / (double)present : 0;
    for (size_t i = 0; i < COUNT_OF(vague); i++)
        c[(*n)++] = (struct component){flat, FACTOR_NONE, sqrt(vague[i] / (double)b->p), average, each};
    return c;
}

static void solve_view(struct mixture *m, size_t view, struct arena *scratch) {
    const struct samples *s = m->samples;
    double *a = arena_array(scratch, s->n, sizeof *a), *e = arena_array(scratch, s->n, sizeof *e);
    m->view[view] = see_view(m->bank, s, view, scratch);
    for (size_t i = 0; i < m->n_components; i++) {
        const struct component *c = &m->components[i];
        const struct spectrum *f = &m->view[view].spectrum[c->factor];
        struct solution *out = &m->solutions[view * m->n_components + i];
        fill_mean(s, m->view[view].shares, c, a, e, out);
        out->open = out->scale * out->scale * c->narrow * c->narrow;
        out->mean = arena_array(scratch, f->rank, sizeof *out->mean);
        out->rest = arena_array(scratch, f->rank, sizeof *out->rest);
        for (size_t k = 0; k < f->rank; k++) {
            out->mean[k] = dot(f->change + k * s->n, a, s->n);
            out->rest[k] = dot(f->change + k * s->n, e, s->n);
        }
        fill_evidence(m, f, c->log_prior + log(fmax(c->view_share[view], 1e-12)), out);
    }
}

/* What is hopelessly unlikely gets no mass. */
static void normalize(struct mixture *m) {
    size_t count = m->n_components * m->samples->n_views;
    double top = m->top, total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID; k++) {
            double *mass = &m->solutions[i].mass[k], log_mass = *mass - top;
            total += *mass = log_mass > LEAST_LOG ? exp(log_mass) : 0;
        }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID; k++) m->solutions[i].mass[k] /= total;
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
static void add_point(const struct spectrum *f, const struct solution *s, size_t point, struct sums *sums,
                      struct spread *spread, double (*tilts)[N_GRID], size_t at) {
    double mass = s->mass[point], sigma = bank_noises[point % NOISE_LEVELS], g = s->open * widths[point / NOISE_LEVELS];
    double mean = s->square, mixed = 0, gain[FT_LEARNED], tilt[FT_LEARNED];
    for (size_t k = 0; k < f->rank; k++) {
        gain[k] = g / (g * f->square[k] + sigma * sigma);
        tilt[k] = gain[k] * s->mean[k];
        mean -= tilt[k] * s->mean[k];
        mixed -= tilt[k] * s->rest[k];
    }
    double change = mixed / mean, variance = mass * sigma * sigma / mean, deviation = sqrt(variance);
    sums->speed += mass * (s->along + change);
    for (size_t k = 0; k < f->rank; k++) sums->z[k] += mass * (gain[k] * s->rest[k] - change * tilt[k]);
    if (!spread) return;
    sums->variance += variance;
    spread->open += mass * g;
    for (size_t k = 0; k < f->rank; k++) {
        sums->tilt[k] += variance * tilt[k];
        spread->inner[k * f->rank + k] -= mass * g * gain[k] * f->square[k];
        tilts[k][at] = deviation * tilt[k];
    }
}

static struct sums add_grid(const struct spectrum *f, const struct solution *s, struct spread *spread) {
    double tilts[FT_LEARNED][N_GRID];
    struct sums sums = {0};
    size_t n = 0;
    for (size_t i = 0; i < N_GRID; i++)
        if (s->mass[i] > 0) add_point(f, s, i, &sums, spread, tilts, n++);
    for (size_t k = 0; k < f->rank && spread; k++)
        for (size_t l = 0; l <= k; l++) {
            double product = dot(tilts[k], tilts[l], n);
            spread->inner[k * f->rank + l] += product;
            if (l < k) spread->inner[l * f->rank + k] += product;
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
        const struct spectrum *f = &m->view[view].spectrum[c->factor];
        for (size_t k = 0; k < N_GRID; k++) shares[i] += s->mass[k];
        if (shares[i] < SMALL_SHARE) continue;
        for (size_t k = 0; k < N_GRID; k++) {
            post->levels[k % NOISE_LEVELS].mass += s->mass[k];
            if (k < NOISE_LEVELS) post->scale_only += s->mass[k];
        }
        struct sums sums = add_grid(f, s, covariance ? &spreads[c->factor] : NULL);
        add_component(c, f, s, &sums, p, means + i * p, covariance);
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
    for (size_t i = 0; i < NOISE_LEVELS; i++) m.log_sigma[i] = log(bank_noises[i]);
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
