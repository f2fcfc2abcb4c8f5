/* Non-negative least squares (Lawson and Hanson 1974, chapter 23) on the normal equations, and the fit of a device
 * whose latencies are all known. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIM 0.02 /* of the latencies left out at either end: readings gone wrong, disconnected networks */

struct active {
    const double *gram, *rhs;
    size_t p;
    bool *passive; /* p: the weight is free */
    double *sub, *z;
    size_t *index;
};

/* Unconstrained solution over the passive set, zero elsewhere. */
static void solve_passive(struct active *a) {
    size_t m = 0;
    for (size_t j = 0; j < a->p; j++)
        if (a->passive[j]) a->index[m++] = j;
    double *b = a->sub + a->p * a->p;
    for (size_t i = 0; i < m; i++) {
        b[i] = a->rhs[a->index[i]];
        for (size_t j = 0; j < m; j++) a->sub[i * m + j] = a->gram[a->index[i] * a->p + a->index[j]];
    }
    lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (lapack_int)m, 1, a->sub, (lapack_int)m, b, 1);
    assert(info == 0);
    (void)info;
    memset(a->z, 0, a->p * sizeof *a->z);
    for (size_t i = 0; i < m; i++) a->z[a->index[i]] = b[i];
}

static size_t steepest(const struct active *a, const double *w, double *slope) {
    size_t best = a->p;
    *slope = 0;
    for (size_t j = 0; j < a->p; j++) {
        if (a->passive[j]) continue;
        double g = a->rhs[j];
        for (size_t k = 0; k < a->p; k++) g -= a->gram[j * a->p + k] * w[k];
        if (g > *slope) *slope = g, best = j;
    }
    return best;
}

/* Moves w towards z until a passive weight reaches zero, which leaves the set; true when z was reached. */
static bool step_to(struct active *a, double *w) {
    double alpha = 1;
    size_t leaving = a->p;
    for (size_t j = 0; j < a->p; j++) {
        if (!a->passive[j] || a->z[j] > 0) continue;
        double t = w[j] / (w[j] - a->z[j]);
        if (leaving == a->p || t < alpha) alpha = t, leaving = j;
    }
    for (size_t j = 0; j < a->p; j++) w[j] += alpha * (a->z[j] - w[j]);
    if (leaving == a->p) return true;
    for (size_t j = 0; j < a->p; j++)
        if (a->passive[j] && (j == leaving || w[j] <= 0)) a->passive[j] = false, w[j] = 0;
    return false;
}

void nnls(const double *gram, const double *rhs, size_t p, double *w, struct arena *scratch) {
    struct active a = {.gram = gram, .rhs = rhs, .p = p};
    a.passive = arena_array(scratch, p, sizeof *a.passive);
    a.sub = arena_array(scratch, p * p + p, sizeof *a.sub);
    a.z = arena_array(scratch, p, sizeof *a.z);
    a.index = arena_array(scratch, p, sizeof *a.index);
    double largest = 0;
    for (size_t j = 0; j < p; j++) largest = fmax(largest, fabs(rhs[j])), w[j] = 0;
    for (size_t round = 0; round < 10 * p; round++) {
        double slope;
        size_t j = steepest(&a, w, &slope);
        if (j == p || slope <= 1e-10 * largest) return;
        a.passive[j] = true;
        do solve_passive(&a);
        while (!step_to(&a, w));
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Row numbers of the latencies between the trimmed ends. */
static size_t trim(const struct samples *s, uint32_t *rows, struct arena *scratch) {
    double *sorted = arena_copy(scratch, s->y, s->n * sizeof *sorted);
    qsort(sorted, s->n, sizeof *sorted, by_value);
    size_t cut = (size_t)(TRIM * (double)s->n), kept = 0;
    double lo = sorted[cut], hi = sorted[s->n - 1 - cut];
    for (size_t i = 0; i < s->n; i++)
        if (s->y[i] >= lo && s->y[i] <= hi) rows[kept++] = (uint32_t)i;
    return kept;
}

static void normal_equations(const double *x, const double *y, const uint32_t *rows, size_t n, size_t p,
                             const double *scale, double *gram, double *rhs) {
    memset(gram, 0, p * p * sizeof *gram);
    memset(rhs, 0, p * sizeof *rhs);
    double a[FT_COUNT];
    for (size_t r = 0; r < n; r++) {
        const double *row = x + rows[r] * p;
        for (size_t j = 0; j < p; j++) a[j] = row[j] / (scale[j] * y[rows[r]]);
        for (size_t j = 0; j < p; j++) {
            rhs[j] += a[j] / (double)n;
            for (size_t k = 0; k <= j; k++) gram[j * p + k] += a[j] * a[k] / (double)n;
        }
    }
    double trace = 0;
    for (size_t j = 0; j < p; j++) trace += gram[j * p + j];
    for (size_t j = 0; j < p; j++) {
        gram[j * p + j] += 1e-7 * trace / (double)p;
        for (size_t k = 0; k < j; k++) gram[k * p + j] = gram[j * p + k];
    }
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

struct fit fit_source(const struct samples *s, const double *scale, double *w, struct arena *scratch) {
    assert(s->p <= FT_COUNT && s->n > 0);
    size_t p = s->p;
    uint32_t *rows = arena_array(scratch, s->n, sizeof *rows);
    size_t n = trim(s, rows, scratch);
    double *gram = arena_array(scratch, p * p, sizeof *gram), rhs[FT_COUNT], weight[FT_COUNT];
    struct fit best = {.mape = INFINITY};
    for (size_t v = 0; v < s->n_views; v++) {
        struct fit fit = {.view = (enum view)v};
        normal_equations(s->x[v], s->y, rows, n, p, scale, gram, rhs);
        nnls(gram, rhs, p, weight, scratch);
        for (size_t j = 0; j < p; j++) weight[j] /= scale[j];
        errors(s->x[v], s->y, rows, n, p, weight, &fit);
        if (fit.mape < best.mape - 1e-9) {
            best = fit;
            memcpy(w, weight, p * sizeof *w);
        }
    }
    return best;
}
