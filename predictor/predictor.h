/* predictor: workloads and features to milliseconds. Knows no graphs and no ONNX. */
#ifndef PREDICTOR_H
#define PREDICTOR_H

#include "ir.h"

/* ---- Targets (target_read.c, target_write.c: JSON, schema "onnx-latency/target/1") ---- */

#define TARGET_SCHEMA "onnx-latency/target/1"
#define Z90           1.6448536269514722 /* a normal variable is within so many deviations with probability 0.9 */

enum target_kind { TARGET_ANALYTIC, TARGET_MEASURED, TARGET_ADAPTED, TARGET_CALIBRATED, TARGET_KIND_COUNT };

const char *target_kind_name(enum target_kind);
const char *precision_name(enum precision); /* "as-written", "fp32", "fp16", "int8" */
bool precision_parse(const char *name, enum precision *);

struct analytic { /* roofline with launch overhead; efficiencies are shares of the peaks a kernel class reaches */
    double peak_gflops[PREC_COUNT]; /* by precision, 2 FLOPs a MAC; 0: not supported (falls back to fp32) */
    double bandwidth_gbps;          /* main memory, 1e9 bytes a second */
    double cache_bytes;             /* last level; 0: unknown */
    double cache_gbps;              /* bandwidth within it */
    double launch_us;               /* a kernel */
    double run_us;                  /* a whole inference */
    double compute_efficiency[KC_COUNT], memory_efficiency[KC_COUNT];
    double parallel_macs;  /* work below which the device is not filled: time of a kernel is at least that of
                              this many MACs at peak; 0: none */
    double relative_error; /* one standard deviation of log latency, for the interval */
    /* What a CPU's runtime adds; all 0 where it does not apply. */
    double class_launch_us[KC_COUNT]; /* a kernel of that class, besides launch_us */
    double channel_us[KC_COUNT];      /* an output channel of such a kernel */
    double weight_gbps;               /* constants are packed at this rate every run, besides the rest; 0: free */
    double cores, grain_macs; /* the peaks are those of all cores; one takes grain_macs before a second one joins */
};

struct linear;     /* linear.c: weights over features, mixture over views, covariance (measured and adapted targets) */
struct calibrated; /* calibrated.c: a closed form per kernel class (this machine) */

struct target {
    const char *path;                                          /* file it came from */
    const char *name, *description, *vendor, *device, *source; /* source: where the numbers come from */
    enum target_kind kind;
    struct runtime runtime;
    struct analytic analytic;
    struct linear *linear;         /* measured, adapted; else NULL */
    struct calibrated *calibrated; /* calibrated; else NULL */
    const char *validation;        /* JSON text of the object, NULL: not validated */
    const char *hardware;          /* JSON text */
};

/* Reads a target; the arena owns it. Unknown keys are ignored with a warning, missing ones named. */
enum status target_load(struct target **, const char *path, struct arena *, struct diag *) MUST_CHECK;
/* The same without the weights of any sign and their covariance, which are most of such a file. */
enum status target_load_proxy(struct target **, const char *path, struct arena *, struct diag *) MUST_CHECK;
enum status target_save(const struct target *, const char *path, struct diag *) MUST_CHECK;

/* ---- CPUs nobody has at hand (llvm_target.c) ---- */

/* Whether a target's name is such a specification: "llvm:...". */
bool llvm_target_is(const char *name);
/* An analytic target from "llvm:CPU[@GHz][,cores=N][,bw=GB/s][,runtime=tflite|eager|mobile|ort][,view=kept|prune|full]"
 * and the table of CPUs that onnx-latency-codegen made (models/cpus.json). What is left out is that of a usual machine.
 */
enum status llvm_target(struct target **, const char *spec, const char *table_path, struct arena *,
                        struct diag *) MUST_CHECK;

/* ---- Roofline (analytic.c) ---- */

void analytic_defaults(struct analytic *); /* what a target file may leave out; peaks and bandwidth stay 0 */

struct kernel_roofline { /* microseconds a run of the kernel */
    double compute_us, memory_us, launch_us;
};

/* `weights_cached`: the constants of the whole model stay in the last-level cache between inferences. */
struct kernel_roofline analytic_kernel(const struct analytic *, enum precision, const struct kernel *,
                                       bool weights_cached);
/* The peak that counts for a precision: its own, else that of fp32, else the highest. */
double analytic_peak(const struct analytic *, enum precision);

/* ---- Prediction (predict.c) ---- */

struct model_input {                      /* a model as the predictor sees it */
    const struct workload *workload;      /* lowered by the target's runtime */
    struct features features[VIEW_COUNT]; /* of each graph view; only linear targets read those of other views */
};

enum bound { BOUND_COMPUTE, BOUND_MEMORY, BOUND_OVERHEAD };

struct kernel_estimate {
    double ms;
    enum bound bound;
};

struct estimate {
    double ms, lo_ms, hi_ms, confidence; /* interval that holds the truth with that probability */
    double coverage;                     /* share of nodes the prediction accounts for */
    bool extrapolated;                   /* far outside what the target was fitted on; the interval is widened */
    size_t n_kernels;
    struct kernel_estimate *kernels; /* as the workload's; their sum is ms */
};

enum status predict(const struct target *, const struct model_input *, struct arena *, struct estimate *,
                    struct diag *) MUST_CHECK;

/* ---- Metrics (metrics.c) ---- */

double metric_srcc(const double *a, const double *b, size_t n, struct arena *);    /* Spearman, ties averaged */
double metric_kendall(const double *a, const double *b, size_t n, struct arena *); /* tau-b, n log n */
double metric_mape(const double *predicted, const double *truth, size_t n);        /* a share, not percent */
double metric_within(const double *predicted, const double *truth, size_t n, double tolerance);

#endif
