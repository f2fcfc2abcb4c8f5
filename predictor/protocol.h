/* protocol: few-shot experiments on a table of measured latencies, as published, repeated over seeds. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "adapt.h"

enum protocol {
    PROTOCOL_RANDOM,   /* samples from everywhere, tested on everything else */
    PROTOCOL_HELP,     /* Lee et al., NeurIPS 2021: samples from the first rows, both ends of the latencies left out */
    PROTOCOL_ONEPROXY, /* Lu et al., SIGMETRICS 2022: one fully measured proxy, samples and test as RANDOM */
    PROTOCOL_COUNT
};

enum method { METHOD_BANK, METHOD_ADAPROXY, METHOD_COUNT };

const char *protocol_name(enum protocol);
const char *method_name(enum method);

struct column {                /* a device of the table, at one batch size */
    const char *name, *family; /* family: the device, whatever the batch */
    size_t batch;              /* index into the table's */
    const double *ms;          /* n; not positive or NaN: not measured */
};

struct table { /* all matrices row-major, a row an architecture */
    size_t n, p, n_views, n_batches, n_columns, encoding;
    const double *(*x)[VIEW_COUNT]; /* by batch and view: n * p features */
    const double *onehot;           /* n * encoding */
    struct column *columns;
};

struct experiment {
    enum protocol protocol;
    enum method method;
    size_t samples, trials;
    uint64_t seed;
    bool planned; /* chosen by design from a random half of the pool, instead of drawn */
    size_t pool;  /* PROTOCOL_HELP: the rows samples come from; the rest is tested on */
    size_t n_proxies;
    const size_t *proxies; /* columns; the target itself is left out where it is among them */
    size_t n_fitted;
    const struct proxy *fitted; /* proxies besides, fitted elsewhere */
};

struct score { /* means over the trials */
    double srcc, srcc_min, srcc_sd, kendall, mape, within_10pct;
    double covered;        /* share of the truth inside the 90 % interval; NaN for AdaProxy */
    double covered_pool;   /* the same for the networks that the samples came from, less the samples */
    double raw_proxy_srcc; /* of the first proxy's own latencies */
};

/* What the experiments on a table share: the fits of its proxies. */
struct sources {
    struct proxy *proxies;   /* by position in experiment->proxies */
    double **onehot_weights; /* AdaProxy */
};

enum status sources_fit(struct sources *, const struct table *, const struct experiment *, struct arena *,
                        struct diag *) MUST_CHECK;
/* Results do not depend on the order targets are asked in. */
enum status experiment_run(const struct table *, const struct experiment *, const struct sources *, size_t target,
                           struct score *, struct arena *scratch, struct diag *) MUST_CHECK;

#endif
