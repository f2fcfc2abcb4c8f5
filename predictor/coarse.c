/* Weights for networks unlike those measured: none is negative, none is unknown.
 *
 * A coarse model comes first: a cost an inference, a launch, a MAC and a byte, fitted as non-negative least squares of
 * relative errors, held lightly to equal shares because tables of small networks at batch 1 may show no trace of one of
 * them. Then every feature has its own weight, held to the coarse model as far as the samples do not say. */
#include "adapt.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum kind { KIND_INFERENCE, KIND_LAUNCH, KIND_MAC, KIND_BYTE, KIND_COUNT };

#define EVEN     1e-3 /* weight of equal shares against a squared relative error of one */
#define OWN_SD   0.5  /* prior deviation of a feature's share of the latency: of itself, */
#define ANY_SD   0.1  /* and of the whole latency */
#define LEAST_SD 0.01 /* relative noise of a fit is not taken to be less */

static const struct part { /* of a feature: what it counts, and how much of it */
    enum feature feature;
    enum kind kind;
    double amount;
} parts[] = {
    {FT_CONST, KIND_INFERENCE, 1},        {FT_N_CONV, KIND_LAUNCH, 1},      {FT_N_POINTWISE, KIND_LAUNCH, 1},
    {FT_N_GROUPED, KIND_LAUNCH, 1},       {FT_N_DEPTHWISE, KIND_LAUNCH, 1}, {FT_N_POOL, KIND_LAUNCH, 1},
    {FT_N_ELEMENTWISE, KIND_LAUNCH, 1},   {FT_MAC_CONV, KIND_MAC, 1},       {FT_MAC_POINTWISE, KIND_MAC, 1},
    {FT_MAC_GROUPED, KIND_MAC, 1.5},      {FT_MAC_DEPTHWISE3, KIND_MAC, 4}, {FT_MAC_DEPTHWISE5, KIND_MAC, 4},
    {FT_BYTES_POOL, KIND_BYTE, 1},        {FT_BYTES_DENSE, KIND_BYTE, 1},   {FT_BYTES_DEPTHWISE, KIND_BYTE, 1},
    {FT_BYTES_ELEMENTWISE, KIND_BYTE, 1}, {FT_WEIGHT_BYTES, KIND_BYTE, 1},
};

/* Amounts of every kind in a network, over its latency. */
static void amounts(const struct samples *s, enum view view, size_t row, double out[KIND_COUNT]) {
    memset(out, 0, KIND_COUNT * sizeof *out);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        out[parts[i].kind] += parts[i].amount * s->x[view][row * s->p + parts[i].feature] / s->y[row];
}

void coarse_fit(const struct samples *s, enum view view, double *w, struct arena *scratch) {
    assert(s->p == FT_LEARNED && s->n > 0);
    double mean[KIND_COUNT] = {0}, gram[KIND_COUNT * KIND_COUNT] = {0}, rhs[KIND_COUNT], share[KIND_COUNT];
    double a[KIND_COUNT];
    for (size_t i = 0; i < s->n; i++) {
        amounts(s, view, i, a);
        for (size_t k = 0; k < KIND_COUNT; k++) mean[k] += a[k] / (double)s->n;
    }
    for (size_t i = 0; i < s->n; i++) {
        amounts(s, view, i, a);
        for (size_t k = 0; k < KIND_COUNT; k++)
            for (size_t m = 0; m < KIND_COUNT && mean[k] > 0; m++)
                gram[k * KIND_COUNT + m] += mean[m] > 0 ? a[k] / mean[k] * (a[m] / mean[m]) / (double)s->n : 0;
    }
    for (size_t k = 0; k < KIND_COUNT; k++) {
        gram[k * KIND_COUNT + k] += EVEN;
        rhs[k] = (mean[k] > 0) + EVEN / KIND_COUNT;
    }
    nnls(gram, rhs, KIND_COUNT, share, scratch);
    memset(w, 0, s->p * sizeof *w);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (mean[parts[i].kind] > 0) w[parts[i].feature] = parts[i].amount * share[parts[i].kind] / mean[parts[i].kind];
}

void safe_fit(const struct samples *s, enum view view, const double *prior, double noise, double *w,
              struct arena *scratch) {
    size_t p = s->p;
    double *scale = arena_array(scratch, p, sizeof *scale), *rhs = arena_array(scratch, p, sizeof *rhs);
    double *gram = arena_array(scratch, p * p, sizeof *gram), *a = arena_array(scratch, p, sizeof *a), total = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < p; j++) scale[j] += s->x[view][i * p + j] / s->y[i] / (double)s->n;
    for (size_t i = 0; i < s->n; i++) {
        double trust = sample_trust(s, i);
        for (size_t j = 0; j < p; j++) a[j] = scale[j] > 0 ? s->x[view][i * p + j] / (s->y[i] * scale[j]) : 0;
        for (size_t j = 0; j < p; j++) {
            rhs[j] += trust * a[j] / (double)s->n;
            for (size_t k = 0; k < p; k++) gram[j * p + k] += trust * a[j] * a[k] / (double)s->n;
        }
    }
    for (size_t j = 0; j < p; j++) total += prior[j] * scale[j];
    double rows = fmin((double)s->n, ROWS_THAT_COUNT), square = pow(fmax(noise, LEAST_SD), 2) / rows;
    for (size_t j = 0; j < p; j++) {
        double share = prior[j] * scale[j], own = OWN_SD * share, any = ANY_SD * total;
        double pull = square / fmax(own * own + any * any, 1e-12);
        gram[j * p + j] += pull;
        rhs[j] += pull * share;
    }
    nnls(gram, rhs, p, w, scratch);
    for (size_t j = 0; j < p; j++) w[j] = scale[j] > 0 ? w[j] / scale[j] : prior[j];
}
