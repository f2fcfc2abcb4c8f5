/* What the cost functions share (cost_help.c). Private to passes/cost_*.c and the lowerings.
 *
 * Counts are int64_t; -1 stands for a size that is not known and spreads through count_*. Sums and products saturate.
 * MACs follow the operator's definition (no skipped padding, masks or sparsity). FLOPs are 2 a MAC plus one an
 * elementwise, reduction, pooling or normalising operation; a fused operator counts what the operators it stands for
 * would: softmax 5 an element (max, subtract, exp, sum, divide), layer normalisation 7, batch normalisation 2. Biases
 * of products are not counted. */
#ifndef COST_INTERNAL_H
#define COST_INTERNAL_H

#include "geometry.h"
#include "passes.h"

int64_t count_mul(int64_t a, int64_t b);
int64_t count_add(int64_t a, int64_t b);
/* A dim as a number: data-dependent ones at their upper bound, which is noted in the cost. */
int64_t count_open_dim(const struct graph *, dim, struct cost *);
static inline int64_t count_dim(const struct graph *graph, dim d, struct cost *cost) {
    return dim_is_number(d) ? d.value : count_open_dim(graph, d, cost);
}
int64_t count_elements(const struct graph *, const struct tensor *, struct cost *); /* NULL: -1 */
int64_t count_bytes(const struct graph *, const struct tensor *, struct cost *);    /* 0 for strings and sequences */
/* Bytes a node reads of input i: all of it, or what a lookup or slice picks. */
int64_t count_read(const struct graph *, const struct node *, uint32_t i, struct cost *);
/* Product of the dims from axis `first` on. */
int64_t count_tail(const struct graph *, const struct tensor *, int32_t first, struct cost *);
int64_t count_log2(int64_t n); /* rounded up, at least 1 */
const struct tensor *node_result(const struct graph *, const struct node *, uint32_t output); /* NULL when left out */
/* Elements of an input or output; -1 also when left out. */
int64_t count_in(const struct graph *, const struct node *, uint32_t input, struct cost *);
int64_t count_out(const struct graph *, const struct node *, uint32_t output, struct cost *);

int64_t region_ratio(const struct node *); /* of RoiAlign: points sampled along each side of a bin */

struct suppression { /* NonMaxSuppression */
    int64_t lists;   /* of every batch and class */
    int64_t boxes;   /* of one; as many as there are, whatever the threshold of scores leaves */
    int64_t most;    /* kept at most */
    int64_t pairs;   /* compared, of one list, in the graph's data case */
    bool nothing;    /* no overlap is too large: all are kept */
};

/* False when its sizes are not known. */
bool suppression_read(struct graph *, const struct node *, struct suppression *, struct cost *);

cost_fn cost_attention, cost_bytes, cost_conv, cost_conv_transpose, cost_dft, cost_einsum, cost_elementwise,
    cost_gather, cost_gemm, cost_matmul, cost_matmul_nbits, cost_moe, cost_none, cost_norm, cost_pool, cost_real_fft,
    cost_reduce, cost_resize, cost_rnn, cost_rotary, cost_softmax, cost_sort, cost_stft;

#endif
