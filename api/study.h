/* study: what stands behind ol_study, and measured networks as the predictor reads them. */
#ifndef STUDY_H
#define STUDY_H

#include "adapt.h"
#include "api.h"
#include "space_piece.h"
#include "space_table.h"

struct ol_study {
    struct object base;
    bool has_cache; /* once there was an architecture: */
    struct space_cache cache;
    struct arena *scratch; /* once study_scratch was asked for it */
};

/* ---- study.c ---- */

/* For one piece of work at a time, which resets it: new memory costs more than many a fit. */
struct arena *study_scratch(ol_study *);
enum status study_method(const char *name, enum method *, struct diag *) MUST_CHECK; /* NULL: bank */

/* ---- study_rows.c: networks to rows of features ---- */

struct networks { /* growing */
    size_t n;
    struct network {
        const char *text;          /* path or architecture */
        const struct space *space; /* NULL: an ONNX file */
        int64_t batch;
        bool batch_is_stated;
        double ms; /* measured; 0: not */
        size_t line;
    } * at;
    const char *path;       /* of the file whose lines they stand on; NULL: none */
    const ol_binding *dims; /* sizes of what ONNX files leave open */
    size_t n_dims;
    bool may_fail; /* single ones: they leave the list, and their message is kept */
    size_t n_failures, cap_failures;
    const char **failures;
};

/* Equal for the same network at the same batch, however it is written. */
const char *network_key(const struct network *, struct arena *);

/* study_measurements.c: reads the file; at least three networks, each once. */
enum status study_measurements(ol_study *, const ol_adaptation *, struct networks *) MUST_CHECK;

/* Features of the networks in every graph view; y from `ms`. */
enum status study_rows(ol_study *, struct networks *, struct samples *) MUST_CHECK;
/* Networks like these, measured or not, whose mean features give the scale: those of their space where they have one.
 * The first view, which the scale is that of, stands for all. */
enum status study_reference(ol_study *, const struct networks *, const struct samples *rows,
                            struct samples *reference) MUST_CHECK;

/* ---- study_proxy.c ---- */

/* The proxies by name; "auto" is every measured target. `partial`: each followed by what was fitted without one of its
 * spaces, if it has several. */
enum status study_proxies(ol_study *, const char *const *names, size_t n_names, bool partial, struct proxy **,
                          size_t *n) MUST_CHECK;

#endif
