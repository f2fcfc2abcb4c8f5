/* Wrong measurements: how much of one each sample counts as. */
#include "bank.h"

#define FREEDOM      2 /* degrees of freedom of errors far out (Student's t; Lange, Little and Taylor, JASA 84, 1989) */
#define TRUST_ROUNDS 8 /* of fitting and weighing, at most */
#define SETTLED      0.05  /* moved by less than this, they are not weighed again */
#define NOTHING      1e-12 /* the trust of a plain mistake: above 0, for logarithms and quotients */
#define FAR_OFF      5     /* factor from the others, measured by the mean device, that is not believed at first */
#define ALIKE        1.5   /* factor between graph views up to which they say the same of a network */

/* What the mean of all devices predicts, unscaled, in the view of a row that says least and in the one that says most.
 */
static void mean_range(const struct bank *b, const struct samples *s, size_t row, double *least, double *most) {
    *least = INFINITY, *most = 0;
    for (size_t v = 0; v < s->n_views; v++) {
        double sum = 0;
        for (size_t j = 0; j < s->p; j++)
            if (b->scale[j] > 0) sum += s->x[v][row * s->p + j] / b->scale[j] * b->mean[j];
        *least = fmin(*least, sum), *most = fmax(*most, sum);
    }
}

/* Errors are relative, so that a latency read far too low would weigh more than all others together: being off by ten
 * or a thousand from what any device would make of it (a unit mistaken, a digit lost) starts without trust. Networks
 * that the graph views tell apart may really take next to nothing. */
static void first_trust(const struct bank *b, const struct samples *s, double *trust, struct arena *arena) {
    double *off = arena_array(arena, s->n, sizeof *off), *sorted = arena_array(arena, s->n, sizeof *sorted), least,
           most;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        trust[i] = 1;
        mean_range(b, s, i, &least, &most);
        off[i] = least > 0 && most < ALIKE * least ? log(s->y[i] / most) : NAN;
        if (!isnan(off[i])) sorted[n++] = off[i];
    }
    double middle = n ? order_statistic(sorted, n, 0.5) : 0;
    for (size_t i = 0; i < s->n; i++)
        if (fabs(off[i] - middle) > log(FAR_OFF)) trust[i] = NOTHING;
}

void bank_trust(const struct bank *b, const struct samples *s, double *trust, struct arena *arena,
                struct arena *scratch) {
    struct samples trusted = *s;
    double *ms = arena_array(arena, s->n, sizeof *ms);
    trusted.trust = trust;
    first_trust(b, s, trust, arena);
    double moved = 1;
    for (int round = 0; round < TRUST_ROUNDS && moved > SETTLED; round++) {
        struct posterior post;
        moved = 0;
        arena_reset(scratch);
        bank_posterior(b, &trusted, false, &post, scratch);
        posterior_predict(&post, s, ms, NULL);
        for (size_t i = 0; i < s->n; i++) {
            double z = (ms[i] / s->y[i] - 1) / post.noise;
            double before = trust[i];
            trust[i] = fmin(1, (FREEDOM + 1) / (FREEDOM + z * z));
            if (trust[i] < MISTAKEN) trust[i] = NOTHING;
            moved = fmax(moved, fabs(trust[i] - before));
        }
    }
}

/* The noise was that of trusted measurements; the next one may be as far off as any that is no plain mistake. */
static void count_alike(struct posterior *post, const struct samples *s, struct arena *arena) {
    double all = 0, trusted = 0, *ms = arena_array(arena, s->n, sizeof *ms);
    posterior_predict(post, s, ms, NULL);
    for (size_t i = 0; i < s->n; i++) {
        double off = ms[i] / s->y[i] - 1;
        if (s->trust[i] < MISTAKEN) continue;
        all += off * off;
        trusted += s->trust[i] * off * off;
    }
    double factor = trusted > 0 ? sqrt(all / trusted) : 1;
    post->noise *= factor;
    for (size_t i = 0; i < NOISE_LEVELS; i++) post->levels[i].noise *= factor;
}

void bank_adapt(const struct bank *b, const struct samples *s, bool covariance, struct posterior *post,
                struct arena *arena) {
    bank_posterior(b, s, covariance, post, arena);
    if (s->trust) count_alike(post, s, arena);
}
