/* calibrate: this machine as a target, from profiles of random networks (calibration study, section 8). */
#ifndef CALIBRATE_H
#define CALIBRATE_H

#include "calibrated.h"
#include "measure.h"

/* As measure_bytes; tests put their own in its place. */
typedef enum status measure_fn(const uint8_t *bytes, size_t length, const char *name, const struct measure_options *,
                               struct arena *, struct measurement *, struct diag *);

struct calibration {
    const char *journal; /* every measurement is kept in this file, and those it holds already are not repeated */
    double minutes;      /* to spend measuring; 0: 5. What the journal holds costs nothing */
    int threads;         /* 0: 1 */
    size_t probes;       /* networks at most; 0: 400 */
    uint64_t seed;
    measure_fn *measure; /* NULL: measure_bytes */
    void (*progress)(void *user, size_t networks, double share);
    void *user;
};

/* ST_MISSING without ONNX Runtime; ST_DATA when the time was too short. The target's name and path are the caller's. */
enum status calibrate_runtime(const struct calibration *, struct target **, struct arena *, struct diag *) MUST_CHECK;

/* ---- Private to measure/ ---- */

struct profile { /* of one probe */
    uint32_t number;
    size_t n_kernels, n_nodes;
    size_t n_passes; /* measured so often; in a line of the journal: which time it was */
    struct kernel *kernels;
    double *us; /* by kernel: the least over the passes; 0: no node was found for it */
    int64_t weight_bytes;
    double sum_us, plain_us; /* all nodes as profiled; a run without the profiler, NaN when not measured */
};

struct settings { /* what the measurements of a journal have in common */
    uint64_t seed;
    int threads;
    const char *runtime;
    int64_t block;
};

/* match.c: the kernels expected of a graph, and the runtime's nodes that ran them. */
enum status lower_probe(uint64_t seed, uint32_t number, int64_t block, int threads, struct profile *, struct arena *,
                        struct diag *) MUST_CHECK;
void match_nodes(const struct measurement *, const struct profile *, double *us, struct arena *scratch);
/* Channels a block of the runtime's layout, from the canary's profile; 0: it does not block. */
int64_t block_of(const struct measurement *);

/* journal.c: one JSON object a line; a line cut off by an interruption is ignored. */
struct journal {
    FILE *stream;
    const char *path;
};
/* Opens for appending and hands every complete line of the file to `take`. ST_DATA when it was made under other
 * settings. */
enum status journal_open(struct journal *, const char *path, const struct settings *,
                         void (*take)(void *user, const struct profile *), void *user, struct arena *,
                         struct diag *) MUST_CHECK;
enum status journal_add(struct journal *, const struct profile *, struct diag *) MUST_CHECK;
void journal_close(struct journal *);

#endif
