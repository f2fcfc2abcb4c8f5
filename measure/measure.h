/* measure: real latencies through ONNX Runtime, found at run time; nothing here is linked against it.
 *
 * Every measurement runs in a process of its own: a crash of the runtime is one failed measurement, and the caller's
 * process never loads the library. */
#ifndef MEASURE_H
#define MEASURE_H

#include "ir.h"

struct measure_options {
    int threads;          /* intra-operator; 0: 1 */
    int runs;             /* timed runs; 0: at least 10 and half a second, at most 200 */
    double min_seconds;   /* of timed runs when `runs` is 0; 0: 0.5 */
    bool per_node;        /* profile after the timed runs */
    bool only_profile;    /* no unprofiled total */
    bool basic;           /* optimisation level "basic": no layout changes; else all */
    const char *provider; /* "cpu" or NULL; else e.g. "CUDA": as GetAvailableProviders names them, less the suffix */
    const struct bindings *bind; /* shapes of inputs the file leaves open or that are to be others; symbols to pin */
    uint64_t seed;               /* of the synthesised inputs */
};

struct node_time {
    const char *name, *op;              /* as the runtime names them after its optimisations */
    const char *in_shapes, *out_shapes; /* JSON text, e.g. [{"float":[1,3,224,224]}] */
    double mean_us;                     /* over the profiled runs, the slowest 30 % left out */
    int64_t weight_bytes;
};

struct measurement {
    const char *runtime; /* "onnxruntime 1.23.2" */
    int threads, runs;
    double min_ms, median_ms, p90_ms; /* NaN with only_profile */
    size_t n_nodes;
    struct node_time *nodes; /* in execution order of a run; NULL without per_node */
    int profiled_runs;
};

/* Measures a model file. ST_MISSING when no library is found: the message says how to get one. ST_MODEL when the
 * runtime refuses the model or dies on it. */
enum status measure_file(const char *path, const struct measure_options *, struct arena *, struct measurement *,
                         struct diag *) MUST_CHECK;
/* The same for a model in memory; `name` stands for the path in messages. */
enum status measure_bytes(const uint8_t *bytes, size_t length, const char *name, const struct measure_options *,
                          struct arena *, struct measurement *, struct diag *) MUST_CHECK;

/* This machine as an analytic target "host" for ONNX Runtime on `threads` threads, from kernels that
 * onnx-latency-codegen times here (some seconds); nothing of a model is run. ST_MISSING when that program is not there
 * or has no kernels for this machine (host_cpu.c). */
struct target;
enum status measure_host_cpu(struct target **, int threads, struct arena *, struct diag *) MUST_CHECK;

#endif
