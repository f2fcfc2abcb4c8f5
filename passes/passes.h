/* passes: analyses and clean-ups of a graph, one file a pass; passes.def is the pipeline. */
#ifndef PASSES_H
#define PASSES_H

#include "ir.h"

/* clang-format off */
enum facts {
    P_BOUND = 1, P_TOPO = 2, P_SHAPES = 4, P_FOLDED = 8, P_LIVE_CODE = 16, P_COSTS = 32, P_MEMORY = 64,
    P_WORKLOAD = 128, P_FEATURES = 256
};
/* clang-format on */

enum pass {
#define PASS(id, name, letter, needs, gives, breaks) PASS_##id,
#include "passes.def"
#undef PASS
    PASS_COUNT
};

/* Of one node, over all its runs: nodes of a Loop, Scan or SequenceMap body are multiplied by the trip count, nodes of
 * the cheaper branch of an If count nothing, so the sum over the nodes is the model's. -1 where a size is unknown. */
struct cost {
    int64_t macs, flops;
    int64_t params, weight_bytes;    /* of the initializers that no node before it reads; independent of runs */
    int64_t read_bytes, write_bytes; /* everything read, weights too, and everything written; 0 for views */
    int64_t runs;                    /* 0: dead, or in a branch that is not taken */
    bool upper_bound;                /* a data-dependent size was taken at its upper bound */
    bool open_loop;                  /* in a loop of unknown length, counted as one round */
};

struct run {
    struct graph *graph;
    struct arena *scratch; /* lives as long as the results below */
    struct diag *diag;
    const struct bindings *bind;                                /* NULL: nothing bound */
    const struct runtime *runtime;                              /* NULL: as written, nothing fused */
    uint32_t facts;                                             /* P_* that hold now */
    struct cost *costs;                                         /* by node id, after cost */
    int64_t peak_memory_bytes;                                  /* after memory; -1 unknown */
    struct workload *workload;                                  /* after lower */
    struct features features;                                   /* after features */
    double pass_ms[PASS_COUNT];                                 /* time spent, for --time-passes */
    void (*after)(void *user, enum pass, const struct graph *); /* --print-after; may be NULL */
    void *user;
};

const char *pass_name(enum pass);
enum pass pass_parse(const char *name_or_letter); /* PASS_COUNT if none */
/* Runs the passes of the mask (1u << PASS_x) in table order; asserts needs, updates facts, checks invariants after each
 * in debug builds. Stops at the first failure. */
enum status passes_run(struct run *, uint32_t mask) MUST_CHECK;

#define PASSES_ALL                                   ((1u << PASS_COUNT) - 1)
#define PASSES_ANALYSIS                              ((1u << PASS_bind) | (1u << PASS_topo) | (1u << PASS_shape))
#define PASSES_PROFILE                               (PASSES_ANALYSIS | (1u << PASS_cost) | (1u << PASS_memory))

#define PASS(id, name, letter, needs, gives, breaks) enum status pass_##id(struct run *);
#include "passes.def"
#undef PASS

/* shape.c and its rooms shape_*.c: one function a column entry of ops.def. It sets the types and shapes of the node's
 * outputs through tensor_set_shape, leaves unknown what is not certain (never a guess), and fails only for a model that
 * contradicts the operator's definition. */
struct shape_state;

struct infer {
    struct run *run;
    struct shape_state *state; /* of this run of the pass (shape_internal.h) */
    struct graph *graph;
    const struct node *node;
    uint32_t id;
    int64_t opset; /* of the node's domain */
};
typedef enum status shape_fn(struct infer *);
/* Fold functions compute output values from input values (struct value), symbolic elements included. */
typedef void fold_fn(struct infer *);
/* Cost functions (cost_internal.h) fill macs and flops of one run of a node whose shapes are known. */
typedef void cost_fn(struct graph *, const struct node *, struct cost *);

/* lower_*.c: one lowering a file, one row of lowerings.def. */
typedef enum status lower_fn(struct run *);
bool lowering_known(const char *name);

/* Open symbols of the graph's inputs ("leading one counts as batch" is decided by the caller). Returns how many. */
size_t open_symbols(const struct graph *, const char **names, size_t max);

#endif
