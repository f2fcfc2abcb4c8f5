/* Level 3 of the runtime's optimiser: convolutions, pools and what lies between them run in the blocked NCHWc layout;
 * a ReorderInput stands where a plain value enters it, a ReorderOutput where one leaves. */
#include "ort_graph.h"

#include <string.h>

struct layout {
    struct ort_graph *o;
    uint32_t *blocked; /* by tensor of the model: its NCHWc twin, or NONE */
    bool *entered;     /* by tensor: a ReorderInput made the twin */
    bool *restored;    /* by tensor: a ReorderOutput gives it */
    size_t n_tensors;  /* the model's; tensors added here are beyond */
};

static const char NCHWC[] = "com.microsoft.nchwc";

static int64_t dim_at(const struct ort_graph *o, uint32_t tensor, int32_t axis) {
    const struct tensor *t = ort_tensor(o, tensor);
    return tensor != NONE && axis < t->rank && dim_is_number(t->dims[axis]) ? t->dims[axis].value : -1;
}

static uint32_t twin(const struct layout *l, uint32_t tensor) {
    return tensor < l->n_tensors ? l->blocked[tensor] : NONE;
}

/* The NCHWc form of what an NCHWc node gave: a plain value that was only reordered for one reader is no such. */
static uint32_t given(const struct layout *l, uint32_t tensor) {
    return tensor < l->n_tensors && !l->entered[tensor] ? l->blocked[tensor] : NONE;
}

static uint32_t add_twin(struct layout *l, uint32_t tensor) {
    struct ort_graph *o = l->o;
    dim dims[4];
    memcpy(dims, ort_tensor(o, tensor)->dims, sizeof dims);
    if (dim_is_number(dims[1])) dims[1] = DIM(num_ceildiv(dims[1].value, o->block) * o->block);
    return l->blocked[tensor] = ort_add_tensor(o, tensor, dims, 4);
}

/* The NCHWc form of an input, made by a ReorderInput before `node` when there is none yet. */
static uint32_t enter(struct layout *l, uint32_t node, uint32_t tensor) {
    if (twin(l, tensor) != NONE) return twin(l, tensor);
    uint32_t t = add_twin(l, tensor);
    l->entered[tensor] = l->restored[tensor] = true; /* the plain form exists already */
    ort_insert(l->o, node, false, "ReorderInput", NCHWC, &tensor, 1, t);
    return t;
}

/* The node now gives the NCHWc form; a plain reader will ask for a ReorderOutput. */
static void give_blocked(struct layout *l, uint32_t node) {
    struct ort_graph *o = l->o;
    uint32_t plain = node_out(ort_node(o, node), 0), t = add_twin(l, plain);
    ort_node(o, node)->outputs = arena_copy(o->arena, &t, sizeof t);
    ort_node(o, node)->n_outputs = 1;
    o->g->tensors[t].producer = node;
    o->g->tensors[plain].producer = NONE;
    o->uses[t] = o->uses[plain];
}

static void set_first_input(struct ort_graph *o, uint32_t node, uint32_t tensor) {
    struct node *n = ort_node(o, node);
    uint32_t *inputs = arena_copy(o->arena, n->inputs, n->n_inputs * sizeof *inputs);
    inputs[0] = tensor;
    ort_set_inputs(o, node, inputs, n->n_inputs);
}

static bool is_conv(const struct ort_graph *o, uint32_t node) {
    return ort_is(o, node, "Conv") || ort_is_ms(o, node, "FusedConv");
}

enum conv_form { CONV_PLAIN, CONV_DIRECT, CONV_BLOCKED };

/* Which convolutions the layout takes, by channels: study, section 1, rule 5. */
static enum conv_form conv_form(const struct ort_graph *o, uint32_t node) {
    const struct node *n = ort_node(o, node);
    uint32_t w = node_in(n, 1);
    if (!ort_constant(o, w) || ort_tensor(o, w)->rank != 4 || ort_tensor(o, node_in(n, 0))->rank != 4)
        return CONV_PLAIN;
    int64_t groups = node_int(n, "group", 1), out = dim_at(o, w, 0), in = dim_at(o, w, 1), block = o->block;
    if (ort_tensor(o, w)->dtype != DT_FLOAT || out < 0 || in < 0) return CONV_PLAIN;
    if (groups == 1 && in < block) return CONV_DIRECT;
    if (groups == 1) return in % 4 == 0 ? CONV_BLOCKED : CONV_PLAIN;
    if (out % 4) return CONV_PLAIN;
    if (in == 1 && out == groups) return CONV_BLOCKED;
    return in % block == 0 && (out / groups) % block == 0 ? CONV_BLOCKED : CONV_PLAIN;
}

static void block_conv(struct layout *l, uint32_t node) {
    enum conv_form form = conv_form(l->o, node);
    if (form == CONV_PLAIN) return;
    if (form == CONV_BLOCKED) set_first_input(l->o, node, enter(l, node, node_in(ort_node(l->o, node), 0)));
    if (ort_is_ms(l->o, node, "FusedConv")) ort_set_attr(l->o, node, "activated", 1);
    if (form == CONV_DIRECT) ort_set_attr(l->o, node, "direct", 1);
    ort_retype(l->o, node, "Conv", NCHWC);
    give_blocked(l, node);
}

static void block_pool(struct layout *l, uint32_t node, bool must_be_blocked) {
    uint32_t x = node_in(ort_node(l->o, node), 0);
    bool fits = ort_tensor(l->o, x)->rank == 4 && dim_at(l->o, x, 1) > 0 && dim_at(l->o, x, 1) % l->o->block == 0 &&
                ort_node(l->o, node)->n_outputs == 1;
    if (!fits || (must_be_blocked && given(l, x) == NONE)) return;
    set_first_input(l->o, node, enter(l, node, x));
    ort_retype(l->o, node, ort_node(l->o, node)->op_type, NCHWC);
    give_blocked(l, node);
}

static bool all_blocked(const struct layout *l, uint32_t node, bool same_shape) {
    const struct node *n = ort_node(l->o, node);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (given(l, n->inputs[i]) == NONE) return false;
        for (int32_t axis = 0; same_shape && axis < 4; axis++)
            if (!dim_same(ort_tensor(l->o, n->inputs[i])->dims[axis], ort_tensor(l->o, n->inputs[0])->dims[axis]))
                return false;
    }
    return n->n_inputs > 0;
}

static void take_blocked_inputs(struct layout *l, uint32_t node) {
    const struct node *n = ort_node(l->o, node);
    uint32_t *inputs = arena_copy(l->o->arena, n->inputs, n->n_inputs * sizeof *inputs);
    for (uint32_t i = 0; i < n->n_inputs; i++) inputs[i] = twin(l, inputs[i]);
    ort_set_inputs(l->o, node, inputs, n->n_inputs);
    give_blocked(l, node);
}

static bool has_flag(const struct ort_graph *o, uint32_t node, const char *name) {
    return node_int(ort_node(o, node), name, 0) != 0;
}

/* Only the twin's reader matters: the plain form must not be read elsewhere. */
static bool can_take_sum(const struct layout *l, uint32_t tensor) {
    uint32_t conv = ort_producer(l->o, twin(l, tensor));
    return conv != NONE && !strcmp(ort_node(l->o, conv)->domain, NCHWC) &&
           !strcmp(ort_node(l->o, conv)->op_type, "Conv") && l->o->uses[tensor] == 1 &&
           !has_flag(l->o, conv, "activated") && !has_flag(l->o, conv, "summed");
}

static void move_after(struct ort_graph *o, uint32_t node, uint32_t place) {
    struct body *body = &o->g->bodies[ort_node(o, node)->body];
    size_t from = 0, to = 0;
    for (size_t i = 0; i < body->n_nodes; i++) {
        if (body->nodes[i] == node) from = i;
        if (body->nodes[i] == place) to = i;
    }
    if (from >= to) return;
    memmove(body->nodes + from, body->nodes + from + 1, (to - from) * sizeof *body->nodes);
    body->nodes[to] = node;
}

/* Add of two blocked values of one shape: the fourth input of a convolution that gives one of them; a Relu after it
 * follows. */
static void block_add(struct layout *l, uint32_t add) {
    struct ort_graph *o = l->o;
    if (!all_blocked(l, add, true) || ort_node(o, add)->n_inputs != 2) return;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t mine = node_in(ort_node(o, add), i), other = node_in(ort_node(o, add), 1 - i);
        if (mine == other || !can_take_sum(l, mine)) continue;
        uint32_t conv = ort_producer(o, twin(l, mine)), bias = node_in(ort_node(o, conv), 2);
        uint32_t inputs[] = {node_in(ort_node(o, conv), 0), node_in(ort_node(o, conv), 1), bias, twin(l, other)};
        uint32_t sum = node_out(ort_node(o, add), 0);
        ort_set_inputs(o, conv, inputs, 4);
        ort_set_attr(o, conv, "summed", 1);
        ort_cover(o, conv, add);
        ort_kill(o, add);
        l->blocked[sum] = twin(l, mine);
        o->uses[twin(l, sum)] = o->uses[sum];
        move_after(o, conv, add);
        return;
    }
    take_blocked_inputs(l, add);
}

static void block_activation(struct layout *l, uint32_t node) {
    struct ort_graph *o = l->o;
    uint32_t x = node_in(ort_node(o, node), 0), y = node_out(ort_node(o, node), 0);
    uint32_t conv = given(l, x) == NONE ? NONE : ort_producer(o, twin(l, x));
    if (conv == NONE) return;
    bool is_nchwc_conv = !strcmp(ort_node(o, conv)->domain, NCHWC) && !strcmp(ort_node(o, conv)->op_type, "Conv");
    if (is_nchwc_conv && o->uses[x] == 1 && !has_flag(o, conv, "activated")) {
        ort_set_attr(o, conv, "activated", 1);
        if (!ort_is(o, node, "Relu")) ort_set_attr(o, conv, "second_pass", 1);
        ort_cover(o, conv, node);
        ort_kill(o, node);
        l->blocked[y] = twin(l, x);
        return;
    }
    take_blocked_inputs(l, node);
}

static void block_concat(struct layout *l, uint32_t node) {
    const struct node *n = ort_node(l->o, node);
    int64_t axis = node_int(n, "axis", 1);
    if ((axis != 1 && axis != -3) || ort_tensor(l->o, node_out(n, 0))->rank != 4 || !all_blocked(l, node, false))
        return;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (dim_at(l->o, n->inputs[i], 1) % l->o->block) return;
    take_blocked_inputs(l, node);
}

/* BatchNormalization of a blocked value runs as a 1x1 depthwise convolution, if its epsilon is written out. */
static void block_norm(struct layout *l, uint32_t node) {
    struct ort_graph *o = l->o;
    uint32_t x = node_in(ort_node(o, node), 0);
    if (given(l, x) == NONE || !node_attr(ort_node(o, node), "epsilon")) return;
    dim dims[] = {ort_tensor(o, x)->dims[1], DIM(1), DIM(1), DIM(1)};
    uint32_t weight = ort_add_tensor(o, x, dims, 4);
    o->g->tensors[weight].flags |= TF_CONSTANT;
    uint32_t inputs[] = {twin(l, x), weight, node_in(ort_node(o, node), 2)};
    ort_set_inputs(o, node, inputs, 3);
    ort_set_attr(o, node, "group", dim_at(o, x, 1));
    ort_retype(o, node, "Conv", NCHWC);
    give_blocked(l, node);
}

static void block_resize(struct layout *l, uint32_t node) {
    const char *mode = node_string(ort_node(l->o, node), "mode", "nearest");
    uint32_t x = node_in(ort_node(l->o, node), 0);
    if (given(l, x) == NONE || (strcmp(mode, "nearest") != 0 && strcmp(mode, "linear") != 0)) return;
    uint32_t t = twin(l, x);
    ort_set_inputs(l->o, node, &t, 1);
    ort_retype(l->o, node, "Upsample", NCHWC);
    give_blocked(l, node);
}

/* A Transpose that puts the channels last is the way out of the layout itself. */
static void block_transpose(struct layout *l, uint32_t node) {
    static const int64_t channels_last[] = {0, 2, 3, 1};
    size_t n;
    const int64_t *perm = node_ints(ort_node(l->o, node), "perm", &n);
    uint32_t t = given(l, node_in(ort_node(l->o, node), 0));
    if (t == NONE || n != 4 || memcmp(perm, channels_last, sizeof channels_last) != 0) return;
    ort_set_inputs(l->o, node, &t, 1);
    ort_retype(l->o, node, "ReorderOutput", NCHWC);
}

/* A plain reader of a blocked value: one ReorderOutput serves all. */
static void leave(struct layout *l, uint32_t reader, uint32_t tensor) {
    if (twin(l, tensor) == NONE || l->restored[tensor]) return;
    l->restored[tensor] = true;
    uint32_t t = twin(l, tensor);
    ort_insert(l->o, reader, false, "ReorderOutput", NCHWC, &t, 1, tensor);
}

static void convert(struct layout *l, uint32_t node) {
    struct ort_graph *o = l->o;
    if (is_conv(o, node))
        block_conv(l, node);
    else if (ort_is(o, node, "MaxPool") || ort_is(o, node, "AveragePool"))
        block_pool(l, node, false);
    else if (ort_is(o, node, "GlobalAveragePool") || ort_is(o, node, "GlobalMaxPool"))
        block_pool(l, node, true);
    else if (ort_is(o, node, "Add") || ort_is(o, node, "Sum"))
        block_add(l, node);
    else if (ort_is(o, node, "Mul") && all_blocked(l, node, true))
        take_blocked_inputs(l, node);
    else if (ort_is(o, node, "Concat"))
        block_concat(l, node);
    else if (ort_is(o, node, "BatchNormalization"))
        block_norm(l, node);
    else if (ort_is(o, node, "Relu") || ort_is(o, node, "Sigmoid") || ort_is(o, node, "Tanh"))
        block_activation(l, node);
    else if (ort_is(o, node, "Resize") || ort_is(o, node, "Upsample"))
        block_resize(l, node);
    else if (ort_is(o, node, "Transpose"))
        block_transpose(l, node);
}

static bool is_blocked_node(const struct ort_graph *o, uint32_t node) {
    return !strcmp(ort_node(o, node)->domain, NCHWC);
}

/* Plain values that the remaining plain nodes and the graph's outputs read. */
static void restore(struct layout *l, const uint32_t *order, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct node *node = ort_node(l->o, order[i]);
        if (node->dead) continue;
        bool direct = is_blocked_node(l->o, order[i]);
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != NONE && node->inputs[k] < l->n_tensors && !(direct && k))
                leave(l, order[i], node->inputs[k]);
    }
    const struct body *body = &l->o->g->bodies[0];
    for (uint32_t i = 0; i < body->n_outputs; i++) {
        uint32_t tensor = body->outputs[i], t = twin(l, tensor);
        if (t == NONE || l->restored[tensor]) continue;
        l->restored[tensor] = true;
        ort_insert(l->o, ort_producer(l->o, t), true, "ReorderOutput", NCHWC, &t, 1, tensor);
    }
}

void ort_layout(struct ort_graph *o) {
    if (!o->block) return;
    ort_index(o);
    struct layout l = {.o = o, .n_tensors = o->g->n_tensors};
    l.blocked = arena_array(o->arena, l.n_tensors + 1, sizeof *l.blocked);
    l.entered = arena_array(o->arena, l.n_tensors + 1, sizeof *l.entered);
    l.restored = arena_array(o->arena, l.n_tensors + 1, sizeof *l.restored);
    for (size_t t = 0; t < l.n_tensors; t++) l.blocked[t] = NONE;
    const struct body *body = &o->g->bodies[0];
    size_t n = body->n_nodes;
    uint32_t *order = arena_copy(o->arena, body->nodes, n * sizeof *order);
    for (size_t i = 0; i < n; i++)
        if (!ort_node(o, order[i])->dead) convert(&l, order[i]);
    restore(&l, order, n);
}
