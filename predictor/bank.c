/* Few-shot adaptation: an empirical-Bayes mixture over graph views, proxies, prior widths and noise levels, all in
 * closed form.
 *
 * A component is a prior w ~ s (m + N(0, g S)): m the latency shares of a proxy or their mean, S the spread of devices,
 * s an unknown speed with a flat prior. Noise is relative, so rows are divided by their latency: 1 = s (Xm + XL z) + e
 * with S = L L', z ~ N(0, g I), e ~ N(0, sigma^2 I). The flat s is projected out of both sides, along a = Xm; with the
 * thin singular value decomposition P X L = U d V' (P the projection, s taken at its first guess) the evidence of every
 * g and sigma follows from the projections u'P1: log p = -1/2 sum [(u'P1)^2 / (g d^2 + sigma^2) + log(g d^2 + sigma^2)]
 * - sum log y  (rest of P1: variance sigma^2) z     = V diag(g d / (g d^2 + sigma^2)) U'P1,  then s from what z leaves
 * along a so one decomposition serves the whole grid. The smallest g is plain rescaling of a proxy: where that explains
 * the samples as well, it wins by itself. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

static const double widths[] = {1e-4, 1.0 / 16, 1.0 / 4, 1, 4, 16};
static const double noises[] = {0.0005, 0.0015, 0.003, 0.006, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3};
static const double vague[] = {0.3, 1}; /* prior variances of components that know no device */

#define N_GRID       (COUNT_OF(widths) * COUNT_OF(noises))
#define NEAR         0.1  /* spread around one proxy, as a share of the spread of devices */
#define COUPLING     0.5  /* of a proxy's component: its own graph view rather than the bank's average */
#define NOISE_SPREAD 0.7  /* deviation of log noise around that of a proxy's own fit */
#define NOISE_ANY    0.3  /* prior mass of a noise that no proxy has */
#define SMALL_SHARE  1e-6 /* posterior mass below which a component is left out */

/* ---- Analytic proxies: what a device would be that is limited by one thing ---- */

#define BIT(id)  (UINT64_C(1) << FT_##id)
#define MACS     (BIT(MAC_CONV) | BIT(MAC_POINTWISE) | BIT(MAC_GROUPED) | BIT(MAC_DEPTHWISE3) | BIT(MAC_DEPTHWISE5))
#define BYTES    (BIT(BYTES_POOL) | BIT(BYTES_DENSE) | BIT(BYTES_DEPTHWISE) | BIT(BYTES_ELEMENTWISE) | BIT(WEIGHT_BYTES))
#define LAUNCHES (BIT(N_CONV) | BIT(N_POINTWISE) | BIT(N_GROUPED) | BIT(N_DEPTHWISE) | BIT(N_POOL) | BIT(N_ELEMENTWISE))

static const struct analytic_row {
    uint64_t first, second; /* the features each half of the latency is spent on; equal: one limit */
    bool costly_groups;     /* grouped MACs cost 1.5, depthwise MACs 4 times a dense one */
} analytic_rows[] = {
    {MACS, MACS, false},
    {MACS, MACS, true},
    {BYTES, BYTES, false},
    {LAUNCHES, LAUNCHES, false},
    {BIT(PAD32), BIT(PAD32), false},
    {BIT(UTIL18), BIT(UTIL18), false},
    {BIT(PATH_KERNELS), BIT(PATH_MACS), false},
    {MACS, BYTES, false},
    {MACS, LAUNCHES, false},
};

static double group_cost(size_t feature) {
    if (feature == FT_MAC_GROUPED) return 1.5;
    return feature == FT_MAC_DEPTHWISE3 || feature == FT_MAC_DEPTHWISE5 ? 4 : 1;
}

static void add_half(uint64_t features, bool costly, const double *scale, size_t p, double *row) {
    double sum = 0;
    for (size_t j = 0; j < p; j++)
        if (features >> j & 1) sum += scale[j] * (costly ? group_cost(j) : 1);
    if (sum <= 0) return;
    for (size_t j = 0; j < p; j++)
        if (features >> j & 1) row[j] += 0.5 * scale[j] * (costly ? group_cost(j) : 1) / sum;
}

/* Latency shares; false when the reference networks hold none of the features. */
static bool analytic_share(const struct analytic_row *a, const double *scale, size_t p, double *row) {
    memset(row, 0, p * sizeof *row);
    add_half(a->first, a->costly_groups, scale, p, row);
    add_half(a->second, a->costly_groups, scale, p, row);
    double sum = 0;
    for (size_t j = 0; j < p; j++) sum += row[j];
    if (sum <= 0) return false;
    for (size_t j = 0; j < p; j++) row[j] /= sum;
    return true;
}

/* ---- The bank ---- */

#define ABSENT 1e-9 /* mean below which a feature does not occur in the reference networks */

static void feature_scale(struct bank *b, const struct samples *reference) {
    for (size_t j = 0; j < b->p; j++) {
        double sum = 0;
        for (size_t i = 0; i < reference->n; i++) sum += reference->x[0][i * b->p + j];
        b->scale[j] = sum / (double)reference->n;
        if (b->scale[j] < ABSENT) b->scale[j] = 0;
    }
}

static bool proxy_share(const struct bank *b, const struct proxy *proxy, double *row) {
    const double *scale = proxy->scale ? proxy->scale : b->scale;
    double sum = 0;
    for (size_t j = 0; j < b->p; j++) sum += row[j] = b->scale[j] > 0 ? proxy->weight[j] * scale[j] : 0;
    if (!(sum > 0)) return false;
    for (size_t j = 0; j < b->p; j++) row[j] /= sum;
    return true;
}

static void collect_rows(struct bank *b, const struct proxy *proxies, size_t n, struct arena *arena) {
    b->rows = arena_array(arena, (n + COUNT_OF(analytic_rows)) * b->p, sizeof *b->rows);
    b->view_share = arena_array(arena, n + 1, sizeof *b->view_share);
    double total[VIEW_COUNT] = {0};
    for (size_t i = 0; i < n; i++) {
        if (!proxy_share(b, &proxies[i], b->rows + b->n_rows * b->p)) continue;
        for (size_t v = 0; v < b->n_views; v++) total[v] += b->view_share[b->n_rows][v] = proxies[i].share[v];
        b->n_rows++;
    }
    b->n_proxies = b->n_rows;
    double *average = b->view_share[b->n_proxies];
    for (size_t v = 0; v < b->n_views; v++) average[v] = (1 + total[v]) / ((double)b->n_proxies + (double)b->n_views);
    for (size_t i = 0; i < b->n_proxies; i++)
        for (size_t v = 0; v < b->n_views; v++)
            b->view_share[i][v] = COUPLING * b->view_share[i][v] + (1 - COUPLING) * average[v];
    for (size_t a = 0; a < COUNT_OF(analytic_rows); a++)
        if (analytic_share(&analytic_rows[a], b->scale, b->p, b->rows + b->n_rows * b->p)) b->n_rows++;
}

/* Sample covariance of the rows; prior: half of its off-diagonal kept, and a floor so that no direction is closed. */
static void spread(struct bank *b, struct arena *arena) {
    size_t p = b->p, n = b->n_rows;
    b->mean = arena_array(arena, p, sizeof *b->mean);
    b->covariance = arena_array(arena, p * p, sizeof *b->covariance);
    b->factor = arena_array(arena, p * p, sizeof *b->factor);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) b->mean[j] += b->rows[i * p + j] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++)
            for (size_t k = 0; k < p; k++)
                b->covariance[j * p + k] +=
                    (b->rows[i * p + j] - b->mean[j]) * (b->rows[i * p + k] - b->mean[k]) / (double)(n > 1 ? n - 1 : 1);
    for (size_t j = 0; j < p; j++) {
        double square = 0;
        for (size_t i = 0; i < n; i++) square += b->rows[i * p + j] * b->rows[i * p + j] / (double)n;
        for (size_t k = 0; k < p; k++) b->factor[j * p + k] = 0.5 * b->covariance[j * p + k];
        b->factor[j * p + j] += 0.5 * b->covariance[j * p + j] + 0.01 * (1 / (double)p + square);
    }
    lapack_int info = LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (lapack_int)p, b->factor, (lapack_int)p);
    assert(info == 0);
    (void)info;
    for (size_t j = 0; j < p; j++)
        for (size_t k = j + 1; k < p; k++) b->factor[j * p + k] = 0;
}

/* Devices measured the same way err alike: the prior over noise has a bump at the error of every proxy's own fit. */
static void noise_prior(struct bank *b, const struct proxy *proxies, size_t n, struct arena *arena) {
    size_t known = 0;
    double total = 0, *prior = arena_array(arena, COUNT_OF(noises), sizeof *prior);
    for (size_t i = 0; i < n; i++) {
        known += proxies[i].noise > 0;
        for (size_t k = 0; k < COUNT_OF(noises) && proxies[i].noise > 0; k++) {
            double z = log(noises[k] / fmax(proxies[i].noise, noises[0])) / NOISE_SPREAD;
            prior[k] += exp(-0.5 * z * z);
        }
    }
    for (size_t k = 0; k < COUNT_OF(noises); k++) total += prior[k];
    double any = known ? NOISE_ANY : 1;
    for (size_t k = 0; k < COUNT_OF(noises); k++)
        prior[k] = log((total > 0 ? (1 - any) * prior[k] / total : 0) + any / COUNT_OF(noises));
    b->log_noise = prior;
}

void bank_init(struct bank *b, const struct samples *reference, const struct proxy *proxies, size_t n_proxies,
               struct arena *arena) {
    assert(reference->p == FT_LEARNED && reference->n > 0);
    *b = (struct bank){.p = reference->p, .n_views = reference->n_views};
    b->scale = arena_array(arena, b->p, sizeof *b->scale);
    feature_scale(b, reference);
    collect_rows(b, proxies, n_proxies, arena);
    spread(b, arena);
    noise_prior(b, proxies, n_proxies, arena);
}

/* ---- One component on one view ---- */

struct component {
    const double *mean;   /* p shares */
    const double *factor; /* p * p lower; NULL: diagonal */
    double factor_scale;  /* multiplies the factor; the diagonal's value when it is NULL */
    const double *view_share;
    double log_prior;
};

struct solution { /* of the grid of one component on one view */
    double log_evidence[N_GRID];
    double scale;  /* first guess of s: what fits the mean to the samples */
    double along;  /* a'1 / a'a */
    double square; /* a'a */
    size_t rank;
    double *d, *projected, *lean, *v; /* rank; rank: U'P1; p: (XL)'a / a'a; rank * p rows of V' */
};

struct workspace {
    const struct bank *bank;
    const struct samples *samples;
    double *base[VIEW_COUNT];   /* n * p: rows x / (scale of the feature) are divided by y, times the bank's factor */
    double *shares[VIEW_COUNT]; /* n * p: features over their scale, divided by y */
    double sum_log_y;
    double *matrix, *u, *mean, *residual, *unused; /* mean: a */
};

static void prepare(struct workspace *ws, struct arena *scratch) {
    const struct samples *s = ws->samples;
    const struct bank *b = ws->bank;
    size_t n = s->n, p = b->p;
    for (size_t i = 0; i < n; i++) ws->sum_log_y += log(s->y[i]);
    for (size_t v = 0; v < s->n_views; v++) {
        double *a = ws->shares[v] = arena_array(scratch, n * p, sizeof *a);
        double *base = ws->base[v] = arena_array(scratch, n * p, sizeof *base);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < p; j++)
                a[i * p + j] = b->scale[j] > 0 ? s->x[v][i * p + j] / (b->scale[j] * s->y[i]) : 0;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < p; k++)
                for (size_t j = 0; j <= k; j++) base[i * p + j] += a[i * p + k] * b->factor[k * p + j];
    }
    ws->matrix = arena_array(scratch, n * p, sizeof *ws->matrix);
    ws->u = arena_array(scratch, n * p, sizeof *ws->u);
    ws->mean = arena_array(scratch, n, sizeof *ws->mean);
    ws->residual = arena_array(scratch, n, sizeof *ws->residual);
    ws->unused = arena_array(scratch, p + 1, sizeof *ws->unused);
}

/* a and s: the component's mean prediction over the latencies, scaled to fit them. */
static void fill_mean(struct workspace *ws, size_t view, const struct component *c, struct solution *out) {
    size_t n = ws->samples->n, p = ws->bank->p;
    double log_scale = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double m = 0;
        for (size_t j = 0; j < p; j++) m += ws->shares[view][i * p + j] * c->mean[j];
        ws->mean[i] = fmax(m, 1e-3 / ws->samples->y[i]);
        log_scale -= log(ws->mean[i]) / (double)n;
    }
    out->scale = exp(log_scale);
    out->square = 0;
    for (size_t i = 0; i < n; i++) {
        ws->mean[i] *= out->scale;
        sum += ws->mean[i];
        out->square += ws->mean[i] * ws->mean[i];
    }
    out->along = sum / out->square;
}

/* P X L and P 1. */
static void fill_matrix(struct workspace *ws, size_t view, const struct component *c, struct solution *out) {
    size_t n = ws->samples->n, p = ws->bank->p;
    const double *rows = c->factor ? ws->base[view] : ws->shares[view];
    double factor = out->scale * c->factor_scale;
    memset(out->lean, 0, p * sizeof *out->lean);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) out->lean[j] += factor * rows[i * p + j] * ws->mean[i] / out->square;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < p; j++) ws->matrix[i * p + j] = factor * rows[i * p + j] - ws->mean[i] * out->lean[j];
        ws->residual[i] = 1 - ws->mean[i] * out->along;
    }
}

static void solve(struct workspace *ws, size_t view, const struct component *c, struct solution *out) {
    size_t n = ws->samples->n, p = ws->bank->p, r = n < p ? n : p;
    fill_mean(ws, view, c, out);
    fill_matrix(ws, view, c, out);
    out->rank = r;
    lapack_int info = LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)n, (lapack_int)p, ws->matrix,
                                     (lapack_int)p, out->d, ws->u, (lapack_int)r, out->v, (lapack_int)p, ws->unused);
    assert(info == 0);
    (void)info;
    double rest = 0;
    for (size_t i = 0; i < n; i++) rest += ws->residual[i] * ws->residual[i];
    for (size_t k = 0; k < r; k++) {
        double dot = 0;
        for (size_t i = 0; i < n; i++) dot += ws->u[i * r + k] * ws->residual[i];
        out->projected[k] = dot;
        rest -= dot * dot;
    }
    rest = fmax(rest, 0);
    for (size_t i = 0; i < N_GRID; i++) {
        double g = widths[i / COUNT_OF(noises)], sigma = noises[i % COUNT_OF(noises)], variance = sigma * sigma;
        double log_p = c->log_prior + ws->bank->log_noise[i % COUNT_OF(noises)] - ws->sum_log_y - 0.5 * rest / variance;
        log_p -= ((double)n - (double)r - 1) * log(sigma); /* one direction went with the projection */
        for (size_t k = 0; k < r; k++) {
            double t = g * out->d[k] * out->d[k] + variance;
            log_p -= 0.5 * (out->projected[k] * out->projected[k] / t + log(t));
        }
        out->log_evidence[i] = log_p;
    }
}

/* ---- Mixing ---- */

static struct component *components(const struct bank *b, size_t *n, struct arena *scratch) {
    struct component *c = arena_array(scratch, 1 + b->n_rows + COUNT_OF(vague), sizeof *c);
    double each = -log((double)(b->n_rows + COUNT_OF(vague) + 1)), near = sqrt(NEAR);
    const double *average = b->view_share[b->n_proxies];
    *n = 0;
    c[(*n)++] = (struct component){b->mean, b->factor, 1, average, 0};
    for (size_t i = 0; i < b->n_rows; i++)
        c[(*n)++] = (struct component){b->rows + i * b->p, b->factor, near,
                                       i < b->n_proxies ? b->view_share[i] : average, each};
    size_t present = 0;
    double *flat = arena_array(scratch, b->p, sizeof *flat);
    for (size_t j = 0; j < b->p; j++) present += b->scale[j] > 0;
    for (size_t j = 0; j < b->p; j++) flat[j] = b->scale[j] > 0 ? 1 / (double)present : 0;
    for (size_t i = 0; i < COUNT_OF(vague); i++)
        c[(*n)++] = (struct component){flat, NULL, sqrt(vague[i] / (double)b->p), average, each};
    return c;
}

/* out += factor * (L z - m (lean'z)): what z does to the weights, the change of s included. */
static void apply_factor(const struct component *c, const struct solution *s, size_t p, const double *z, double factor,
                         double *out) {
    double lean = 0;
    for (size_t j = 0; j < p; j++) lean += s->lean[j] * z[j];
    for (size_t j = 0; j < p; j++) {
        double sum = -c->mean[j] * lean;
        if (c->factor)
            for (size_t k = 0; k <= j; k++) sum += c->factor_scale * c->factor[j * p + k] * z[k];
        else
            sum += c->factor_scale * z[j];
        out[j] += factor * sum;
    }
}

/* Adds the component's mean weights, times the grid's posterior masses. */
static void mix_mean(const struct component *c, const struct solution *s, const double *mass, size_t p, double *w) {
    double total = 0, z[FT_COUNT] = {0};
    for (size_t i = 0; i < N_GRID; i++) total += mass[i];
    for (size_t k = 0; k < s->rank; k++) {
        double factor = 0;
        for (size_t i = 0; i < N_GRID; i++) {
            double g = widths[i / COUNT_OF(noises)], sigma = noises[i % COUNT_OF(noises)];
            factor += mass[i] * g * s->d[k] / (g * s->d[k] * s->d[k] + sigma * sigma);
        }
        for (size_t j = 0; j < p; j++) z[j] += s->v[k * p + j] * factor * s->projected[k];
    }
    for (size_t j = 0; j < p; j++) w[j] += s->scale * total * s->along * c->mean[j];
    apply_factor(c, s, p, z, s->scale, w);
}

/* Adds mass * covariance inside the component: that of z, g I - V diag(g^2 d^2 / (g d^2 + sigma^2)) V', through what z
 * does to the weights; and that of s given z, sigma^2 / a'a. */
static void mix_covariance(const struct component *c, const struct solution *s, const double *mass, size_t p,
                           double *covariance, struct arena *scratch) {
    double open = 0, speed = 0;
    double *inner = arena_array(scratch, p * p, sizeof *inner), *half = arena_array(scratch, p * p, sizeof *half);
    for (size_t i = 0; i < N_GRID; i++) {
        double sigma = noises[i % COUNT_OF(noises)];
        open += mass[i] * widths[i / COUNT_OF(noises)];
        speed += mass[i] * sigma * sigma / s->square;
    }
    for (size_t j = 0; j < p; j++) inner[j * p + j] = open;
    for (size_t k = 0; k < s->rank; k++) {
        double closed = 0, square = s->d[k] * s->d[k];
        for (size_t i = 0; i < N_GRID; i++) {
            double g = widths[i / COUNT_OF(noises)], sigma = noises[i % COUNT_OF(noises)];
            closed += mass[i] * g * g * square / (g * square + sigma * sigma);
        }
        const double *v = s->v + k * p;
        for (size_t a = 0; a < p; a++)
            for (size_t b = 0; b < p; b++) inner[a * p + b] -= closed * v[a] * v[b];
    }
    for (size_t a = 0; a < p; a++) apply_factor(c, s, p, inner + a * p, s->scale, half + a * p);
    double column[FT_COUNT];
    for (size_t j = 0; j < p; j++) {
        double out[FT_COUNT] = {0};
        for (size_t a = 0; a < p; a++) column[a] = half[a * p + j];
        apply_factor(c, s, p, column, s->scale, out);
        for (size_t k = 0; k < p; k++)
            covariance[j * p + k] += out[k] + speed * s->scale * s->scale * c->mean[j] * c->mean[k];
    }
}

static void add_outer(const double *a, const double *b, double factor, size_t p, double *out) {
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k < p; k++) out[j * p + k] += factor * (a[j] - b[j]) * (a[k] - b[k]);
}

struct mixture {
    struct workspace ws;
    struct component *components;
    size_t n_components;
    struct solution *solutions; /* view-major */
    double *share;              /* posterior mass of each solution */
    double top, total;          /* largest log evidence; sum of exponentials below it */
};

static void mix_view(struct mixture *m, size_t view, bool covariance, struct posterior *post, struct arena *arena) {
    size_t p = m->ws.bank->p;
    double *means = arena_array(arena, m->n_components * p, sizeof *means), mass[N_GRID], *shares = m->share;
    double *w = post->weight[view];
    for (size_t i = 0; i < m->n_components; i++) {
        const struct solution *s = &m->solutions[view * m->n_components + i];
        double *mean = means + i * p;
        shares[i] = 0;
        for (size_t k = 0; k < N_GRID; k++) shares[i] += mass[k] = exp(s->log_evidence[k] - m->top) / m->total;
        if (shares[i] < SMALL_SHARE) continue;
        post->share[view] += shares[i];
        for (size_t k = 0; k < N_GRID; k++) {
            double sigma = noises[k % COUNT_OF(noises)];
            post->noise += mass[k] * sigma * sigma;
            if (k < COUNT_OF(noises)) post->scale_only += mass[k];
        }
        mix_mean(&m->components[i], s, mass, p, mean);
        for (size_t j = 0; j < p; j++) w[j] += mean[j];
        for (size_t j = 0; j < p; j++) mean[j] /= shares[i];
        if (covariance) mix_covariance(&m->components[i], s, mass, p, post->covariance[view], arena);
    }
    if (post->share[view] <= 0) return;
    for (size_t j = 0; j < p; j++) w[j] /= post->share[view];
    if (!covariance) return;
    for (size_t i = 0; i < m->n_components; i++)
        if (shares[i] >= SMALL_SHARE) add_outer(means + i * p, w, shares[i], p, post->covariance[view]);
    for (size_t j = 0; j < p * p; j++) post->covariance[view][j] /= post->share[view];
}

static void solve_all(struct mixture *m, struct arena *scratch) {
    size_t p = m->ws.bank->p, n = m->ws.samples->n, r = n < p ? n : p;
    size_t count = m->ws.samples->n_views * m->n_components;
    m->solutions = arena_array(scratch, count, sizeof *m->solutions);
    m->share = arena_array(scratch, m->n_components, sizeof *m->share);
    m->top = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        struct solution *s = &m->solutions[i];
        struct component c = m->components[i % m->n_components];
        s->d = arena_array(scratch, 2 * r + p + r * p, sizeof *s->d);
        s->projected = s->d + r;
        s->lean = s->projected + r;
        s->v = s->lean + p;
        c.log_prior += log(fmax(c.view_share[i / m->n_components], 1e-12));
        solve(&m->ws, i / m->n_components, &c, s);
        for (size_t k = 0; k < N_GRID; k++) m->top = fmax(m->top, s->log_evidence[k]);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID; k++) m->total += exp(m->solutions[i].log_evidence[k] - m->top);
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

void bank_adapt(const struct bank *b, const struct samples *s, bool covariance, struct posterior *post,
                struct arena *arena) {
    assert(s->p == b->p && s->n_views == b->n_views && s->n > 0);
    *post = (struct posterior){.p = b->p, .n_views = b->n_views};
    struct mixture m = {.ws = {.bank = b, .samples = s}};
    prepare(&m.ws, arena);
    m.components = components(b, &m.n_components, arena);
    solve_all(&m, arena);
    for (size_t v = 0; v < b->n_views; v++) {
        post->weight[v] = arena_array(arena, b->p, sizeof *post->weight[v]);
        if (covariance) post->covariance[v] = arena_array(arena, b->p * b->p, sizeof *post->covariance[v]);
        mix_view(&m, v, covariance, post, arena);
        unscale(b, post, v);
    }
    double total = 0; /* less than 1 by what was left out */
    for (size_t v = 0; v < b->n_views; v++) total += post->share[v];
    for (size_t v = 0; v < b->n_views; v++) post->share[v] /= total;
    post->noise = sqrt(post->noise / total);
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
