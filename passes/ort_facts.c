/* What the speed of the runtime's kernels depends on besides their sizes. */
#include "cost_internal.h"
#include "ort_graph.h"

#include <string.h>

static int64_t size_at(const struct ort_graph *o, const struct tensor *t, int32_t axis) {
    struct cost bound = {0};
    if (axis < 0) axis += t->rank;
    int64_t n = axis >= 0 && axis < t->rank ? count_dim(o->g, t->dims[axis], &bound) : 1;
    return n < 0 ? 1 : n;
}

/* Elements from axis on; negative axes count from the end. */
static int64_t inner_size(const struct ort_graph *o, const struct tensor *t, int64_t axis) {
    int64_t n = 1;
    if (axis < 0) axis += t->rank;
    for (int32_t i = axis > 0 ? (int32_t)axis : 0; i < t->rank; i++) n = num_mul_sat(n, size_at(o, t, i));
    return n;
}

static bool is_blocked(const struct node *node) {
    return strcmp(node->domain, "com.microsoft.nchwc") == 0;
}

static int32_t conv_variant(const struct node *node) {
    if (!is_blocked(node)) return CONV_IM2COL;
    return node_int(node, "direct", 0) ? CONV_FROM_NCHW : CONV_NCHWC;
}

static enum broadcast broadcast_of(const struct ort_graph *o, const struct tensor *whole, const struct tensor *part) {
    int64_t n = inner_size(o, part, 0);
    if (n == inner_size(o, whole, 0)) return BCAST_NONE;
    if (n == 1) return BCAST_SCALAR;
    if (n == size_at(o, whole, -1) && size_at(o, part, -1) == n) return BCAST_LAST;
    int64_t images = part->rank == whole->rank ? size_at(o, part, 0) : 1;
    if (whole->rank >= 3 && n == size_at(o, whole, 1) * images && size_at(o, part, -1) == 1) return BCAST_CHANNEL;
    return BCAST_OTHER;
}

/* Elements from the end for which the input is either read along with the result, or stays at one value. */
static int64_t span_of(const struct ort_graph *o, const struct tensor *whole, const struct tensor *part) {
    int64_t span = 1;
    int follows = -1; /* not known yet */
    for (int32_t axis = 1; axis <= whole->rank; axis++) {
        int64_t n = size_at(o, whole, -axis), own = axis <= part->rank ? size_at(o, part, -axis) : 1;
        if (n == 1) continue;
        if (follows >= 0 && follows != (own == n)) break;
        follows = own == n;
        span = num_mul_sat(span, n);
    }
    return span;
}

/* The worst over the inputs; the order of the enumeration is that of cost. */
static void elementwise_facts(const struct ort_graph *o, const struct node *node, struct kernel *k) {
    const struct tensor *whole = ort_tensor(o, node_out(node, 0));
    int64_t span = INT64_MAX;
    k->variant = BCAST_NONE;
    for (uint32_t i = 0; i < node->n_inputs && whole->rank >= 0; i++) {
        if (node->inputs[i] == NONE || ort_tensor(o, node->inputs[i])->rank < 0) continue;
        const struct tensor *part = ort_tensor(o, node->inputs[i]);
        int32_t b = (int32_t)broadcast_of(o, whole, part);
        int64_t own = span_of(o, whole, part);
        if (b > k->variant) k->variant = b;
        if (own < span) span = own;
    }
    if (k->variant > BCAST_SCALAR) k->chunk = span;
}

/* How much of the innermost axes a Transpose leaves in place. */
static void transpose_facts(const struct ort_graph *o, const struct node *node, const struct tensor *x,
                            struct kernel *k) {
    size_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    int32_t kept = x->rank;
    while (perm && kept > 0 && (size_t)kept <= n && perm[kept - 1] == kept - 1) kept--;
    k->chunk = perm ? inner_size(o, x, kept) : 1;
    k->variant = k->chunk == 1;
}

static void softmax_facts(const struct ort_graph *o, const struct node *node, const struct tensor *x,
                          struct kernel *k) {
    int64_t axis = node_int(node, "axis", -1);
    bool last = axis == -1 || axis == x->rank - 1;
    k->chunk = last ? size_at(o, x, -1) : size_at(o, x, (int32_t)axis);
    k->variant = !last;
}

static int64_t reduced_elements(const struct ort_graph *o, const struct tensor *x, const struct tensor *y) {
    int64_t out = inner_size(o, y, 0);
    return out ? inner_size(o, x, 0) / out : 0;
}

static int64_t inner_after(const struct ort_graph *o, const struct tensor *x, int64_t axis) {
    return axis == -1 || axis == x->rank - 1 ? 1 : inner_size(o, x, axis + 1);
}

/* Of a value repeated along trailing axes. */
static int64_t repetitions(const struct ort_graph *o, const struct tensor *x, const struct tensor *y) {
    int64_t in = inner_size(o, x, 0);
    return in ? inner_size(o, y, 0) / in : 0;
}

static void move_facts(const struct ort_graph *o, const struct node *node, const struct tensor *x, struct kernel *k) {
    const struct tensor *y = ort_tensor(o, node_out(node, 0));
    if (!strcmp(node->op_type, "Transpose"))
        transpose_facts(o, node, x, k);
    else if (!strcmp(node->op_type, "Concat"))
        k->chunk = inner_size(o, x, node_int(node, "axis", 0));
    else if (!strcmp(node->op_type, "Split"))
        k->chunk = inner_size(o, x, node_int(node, "axis", 0)) / node->n_outputs;
    else if (!strcmp(node->op_type, "Gather"))
        k->chunk = inner_after(o, x, node_int(node, "axis", 0));
    else if (!strcmp(node->op_type, "Expand"))
        k->chunk = repetitions(o, x, y);
    else
        k->chunk = y->rank > 0 ? size_at(o, y, -1) : 1;
}

/* One that changes nothing is a copy. */
static int32_t resize_variant(const struct ort_graph *o, const struct node *node, const struct tensor *x) {
    if (inner_size(o, x, 0) == inner_size(o, ort_tensor(o, node_out(node, 0)), 0)) return 2;
    return strcmp(node_string(node, "mode", "nearest"), "nearest") != 0;
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
        elementwise_facts(o, node, k);
        break;
    case KC_POOL:
        k->variant = is_blocked(node);
        break;
    case KC_SOFTMAX:
        softmax_facts(o, node, x, k);
        break;
    case KC_NORM:
        k->chunk = k->op[0] == 'L' || k->op[0] == 'S' ? size_at(o, x, -1) : inner_size(o, x, 2);
        break;
    case KC_REDUCE:
    case KC_GLOBAL_POOL:
        k->variant = is_blocked(node);
        k->chunk = reduced_elements(o, x, ort_tensor(o, node_out(node, 0)));
        break;
    case KC_RESIZE:
        k->variant = resize_variant(o, node, x);
        break;
    case KC_MOVE:
    case KC_GATHER:
        move_facts(o, node, x, k);
        break;
    default:
        break;
    }
}
