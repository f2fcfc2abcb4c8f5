/* adapt: linear latency models over features, and how they are learned from few measurements.
 *
 * A model is latency = x'w with x the features of a network in one graph view and w in milliseconds a unit. Learning
 * works on shares: each feature is divided by its mean over reference networks, so that weights of different devices
 * and batch sizes compare, and errors are relative to the latency. Matrices are row-major; all are held in arenas. */
#ifndef ADAPT_H
#define ADAPT_H

#include "predictor.h"

struct cJSON;

/* ---- linear.c: the model of measured and adapted targets ---- */

struct partial {         /* the same device by fewer of its measurements: how far its weights depend on them */
    const char *without; /* the search space that took no part */
    enum view view;
    double noise;              /* relative error of the fit */
    double weight[FT_LEARNED]; /* ms a unit, never negative */
};

struct linear {
    double share[VIEW_COUNT];                   /* probability that the runtime follows this graph view; sums to 1 */
    double weight[VIEW_COUNT][FT_LEARNED];      /* ms a unit of the feature, any sign; of views with share > 0 */
    double safe[VIEW_COUNT][FT_LEARNED];        /* likewise, never negative: for networks far from those measured */
    double covariance[FT_LEARNED * FT_LEARNED]; /* of the weights, ms^2, averaged over the views */
    double noise;                               /* relative standard deviation of one measurement */
    double quantile;                            /* half width of the 90 % interval in predictive standard deviations */
    double familiar;                            /* relative deviation that the weights' covariance leaves on networks
                                                   like those measured; 0: unknown */
    double lowest_ms, highest_ms;               /* range of the latencies it was fitted on; 0: unknown */
    size_t samples, n_partial;
    struct partial *partial; /* of a fit on several spaces, one for each of them */
};

struct linear_estimate {
    double ms, lo_ms, hi_ms; /* 90 % interval */
    double deviation;        /* relative predictive standard deviation */
    bool extrapolated;       /* the weights are too uncertain for this model, or it lies outside the fitted range */
};

/* A row of learned features: those no table exercises (products, recurrent layers, ...) are added to their kin. */
void features_fold(const struct features *, double row[FT_LEARNED]);
/* Reads the object written by linear_write. */
bool linear_is_finite(const struct linear *);
enum status linear_read(struct linear **, const struct cJSON *, const char *where, struct arena *,
                        struct diag *) MUST_CHECK;
void linear_write(struct cJSON *, const struct linear *);
/* Features of all views with share > 0 must be filled in. */
struct linear_estimate linear_predict(const struct linear *, const struct features[VIEW_COUNT]);
/* The same from folded rows. */
struct linear_estimate linear_predict_row(const struct linear *, const double *const rows[VIEW_COUNT]);
/* The expected non-negative weights over the views: what a kernel's features are multiplied by for a breakdown. */
void linear_weights(const struct linear *, double weight[FT_COUNT]);

/* What was learned without one of the spaces. */
struct partial linear_partial(const struct linear *, const char *without);

/* ---- Samples: rows of features in every view ---- */

struct samples {
    size_t n, p;                 /* rows, features a row */
    size_t n_views;              /* views 0 .. n_views-1 are distinguished */
    const double *x[VIEW_COUNT]; /* n * p each */
    const double *y;             /* n latencies, ms */
    const double *trust;         /* n: how much of a measurement each counts as, above 0 to 1; NULL: all alike */
};

#define MISTAKEN 0.01 /* trust below which a measurement is no noisy one but a wrong one */

static inline double sample_trust(const struct samples *s, size_t row) {
    return s->trust ? s->trust[row] : 1;
}

/* At least three rows, latencies finite and positive, features finite; the message names the row. Warns when all rows
 * are alike. */
enum status samples_check(const struct samples *, struct diag *) MUST_CHECK;

/* A model in one view; `covariance` may be NULL. The range is that of the samples' latencies. */
void linear_from_weights(struct linear *, const struct samples *, enum view, const double *weight,
                         const double *covariance, double noise, struct arena *scratch);

/* ---- nnls.c ---- */

/* Non-negative least squares min |a w - b| from the Gram matrix a'a (p * p) and a'b, by Lawson and Hanson's active
 * set; the matrix must be positive definite (add a ridge). */
void nnls(const double *gram, const double *rhs, size_t p, double *w, struct arena *scratch);

/* ---- source.c ---- */

struct fit {
    enum view view;
    double mape, rms; /* relative errors in sample, after trimming */
};

/* Fits a device on many latencies, in every view; keeps the view of least error. `w` (p):
 * ms a unit; `covariance` (p * p): ms^2, may be NULL. `trim`: share of the rows left out at either end of the
 * latencies. `scale` (p): typical feature values, 0 where a feature is absent.
 */
struct fit fit_source(const struct samples *, const double *scale, double trim, double *w, double *covariance,
                      struct arena *scratch);

/* ---- coarse.c: what holds far from the networks measured ---- */

/* Non-negative weights (p, ms a unit) for every feature, measured or not: a cost a launch, a MAC, a byte and an
 * inference, shared by all features of the kind. */
void coarse_fit(const struct samples *, enum view, double *w, struct arena *scratch);
/* Non-negative weights near `prior` (not negative) that fit the samples. `noise`: relative error of a fit. */
void safe_fit(const struct samples *, enum view, const double *prior, double noise, double *w, struct arena *scratch);
/* Rows from which further ones, of the same spaces, say no more about networks unlike them. */
#define ROWS_THAT_COUNT 200

/* ---- bank.c: several proxies, in closed form (predictor study, section 5) ---- */

struct proxy {
    const char *name;
    const char *without;  /* the space that took no part in its fit; NULL: it is all there is of the device */
    const double *weight; /* p, ms a unit */
    const double *scale;  /* p: feature means where it was measured; NULL: those of the bank's reference */
    double share[VIEW_COUNT];
    double noise; /* relative error of its own fit; 0: unknown */
};

struct bank {
    size_t p, n_proxies, n_rows; /* rows: the proxies, then the analytic ones */
    size_t n_views;
    double *scale;                    /* p: feature means of the reference networks */
    double *rows;                     /* n_rows * p latency shares */
    double *mean, *covariance;        /* p; p * p: the spread of devices */
    double *factor;                   /* p * p: lower Cholesky factor of the prior covariance */
    double *log_noise;                /* prior over the noise levels */
    double (*view_share)[VIEW_COUNT]; /* n_rows + 1 of them, the last for components without a device */
};

/* `reference`: networks like those to be predicted (no latencies needed); proxies may be none. Features must be those
 * of features.def (p == FT_LEARNED). */
void bank_init(struct bank *, const struct samples *reference, const struct proxy *, size_t n_proxies, struct arena *);

#define NOISE_LEVELS 14

struct posterior {
    size_t p, n_views;
    double share[VIEW_COUNT];
    double *weight[VIEW_COUNT];     /* p, ms a unit */
    double *covariance[VIEW_COUNT]; /* p * p; NULL unless asked for */
    double noise;                   /* relative */
    struct noise_level {
        double noise, mass; /* relative; posterior */
    } levels[NOISE_LEVELS];
    double scale_only; /* posterior share of a proxy merely rescaled */
};

/* How much of a measurement each of the n samples is, by how near a fit to all comes to it, again and again. One that
 * nothing contradicts keeps its weight, however odd: few samples may be explained in any way. `scratch` is reset. */
void bank_trust(const struct bank *, const struct samples *, double *trust, struct arena *, struct arena *scratch);
/* The posterior over views, proxies, prior widths and noise levels given the samples. */
void bank_adapt(const struct bank *, const struct samples *, bool covariance, struct posterior *, struct arena *);
/* Mean prediction for every row; `deviation` (n, may be NULL): relative predictive standard deviation. */
void posterior_predict(const struct posterior *, const struct samples *, double *ms, double *deviation);
void posterior_linear(const struct posterior *, const struct samples *, struct linear *, struct arena *scratch);

/* ---- place.c: what the place in a search space says beyond the costs ---- */

struct structure {
    size_t e;           /* length of the one-hot encoding */
    double *weight;     /* e: of log latency */
    double *centre;     /* e */
    double share;       /* posterior probability that there is such an effect */
    double noise_ratio; /* noise with it over noise without */
};

/* `ratio` (n): log of measured over predicted latency; `centre` (e): mean encoding of the space. */
void structure_fit(const double *onehot, const double *ratio, size_t n, size_t e, const double *centre,
                   struct structure *, struct arena *);
double structure_factor(const struct structure *, const double *onehot); /* multiplies the prediction */

/* ---- adaproxy.c: one proxy (OneProxy, SIGMETRICS 2022) ---- */

struct adaproxy {
    double *weight; /* p: the target's weights, w * (a + b) */
    double constant;
    double lambda, loo_mse;
};

/* Least squares over a, b, c of y ~ x'(w * (a + b)) + c with lambda |b|^2; a lambda below 0: the one of a grid with the
 * least error on rows left out, which is exact. */
void adaproxy_fit(const double *x, const double *y, size_t n, size_t p, const double *proxy, double lambda,
                  struct adaproxy *, struct arena *);
double adaproxy_predict(const struct adaproxy *, const double *x, size_t p);
/* Ridge weights of a proxy whose latencies are known, for encodings that are collinear by construction. */
void ridge_fit(const double *x, const double *y, size_t n, size_t p, double ridge, double *w, struct arena *scratch);

/* ---- design.c ---- */

/* Chooses `count` of the candidates' rows to measure: D-optimal under the bank's prior, every third pick favouring
 * networks on which the graph views disagree. Greedy, deterministic; no row twice. */
void design_choose(const struct bank *, const struct samples *candidates, size_t count, uint32_t *chosen,
                   struct arena *scratch);

/* ---- interval.c ---- */

/* Quantile q of the values, interpolated; sorts them. */
double order_statistic(double *values, size_t n, double q);
/* Half width of the 90 % interval in predictive deviations, given the samples a posterior was learned from. */
double interval_quantile(const struct samples *, const struct posterior *, struct arena *scratch);

#endif
