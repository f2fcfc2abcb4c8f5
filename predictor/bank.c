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
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

static const double widths[] = {1e-4, 1.0 / 16, 1.0 / 4, 1, 4};
static const double noises[NOISE_LEVELS] = {0.0005, 0.0015, 0.003, 0.006, 0.01, 0.02, 0.03,
                                            0.045,  0.06,   0.08,  0.1,   0.15, 0.2,  0.3};
static const double vague[] = {0.3, 1}; /* prior variances of components that know no device */

#define N_NOISES     NOISE_LEVELS
#define N_GRID       (COUNT_OF(widths) * N_NOISES)
#define WIDER        2     /* by this the logarithm of the prior falls with each doubling of a width above 1, */
#define WIDER_HALF   6     /* by half of it with so many proxies: fewer say less of how far devices lie apart */
#define JOINT        0.9   /* of how features' shares go together among devices: the rest is each by itself */
#define NEAR         0.1   /* spread around one proxy, as a share of the spread of devices */
#define VIEW_PRIOR   3     /* devices thought to follow each view, besides the proxies */
#define COUPLING     0.5   /* of a proxy's component: its own graph view rather than the bank's average */
#define NOISE_SPREAD 0.7   /* deviation of log noise around that of a proxy's own fit */
#define NOISE_ANY    0.3   /* prior mass of a noise that no proxy has */
#define ANALYTIC     0.3   /* prior mass of a device that one thing limits, over that of one that was measured */
#define LEAST_LOG    (-14) /* of a mass over the largest: below it is none */
#define SMALL_SHARE  1e-5  /* posterior mass below which a component is left out */
#define SAME         1e-12 /* of the largest d^2: below it is rounding */

/* ---- Analytic proxies: what a device would be that is limited by one thing ---- */

#define BIT(id)  (UINT64_C(1) << FT_##id)
#define MACS     (BIT(MAC_CONV) | BIT(MAC_POINTWISE) | BIT(MAC_GROUPED) | BIT(MAC_DEPTHWISE3) | BIT(MAC_DEPTHWISE5))
#define BYTES    (BIT(BYTES_POOL) | BIT(BYTES_DENSE) | BIT(BYTES_DEPTHWISE) | BIT(BYTES_ELEMENTWISE) | BIT(WEIGHT_BYTES))
#define DENSE    (BIT(MAC_CONV) | BIT(MAC_POINTWISE) | BIT(MAC_GROUPED))
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
    {BIT(REDUCTION), LAUNCHES, false},
    {BIT(WEIGHT_BYTES), BIT(WEIGHT_BYTES), false}, /* small caches */
    {DENSE, DENSE, false},                         /* arrays of multipliers: the rest in their shadow */
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
    for (size_t v = 0; v < b->n_views; v++)
        average[v] = (VIEW_PRIOR + total[v]) / ((double)b->n_proxies + VIEW_PRIOR * (double)b->n_views);
    for (size_t i = 0; i < b->n_proxies; i++)
        for (size_t v = 0; v < b->n_views; v++)
            b->view_share[i][v] = COUPLING * b->view_share[i][v] + (1 - COUPLING) * average[v];
    for (size_t a = 0; a < COUNT_OF(analytic_rows); a++)
        if (analytic_share(&analytic_rows[a], b->scale, b->p, b->rows + b->n_rows * b->p)) b->n_rows++;
}

/* Sample covariance of the rows; prior: JOINT of its off-diagonal kept, and a floor so that no direction is closed. */
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
        for (size_t k = 0; k < p; k++) b->factor[j * p + k] = JOINT * b->covariance[j * p + k];
        b->factor[j * p + j] += (1 - JOINT) * b->covariance[j * p + j] + 0.01 * (1 / (double)p + square);
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

/* ---- What the samples tell apart in one view ---- */

struct spectrum {         /* of X L: the directions of the prior that change the samples at all */
    const double *factor; /* p * p: L, lower triangular; NULL: the identity */
    size_t rank;
    double *square; /* rank: d^2 */
    double *change; /* rank rows of n: d u, what one of the direction adds to the samples */
    double *weight; /* rank rows of p: L v, what it adds to the shares */
};

/* In four sums, because one would wait for itself. */
static double dot(const double *a, const double *b, size_t n) {
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add_scaled(double *out, const double *row, double factor, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] += factor * row[i];
}

/* L z, with L lower triangular; NULL: the identity. */
static void apply_factor(const double *factor, const double *z, size_t p, double *out) {
    for (size_t j = 0; j < p; j++) out[j] = factor ? dot(factor + j * p, z, j + 1) : z[j];
}

/* out (columns * rows) is the transpose of `in`. */
static double *transposed(const double *in, size_t rows, size_t columns, struct arena *arena) {
    double *out = arena_array(arena, rows * columns, sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) out[j * rows + i] = in[i * columns + j];
    return out;
}

/* From the eigenvectors of the smaller Gram matrix. `a` (n * p) is X L. */
static struct spectrum decompose(const double *a, size_t n, size_t p, const double *factor, struct arena *arena) {
    bool wide = n < p;
    size_t m = wide ? n : p, length = wide ? p : n;
    const double *across = transposed(a, n, p, arena), *rows = wide ? a : across, *columns = wide ? across : a;
    double *gram = arena_array(arena, m * m, sizeof *gram), *value = arena_array(arena, m, sizeof *value);
    struct spectrum s = {factor, 0, value, arena_array(arena, m * n, sizeof(double)),
                         arena_array(arena, m * p, sizeof(double))};
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k <= i; k++) gram[i * m + k] = dot(rows + i * length, rows + k * length, length);
    lapack_int info = LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)m, gram, (lapack_int)m, value);
    assert(info == 0);
    (void)info;
    double least = SAME * value[m - 1], v[FT_LEARNED];
    for (size_t k = 0; k < m; k++) {
        const double *own = gram + k * m;
        double *change = s.change + s.rank * n, d = sqrt(fmax(value[k], 0));
        if (!(value[k] > least)) continue;
        if (wide) {
            for (size_t i = 0; i < n; i++) change[i] = d * own[i];
            for (size_t j = 0; j < p; j++) v[j] = dot(columns + j * n, own, n) / d;
        } else {
            for (size_t i = 0; i < n; i++) change[i] = dot(columns + i * p, own, p);
            memcpy(v, own, p * sizeof *v);
        }
        apply_factor(factor, v, p, s.weight + s.rank * p);
        s.square[s.rank++] = value[k];
    }
    return s;
}

enum { FACTOR_BANK, FACTOR_NONE, FACTOR_COUNT }; /* L of a component's prior: the bank's, or the identity */

struct view_samples {
    double *shares; /* n * p: X, features over their scale, over the latency */
    struct spectrum spectrum[FACTOR_COUNT];
};

/* What a row is multiplied by: noise is as much larger as its measurement is less of one. */
static double row_weight(const struct samples *s, size_t row) {
    return sqrt(sample_trust(s, row));
}

static struct view_samples see_view(const struct bank *b, const struct samples *s, size_t view, struct arena *arena) {
    size_t n = s->n, p = b->p;
    struct view_samples seen = {.shares = arena_array(arena, n * p, sizeof(double))};
    double *spread = arena_array(arena, n * p, sizeof *spread);
    for (size_t i = 0; i < n; i++) {
        double *row = seen.shares + i * p, weight = row_weight(s, i);
        for (size_t k = 0; k < p; k++) {
            if (b->scale[k] > 0) row[k] = weight * s->x[view][i * p + k] / (b->scale[k] * s->y[i]);
            add_scaled(spread + i * p, b->factor + k * p, row[k], k + 1);
        }
    }
    seen.spectrum[FACTOR_BANK] = decompose(spread, n, p, b->factor, arena);
    seen.spectrum[FACTOR_NONE] = decompose(seen.shares, n, p, NULL, arena);
    return seen;
}

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
    double log_sigma[N_NOISES];
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
    double mean[N_NOISES], mixed[N_NOISES], rest[N_NOISES], determinant[N_NOISES], log_others[N_NOISES];
};

#define FACTORS 16 /* each lies within 1e-7 and 1e13 */

/* By Woodbury's formula. */
static void fill_forms(const struct spectrum *f, const struct solution *s, double width, struct forms *out) {
    double g = width * s->open;
    for (size_t i = 0; i < N_NOISES; i++)
        out->mean[i] = s->square, out->mixed[i] = 0, out->rest[i] = s->left, out->determinant[i] = 1,
        out->log_others[i] = 0;
    for (size_t k = 0; k < f->rank; k++) {
        double square = g * f->square[k], mean = g * s->mean[k] * s->mean[k];
        double mixed = g * s->mean[k] * s->rest[k], rest = g * s->rest[k] * s->rest[k];
        for (size_t i = 0; i < N_NOISES; i++) {
            double t = square + noises[i] * noises[i], inverse = 1 / t;
            out->determinant[i] *= t;
            out->mean[i] -= mean * inverse;
            out->mixed[i] -= mixed * inverse;
            out->rest[i] -= rest * inverse;
        }
        if (k % FACTORS == FACTORS - 1)
            for (size_t i = 0; i < N_NOISES; i++)
                out->log_others[i] += log(out->determinant[i]), out->determinant[i] = 1;
    }
}

static void fill_evidence(const struct mixture *m, const struct spectrum *f, double log_prior, struct solution *out) {
    struct forms forms;
    double free = (double)m->samples->n - (double)f->rank - 1; /* directions of noise alone; one went with s */
    double proxies = (double)m->bank->n_proxies, wider = WIDER * proxies / (proxies + WIDER_HALF);
    for (size_t w = 0; w < COUNT_OF(widths); w++) {
        double log_width = -wider * fmax(log2(widths[w]), 0);
        fill_forms(f, out, widths[w], &forms);
        for (size_t i = 0; i < N_NOISES; i++) {
            double left = forms.rest[i] - forms.mixed[i] * forms.mixed[i] / forms.mean[i];
            out->mass[w * N_NOISES + i] = log_prior + log_width + m->bank->log_noise[i] - free * m->log_sigma[i] -
                                          0.5 * left / (noises[i] * noises[i]) -
                                          0.5 * log(forms.determinant[i] * forms.mean[i] / out->square) -
                                          0.5 * forms.log_others[i];
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
    double top = -INFINITY, total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < N_GRID; k++) top = fmax(top, m->solutions[i].mass[k]);
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
    double mass = s->mass[point], sigma = noises[point % N_NOISES], g = s->open * widths[point / N_NOISES];
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

/* Adds the component's mean shares, times its mass, and what the uncertainty of s adds to the covariance. */
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
        add_scaled(covariance + j * p, c->mean, s->scale * (sums->variance * own - tilt[j]), p);
        add_scaled(covariance + j * p, tilt, -own, p);
    }
}

static void add_spread(const struct spectrum *f, const struct spread *spread, size_t p, double *covariance) {
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k <= j; k++) {
            double prior = f->factor ? dot(f->factor + j * p, f->factor + k * p, k + 1) : j == k;
            covariance[j * p + k] += spread->open * prior;
            if (k < j) covariance[k * p + j] += spread->open * prior;
        }
    for (size_t a = 0; a < f->rank; a++) {
        double row[FT_LEARNED] = {0};
        for (size_t b = 0; b < f->rank; b++) add_scaled(row, f->weight + b * p, spread->inner[a * f->rank + b], p);
        for (size_t j = 0; j < p; j++) add_scaled(covariance + j * p, row, f->weight[a * p + j], p);
    }
}

static void add_outer(const double *a, const double *b, double factor, size_t p, double *out) {
    double difference[FT_LEARNED];
    for (size_t j = 0; j < p; j++) difference[j] = a[j] - b[j];
    for (size_t j = 0; j < p; j++) add_scaled(out + j * p, difference, factor * difference[j], p);
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
            post->levels[k % N_NOISES].mass += s->mass[k];
            if (k < N_NOISES) post->scale_only += s->mass[k];
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

static void posterior_of(const struct bank *b, const struct samples *s, bool covariance, struct posterior *post,
                         struct arena *arena) {
    assert(s->p == b->p && s->n_views == b->n_views && s->n > 0);
    *post = (struct posterior){.p = b->p, .n_views = b->n_views};
    struct mixture m = {.bank = b, .samples = s};
    for (size_t i = 0; i < N_NOISES; i++) m.log_sigma[i] = log(noises[i]);
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
    for (size_t i = 0; i < N_NOISES; i++) {
        post->levels[i].noise = noises[i];
        post->levels[i].mass /= total;
        post->noise += post->levels[i].mass * noises[i] * noises[i];
    }
    post->noise = sqrt(post->noise);
}

/* ---- Wrong measurements ---- */

#define FREEDOM      2 /* degrees of freedom of errors far out (Student's t; Lange, Little and Taylor, JASA 84, 1989) */
#define TRUST_ROUNDS 8 /* of fitting and weighing, at most */
#define SETTLED      0.05 /* moved by less than this, they are not weighed again */
#define NOTHING      1e-12
#define FAR_OFF      5   /* factor from the others, measured by the mean device, that is not believed at first */
#define ALIKE        1.5 /* factor between graph views up to which they say the same of a network */

/* What the mean of all devices predicts, unscaled, in the view of a row that says least and in the one that says most.
 */
static void mean_range(const struct bank *b, const struct samples *s, size_t row, double *least, double *most) {
    *least = INFINITY, *most = 0;
    for (size_t v = 0; v < s->n_views; v++) {
        double sum = 0;
        for (size_t j = 0; j < s->p; j++)
            if (b->scale[j] > 0) sum += s->x[v][row * s->p + j] / b->scale[j] * b->mean[j];
        *least = fmin(*least, sum), *most = fmax(*most, sum);
    }
}

/* Errors are relative, so that a latency read far too low would weigh more than all others together: being off by ten
 * or a thousand from what any device would make of it (a unit mistaken, a digit lost) starts without trust. Networks
 * that the graph views tell apart may really take next to nothing. */
static void first_trust(const struct bank *b, const struct samples *s, double *trust, struct arena *arena) {
    double *off = arena_array(arena, s->n, sizeof *off), *sorted = arena_array(arena, s->n, sizeof *sorted), least,
           most;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        trust[i] = 1;
        mean_range(b, s, i, &least, &most);
        off[i] = least > 0 && most < ALIKE * least ? log(s->y[i] / most) : NAN;
        if (!isnan(off[i])) sorted[n++] = off[i];
    }
    double middle = n ? order_statistic(sorted, n, 0.5) : 0;
    for (size_t i = 0; i < s->n; i++)
        if (fabs(off[i] - middle) > log(FAR_OFF)) trust[i] = NOTHING;
}

void bank_trust(const struct bank *b, const struct samples *s, double *trust, struct arena *arena) {
    struct samples trusted = *s;
    double *ms = arena_array(arena, s->n, sizeof *ms);
    trusted.trust = trust;
    first_trust(b, s, trust, arena);
    double moved = 1;
    for (int round = 0; round < TRUST_ROUNDS && moved > SETTLED; round++) {
        struct posterior post;
        moved = 0;
        posterior_of(b, &trusted, false, &post, arena);
        posterior_predict(&post, s, ms, NULL);
        for (size_t i = 0; i < s->n; i++) {
            double z = (ms[i] / s->y[i] - 1) / post.noise;
            double before = trust[i];
            trust[i] = fmin(1, (FREEDOM + 1) / (FREEDOM + z * z));
            if (trust[i] < MISTAKEN) trust[i] = NOTHING;
            moved = fmax(moved, fabs(trust[i] - before));
        }
    }
}

/* The noise was that of trusted measurements; the next one may be as far off as any that is no plain mistake. */
static void count_alike(struct posterior *post, const struct samples *s, struct arena *arena) {
    double all = 0, trusted = 0, *ms = arena_array(arena, s->n, sizeof *ms);
    posterior_predict(post, s, ms, NULL);
    for (size_t i = 0; i < s->n; i++) {
        double off = ms[i] / s->y[i] - 1;
        if (s->trust[i] < MISTAKEN) continue;
        all += off * off;
        trusted += s->trust[i] * off * off;
    }
    double factor = trusted > 0 ? sqrt(all / trusted) : 1;
    post->noise *= factor;
    for (size_t i = 0; i < N_NOISES; i++) post->levels[i].noise *= factor;
}

void bank_adapt(const struct bank *b, const struct samples *s, bool covariance, struct posterior *post,
                struct arena *arena) {
    posterior_of(b, s, covariance, post, arena);
    if (s->trust) count_alike(post, s, arena);
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
