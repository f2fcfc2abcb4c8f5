/* find: the smallest harm that meets a latency budget.
 *
 * Genes are the settings of a model's knobs, or the choices of a search space. The frontier of latency against score is
 * explored by evolve.h from several uniform cuts and a greedy descent; what is chosen is the best score whose latency,
 * with the margin the risk asks for, meets every budget. */
#ifndef FIND_H
#define FIND_H

#include "evolve.h"

#define FIND_TARGETS_MAX (OBJECTIVES_MAX - 1)

struct outcome {                       /* what a setting costs and is worth */
    double ms[FIND_TARGETS_MAX];       /* by target */
    double bound_ms[FIND_TARGETS_MAX]; /* not above the budget with the probability asked for */
    double score;                      /* higher is better; NaN: none could be had, or none is known yet */
};

enum strategy {
    STRATEGY_EVOLUTION,
    STRATEGY_RANDOM, /* settings drawn at random around a random share of every knob's range */
    STRATEGY_UNIFORM /* the same share of every width, all else left alone */
};

struct find {
    enum strategy strategy; /* the simple ones are there to be compared with */
    size_t n_genes, n_targets;
    size_t n_widths;         /* genes, first of all, that a uniform setting turns */
    const uint16_t *max;     /* by gene */
    const double *budget_ms; /* by target */
    /* Fills the outcome of a setting, its score only where none is known; on several threads. False: no candidate. */
    bool (*judge)(void *user, const uint16_t *genes, struct outcome *, unsigned worker);
    void *user;
    unsigned jobs;
    uint64_t seed;
    size_t evaluations; /* stop after as many, 0: no limit */
    double seconds;     /* or as long, 0: no limit */
    bool uniform;       /* genes count what is removed: start from uniform cuts too */
    bool greedy;        /* and candidates are cheap: from a greedy descent */
    void (*progress)(void *user, size_t evaluated, double share); /* after each generation; may be NULL */
    void *progress_user;
    const char *none;       /* said when no setting has a score; NULL: that none could be priced */
    const char *state_path; /* kept up to date, and read when it is there; NULL: none */
    const char *state_id;   /* of the problem: a state of another one is refused */
    struct arena *arena;
};

struct found {
    const uint16_t *genes;
    struct outcome outcome;
};

struct findings {
    bool met;
    struct found chosen;  /* met: the best that meets the budgets; else the one that comes nearest (relative excess) */
    struct found fastest; /* the least latency seen on the first target */
    size_t n_frontier;
    struct found *frontier; /* fastest first */
    size_t evaluated;
    double seconds;
};

enum status find_best(const struct find *, struct findings *, struct diag *) MUST_CHECK;

/* find_state.c: the population and the frontier as JSON, written beside and renamed. */
enum status state_save(const struct find *, const struct evolve *, struct diag *) MUST_CHECK;
enum status state_load(const struct find *, struct evolve *, bool *was_there, struct diag *) MUST_CHECK;

#endif
