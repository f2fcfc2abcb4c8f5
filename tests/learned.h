/* A device made up for tests of the predictor: networks of random features, latency linear in them. */
#ifndef LEARNED_H
#define LEARNED_H

#include "adapt.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct arena memory;
static struct diag messages;

static void learned_setup(void) {
    arena_init(&memory, NULL, NULL);
    diag_init(&messages, &memory);
}

static void learned_teardown(void) {
    arena_free(&memory);
}

/* n rows of positive features in `n_views` views that differ: view v holds the first features 1 + v/2 times. */
static inline struct samples random_networks(size_t n, size_t n_views, uint64_t seed) {
    struct samples s = {.n = n, .p = FT_LEARNED, .n_views = n_views};
    struct rng rng;
    rng_seed(&rng, seed);
    double *x[VIEW_COUNT];
    for (size_t v = 0; v < n_views; v++) s.x[v] = x[v] = arena_array(&memory, n * s.p, sizeof(double));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < s.p; j++) {
            double value = j == FT_CONST ? 1 : 1 + 9 * rng_unit(&rng), shrink = rng_unit(&rng);
            for (size_t v = 0; v < n_views; v++) x[v][i * s.p + j] = j == FT_CONST ? 1 : value * (v ? shrink : 1);
        }
    return s;
}

static inline void measure_with(struct samples *s, size_t view, const double *weight, double noise, uint64_t seed) {
    double *y = arena_array(&memory, s->n, sizeof *y);
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < s->n; i++) {
        for (size_t j = 0; j < s->p; j++) y[i] += s->x[view][i * s->p + j] * weight[j];
        y[i] *= 1 + noise * rng_normal(&rng);
    }
    s->y = y;
}

static inline double mean_error(const struct samples *s, const double *ms) {
    return metric_mape(ms, s->y, s->n);
}

#endif
