/* Intervals after adaptation, and what they are checked with. */
#include "adapt.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double order_statistic(double *values, size_t n, double q) {
    qsort(values, n, sizeof *values, by_value);
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? values[i] + (at - (double)i) * (values[i + 1] - values[i]) : values[i];
}

enum status samples_check(const struct samples *s, struct diag *diag) {
    bool differs = false;
    if (s->n < 3) return diag_fail(diag, ST_DATA, "%zu measurements; at least 3 are needed", s->n);
    for (size_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i]) || s->y[i] <= 0)
            return diag_fail(diag, ST_DATA, "measurement %zu: latency %g is not above 0", i + 1, s->y[i]);
        for (size_t j = 0; j < s->p; j++) {
            double x = s->x[0][i * s->p + j];
            if (!isfinite(x)) return diag_fail(diag, ST_DATA, "measurement %zu: its costs are not known", i + 1);
            differs |= x != s->x[0][j];
        }
    }
    if (!differs)
        diag_warn(diag, "all networks measured cost the same: the proxies can only be rescaled, not told apart");
    return ST_OK;
}

/* Probability that an error lies within `width`: normal at every noise level; `others`: the prediction's variance. */
static double inside(const struct posterior *post, double others, double width) {
    double sum = 0;
    for (size_t i = 0; i < NOISE_LEVELS; i++) {
        const struct noise_level *l = &post->levels[i];
        sum += l->mass * erf(width / sqrt(2 * (l->noise * l->noise + others)));
    }
    return sum;
}

/* How noisy the device is stays uncertain after few samples, so that errors are a mixture of normals: nine tenths of it
 * lie nearer its centre than its variance, mostly that of unlikely high noise, says. */
double interval_quantile(const struct samples *s, const struct posterior *post, struct arena *scratch) {
    double *ms = arena_array(scratch, s->n, sizeof *ms), *deviation = arena_array(scratch, s->n, sizeof *deviation);
    double noise = post->noise * post->noise, others = 0, lo = 0, hi = 2 * Z90;
    posterior_predict(post, s, ms, deviation);
    for (size_t i = 0; i < s->n; i++) others += fmax(deviation[i] * deviation[i] - noise, 0) / (double)s->n;
    for (int i = 0; i < 50; i++) {
        double middle = 0.5 * (lo + hi);
        if (inside(post, others, middle * sqrt(noise + others)) < 0.9)
            lo = middle;
        else
            hi = middle;
    }
    return hi;
}
