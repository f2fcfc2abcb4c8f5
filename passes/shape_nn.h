/* What the shape functions of compute operators share. Private to passes/shape_*.c. */
#ifndef SHAPE_NN_H
#define SHAPE_NN_H

#include "geometry.h"
#include "shape_internal.h"

static inline const char *input_name(const struct infer *in, uint32_t i) {
    return node_in(in->node, i) == NONE ? "" : in->graph->tensors[in->node->inputs[i]].name;
}

/* shape_conv.c */

/* The node's window; fails when its attributes contradict each other or the weight. */
enum status infer_window(const struct infer *, struct window *) MUST_CHECK;
/* Output size along spatial axis i of a convolution or pool over input x; fails when the window does not fit. */
enum status infer_window_out(struct infer *, const struct window *, int32_t i, uint32_t x, dim *out) MUST_CHECK;

#endif
