/* Choice of networks to measure. D-optimal: each pick is the candidate whose latency is least certain under the bank's
 * spread of devices given the picks before it, so that together they shrink the volume of what is not known about the
 * device. Which graph view a runtime follows shows only where one view cannot explain, however its weights move, what
 * another would measure: every third pick asks for such networks as well. Were the runtime to follow view a with the
 * bank's mean weights, view b would have learned from the picks so far; what it still gets wrong tells them apart. */
#include "adapt.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define NOISE_SQUARE (0.05 * 0.05)
#define VIEW_NOISE   (0.1 * 0.1) /* what a view leaves unexplained on its own device, squared */
#define VIEW_PERIOD  3
#define MEAN_SQUARE  0.1  /* prior variance along the mean: the device's speed */
#define FLOOR        1e-4 /* of a feature's mean squared share: no direction is certain */

struct search {
    const struct bank *bank;
    size_t n, p, n_views;
    double *rows[VIEW_COUNT];  /* n * p: shares over the mean prediction */
    double *prior[VIEW_COUNT]; /* p * p, shrinking */
    double *log_mean[VIEW_COUNT];
    double *learned[VIEW_COUNT][VIEW_COUNT]; /* p: the second view's weights on a device that follows the first */
    double *disagreement;                    /* n, largest is 1; all zero when the views agree everywhere */
    double *score;
    bool *taken;
};

static void relative_rows(struct search *s, const struct samples *c) {
    for (size_t v = 0; v < s->n_views; v++)
        for (size_t i = 0; i < s->n; i++) {
            double mean = 0, *row = s->rows[v] + i * s->p;
            for (size_t j = 0; j < s->p; j++) {
                row[j] = s->bank->scale[j] > 0 ? c->x[v][i * s->p + j] / s->bank->scale[j] : 0;
                mean += row[j] * s->bank->mean[j];
            }
            s->log_mean[v][i] = log(fmax(mean, 1e-3));
            for (size_t j = 0; j < s->p; j++) row[j] /= fmax(mean, 0.2);
        }
}

static void start(struct search *s, const struct samples *c, struct arena *scratch) {
    const struct bank *b = s->bank;
    for (size_t v = 0; v < s->n_views; v++) {
        s->rows[v] = arena_array(scratch, s->n * s->p, sizeof(double));
        s->prior[v] = arena_copy(scratch, b->covariance, s->p * s->p * sizeof(double));
        s->log_mean[v] = arena_array(scratch, s->n, sizeof(double));
        for (size_t a = 0; a < s->n_views; a++) s->learned[a][v] = arena_copy(scratch, b->mean, s->p * sizeof(double));
        for (size_t j = 0; j < s->p; j++) {
            double square = 0;
            for (size_t i = 0; i < b->n_rows; i++)
                square += b->rows[i * s->p + j] * b->rows[i * s->p + j] / (double)b->n_rows;
            s->prior[v][j * s->p + j] += FLOOR * square;
            for (size_t k = 0; k < s->p; k++) s->prior[v][j * s->p + k] += MEAN_SQUARE * b->mean[j] * b->mean[k];
        }
    }
    s->disagreement = arena_array(scratch, s->n, sizeof *s->disagreement);
    s->score = arena_array(scratch, s->n, sizeof *s->score);
    s->taken = arena_array(scratch, s->n, sizeof *s->taken);
    relative_rows(s, c);
}

static void product(const double *matrix, const double *x, size_t p, double *out) {
    for (size_t j = 0; j < p; j++) {
        out[j] = 0;
        for (size_t k = 0; k < p; k++) out[j] += matrix[j * p + k] * x[k];
    }
}

static double quadratic(const double *matrix, const double *x, size_t p) {
    double sum = 0;
    for (size_t j = 0; j < p; j++) {
        double row = 0;
        for (size_t k = 0; k < j; k++) row += matrix[j * p + k] * x[k];
        sum += x[j] * (2 * row + matrix[j * p + j] * x[j]);
    }
    return sum;
}

struct surprise { /* of view b on a device that follows view a, relative to the latency */
    double error, variance;
    double ratio; /* of the views' mean predictions */
};

static struct surprise surprise_of(const struct search *s, size_t a, size_t b, size_t row) {
    const double *x = s->rows[b] + row * s->p;
    struct surprise out = {.error = 1, .ratio = exp(s->log_mean[b][row] - s->log_mean[a][row])};
    for (size_t j = 0; j < s->p; j++) out.error -= out.ratio * x[j] * s->learned[a][b][j];
    out.variance = out.ratio * out.ratio * quadratic(s->prior[b], x, s->p) + VIEW_NOISE;
    return out;
}

static void disagree(struct search *s) {
    double largest = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->disagreement[i] = 0;
        for (size_t a = 0; a < s->n_views; a++)
            for (size_t b = 0; b < s->n_views; b++) {
                if (a == b) continue;
                struct surprise e = surprise_of(s, a, b, i);
                s->disagreement[i] += log1p(e.error * e.error / e.variance);
            }
        largest = fmax(largest, s->disagreement[i]);
    }
    for (size_t i = 0; i < s->n; i++) s->disagreement[i] = largest > 1e-9 ? s->disagreement[i] / largest : 0;
}

static size_t pick(struct search *s, bool views) {
    double largest = 0;
    size_t best = s->n;
    if (views) disagree(s);
    for (size_t i = 0; i < s->n; i++) {
        s->score[i] = 0;
        for (size_t v = 0; v < s->n_views; v++)
            s->score[i] += log1p(quadratic(s->prior[v], s->rows[v] + i * s->p, s->p) / NOISE_SQUARE);
        largest = fmax(largest, s->score[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        s->score[i] = s->score[i] / fmax(largest, 1e-300) + (views ? s->disagreement[i] : 0);
        if (!s->taken[i] && (best == s->n || s->score[i] > s->score[best])) best = i;
    }
    return best;
}

static void learn_view(struct search *s, size_t b, size_t row) {
    const double *x = s->rows[b] + row * s->p;
    double vx[FT_COUNT], total = NOISE_SQUARE;
    product(s->prior[b], x, s->p, vx);
    for (size_t a = 0; a < s->n_views; a++) {
        struct surprise e = surprise_of(s, a, b, row);
        for (size_t j = 0; j < s->p; j++) s->learned[a][b][j] += e.ratio * vx[j] * e.error / e.variance;
    }
    for (size_t j = 0; j < s->p; j++) total += x[j] * vx[j];
    for (size_t j = 0; j < s->p; j++)
        for (size_t k = 0; k < s->p; k++) s->prior[b][j * s->p + k] -= vx[j] * vx[k] / total;
}

void design_choose(const struct bank *bank, const struct samples *candidates, size_t count, uint32_t *chosen,
                   struct arena *scratch) {
    assert(count <= candidates->n && candidates->p == bank->p && bank->p <= FT_COUNT);
    struct search s = {.bank = bank, .n = candidates->n, .p = bank->p, .n_views = candidates->n_views};
    start(&s, candidates, scratch);
    for (size_t i = 0; i < count; i++) {
        size_t row = pick(&s, i % VIEW_PERIOD == VIEW_PERIOD - 1);
        s.taken[row] = true;
        chosen[i] = (uint32_t)row;
        for (size_t v = 0; v < s.n_views; v++) learn_view(&s, v, row);
    }
}
