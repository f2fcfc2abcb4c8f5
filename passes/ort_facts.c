/* What the speed of the runtime's kernels depends on besides their sizes. */
#include "ort_graph.h"

#include <string.h>

static int64_t size_at(const struct tensor *t, int32_t axis) {
    if (axis < 0) axis += t->rank;
    return axis >= 0 && axis < t->rank && dim_is_number(t->dims[axis]) ? t->dims[axis].value : 1;
}

/* Elements from axis on; negative axes count from the end. */
static int64_t inner_size(const struct tensor *t, int64_t axis) {
    int64_t n = 1;
    if (axis < 0) axis += t->rank;
    for (int32_t i = axis > 0 ? (int32_t)axis : 0; i < t->rank; i++) n = num_mul_sat(n, size_at(t, i));
    return n;
}

static bool is_blocked(const struct node *node) {
    return strcmp(node->domain, "com.microsoft.nchwc") == 0;
}

static int32_t conv_variant(const struct node *node) {
    if (!is_blocked(node)) return CONV_IM2COL;
    return node_int(node, "direct", 0) ? CONV_FROM_NCHW : CONV_NCHWC;
}

static enum broadcast broadcast_of(const struct tensor *whole, const struct tensor *part) {
    int64_t n = inner_size(part, 0);
    if (n == inner_size(whole, 0)) return BCAST_NONE;
    if (n == 1) return BCAST_SCALAR;
    if (n == size_at(whole, -1) && size_at(part, -1) == n) return BCAST_LAST;
    if (whole->rank >= 3 && n == size_at(whole, 1) * size_at(part, 0) && size_at(part, -1) == 1) return BCAST_CHANNEL;
    return BCAST_OTHER;
}

/* The worst over the inputs; the order of the enumeration is that of cost. */
static int32_t elementwise_variant(const struct ort_graph *o, const struct node *node) {
    const struct tensor *whole = ort_tensor(o, node_out(node, 0));
    enum broadcast worst = BCAST_NONE;
    for (uint32_t i = 0; i < node->n_inputs && whole->rank >= 0; i++) {
        if (node->inputs[i] == NONE || ort_tensor(o, node->inputs[i])->rank < 0) continue;
        enum broadcast b = broadcast_of(whole, ort_tensor(o, node->inputs[i]));
        if (b > worst) worst = b;
    }
    return (int32_t)worst;
}

/* How much of the innermost axes a Transpose leaves in place. */
static void transpose_facts(const struct node *node, const struct tensor *x, struct kernel *k) {
    size_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    int32_t kept = x->rank;
    while (perm && kept > 0 && (size_t)kept <= n && perm[kept - 1] == kept - 1) kept--;
    k->chunk = perm ? inner_size(x, kept) : 1;
    k->variant = k->chunk == 1;
}

static void softmax_facts(const struct node *node, const struct tensor *x, struct kernel *k) {
    int64_t axis = node_int(node, "axis", -1);
    bool last = axis == -1 || axis == x->rank - 1;
    k->chunk = last ? size_at(x, -1) : size_at(x, (int32_t)axis);
    k->variant = !last;
}

static int64_t reduced_elements(const struct tensor *x, const struct tensor *y) {
    int64_t out = inner_size(y, 0);
    return out ? inner_size(x, 0) / out : 0;
}

static void move_facts(const struct ort_graph *o, const struct node *node, const struct tensor *x, struct kernel *k) {
    const struct tensor *y = ort_tensor(o, node_out(node, 0));
    if (!strcmp(node->op_type, "Transpose"))
        transpose_facts(node, x, k);
    else if (!strcmp(node->op_type, "Concat") || !strcmp(node->op_type, "Split"))
        k->chunk = inner_size(x, node_int(node, "axis", 0));
    else
        k->chunk = y->rank > 0 ? size_at(y, -1) : 1;
}

void ort_facts(const struct ort_graph *o, uint32_t id, struct kernel *k) {
    const struct node *node = ort_node(o, id);
    uint32_t in = node_in(node, 0);
    if (in == NONE || ort_tensor(o, in)->rank < 0 || !node->n_outputs) return;
    const struct tensor *x = ort_tensor(o, in);
    switch (k->kind) {
    case KC_CONV:
    case KC_POINTWISE:
    case KC_GROUPED:
    case KC_DEPTHWISE:
        k->variant = conv_variant(node);
        break;
    case KC_ELEMENTWISE:
    case KC_ACTIVATION:
        k->variant = elementwise_variant(o, node);
        break;
    case KC_POOL:
        k->variant = is_blocked(node);
        break;
    case KC_SOFTMAX:
        softmax_facts(node, x, k);
        break;
    case KC_NORM:
        k->chunk = k->op[0] == 'L' || k->op[0] == 'S' ? size_at(x, -1) : inner_size(x, 2);
        break;
    case KC_REDUCE:
    case KC_GLOBAL_POOL:
        k->variant = is_blocked(node);
        k->chunk = reduced_elements(x, ort_tensor(o, node_out(node, 0)));
        break;
    case KC_RESIZE:
        k->variant = strcmp(node_string(node, "mode", "nearest"), "nearest") != 0;
        break;
    case KC_MOVE:
    case KC_GATHER:
        move_facts(o, node, x, k);
        break;
    default:
        break;
    }
}
