/* The plain lowering: a kernel for each node that computes or moves something, in execution order, with the fusions the
 * runtime lists as pairs of kernel classes.
 *
 * A node joins the kernel that made its input when a rule allows it, nobody else reads that input, and the node's other
 * inputs are weights or were made before. Rules name a class exactly ("depthwise") or by its family, the class of the
 * operator table ("conv" is every convolution, "gemm" every product with weights). Within a rule,
 *   norm          joins only if it is a batch normalisation with constant statistics: it vanishes into the weights;
 *   activation    joins once a kernel, after any residual;
 *   elementwise   joins when its result has the shape of the kernel's: scales and biases by constants, or one residual;
 *   other classes join whenever the kernel's result is their only input that is no weight. */
#include "lower_internal.h"

static bool names_class(enum kernel_class rule, enum kernel_class refined, enum kernel_class family) {
    return rule == refined || rule == family;
}

static enum kernel_class family_of(enum kernel_class kind) {
    switch (kind) {
    case KC_POINTWISE:
    case KC_GROUPED:
    case KC_DEPTHWISE:
        return KC_CONV;
    case KC_GEMV:
        return KC_GEMM;
    default:
        return kind;
    }
}

static bool has_rule(const struct runtime *r, const struct kernel *producer, enum kernel_class consumer) {
    for (size_t i = 0; r && i < r->n_fuse; i++)
        if (r->fuse[i].consumer == consumer &&
            names_class(r->fuse[i].producer, producer->kind, family_of(producer->kind)))
            return true;
    return false;
}

/* The kernel that made an input last, if the node reads its result itself; *other: inputs that kernels or the model's
 * inputs gave besides. */
static uint32_t last_maker(const struct lowering *l, const struct node *node, uint32_t *other) {
    uint32_t last = NONE, at = NONE;
    *other = 0;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        uint32_t id = node->inputs[i];
        if (id == NONE || is_constant(l->graph, id)) continue;
        ++*other;
        if (l->maker[id] == NONE || (last != NONE && l->maker[id] <= last)) continue;
        last = l->maker[id];
        at = id;
    }
    if (last == NONE || l->kernels[last].result != at || l->uses[at] != 1) return NONE;
    --*other;
    return last;
}

static bool same_shape(const struct graph *g, uint32_t a, uint32_t b) {
    const struct tensor *x = &g->tensors[a], *y = &g->tensors[b];
    if (x->rank != y->rank || x->rank == RANK_UNKNOWN) return false;
    for (int32_t i = 0; i < x->rank; i++)
        if (!dim_same(x->dims[i], y->dims[i])) return false;
    return true;
}

static bool joins_elementwise(const struct lowering *l, const struct node *node, uint32_t kernel, uint32_t other) {
    struct kernel *k = &l->workload->kernels[kernel];
    if (k->has_activation || !same_shape(l->graph, node->outputs[0], l->kernels[kernel].result)) return false;
    if (other > 1 || (other == 1 && k->has_residual)) return false;
    if (other == 1) k->has_residual = true;
    return true;
}

static bool joins(const struct lowering *l, const struct node *node, uint32_t kernel, uint32_t other) {
    struct kernel *k = &l->workload->kernels[kernel];
    enum kernel_class class = op_table[node->op].kernel;
    switch (class) {
    case KC_NORM:
        return node->op == OP_BatchNormalization && other == 0 && !k->has_activation && !k->has_residual;
    case KC_ACTIVATION:
        if (other || k->has_activation) return false;
        return k->has_activation = true;
    case KC_ELEMENTWISE:
        return joins_elementwise(l, node, kernel, other);
    default:
        return other == 0;
    }
}

static bool launches_nothing(const struct node *node) {
    const struct op_info *info = &op_table[node->op];
    return node->op == OP_UNKNOWN || info->kernel == KC_NONE || info->flags & (F_VIEW | F_SHAPE | F_HOST);
}

static void lower_node(struct lowering *l, uint32_t id) {
    const struct runtime *runtime = l->run->runtime;
    const struct node *node = &l->graph->nodes[id];
    const struct cost *cost = &l->run->costs[id];
    uint32_t other, kernel = last_maker(l, node, &other);
    bool same_pace = kernel != NONE && l->workload->kernels[kernel].count == cost->runs && node->n_outputs == 1;
    if (same_pace && has_rule(runtime, &l->workload->kernels[kernel], op_table[node->op].kernel) &&
        joins(l, node, kernel, other))
        lowering_join(l, kernel, id, cost, op_table[node->op].kernel == KC_NORM);
    else
        kernel = lowering_open(l, id, cost);
    lowering_cover(l, kernel, id);
}

static void lower_body(void *lowering, uint32_t body) {
    struct lowering *l = lowering;
    const struct body *b = &l->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        uint32_t id = b->nodes[i];
        const struct node *node = &l->graph->nodes[id];
        if (node->dead || l->run->costs[id].runs == 0) continue;
        if (op_table[node->op].flags & F_CONTROL) {
            lowering_skip(l, id);
            lowering_bodies(l, id, lower_body, l);
        } else if (launches_nothing(node))
            lowering_skip(l, id);
        else
            lower_node(l, id);
    }
}

enum status lower_plain(struct run *run) {
    struct lowering l;
    lowering_start(&l, run, run->graph);
    lower_body(&l, 0);
    lowering_finish(&l);
    return ST_OK;
}
