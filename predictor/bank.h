/* bank: private to the parts of an adaptation from a bank of devices (adapt.h): bank.c has the prior, spectrum.c what
 * the samples tell apart, posterior.c what follows, trust.c how far single samples are believed. */
#ifndef BANK_H
#define BANK_H

#include "adapt.h"

#include <math.h>

extern const double bank_noises[NOISE_LEVELS]; /* relative: one standard deviation */

/* ---- spectrum.c ---- */

struct spectrum {         /* of X L: the directions of the prior that change the samples at all */
    const double *factor; /* p * p: L, lower triangular; NULL: the identity */
    size_t rank;
    double *square; /* rank: d^2 */
    double *change; /* rank rows of n: d u, what one of the direction adds to the samples */
    double *weight; /* rank rows of p: L v, what it adds to the shares */
};

enum { FACTOR_BANK, FACTOR_NONE, FACTOR_COUNT }; /* L of a component's prior: the bank's, or the identity */

struct view_samples {
    double *shares; /* n * p: X, features over their scale, over the latency */
    struct spectrum spectrum[FACTOR_COUNT];
};

struct view_samples see_view(const struct bank *, const struct samples *, size_t view, struct arena *);

/* ---- posterior.c ---- */

/* bank_adapt, with the noise that of trusted samples. */
void bank_posterior(const struct bank *, const struct samples *, bool covariance, struct posterior *, struct arena *);

/* ---- Rows of numbers ---- */

/* What a row is multiplied by: noise is as much larger as its measurement is less of one. */
static inline double row_weight(const struct samples *s, size_t row) {
    return sqrt(sample_trust(s, row));
}

/* In four sums, because one would wait for itself. */
static inline double dot(const double *a, const double *b, size_t n) {
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline void add_scaled(double *out, const double *row, double factor, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] += factor * row[i];
}

#endif
