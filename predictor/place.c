/* What an architecture's place in its search space says beyond its costs.
 *
 * Some runtimes treat an operator differently by where it stands in the network, which no sum over kernels can know.
 * Where architectures come from a search space, the logarithm of measured over predicted latency is therefore given a
 * Gaussian process over their one-hot encoding: variance t^2 for a change of every gene, noise sigma^2; t = 0, no such
 * effect, has half of the prior. All in closed form from one eigendecomposition of the samples' Gram matrix. */
#include "adapt.h"

#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

static const double strengths[] = {0.02, 0.04, 0.08, 0.16, 0.32};
static const double noises[] = {0.003, 0.006, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3};

#define N_STRENGTHS COUNT_OF(strengths)
#define N_NOISES    COUNT_OF(noises)

struct problem {
    size_t n, e;
    const double *onehot;
    double *centre, *gram, *value, *projected; /* gram: its eigenvectors after `decompose`, one a column */
};

static void build_gram(struct problem *p, size_t genes) {
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k <= i; k++) {
            double dot = 0;
            for (size_t j = 0; j < p->e; j++)
                dot += (p->onehot[i * p->e + j] - p->centre[j]) * (p->onehot[k * p->e + j] - p->centre[j]);
            p->gram[i * p->n + k] = p->gram[k * p->n + i] = dot / (double)genes;
        }
}

static void decompose(struct problem *p, const double *ratio) {
    lapack_int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'L', (lapack_int)p->n, p->gram, (lapack_int)p->n, p->value);
    assert(info == 0);
    (void)info;
    for (size_t k = 0; k < p->n; k++)
        for (size_t i = 0; i < p->n; i++) p->projected[k] += p->gram[i * p->n + k] * ratio[i];
}

static double log_evidence(const struct problem *p, double strength, double noise) {
    double sum = 0;
    for (size_t k = 0; k < p->n; k++) {
        double variance = strength * strength * fmax(p->value[k], 0) + noise * noise;
        sum -= 0.5 * (p->projected[k] * p->projected[k] / variance + log(variance));
    }
    return sum;
}

/* Adds mass * t^2 (t^2 K + sigma^2 I)^-1 r to the samples' coefficients. */
static void add_solution(const struct problem *p, double strength, double noise, double mass, double *coefficient) {
    for (size_t k = 0; k < p->n; k++) {
        double square = strength * strength;
        double a = mass * square * p->projected[k] / (square * fmax(p->value[k], 0) + noise * noise);
        for (size_t i = 0; i < p->n; i++) coefficient[i] += a * p->gram[i * p->n + k];
    }
}

struct weighing {
    double evidence[1 + N_STRENGTHS][N_NOISES]; /* row 0: no effect */
    double top, total;
};

static void weigh(const struct problem *p, struct weighing *w) {
    w->top = -INFINITY;
    w->total = 0;
    for (size_t s = 0; s <= N_STRENGTHS; s++)
        for (size_t k = 0; k < N_NOISES; k++) {
            double prior = s ? log(0.5 / N_STRENGTHS) : log(0.5);
            w->evidence[s][k] = prior + log_evidence(p, s ? strengths[s - 1] : 0, noises[k]);
            w->top = fmax(w->top, w->evidence[s][k]);
        }
    for (size_t s = 0; s <= N_STRENGTHS; s++)
        for (size_t k = 0; k < N_NOISES; k++) w->total += w->evidence[s][k] = exp(w->evidence[s][k] - w->top);
}

void structure_fit(const double *onehot, const double *ratio, size_t n, size_t e, const double *centre,
                   struct structure *out, struct arena *arena) {
    struct problem p = {.n = n, .e = e, .onehot = onehot, .centre = arena_copy(arena, centre, e * sizeof *centre)};
    struct weighing w;
    double *coefficient = arena_array(arena, n, sizeof *coefficient), none = 0, none_square = 0, square = 0, genes = 0;
    for (size_t j = 0; j < e; j++) genes += onehot[j];
    p.gram = arena_array(arena, n * n, sizeof *p.gram);
    p.value = arena_array(arena, n, sizeof *p.value);
    p.projected = arena_array(arena, n, sizeof *p.projected);
    build_gram(&p, (size_t)genes);
    decompose(&p, ratio);
    weigh(&p, &w);
    for (size_t s = 0; s <= N_STRENGTHS; s++)
        for (size_t k = 0; k < N_NOISES; k++) {
            double mass = w.evidence[s][k] / w.total, variance = noises[k] * noises[k];
            square += mass * variance;
            if (s == 0) none += mass, none_square += mass * variance;
            if (s > 0) add_solution(&p, strengths[s - 1], noises[k], mass, coefficient);
        }
    *out = (struct structure){.e = e, .centre = p.centre, .share = 1 - none};
    out->weight = arena_array(arena, e, sizeof *out->weight);
    out->noise_ratio = none > 1e-9 ? sqrt(square / (none_square / none)) : 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < e; j++) out->weight[j] += coefficient[i] * (onehot[i * e + j] - centre[j]) / genes;
}

double structure_factor(const struct structure *s, const double *onehot) {
    double sum = 0;
    for (size_t j = 0; j < s->e; j++) sum += s->weight[j] * (onehot[j] - s->centre[j]);
    return exp(sum);
}
