/* onnx_latency.h: how long an ONNX model takes on a device, before it is deployed there.
 *
 *     ol_context *context = ol_context_new(NULL);
 *     ol_target *target;
 *     ol_model *model;
 *     const ol_estimate *estimate;
 *     if (ol_target_open(context, "nvidia-t4", &target) != OL_OK) puts(ol_target_error(target));
 *     if (ol_model_open(context, "net.onnx", &model) != OL_OK) puts(ol_model_error(model));
 *     if (ol_model_predict(model, target, &estimate) == OL_OK) printf("%g ms\n", estimate->latency_ms);
 *     ol_model_free(model), ol_target_free(target), ol_context_free(context);
 *
 * Errors: every call that can fail returns an ol_status; the object it worked on keeps the message, complete and ready
 * to print, with file, node and operator. Objects are handed out after a failure too, to ask for the message, and are
 * NULL only when memory ran out; freeing NULL is fine. One that failed to open answers every call with that failure. No
 * argument may be NULL where nothing says so. The library never prints, exits or changes global state.
 * Ownership: what a call returns through a pointer to const belongs to the object it was asked of, and lives as long.
 * Threads: a context, and a target once opened, may be used by any number of threads at once; a model by one at a time.
 * Units are in the names: _ms milliseconds, _bytes, _macs multiply-accumulates. -1 stands for a count that is not
 * known. Text is UTF-8 as the files hold it. */
#ifndef ONNX_LATENCY_H
#define ONNX_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OL_VERSION_MAJOR 0
#define OL_VERSION_MINOR 1
#define OL_VERSION_PATCH 0

#if defined(__GNUC__)
#define OL_API        __attribute__((visibility("default")))
#define OL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define OL_API
#define OL_MUST_CHECK
#endif

typedef enum ol_status {
    OL_OK,
    OL_EUSAGE,   /* wrong usage: an argument */
    OL_EIO,      /* a file could not be read or written */
    OL_EFORMAT,  /* a file is malformed */
    OL_ELIMIT,   /* a file exceeds a limit */
    OL_EMODEL,   /* a model is invalid */
    OL_ESHAPE,   /* shapes could not be resolved */
    OL_ETARGET,  /* a target is invalid or not known */
    OL_EDATA,    /* measurements are invalid */
    OL_EMISSING, /* an optional component is missing */
    OL_EMEMORY   /* out of memory */
} ol_status;

OL_API const char *ol_status_text(ol_status);
/* The version of the library linked, "0.1.0". */
OL_API const char *ol_version(void);

typedef struct ol_context ol_context;
typedef struct ol_model ol_model;
typedef struct ol_target ol_target;

/* ---- Context ---- */

typedef struct ol_allocator {
    void *(*alloc)(void *user, size_t bytes); /* NULL when out of memory; aligned as malloc's */
    void (*free)(void *user, void *block);
    void *user;
} ol_allocator; /* must be safe to call from every thread that uses the context */

typedef struct ol_settings { /* all zero: the defaults */
    ol_allocator allocator;  /* alloc NULL: malloc and free */
    /* Called with each warning as soon as the call it arose in ends, from that call's thread; may be NULL. */
    void (*log)(void *user, const char *message);
    void *log_user;
    /* Folders to look for targets in, before those of the installation; ':' between them. NULL: the environment
     * variable ONNX_LATENCY_TARGETS. */
    const char *target_path;
} ol_settings;

OL_API ol_context *ol_context_new(const ol_settings *); /* NULL settings: the defaults; NULL when out of memory */
OL_API void ol_context_free(ol_context *);              /* after everything opened with it */

/* ---- Targets ---- */

typedef struct ol_target_info {
    const char *name, *kind; /* kind: "analytic", "measured", "adapted", "calibrated" */
    const char *description, *vendor, *device;
    const char *source;     /* where its numbers come from */
    const char *path;       /* file it was read from, or what was asked for behind "llvm:" */
    const char *precision;  /* what its runtime computes in: "as-written", "fp32", "fp16", "int8" */
    const char *hardware;   /* JSON text of an object, or NULL */
    const char *validation; /* JSON text of an object: how well it was validated; NULL: it was not */
} ol_target_info;

/* A target by `name` (NAME.json in the target folders), by path when it ends in ".json", or a CPU priced by its code:
 * "llvm:CPU[@GHZ][,cores=N][,bw=GB/s][,runtime=R][,view=V]". */
OL_API ol_status ol_target_open(ol_context *, const char *name, ol_target **) OL_MUST_CHECK;
OL_API void ol_target_free(ol_target *);
OL_API const char *ol_target_error(const ol_target *); /* "" when nothing failed; NULL stands for out of memory */
OL_API const char *const *ol_target_warnings(const ol_target *, size_t *count);
OL_API const ol_target_info *ol_target_describe(const ol_target *);
/* Computes in "fp32", "fp16" or "int8" from now on. Before other threads use the target; analytic targets only, since
 * the others were measured in one precision. */
OL_API ol_status ol_target_set_precision(ol_target *, const char *precision) OL_MUST_CHECK;

typedef struct ol_names {
    size_t count;
    const char *const *at;
} ol_names;

/* Names of the targets found in the target folders, sorted. The caller frees the list. */
OL_API ol_status ol_target_names(ol_context *, ol_names **) OL_MUST_CHECK;
OL_API void ol_names_free(ol_names *);

/* ---- Models ---- */

/* Maps the file and reads all but its weights. Of external data only the size is looked at. */
OL_API ol_status ol_model_open(ol_context *, const char *path, ol_model **) OL_MUST_CHECK;
/* The same from memory, which must outlive the model. `name` stands for the path in messages. */
OL_API ol_status ol_model_open_bytes(ol_context *, const void *bytes, size_t length, const char *name,
                                     ol_model **) OL_MUST_CHECK;
OL_API void ol_model_free(ol_model *);
OL_API const char *ol_model_error(const ol_model *);                          /* of the last call; as ol_target_error */
OL_API const char *const *ol_model_warnings(const ol_model *, size_t *count); /* of all calls, each once */

/* What the file leaves open. All of these come before the first profile, prediction or measurement. A leading dimension
 * that stays open counts as a batch of 1, with a warning; any other stays a symbol, which predictions refuse. */
OL_API ol_status ol_model_set_dim(ol_model *, const char *symbol, int64_t size) OL_MUST_CHECK;
OL_API ol_status ol_model_set_shape(ol_model *, const char *input, const int64_t *dims, size_t rank) OL_MUST_CHECK;
OL_API ol_status ol_model_set_batch(ol_model *, int64_t size) OL_MUST_CHECK; /* leading dims of the inputs */
OL_API int ol_model_leaves_open(ol_model *, const char *symbol);             /* does an input have this symbol? */
OL_API int ol_model_has_input(const ol_model *, const char *name);

/* For looking inside. `list`: the only passes to run, names or letters, ',' between them. */
OL_API ol_status ol_model_set_passes(ol_model *, const char *list) OL_MUST_CHECK;
/* Hands the graph as text to `print` after each of these passes; text[length] is NUL. */
OL_API ol_status ol_model_print_after(ol_model *, const char *list,
                                      void (*print)(void *user, const char *pass, const char *text, size_t length),
                                      void *user) OL_MUST_CHECK;

typedef struct ol_timing {
    const char *pass;
    double ms; /* all its runs so far */
} ol_timing;

/* Of reading ("read") and of every pass that ran, in the order of the pipeline. */
OL_API const ol_timing *ol_model_timings(ol_model *, size_t *count);

/* ---- Profiles: what a model costs on no device in particular ---- */

typedef struct ol_dim {
    int64_t value;      /* -1 when it is not a number */
    const char *symbol; /* then: the expression ("2*seq+1"), or NULL when nothing is known */
} ol_dim;

typedef struct ol_tensor {
    const char *name;  /* "" for an optional input left out */
    const char *dtype; /* "float32", ...; "sequence(float32)", "optional(int64)" */
    int rank;          /* -1: unknown, or not a tensor */
    const ol_dim *dims;
} ol_tensor;

typedef struct ol_node {
    const char *name; /* as in the file; of its first output when the file gives none */
    const char *op;   /* "Conv"; with the domain unless that is ONNX's own: "com.microsoft.Gelu" */
    size_t n_inputs, n_outputs;
    const ol_tensor *inputs, *outputs;
    int64_t macs, flops, params, read_bytes, write_bytes; /* -1: not known */
} ol_node;

typedef struct ol_unresolved { /* a node whose outputs or cost are not known */
    const char *node, *op, *reason;
} ol_unresolved;

typedef struct ol_profile {
    const char *model;
    int64_t ir_version, opset; /* opset of the default domain */
    const char *producer;
    struct {
        int64_t nodes;
        int64_t macs;  /* of Conv, ConvTranspose, Gemm, MatMul, Einsum, recurrent cells and attention */
        int64_t flops; /* 2 a MAC, plus one for each elementwise, reduction, pooling or normalisation operation */
        int64_t params, weight_bytes; /* each weight once, however many nodes read it */
        int64_t read_bytes, write_bytes;
        int64_t peak_memory_bytes; /* of activations, at the worst moment; -1 when not known */
        int64_t uncounted_nodes;   /* the sums above leave these out: their costs are not known */
    } totals;
    size_t n_inputs, n_outputs, n_nodes, n_unresolved;
    const ol_tensor *inputs, *outputs;
    const ol_node *nodes; /* in execution order; the nodes of a body follow the node that owns it */
    const ol_unresolved *unresolved;
} ol_profile;

OL_API ol_status ol_model_profile(ol_model *, const ol_profile **) OL_MUST_CHECK;

/* ---- Predictions ---- */

typedef struct ol_kernel { /* what the target's runtime launches at once */
    const char *kind;      /* kernel class: "conv", "depthwise", ... */
    const char *op;        /* of its main node */
    size_t n_nodes;
    const char *const *nodes; /* names of the nodes it covers, the one that names it first; none where the
                                 runtime adds the kernel */
    double ms;
    const char *bound;   /* what its time goes to: "compute", "memory" or "overhead" */
    int64_t macs, bytes; /* read and written, weights included */
} ol_kernel;

typedef struct ol_estimate {
    const char *model, *target;
    double latency_ms;
    double lo_ms, hi_ms, confidence; /* interval that holds the truth with that probability */
    double coverage;                 /* share of the nodes the prediction accounts for */
    int extrapolated;                /* far outside what the target was fitted on */
    int64_t macs, params, peak_memory_bytes;
    int64_t data_dependent_nodes; /* priced at the largest their sizes can be, or in between ("ort" runtimes) */
    size_t n_kernels, n_unresolved;
    const ol_kernel *kernels;        /* in execution order; their times sum to latency_ms */
    const ol_unresolved *unresolved; /* the nodes that latency_ms leaves out */
} ol_estimate;

/* The analysis of the model is shared by all its predictions. */
OL_API ol_status ol_model_predict(ol_model *, const ol_target *, const ol_estimate **) OL_MUST_CHECK;

/* ---- Studies: targets learned from measurements, and how well that works ----
 * Every call makes a study, which holds its answer or its message and is freed whether it failed or not. */

typedef struct ol_study ol_study;

OL_API void ol_study_free(ol_study *);
OL_API const char *ol_study_error(const ol_study *); /* as ol_target_error */
OL_API const char *const *ol_study_warnings(const ol_study *, size_t *count);

typedef struct ol_spaces { /* the architecture search spaces */
    size_t count;
    const struct ol_space { const char *name, *description; } * at;
} ol_spaces;

OL_API const ol_spaces *ol_search_spaces(void);

/* Writes the network of an architecture string as an ONNX model with seeded weights. */
OL_API ol_status ol_build(ol_context *, const char *space, const char *arch, int64_t batch, uint64_t seed,
                          const char *path, ol_study **) OL_MUST_CHECK;

typedef struct ol_binding { /* a symbolic dimension bound to a size; models that do not leave it open ignore it */
    const char *name;
    int64_t size;
} ol_binding;

typedef struct ol_adaptation {
    const char *measurements; /* CSV: model,latency_ms; with a space, `model` holds architectures; optional columns
                                 `space` and `batch` override the two below row by row */
    const char *space;        /* NULL: paths of ONNX files, relative to the CSV's folder */
    int64_t batch;            /* 0: 1 */
    const ol_binding *dims;   /* of ONNX files */
    size_t n_dims;
    const char *const *proxies; /* target names or files; "auto" alone: every measured target; "none" alone: no prior,
                                   for hundreds of measurements */
    size_t n_proxies;
    const char *method;                                        /* "bank" (NULL) or "adaproxy" */
    const char *name, *description, *vendor, *device, *source; /* of the new target; all but name may be NULL */
    uint64_t seed;                                             /* of the validation's split */
    const char *output;                                        /* file of the new target */
    unsigned jobs;                                             /* 0: one a processor */
} ol_adaptation;

typedef struct ol_adapted {
    const char *name, *path;
    size_t rows;
    double noise;         /* relative, one standard deviation */
    double view_share[3]; /* probability that the runtime runs the graph kept, pruned, full */
    double rescaling;     /* probability that plain rescaling of a proxy explains the measurements */
    double loo_mape;      /* error on rows left out, a share; NaN: not checked */
} ol_adapted;

OL_API ol_status ol_adapt(ol_context *, const ol_adaptation *, const ol_adapted **, ol_study **) OL_MUST_CHECK;

typedef struct ol_planning {
    const char *const *candidates; /* ONNX files, or architecture strings of `space` */
    size_t n_candidates, count;    /* how many to choose */
    const char *space;             /* NULL: ONNX files */
    int64_t batch;                 /* 0: 1 */
    const ol_binding *dims;
    size_t n_dims;
    const char *const *proxies; /* as of ol_adaptation; "none": only what any device may be */
    size_t n_proxies;
} ol_planning;

typedef struct ol_plan {
    size_t count;
    const size_t *chosen; /* indices of candidates, the most telling first */
    size_t n_failures;
    const char *const *failures; /* messages of candidates that could not be priced: the others were chosen from */
} ol_plan;

OL_API ol_status ol_plan_measurements(ol_context *, const ol_planning *, const ol_plan **, ol_study **) OL_MUST_CHECK;

typedef struct ol_experiment {
    const char *table, *space;
    const char *const *proxies, *const *targets; /* columns; proxies also targets fitted on other measurements; no
                                                    proxies: the protocol's, or all other devices; no targets: every
                                                    column that is no proxy */
    size_t n_proxies, n_targets;
    const char *protocol, *method; /* "random" (NULL), "help", "oneproxy"; "bank" (NULL), "adaproxy" */
    size_t samples, trials;        /* 0: 10 samples, 20 trials */
    int planned;                   /* samples chosen as ol_plan_measurements does, from a random half of the pool */
    uint64_t seed;
    unsigned jobs; /* 0: one a processor */
} ol_experiment;

typedef struct ol_score { /* means over the trials */
    const char *target;
    double srcc, srcc_min, srcc_sd, kendall;
    double mape, within_10pct; /* shares */
    double covered;            /* share of the truth inside the 90 % interval; NaN for adaproxy */
    double covered_pool;       /* the same for the networks that the samples came from, less the samples */
    double raw_proxy_srcc;     /* of the first proxy's own latencies */
    double trial_ms;           /* time of a trial */
} ol_score;

typedef struct ol_scores {
    const char *space, *method, *protocol;
    size_t samples, trials, n_proxies, n_scores;
    const char *const *proxies;
    const ol_score *scores;
    double mean_srcc;
} ol_scores;

OL_API ol_status ol_evaluate(ol_context *, const ol_experiment *, const ol_scores **, ol_study **) OL_MUST_CHECK;

typedef struct ol_calibration {
    const char *output; /* file of the new target; the measurements are kept beside it, in OUTPUT.measurements, and an
                           interrupted calibration goes on from them */
    const char *name;   /* of the new target; NULL: "host" */
    double minutes;     /* to spend measuring; 0: 5 */
    int threads;        /* of an operator; 0: 1 */
    uint64_t seed;      /* of the networks that are measured */
    void (*progress)(void *user, size_t networks, double share); /* may be NULL */
    void *user;
} ol_calibration;

typedef struct ol_calibrated {
    const char *path, *source; /* source: where the target's numbers come from */
    const char *journal;       /* the file of measurements; NULL without ONNX Runtime */
    size_t networks, kernels;  /* measured */
    double error;              /* relative: the median over networks left out; without ONNX Runtime assumed */
} ol_calibrated;

/* This machine as a target: ONNX Runtime profiled on random networks or, where it is missing, compiled kernels timed by
 * onnx-latency-codegen (a warning says so). OL_EMISSING: neither is there. */
OL_API ol_status ol_calibrate(ol_context *, const ol_calibration *, const ol_calibrated **, ol_study **) OL_MUST_CHECK;

/* ---- Measuring on this machine, through ONNX Runtime (loaded when asked for, in a process of its own) ---- */

typedef struct ol_measuring {
    int threads;          /* of an operator; 0: 1 */
    int runs;             /* timed; 0: at least 10 and half a second, at most 200 */
    int per_node;         /* also profiles every node */
    const char *provider; /* NULL: "cpu" */
    uint64_t seed;        /* of the inputs that are made up */
} ol_measuring;

typedef struct ol_node_time {
    const char *name, *op; /* as the runtime names them after its optimisations */
    double ms;
} ol_node_time;

typedef struct ol_measurement {
    const char *model, *runtime; /* "onnxruntime 1.23.2" */
    int threads, runs;
    double min_ms, median_ms, p90_ms;
    size_t n_nodes;
    const ol_node_time *nodes; /* in execution order */
} ol_measurement;

/* Open sizes are those set on the model. OL_EMISSING: no library; the message says how to get one. */
OL_API ol_status ol_model_measure(ol_model *, const ol_measuring *, const ol_measurement **) OL_MUST_CHECK;

/* ---- Search: the least harm that meets a latency budget ---- */

typedef struct ol_search ol_search;

typedef struct ol_search_request {
    ol_model *model;   /* with its open sizes set, not yet profiled; or */
    const char *space; /* a search space by name */
    const ol_target *const *targets;
    const double *budgets_ms; /* by target */
    size_t n_targets;         /* at most 7 */
    double risk;              /* probability with which a bound is missed; 0: 0.05, with a table weighed; 0.5: none */
    const char *importance;   /* of channels: "l2" (NULL), "l1", "random" */
    int resolution;           /* the images a model takes may shrink too: its input changes */
    int64_t align;            /* channel counts stay multiples of it; 0: as the targets want */
    const char *strategy;     /* "evolution" (NULL), or what it is compared with: "random", "uniform" */
    const char *score_table;  /* CSV `arch,accuracy` of the space: only its architectures are considered */
    const char *score_cmd;    /* prints a score; {} stands for the candidate's model file */
    double score_seconds;     /* that a command may take; 0: 60 */
    size_t evaluations;       /* 0: 20,000, or 200 with a command; with minutes: no limit */
    double minutes;           /* 0: no limit */
    unsigned jobs;            /* 0: one a processor */
    uint64_t seed;
    const char *state;  /* file to keep the search in and to resume it from; NULL: none */
    const char *output; /* the rewritten model; NULL: none is written */
    int plan;           /* only says what would be changed */
    void (*progress)(void *user, size_t evaluated, double share);
    void *user;
} ol_search_request;

typedef struct ol_knob {     /* something that can be turned in a model */
    const char *name, *kind; /* kind: "channels", "block", "kernel", "pixels" */
    size_t units, kept; /* channels (or heads): how many there are, and stay; a block: 1 and 0; a kernel: its side */
    int64_t step;       /* units go in multiples of it */
    double saves_ms;    /* on the first target, all of it turned as far as it goes */
    int changes_statistics; /* a mean or variance is taken over it */
} ol_knob;

typedef struct ol_setting {                 /* a point of the frontier */
    double latency_ms, bound_ms;            /* on the first target; what is held against the budget */
    const double *latencies_ms, *bounds_ms; /* the same, by target */
    double score;
    const char *arch; /* of a space, else NULL */
    size_t n_knobs;
    const ol_knob *knobs; /* those that are turned */
} ol_setting;

typedef struct ol_search_result {
    int met, unchanged; /* unchanged: the budget holds as it is */
    int written;        /* the output was: not in a plan, nor over a file where the budget holds as it is */
    double before_ms, before_lo_ms, before_hi_ms; /* of a model, on the first target; of a space 0 */
    double after_lo_ms, after_hi_ms;              /* around what was chosen; of a space 0 where it is not met */
    int64_t macs_before, macs_after, params_before, params_after; /* of a model */
    ol_setting chosen, fastest;
    size_t n_frontier;
    const ol_setting *frontier; /* fastest first */
    size_t evaluated;
    double seconds;
} ol_search_result;

/* Searches; writes the output when the budget is met (a copy when it holds already). Not met is no failure. */
OL_API ol_status ol_search_run(ol_context *, const ol_search_request *, const ol_search_result **,
                               ol_search **) OL_MUST_CHECK;
/* Only lists the knobs, with what each saves on the first target. */
OL_API ol_status ol_search_knobs(ol_context *, const ol_search_request *, const ol_knob **, size_t *count,
                                 ol_search **) OL_MUST_CHECK;
/* For a handler of SIGINT and the like, before the process ends: ends the commands that score candidates and removes
 * the candidates' files. Async-signal-safe; searches that run cannot go on. */
OL_API void ol_search_abandon(void);
OL_API void ol_search_free(ol_search *);
OL_API const char *ol_search_error(const ol_search *);
OL_API const char *const *ol_search_warnings(const ol_search *, size_t *count);

/* ---- Helpers ---- */

/* Calls fn(user, i, worker) for i in 0..count-1 on `jobs` threads, worker in 0..jobs-1; 1 runs on the caller's. Many
 * models are treated in parallel by opening, asking and freeing one in each call. */
OL_API void ol_parallel_for(unsigned jobs, size_t count, void (*fn)(void *user, size_t i, unsigned worker), void *user);
OL_API unsigned ol_cpu_count(void);
/* Writes a file that appears complete or not at all. A failure leaves its message, cut to fit, in `message`. */
OL_API ol_status ol_write_file(const char *path, const void *bytes, size_t length, char *message,
                               size_t message_size) OL_MUST_CHECK;
/* Whether ol_write_file could, for work whose result would be lost otherwise. Nothing is written. */
OL_API ol_status ol_can_write_file(const char *path, char *message, size_t message_size) OL_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
