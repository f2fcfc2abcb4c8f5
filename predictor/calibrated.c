/* Predictions of a calibrated machine: closed form, then the residuals of the nearest kernels that were measured. */
#include "calibrated.h"

#include <math.h>
#include <string.h>

#define NEIGHBOURS   8
#define OF_ONE_NET   2 /* neighbours of one network at most: it may have been disturbed as a whole */
#define SOFTEN       0.15
#define SHRINK       1.2  /* the weight of no correction */
#define FAR          4.5  /* distance from which nothing like the kernel was measured */
#define DOUBT        0.5  /* relative error of kernels nothing is known about */
#define COMMON       0.02 /* relative error of everything together: the machine's clock, the day */
#define OPEN         1.3  /* deviation where a loop of unknown length runs */
#define LEAST_US     0.1
#define MEMORY_US_MB 100    /* for a class without kin: 10 GB/s */
#define SORT_US      1.5e-3 /* a comparison, where none was measured */
#define MAC_US       2e-5   /* a multiply-accumulate likewise: 50 GMAC/s */

static const struct calibrated_class *find_class(const struct calibrated *c, const char *name) {
    for (size_t i = 0; i < c->n_classes; i++)
        if (strcmp(c->classes[i].name, name) == 0) return &c->classes[i];
    return NULL;
}

static double weight_us_mb(const struct calibrated *c, double run_ms) {
    double hats[WEIGHT_KNOTS], us = 0;
    weight_hats(run_ms, hats);
    for (int i = 0; i < WEIGHT_KNOTS; i++) us += hats[i] * c->weight_us_mb[i];
    return us;
}

double calibrated_weight_us(const struct calibrated *c, const struct kernel_form *f, double run_ms) {
    return weight_us_mb(c, run_ms) * f->weight_mb;
}

static double without_weights(const struct calibrated_class *class, const struct kernel_form *f) {
    double us = 0;
    for (size_t i = 0; i < class->n_terms; i++) us += class->coefficients[i] * f->terms[i];
    return us;
}

double calibrated_formula(const struct calibrated *c, const struct calibrated_class *class, const struct kernel_form *f,
                          double run_ms) {
    double weights_us = class->coefficients[class->n_terms] * calibrated_weight_us(c, f, run_ms);
    return fmax(weights_us + without_weights(class, f), LEAST_US);
}

struct neighbours {
    size_t n;
    double distance[NEIGHBOURS];
    size_t row[NEIGHBOURS];
};

/* Keeps the list sorted by distance, and short. */
static void consider(struct neighbours *list, const struct calibrated_class *class, size_t row, double distance) {
    size_t same = 0, worst = NEIGHBOURS;
    if (list->n == NEIGHBOURS && distance >= list->distance[NEIGHBOURS - 1]) return;
    for (size_t i = 0; i < list->n; i++)
        if (class->net[list->row[i]] == class->net[row]) same++, worst = i;
    if (same >= OF_ONE_NET && distance >= list->distance[worst]) return;
    size_t at = same >= OF_ONE_NET ? worst : list->n < NEIGHBOURS ? list->n++ : NEIGHBOURS - 1;
    for (; at > 0 && list->distance[at - 1] > distance; at--) {
        list->distance[at] = list->distance[at - 1];
        list->row[at] = list->row[at - 1];
    }
    list->distance[at] = distance;
    list->row[at] = row;
}

static void find_neighbours(const struct calibrated_class *class, const double *signs, struct neighbours *list) {
    double at[FORM_SIGNS];
    for (int i = 0; i < FORM_SIGNS; i++) at[i] = (signs[i] - class->centre[i]) / class->spread[i];
    list->n = 0;
    for (size_t row = 0; row < class->n_near; row++) {
        double square = 0;
        for (int i = 0; i < FORM_SIGNS; i++) {
            double d = at[i] - (double)class->near[row][i];
            square += d * d;
        }
        consider(list, class, row, sqrt(square));
    }
}

/* Shrinks to nothing far from everything measured. */
static double correction(const struct calibrated_class *class, const struct neighbours *list) {
    double sum = 0, weights = SHRINK;
    for (size_t i = 0; i < list->n; i++) {
        double w = 1 / ((list->distance[i] + SOFTEN) * (list->distance[i] + SOFTEN));
        sum += w * (double)class->near[list->row[i]][FORM_SIGNS];
        weights += w;
    }
    return exp(sum / weights);
}

/* The class, or the nearest kin that was calibrated with the same terms. */
static const struct calibrated_class *class_or_kin(const struct calibrated *c, const struct kernel_form *f,
                                                   bool *is_kin) {
    const char *name = f->name;
    const struct calibrated_class *class = find_class(c, name);
    *is_kin = class == NULL;
    while (!class && (name = kernel_form_kin(name, f->form)) != NULL) class = find_class(c, name);
    return class && class->n_terms == f->n_terms ? class : NULL;
}

static double unknown_us(const struct kernel *k) {
    double us = LEAST_US + ((double)k->in_bytes + (double)k->out_bytes) / 1e6 * MEMORY_US_MB;
    if (k->kind == KC_SORT) us += (double)k->flops * SORT_US;
    return us + (double)k->macs * MAC_US;
}

void calibrated_kernel(const struct calibrated *c, const struct kernel *k, int64_t weight_bytes, double run_ms,
                       struct kernel_guess *g) {
    struct kernel_form f;
    struct neighbours list;
    bool is_kin;
    kernel_form(k, c->block > 0 ? c->block : 1, weight_bytes, &f);
    const struct calibrated_class *class = class_or_kin(c, &f, &is_kin);
    *g = (struct kernel_guess){.doubtful = is_kin, .error = DOUBT};
    if (!class) {
        g->us = unknown_us(k);
        g->doubtful = true;
        return;
    }
    g->us = calibrated_formula(c, class, &f, run_ms);
    if (is_kin) return;
    g->class = class;
    g->error = class->error;
    if (!class->n_near) return;
    find_neighbours(class, f.signs, &list);
    g->us *= correction(class, &list);
    g->doubtful = list.distance[0] > FAR;
    if (g->doubtful) g->error = fmax(g->error, DOUBT);
}

static enum bound bound_of(const struct kernel *k, double us) {
    if (us < 2) return BOUND_OVERHEAD;
    double bytes = (double)k->in_bytes + (double)k->out_bytes + (double)k->weight_bytes;
    return (double)k->macs > 8 * bytes ? BOUND_COMPUTE : BOUND_MEMORY;
}

double calibrated_deviation(const struct class_time *times, size_t n, double us) {
    double square = COMMON * COMMON;
    for (size_t i = 0; i < n; i++) square += pow(times[i].us / us * times[i].error, 2);
    return sqrt(square);
}

/* The longer an inference takes, the less of its weights a cache still holds at the next; and the more they cost, the
 * longer it takes. Corrections are left out: the cost changes slowly. */
static double inference_ms(const struct calibrated *c, const struct workload *w) {
    enum { ROUNDS = 20 };
    double rest_us = c->run_us, weights_mb = 0;
    for (size_t i = 0; i < w->n_kernels; i++) {
        const struct kernel *k = &w->kernels[i];
        struct kernel_form f;
        bool is_kin;
        kernel_form(k, c->block > 0 ? c->block : 1, w->weight_bytes, &f);
        const struct calibrated_class *class = class_or_kin(c, &f, &is_kin);
        double times = c->scale * (double)k->count;
        rest_us += times * (class ? without_weights(class, &f) : unknown_us(k));
        if (class) weights_mb += times * class->coefficients[class->n_terms] * f.weight_mb;
    }
    double ms = rest_us * 1e-3;
    for (int i = 0; i < ROUNDS; i++) ms = (rest_us + weights_mb * weight_us_mb(c, ms)) * 1e-3;
    return ms;
}

struct sum { /* of a workload's kernels */
    double ms, doubtful_ms;
    struct class_time times[MOST_CLASSES];
};

/* `kernels`: each one's share; may be NULL. */
static void add_up(const struct calibrated *c, const struct workload *w, struct sum *sum,
                   struct kernel_estimate *kernels) {
    *sum = (struct sum){.ms = w->n_kernels ? 0 : c->run_us * 1e-3};
    double run_ms = inference_ms(c, w);
    for (size_t i = 0; i < c->n_classes; i++) sum->times[i].error = c->classes[i].error;
    for (size_t i = 0; i < w->n_kernels; i++) {
        const struct kernel *k = &w->kernels[i];
        struct kernel_guess g;
        calibrated_kernel(c, k, w->weight_bytes, run_ms, &g);
        double ms = (g.us * c->scale * (double)k->count + c->run_us / (double)w->n_kernels) * 1e-3;
        if (kernels) kernels[i] = (struct kernel_estimate){ms, bound_of(k, g.us)};
        sum->ms += ms;
        if (g.doubtful)
            sum->doubtful_ms += ms * g.error;
        else
            sum->times[g.class - c->classes].us += ms * 1e3;
    }
}

static double total_ms(const struct calibrated *c, const struct workload *w) {
    struct sum sum;
    add_up(c, w, &sum, NULL);
    return sum.ms;
}

/* Doubtful kernels may all be wrong the same way: their share widens the interval in full. Where data decide what runs,
 * it reaches from the least they can ask for to the most, and further by what the kernels may be off. */
void predict_calibrated(const struct target *t, const struct workload *w, struct estimate *e) {
    const struct calibrated *c = t->calibrated;
    struct sum sum;
    add_up(c, w, &sum, e->kernels);
    e->ms = sum.ms;
    double known = e->ms > 0 ? calibrated_deviation(sum.times, c->n_classes, e->ms * 1e3) * c->widening : 0;
    double doubt = e->ms > 0 ? sum.doubtful_ms / e->ms : 0;
    double least = w->least ? fmin(total_ms(c, w->least), e->ms) : e->ms;
    double most = w->most ? fmax(total_ms(c, w->most), e->ms) : e->ms;
    double deviation = hypot(hypot(known, doubt), w->open_nodes ? OPEN : 0);
    e->lo_ms = least / exp(Z90 * deviation);
    e->hi_ms = most * exp(Z90 * deviation);
    e->extrapolated = doubt > 0.1;
}
