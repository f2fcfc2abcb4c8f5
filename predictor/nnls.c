/* Non-negative least squares (Lawson and Hanson 1974, chapter 23) on the normal equations. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

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
