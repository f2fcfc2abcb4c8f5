/* The prior of an adaptation (posterior.c): latency shares of devices that were measured and of made-up ones that one
 * thing limits, how far devices lie apart, how noisy they are. */
#include "bank.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

const double bank_noises[NOISE_LEVELS] = {0.00005, 0.0005, 0.0015, 0.003, 0.006, 0.01, 0.02,
                                          0.03,    0.045,  0.07,   0.1,   0.15,  0.2,  0.3};

#define JOINT        0.9 /* of how features' shares go together among devices: the rest is each by itself */
#define VIEW_PRIOR   3   /* devices thought to follow each view, besides the proxies */
#define COUPLING     0.5 /* of a proxy's component: its own graph view rather than the bank's average */
#define NOISE_SPREAD 0.7 /* deviation of log noise around that of a proxy's own fit */
#define NOISE_ANY    0.3 /* prior mass of a noise that no proxy has */

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
static void spread_of_devices(struct bank *b, struct arena *arena) {
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
    double total = 0, *prior = arena_array(arena, NOISE_LEVELS, sizeof *prior);
    for (size_t i = 0; i < n; i++) {
        known += proxies[i].noise > 0;
        for (size_t k = 0; k < NOISE_LEVELS && proxies[i].noise > 0; k++) {
            double z = log(bank_noises[k] / fmax(proxies[i].noise, bank_noises[0])) / NOISE_SPREAD;
            prior[k] += exp(-0.5 * z * z);
        }
    }
    for (size_t k = 0; k < NOISE_LEVELS; k++) total += prior[k];
    double any = known ? NOISE_ANY : 1;
    for (size_t k = 0; k < NOISE_LEVELS; k++)
        prior[k] = log((total > 0 ? (1 - any) * prior[k] / total : 0) + any / NOISE_LEVELS);
    b->log_noise = prior;
}

void bank_init(struct bank *b, const struct samples *reference, const struct proxy *proxies, size_t n_proxies,
               struct arena *arena) {
    assert(reference->p == FT_LEARNED && reference->n > 0);
    *b = (struct bank){.p = reference->p, .n_views = reference->n_views};
    b->scale = arena_array(arena, b->p, sizeof *b->scale);
    feature_scale(b, reference);
    collect_rows(b, proxies, n_proxies, arena);
    spread_of_devices(b, arena);
    noise_prior(b, proxies, n_proxies, arena);
}
