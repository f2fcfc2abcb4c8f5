/* AdaProxy (Lu, Yang, Jiang, Shi, Ren: One Proxy Device Is Enough, SIGMETRICS 2022): the target's weights are the
 * proxy's, times one common factor a plus a sparse-hearted correction b, and a constant c. With z = x * w elementwise
 * the model is y = a (sum z) + z'b + c, least squares with lambda |b|^2: ridge regression in which two columns go
 * unpenalised. Those are projected out; one singular value decomposition of the rest then gives the exact leave-one-out
 * error of every lambda. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#define N_LAMBDA   61
#define LAMBDA_LOW 1e-6 /* times the mean squared singular value; the grid spans twelve decades */

struct projection { /* orthonormal columns for the constant and the proxy's own prediction */
    double *q;      /* n * 2 */
    size_t n, rank;
};

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void add_column(struct projection *pr, const double *column) {
    double *q = pr->q + pr->rank * pr->n, norm = sqrt(dot(column, column, pr->n));
    memcpy(q, column, pr->n * sizeof *q);
    for (size_t round = 0; round < 2; round++)
        for (size_t k = 0; k < pr->rank; k++) {
            double a = dot(q, pr->q + k * pr->n, pr->n);
            for (size_t i = 0; i < pr->n; i++) q[i] -= a * pr->q[k * pr->n + i];
        }
    double length = sqrt(dot(q, q, pr->n));
    if (length <= 1e-10 * norm) return; /* the proxy predicts one value for all samples */
    for (size_t i = 0; i < pr->n; i++) q[i] /= length;
    pr->rank++;
}

static void project_out(const struct projection *pr, double *column, size_t stride) {
    for (size_t k = 0; k < pr->rank; k++) {
        const double *q = pr->q + k * pr->n;
        double a = 0;
        for (size_t i = 0; i < pr->n; i++) a += q[i] * column[i * stride];
        for (size_t i = 0; i < pr->n; i++) column[i * stride] -= a * q[i];
    }
}

struct reduced { /* the penalised part: z with the free columns projected out = u diag(d) v' */
    size_t n, p, rank;
    double *u, *d, *v, *y, *projected;
};

static void decompose(struct reduced *r, double *z, struct arena *scratch) {
    size_t full = r->n < r->p ? r->n : r->p;
    r->u = arena_array(scratch, r->n * full, sizeof *r->u);
    r->d = arena_array(scratch, full, sizeof *r->d);
    r->v = arena_array(scratch, full * r->p, sizeof *r->v);
    r->projected = arena_array(scratch, full, sizeof *r->projected);
    double *unused = arena_array(scratch, full + 1, sizeof *unused);
    lapack_int info = LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)r->n, (lapack_int)r->p, z,
                                     (lapack_int)r->p, r->d, r->u, (lapack_int)full, r->v, (lapack_int)r->p, unused);
    assert(info == 0);
    (void)info;
    r->rank = full;
    for (size_t k = 0; k < full; k++) {
        if (r->d[k] <= 1e-12 * r->d[0]) r->d[k] = 0;
        for (size_t i = 0; i < r->n; i++) r->projected[k] += r->u[i * full + k] * r->y[i];
    }
}

/* Mean squared leave-one-out error; leverage of the free columns comes from their projection. */
static double leave_one_out(const struct reduced *r, const struct projection *pr, double lambda) {
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        double fitted = 0, leverage = 0;
        for (size_t k = 0; k < pr->rank; k++) leverage += pr->q[k * pr->n + i] * pr->q[k * pr->n + i];
        for (size_t k = 0; k < r->rank; k++) {
            double u = r->u[i * r->rank + k], shrink = r->d[k] * r->d[k] / (r->d[k] * r->d[k] + lambda);
            fitted += u * shrink * r->projected[k];
            leverage += u * u * shrink;
        }
        double e = (r->y[i] - fitted) / fmax(1 - leverage, 1e-6);
        sum += e * e / (double)r->n;
    }
    return sum;
}

/* Ties go to the larger lambda: a target that equals its proxy needs no correction. */
static void choose_lambda(const struct reduced *r, const struct projection *pr, struct adaproxy *model) {
    double mean = dot(r->d, r->d, r->rank) / (double)r->rank;
    model->loo_mse = INFINITY;
    for (size_t i = N_LAMBDA; i-- > 0;) {
        double lambda = mean * LAMBDA_LOW * pow(10, 12.0 * (double)i / (N_LAMBDA - 1)) + 1e-300;
        double error = leave_one_out(r, pr, lambda);
        if (error < model->loo_mse * (1 - 1e-9)) model->loo_mse = error, model->lambda = lambda;
    }
}

/* a and c: least squares of what the penalised part leaves on [sum z, 1]. */
static void free_coefficients(const double *total, const double *rest, size_t n, double *a, double *c) {
    double mean_t = 0, mean_r = 0, tt = 0, tr = 0;
    for (size_t i = 0; i < n; i++) mean_t += total[i] / (double)n, mean_r += rest[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        tt += (total[i] - mean_t) * (total[i] - mean_t);
        tr += (total[i] - mean_t) * (rest[i] - mean_r);
    }
    *a = tt > 1e-20 * mean_t * mean_t * (double)n ? tr / tt : 0;
    *c = mean_r - *a * mean_t;
}

/* lambda < 0: by leave-one-out. */
void adaproxy_fit(const double *x, const double *y, size_t n, size_t p, const double *proxy, double lambda,
                  struct adaproxy *model, struct arena *arena) {
    assert(n > 0 && p > 0);
    *model = (struct adaproxy){.weight = arena_array(arena, p, sizeof *model->weight), .lambda = lambda};
    double *z = arena_array(arena, n * p, sizeof *z), *total = arena_array(arena, n, sizeof *total);
    double *ones = arena_array(arena, n, sizeof *ones), *rest = arena_copy(arena, y, n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        ones[i] = 1;
        for (size_t j = 0; j < p; j++) total[i] += z[i * p + j] = x[i * p + j] * proxy[j];
    }
    struct projection pr = {.q = arena_array(arena, 2 * n, sizeof(double)), .n = n};
    add_column(&pr, ones);
    add_column(&pr, total);
    for (size_t j = 0; j < p; j++) project_out(&pr, z + j, p);
    struct reduced r = {.n = n, .p = p, .y = arena_copy(arena, y, n * sizeof *y)};
    project_out(&pr, r.y, 1);
    decompose(&r, z, arena);
    if (lambda < 0) choose_lambda(&r, &pr, model);
    double *b = arena_array(arena, p, sizeof *b), a;
    for (size_t k = 0; k < r.rank; k++)
        for (size_t j = 0; j < p; j++)
            b[j] += r.v[k * p + j] * r.d[k] / (r.d[k] * r.d[k] + model->lambda) * r.projected[k];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) rest[i] -= x[i * p + j] * proxy[j] * b[j];
    free_coefficients(total, rest, n, &a, &model->constant);
    for (size_t j = 0; j < p; j++) model->weight[j] = proxy[j] * (a + b[j]);
}

double adaproxy_predict(const struct adaproxy *model, const double *x, size_t p) {
    return model->constant + dot(model->weight, x, p);
}

void ridge_fit(const double *x, const double *y, size_t n, size_t p, double ridge, double *w, struct arena *scratch) {
    double *gram = arena_array(scratch, p * p, sizeof *gram), trace = 0;
    memset(w, 0, p * sizeof *w);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < p; j++) {
            double v = x[i * p + j];
            if (v == 0) continue;
            w[j] += v * y[i];
            for (size_t k = 0; k <= j; k++) gram[j * p + k] += v * x[i * p + k];
        }
    for (size_t j = 0; j < p; j++) trace += gram[j * p + j];
    for (size_t j = 0; j < p; j++) gram[j * p + j] += ridge * trace / (double)p + 1e-300;
    lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (lapack_int)p, 1, gram, (lapack_int)p, w, 1);
    assert(info == 0);
    (void)info;
}
