/* What the lowerings share (lower_build.c, lower_facts.c). Private to passes/lower*.c.
 *
 * A lowering walks a graph (the run's, or a clone it rewrote) in execution order and, for every node that launches
 * something, opens a kernel or joins one; lower_build keeps nodes, predecessors and bytes in step. */
#ifndef LOWER_INTERNAL_H
#define LOWER_INTERNAL_H

#include "cost_internal.h"

struct link { /* of the lists below: index + 1 of the next, 0 at the end */
    uint32_t value, next;
};

struct assembly {                               /* a kernel while it grows */
    uint32_t first_node, last_node, first_pred; /* links + 1 */
    uint32_t result;                            /* tensor that a consumer could still join at; NONE */
};

struct lowering {
    struct run *run;
    struct graph *graph; /* the one lowered */
    struct arena *arena; /* the run's scratch */
    enum precision precision;
    struct workload *workload;
    uint32_t *maker;          /* by tensor: kernel that makes it, views and host work seen through; NONE */
    uint32_t *uses;           /* by tensor: readers that are alive, and graph outputs */
    struct assembly *kernels; /* by kernel */
    size_t n_kernels, cap_kernels;
    struct link *links;
    size_t n_links, cap_links;
};

/* lower_build.c */
void lowering_start(struct lowering *, struct run *, struct graph *);
/* A new kernel for a node of the lowered graph, facts and bytes filled in, in execution order. `cost` may be over
 * several runs; the kernel gets one run's share and the count. */
uint32_t lowering_open(struct lowering *, uint32_t node, const struct cost *);
/* The node runs inside a kernel, on its result, which never reaches memory. `folded`: it vanishes into the weights. */
void lowering_join(struct lowering *, uint32_t kernel, uint32_t node, const struct cost *, bool folded);
/* The node launches nothing: its outputs are its inputs' (views, shapes, host work). */
void lowering_skip(struct lowering *, uint32_t node);
/* Lowers the bodies of a control node in place, by `lower`. What goes in and out is matched from the end: a Loop's body
 * has its counter and condition in front, and returns the condition first; scanned and carried values keep their order.
 */
void lowering_bodies(struct lowering *, uint32_t node, void (*lower)(void *user, uint32_t body), void *user);
/* Names a node of the model as one that the kernel stands for. */
void lowering_cover(struct lowering *, uint32_t kernel, uint32_t node);
void lowering_finish(struct lowering *); /* flattens the lists, sums the totals, hands the workload to the run */
bool is_constant(const struct graph *, uint32_t tensor);                         /* a weight, or folded */
int64_t bytes_at(const struct lowering *, const struct tensor *, struct cost *); /* in the runtime's precision */

/* lower_facts.c: class and shape facts of the kernel that a node alone would be. */
void kernel_facts(struct graph *, const struct node *, struct kernel *);

#define LOWERING(id, name) enum status lower_##id(struct run *);
#include "lowerings.def"
#undef LOWERING

#endif
