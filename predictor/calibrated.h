/* calibrated: a machine whose runtime was profiled on random networks (calibration study, sections 4 and 8).
 *
 * A kernel's time is a closed form of its class, linear in a few terms with coefficients >= 0, times a correction by
 * the residuals of the calibration's most similar kernels. Times are microseconds. */
#ifndef CALIBRATED_H
#define CALIBRATED_H

#include "predictor.h"

struct cJSON;

enum {
    FORMS_VERSION = 3, /* raised when closed forms get other terms than before */
    FORM_TERMS = 20,   /* most terms of a closed form */
    FORM_SIGNS = 15,   /* what kernels of a class are compared by */
    WEIGHT_KNOTS = 4,  /* durations of an inference at which the cost of fetching weights is known */
    MOST_CLASSES = 256
};

/* ---- kernel_form.c: one kernel in numbers, for fitting and predicting alike ---- */

enum form {
    FORM_BLOCKED,
    FORM_DEPTHWISE,
    FORM_PLAIN,
    FORM_GEMM,
    FORM_GEMV,
    FORM_MATMUL,
    FORM_RNN,
    FORM_SORT,
    FORM_MEMORY
};

struct kernel_form {
    char name[48]; /* of the class: "conv", "conv-1x1", "gemv", "Add/1", ... */
    enum form form;
    size_t n_terms;
    double terms[FORM_TERMS]; /* the weights' own term is left out: it needs the curve below */
    double weight_mb;         /* megabytes of constants the kernel reads, where they count */
    double signs[FORM_SIGNS]; /* logarithms of its sizes */
};

/* `block`: channels a block of the runtime's layout (>= 1); `weight_bytes`: of the whole model. */
void kernel_form(const struct kernel *, int64_t block, int64_t weight_bytes, struct kernel_form *);
/* The class to take instead when the calibration did not see one; NULL: none. */
const char *kernel_form_kin(const char *name, enum form);
/* How the cost of weights that are read once in that time mixes the knots' costs. */
void weight_hats(double run_ms, double hats[WEIGHT_KNOTS]);

/* ---- calibrated.c ---- */

struct calibrated_class {
    const char *name;
    size_t n_terms, n_rows;                        /* rows: kernels it was fitted on */
    double coefficients[FORM_TERMS];               /* the last one is that of the weights' curve */
    double centre[FORM_SIGNS], spread[FORM_SIGNS]; /* of the signs, for distances */
    double error;                                  /* standard deviation of the log of its share of networks left out */
    size_t n_near;
    float (*near)[FORM_SIGNS + 1]; /* n_near: standardised signs, then the log residual */
    uint32_t *net;                 /* n_near: the network a row is from */
};

struct calibrated {
    int64_t block;
    size_t n_classes;
    struct calibrated_class *classes;
    double weight_us_mb[WEIGHT_KNOTS]; /* microseconds a megabyte of weights, by how long an inference takes */
    double run_us;                     /* an inference, whatever the model */
    double scale;                      /* of the kernels' sum to the latency of a run */
    double error;                      /* median relative error of networks left out */
    double widening;                   /* of the deviation that the classes make one expect, for a 90 % interval */
    size_t networks, kernels;
};

struct kernel_guess {
    double us;
    bool doubtful;                        /* no class for it, or nothing like it was measured */
    double error;                         /* relative */
    const struct calibrated_class *class; /* NULL: none */
};

struct class_time { /* of one network */
    double us, error;
};

/* Relative standard deviation of a sum of `us`: classes err independently of each other, kernels of one class alike. */
double calibrated_deviation(const struct class_time *, size_t n, double us);

/* Microseconds: of streaming a kernel's weights, and of a kernel by its class's closed form. `run_ms`: of an inference.
 */
double calibrated_weight_us(const struct calibrated *, const struct kernel_form *, double run_ms);
double calibrated_formula(const struct calibrated *, const struct calibrated_class *, const struct kernel_form *,
                          double run_ms);
void calibrated_kernel(const struct calibrated *, const struct kernel *, int64_t weight_bytes, double run_ms,
                       struct kernel_guess *);
void predict_calibrated(const struct target *, const struct workload *, struct estimate *);

/* ---- calibrated_fit.c ---- */

struct calibration_row {
    const struct kernel *kernel;
    int64_t weight_bytes; /* of its network */
    uint32_t net;
    double us;
};

struct calibration_net {
    size_t first_row, n_rows;
    double plain_us; /* an inference without the profiler; NaN: not measured */
    double off;      /* written by the fit: the logarithm of the ratio by which it is off when left out */
};

/* Rows are grouped by net. ST_DATA when there are too few. Cross-validated over networks. */
enum status calibrated_fit(struct calibrated **, const struct calibration_row *, size_t n_rows,
                           struct calibration_net *, size_t n_nets, int64_t block, struct arena *,
                           struct diag *) MUST_CHECK;

/* ---- calibrated_json.c ---- */

void calibrated_write(struct cJSON *, const struct calibrated *);
enum status calibrated_read(struct calibrated **, const struct cJSON *, const char *where, struct arena *,
                            struct diag *) MUST_CHECK;

#endif
