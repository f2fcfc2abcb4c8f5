/* ort: the graph as ONNX Runtime's CPU provider rewrites it at its highest optimisation level, kept beside the model.
 * One rule set a file; the rules follow what ONNX Runtime 1.23 does to exported models (facts, not its code). Private
 * to lower_ort.c. */
#ifndef ORT_GRAPH_H
#define ORT_GRAPH_H

#include "passes.h"

struct cover { /* the model's nodes a rewritten node stands for */
    uint32_t node;
    const struct cover *next;
};

struct ort_graph {
    struct graph *g; /* a clone that the rules change */
    struct arena *arena;
    int64_t block; /* channels a block of the NCHWc layout: 16 with AVX-512, 8 with AVX2; 0: none */
    size_t cap_uses, cap_covers;
    uint32_t *uses;              /* by tensor: reads by live nodes and graph outputs */
    struct users users;          /* readers when the rule set started; nodes added since are not in it */
    size_t n_indexed;            /* tensors that `users` knows */
    const struct cover **covers; /* by node */
};

/* ort_graph.c */
void ort_start(struct ort_graph *, const struct graph *, struct arena *, int64_t block);
void ort_index(struct ort_graph *); /* before a rule set: counts uses and readers anew */
bool ort_is(const struct ort_graph *, uint32_t node, const char *op_type);    /* live, default domain */
bool ort_is_ms(const struct ort_graph *, uint32_t node, const char *op_type); /* live, com.microsoft */
uint32_t ort_producer(const struct ort_graph *, uint32_t tensor);             /* live node or NONE */
uint32_t ort_sole_reader(const struct ort_graph *, uint32_t tensor); /* the one live node that reads it, or NONE */
bool ort_constant(const struct ort_graph *, uint32_t tensor);
bool ort_scalar(const struct ort_graph *, uint32_t tensor, double *value); /* a constant of one known element */
bool ort_per_channel(const struct ort_graph *, uint32_t tensor,
                     int64_t channels); /* constant (C,1,1), (1,C,1,1), scalar */
/* The constant operand of a two-input node; `*other` is the data one. NONE when neither or both are constant. */
uint32_t ort_constant_operand(const struct ort_graph *, uint32_t node, uint32_t *other);
void ort_kill(struct ort_graph *, uint32_t node);
void ort_set_inputs(struct ort_graph *, uint32_t node, const uint32_t *inputs, uint32_t n);
void ort_retype(struct ort_graph *, uint32_t node, const char *op_type, const char *domain);
void ort_set_attr(struct ort_graph *, uint32_t node, const char *name, int64_t value);
/* `into` takes over the output of `last` (and its cover): last dies, into produces its tensor. */
void ort_absorb(struct ort_graph *, uint32_t into, uint32_t last);
/* `into` produces what `other` produced besides its own outputs; other dies. */
void ort_give(struct ort_graph *, uint32_t into, uint32_t other);
void ort_cover(struct ort_graph *, uint32_t node, uint32_t of); /* node also stands for what `of` stands for */
uint32_t ort_add_tensor(struct ort_graph *, uint32_t like, const dim *dims, int32_t rank);
/* A new node placed in the body just before (`after` false) or after node `at`. */
uint32_t ort_insert(struct ort_graph *, uint32_t at, bool after, const char *op_type, const char *domain,
                    const uint32_t *inputs, uint32_t n_inputs, uint32_t output);
static inline const struct tensor *ort_tensor(const struct ort_graph *o, uint32_t t) {
    return &o->g->tensors[t];
}
static inline struct node *ort_node(const struct ort_graph *o, uint32_t n) {
    return &o->g->nodes[n];
}

/* Rule sets, in the order the runtime applies them. */
void ort_clean(struct ort_graph *);  /* ort_clean.c: no-ops dropped, HardSwish opened, constants folded into Conv */
void ort_fuse(struct ort_graph *);   /* ort_fuse.c: activations into Conv and Gemm, Gelu, norms, scaled products */
void ort_layout(struct ort_graph *); /* ort_layout.c: the blocked NCHWc layout and its reorders */

/* ort_facts.c: what the speed of the runtime's kernel depends on besides sizes: the kernel's variant and chunk.
 * Convolutions: enum conv_variant. Elementwise with several inputs: enum broadcast. Transpose: 1 when the last axis
 * moves. Softmax: 1 when it runs along another axis than the last. Resize: 1 when it interpolates, 2 when it copies.
 * Pools: 1 in the blocked layout. */
void ort_facts(const struct ort_graph *, uint32_t node, struct kernel *);

#endif
