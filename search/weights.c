/* What pruning is about: the weights of convolutions, matrix products and recurrent cells. */
#include "rewrite.h"

#include <math.h>

bool does_macs(const struct node *node) {
    enum kernel_class kind = op_table[node->op].kernel;
    return kind == KC_CONV || kind == KC_CONV_TRANSPOSE || kind == KC_GEMM || kind == KC_RNN;
}

bool is_weight(const struct graph *g, const struct node *node, uint32_t tensor) {
    return does_macs(node) && tensor != NONE && g->tensors[tensor].flags & TF_INITIALIZER &&
           g->tensors[tensor].rank >= 2;
}

int64_t weight_count(const struct tensor *t) {
    int64_t n = 1;
    for (int32_t axis = 0; axis < t->rank; axis++)
        n = num_mul_sat(n, t->dims[axis].value > 0 ? t->dims[axis].value : 0);
    return n;
}

/* What is no number weighs nothing. */
double weight_size(const struct tensor *t, int64_t i) {
    double size = fabs(tensor_float(t, i));
    return isfinite(size) ? size : 0;
}
