/* api: what stands behind the public header. One object, one arena, one message; every public call that allocates sets
 * the arena's way out of memory first. */
#ifndef API_H
#define API_H

#include "frontend.h"
#include "onnx_latency.h"
#include "passes.h"
#include "predictor.h"

struct ol_context {
    struct allocator allocator;
    void (*log)(void *user, const char *message);
    void *log_user;
    char *target_path; /* owned; NULL: the environment's */
};

/* The part every object has. */
struct object {
    ol_context *context;
    struct arena arena;
    jmp_buf oom;
    struct diag diag;
    size_t n_logged;      /* warnings already handed to the log */
    enum status unusable; /* how opening it failed, */
    const char *why;      /* which is what every later call answers */
};

/* ---- object.c ---- */

/* Allocates `size` bytes that start with a struct object; NULL when out of memory. */
void *object_new(ol_context *, size_t size);
void object_free(struct object *);
/* Ends the call that opened the object. */
ol_status object_opened(struct object *, enum status);
/* The failure of an object that did not open, as somebody else's. */
enum status object_check(const struct object *, struct diag *) MUST_CHECK;
/* Forgets the last error, unless it is that of opening. */
enum status object_begin(struct object *) MUST_CHECK;
/* Begins a public call that returns a status. */
#define OBJECT_BEGIN(object)                                                                                           \
    do {                                                                                                               \
        if (object_begin(object) != ST_OK) return object_end((object), (object)->unusable);                            \
        if (setjmp((object)->oom)) return object_out_of_memory(object);                                                \
    } while (0)
/* Ends a public call: hands new warnings to the log. */
ol_status object_end(struct object *, enum status);
ol_status object_out_of_memory(struct object *);
const char *object_error(const struct object *);

/* ---- Targets (target_find.c, target_api.c) ---- */

struct ol_target {
    struct object base;
    struct target *target;
    ol_target_info info;
};

/* Names of all that are found, sorted. */
const char *const *target_list(const ol_context *, struct arena *, size_t *n);
/* The file of a target: `name` itself when it ends in ".json", else NAME.json in the first folder that has it. */
enum status target_find(const ol_context *, const char *name, const char **path, struct arena *,
                        struct diag *) MUST_CHECK;
const char *cpu_table_path(struct arena *); /* of the CPUs behind llvm: targets */

/* ---- Models (model.c, analyse.c, profile.c, estimate.c) ---- */

struct lowered { /* the kernels of one runtime */
    struct runtime runtime;
    const struct graph *graph; /* that the workload's nodes are of */
    struct workload *workload;
    struct features features;
    struct lowered *next;
};

struct ol_model {
    struct object base;
    struct graph *graph;
    struct bindings bind;
    size_t cap_dims, cap_shapes;
    uint32_t passes, print_after; /* masks of passes */
    void (*print)(void *user, const char *pass, const char *text, size_t length);
    void *print_user;
    struct once { /* how it ended */
        bool is_known;
        enum status status;
        const char *message;
    } binding, analysis;
    struct run run; /* the analysis that all predictions share */
    uint32_t ran;   /* mask of the passes that ran */
    double pass_ms[PASS_COUNT], read_ms;
    struct lowered *lowered; /* one for each runtime asked for */
    ol_profile *profile;
};

double monotonic_ms(void);
/* Writes the sizes that were set into the graph's inputs; once. */
enum status model_bind(ol_model *) MUST_CHECK;
/* Binds open sizes and runs the passes that depend on no target; once. */
enum status model_analyse(ol_model *) MUST_CHECK;
/* Fails when an input's size is open: the message names the symbols and the options that bind them. */
enum status check_closed(const struct graph *, struct diag *) MUST_CHECK;
/* The kernels a runtime launches, with their features; cached. */
enum status model_lower(ol_model *, const struct runtime *, const struct lowered **) MUST_CHECK;
/* Parses a list of passes; ST_USAGE names the one that is not known. */
enum status pass_list(ol_model *, const char *list, uint32_t *mask) MUST_CHECK;
enum status model_profile(ol_model *) MUST_CHECK;
enum status model_predict(ol_model *, const struct target *, const ol_estimate **) MUST_CHECK;
/* What a node is called: its name, or the name of its first output. */
const char *node_title(const struct graph *, const struct node *);
ol_unresolved show_unresolved(const struct graph *, uint32_t node, struct arena *);
const char *dim_text(const struct graph *, dim, struct arena *);

#endif
