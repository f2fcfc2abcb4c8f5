/* Level 1 of the runtime's optimiser: nodes that do nothing go, HardSwish is opened into the two operators it runs as,
 * constants per channel fold into the convolution before them. */
#include "ort_graph.h"

#include <string.h>

static bool all_zero(const struct value *v) {
    for (uint32_t i = 0; v && i < v->n; i++)
        if (!dim_is(v->at[i].d, 0) && !(v->is_float && v->at[i].f == 0)) return false;
    return v != NULL;
}

static bool pads_nothing(const struct ort_graph *o, uint32_t node) {
    size_t n;
    const int64_t *pads = node_ints(ort_node(o, node), "pads", &n);
    for (size_t i = 0; i < n; i++)
        if (pads[i]) return false;
    if (pads) return true;
    uint32_t given = node_in(ort_node(o, node), 1);
    bool written = given != NONE && ort_tensor(o, given)->flags & TF_INITIALIZER; /* computed ones come too late */
    return written && all_zero(ort_tensor(o, given)->value ? ort_tensor(o, given)->value
                                                           : tensor_read(o->g, ort_tensor(o, given)));
}

static bool same_type(const struct ort_graph *o, uint32_t node) {
    return ort_tensor(o, node_in(ort_node(o, node), 0))->dtype == ort_tensor(o, node_out(ort_node(o, node), 0))->dtype;
}

static bool does_nothing(const struct ort_graph *o, uint32_t node) {
    return ort_is(o, node, "Identity") || ort_is(o, node, "Dropout") ||
           (ort_is(o, node, "Pad") && pads_nothing(o, node)) || (ort_is(o, node, "Cast") && same_type(o, node));
}

/* One sweep in order: what a dropped node gave is read from what it took. Graph outputs keep their producer. */
static void drop_no_ops(struct ort_graph *o) {
    uint32_t *alias = arena_array(o->arena, o->g->n_tensors + 1, sizeof *alias);
    for (uint32_t t = 0; t < o->g->n_tensors; t++) alias[t] = t;
    const struct body *body = &o->g->bodies[0];
    for (size_t i = 0; i < body->n_nodes; i++) {
        struct node *node = ort_node(o, body->nodes[i]);
        if (node->dead) continue;
        uint32_t *inputs = arena_copy(o->arena, node->inputs, node->n_inputs * sizeof *inputs);
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (inputs[k] != NONE) inputs[k] = alias[inputs[k]];
        node->inputs = inputs;
        uint32_t out = node_out(node, 0);
        if (!does_nothing(o, body->nodes[i]) || ort_tensor(o, out)->flags & (TF_OUTPUT | TF_CAPTURED)) continue;
        alias[out] = inputs[0];
        node->dead = true;
    }
    ort_index(o);
}

static void open_hard_swish(struct ort_graph *o, uint32_t node) {
    uint32_t x = node_in(ort_node(o, node), 0);
    uint32_t gate = ort_add_tensor(o, x, ort_tensor(o, x)->dims, ort_tensor(o, x)->rank);
    uint32_t hard = ort_insert(o, node, false, "HardSigmoid", "", &x, 1, gate);
    ort_retype(o, node, "Mul", "");
    ort_set_inputs(o, node, (uint32_t[]){x, gate}, 2);
    ort_cover(o, hard, node);
}

static bool is_conv(const struct ort_graph *o, uint32_t node) {
    return ort_is(o, node, "Conv") && ort_constant(o, node_in(ort_node(o, node), 1));
}

static int64_t conv_channels(const struct ort_graph *o, uint32_t conv) {
    const struct tensor *w = ort_tensor(o, node_in(ort_node(o, conv), 1));
    return w->rank > 0 && dim_is_number(w->dims[0]) ? w->dims[0].value : -1;
}

/* Conv then BatchNormalization, or Mul or Add by a constant per channel. */
static bool folds_into_conv(const struct ort_graph *o, uint32_t conv, uint32_t next) {
    if (ort_is(o, next, "BatchNormalization")) return true;
    if (!ort_is(o, next, "Mul") && !ort_is(o, next, "Add")) return false;
    uint32_t other, constant = ort_constant_operand(o, next, &other);
    return constant != NONE && ort_per_channel(o, constant, conv_channels(o, conv));
}

static void fold_into_conv(struct ort_graph *o, uint32_t conv) {
    uint32_t next;
    while ((next = ort_sole_reader(o, node_out(ort_node(o, conv), 0))) != NONE && folds_into_conv(o, conv, next))
        ort_absorb(o, conv, next);
}

/* A constant Pad of zeros over space moves into the Conv or pool after it: the same work, one kernel less. */
static void merge_pad(struct ort_graph *o, uint32_t pad) {
    uint32_t next = ort_sole_reader(o, node_out(ort_node(o, pad), 0));
    bool takes = ort_is(o, next, "Conv") || ort_is(o, next, "MaxPool") || ort_is(o, next, "AveragePool");
    if (!takes || strcmp(node_string(ort_node(o, pad), "mode", "constant"), "constant") != 0) return;
    uint32_t *inputs = arena_copy(o->arena, ort_node(o, next)->inputs, ort_node(o, next)->n_inputs * sizeof *inputs);
    inputs[0] = node_in(ort_node(o, pad), 0);
    ort_set_inputs(o, next, inputs, ort_node(o, next)->n_inputs);
    ort_cover(o, next, pad);
    ort_node(o, pad)->dead = true;
}

void ort_clean(struct ort_graph *o) {
    ort_index(o);
    drop_no_ops(o);
    size_t n = o->g->n_nodes;
    for (uint32_t i = 0; i < n; i++)
        if (ort_is(o, i, "HardSwish")) open_hard_swish(o, i);
    ort_index(o);
    for (uint32_t i = 0; i < n; i++) {
        if (ort_is(o, i, "Pad")) merge_pad(o, i);
        if (is_conv(o, i)) fold_into_conv(o, i);
    }
}
