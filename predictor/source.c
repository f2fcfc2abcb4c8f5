/* The fit of a device whose latencies are all known: relative least squares, non-negative first, in every graph view.
 *
 * Non-negative weights choose among features that move together by accident and cannot say that work overlaps. A second
 * step therefore frees the signs around that solution: ridge regression towards it, with a prior as wide as half of
 * each weight and a tenth of the latency. On held-out devices the shares found so make better proxies. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_SD      0.5  /* prior deviation: of the weight itself, */
#define SHARE_SD       0.1  /* and of the latency */
#define SMALLEST_NOISE 1e-3 /* relative */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Row numbers of the latencies between the trimmed ends. */
static size_t trim_rows(const struct samples *s, double trim, uint32_t *rows, struct arena *scratch) {
    double *sorted = arena_copy(scratch, s->y, s->n * sizeof *sorted);
    qsort(sorted, s->n, sizeof *sorted, by_value);
    size_t cut = (size_t)(trim * (double)s->n), kept = 0;
    double lo = sorted[cut], hi = sorted[s->n - 1 - cut];
    for (size_t i = 0; i < s->n; i++)
        if (s->y[i] >= lo && s->y[i] <= hi) rows[kept++] = (uint32_t)i;
    return kept;
}

struct equations { /* mean over the rows of a a' and a, with a = x / (scale y) */
    size_t n, p;
    double *gram, *rhs;
};

static void accumulate(struct equations *e, const double *x, const double *y, const uint32_t *rows,
                       const double *scale) {
    size_t p = e->p;
    double a[FT_COUNT];
    memset(e->gram, 0, p * p * sizeof *e->gram);
    memset(e->rhs, 0, p * sizeof *e->rhs);
    for (size_t r = 0; r < e->n; r++) {
        const double *row = x + rows[r] * p;
        for (size_t j = 0; j < p; j++) a[j] = scale[j] > 0 ? row[j] / (scale[j] * y[rows[r]]) : 0;
        for (size_t j = 0; j < p; j++) {
            e->rhs[j] += a[j] / (double)e->n;
            for (size_t k = 0; k <= j; k++) e->gram[j * p + k] += a[j] * a[k] / (double)e->n;
        }
    }
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k < j; k++) e->gram[k * p + j] = e->gram[j * p + k];
}

static void solve_nonnegative(const struct equations *e, double *share, struct arena *scratch) {
    size_t p = e->p;
    double trace = 0, *gram = arena_copy(scratch, e->gram, p * p * sizeof *gram);
    for (size_t j = 0; j < p; j++) trace += gram[j * p + j];
    for (size_t j = 0; j < p; j++) gram[j * p + j] += 1e-7 * trace / (double)p;
    nnls(gram, e->rhs, p, share, scratch);
}

static void errors(const double *x, const double *y, const uint32_t *rows, size_t n, size_t p, const double *w,
                   struct fit *fit) {
    fit->mape = fit->rms = 0;
    for (size_t r = 0; r < n; r++) {
        double predicted = 0;
        for (size_t j = 0; j < p; j++) predicted += x[rows[r] * p + j] * w[j];
        double e = predicted / y[rows[r]] - 1;
        fit->mape += fabs(e) / (double)n;
        fit->rms += e * e / (double)n;
    }
    fit->rms = sqrt(fit->rms);
}

/* Posterior of the weights (times their scales) around the non-negative ones, as if from `rows` rows; both are
 * overwritten. */
static void free_signs(const struct equations *e, double rms, double rows, double *share, double *covariance) {
    size_t p = e->p;
    double noise = fmax(rms, SMALLEST_NOISE), total = 0, precision = rows / (noise * noise);
    for (size_t j = 0; j < p; j++) total += share[j];
    for (size_t j = 0; j < p; j++) {
        double own = WEIGHT_SD * share[j], any = SHARE_SD * total, prior = 1 / (own * own + any * any);
        for (size_t k = 0; k < p; k++) covariance[j * p + k] = precision * e->gram[j * p + k];
        covariance[j * p + j] += prior;
        share[j] = precision * e->rhs[j] + prior * share[j];
    }
    lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (lapack_int)p, 1, covariance, (lapack_int)p, share, 1);
    if (info == 0) info = LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'L', (lapack_int)p, covariance, (lapack_int)p);
    assert(info == 0);
    (void)info;
    for (size_t j = 0; j < p; j++)
        for (size_t k = 0; k < j; k++) covariance[k * p + j] = covariance[j * p + k];
}

static void unscale(const double *scale, size_t p, double *w, double *covariance) {
    for (size_t j = 0; j < p; j++) {
        double a = scale[j] > 0 ? 1 / scale[j] : 0;
        w[j] *= a;
        for (size_t k = 0; k < p; k++) {
            covariance[j * p + k] *= a;
            covariance[k * p + j] *= a;
        }
    }
}

struct fit fit_source(const struct samples *s, const double *scale, double trim, double *w, double *covariance,
                      struct arena *scratch) {
    assert(s->p <= FT_COUNT && s->n > 0);
    size_t p = s->p;
    uint32_t *rows = arena_array(scratch, s->n, sizeof *rows);
    struct equations e = {.n = trim_rows(s, trim, rows, scratch), .p = p};
    e.gram = arena_array(scratch, p * p, sizeof *e.gram);
    e.rhs = arena_array(scratch, p, sizeof *e.rhs);
    double share[FT_COUNT], *spread = arena_array(scratch, p * p, sizeof *spread);
    struct fit best = {.mape = INFINITY};
    for (size_t v = 0; v < s->n_views; v++) {
        struct fit fit = {.view = (enum view)v};
        accumulate(&e, s->x[v], s->y, rows, scale);
        solve_nonnegative(&e, share, scratch);
        double nonnegative[FT_COUNT];
        for (size_t j = 0; j < p; j++) nonnegative[j] = scale[j] > 0 ? share[j] / scale[j] : 0;
        errors(s->x[v], s->y, rows, e.n, p, nonnegative, &fit);
        if (fit.mape >= best.mape - 1e-9) continue;
        /* Rows of one space tell the same over and over: the covariance is that of fewer. */
        double again[FT_COUNT];
        memcpy(again, share, p * sizeof *again);
        free_signs(&e, fit.rms, (double)e.n, share, spread);
        free_signs(&e, fit.rms, fmin((double)e.n, ROWS_THAT_COUNT), again, spread);
        unscale(scale, p, share, spread);
        best = fit;
        errors(s->x[v], s->y, rows, e.n, p, share, &best);
        best.mape = fit.mape; /* views compare by the non-negative fit */
        memcpy(w, share, p * sizeof *w);
        if (covariance) memcpy(covariance, spread, p * p * sizeof *covariance);
    }
    return best;
}
