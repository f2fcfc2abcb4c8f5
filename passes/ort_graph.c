/* Changing the runtime's copy of the graph: uses are counted, readers found, nodes replaced. */
#include "ort_graph.h"

#include <string.h>

void ort_start(struct ort_graph *o, const struct graph *model, struct arena *arena, int64_t block) {
    memset(o, 0, sizeof *o);
    o->g = graph_clone(model, arena);
    o->arena = arena;
    o->block = block;
    o->cap_covers = o->g->n_nodes;
    o->covers = arena_array(arena, o->cap_covers + 1, sizeof *o->covers);
    for (uint32_t n = 0; n < o->g->n_nodes; n++) {
        struct cover *cover = arena_alloc(arena, sizeof *cover);
        cover->node = n;
        o->covers[n] = cover;
    }
}

static void make_room(struct ort_graph *o) {
    o->uses = arena_grow(o->arena, o->uses, o->cap_uses, &o->cap_uses, o->g->n_tensors, sizeof *o->uses);
    o->covers = arena_grow(o->arena, o->covers, o->cap_covers, &o->cap_covers, o->g->n_nodes, sizeof *o->covers);
}

void ort_index(struct ort_graph *o) {
    make_room(o);
    o->users = graph_users(o->g, o->arena);
    o->n_indexed = o->g->n_tensors;
    for (size_t t = 0; t < o->n_indexed; t++) o->uses[t] = o->users.start[t + 1] - o->users.start[t];
    for (size_t b = 0; b < o->g->n_bodies; b++)
        for (uint32_t i = 0; i < o->g->bodies[b].n_outputs; i++) o->uses[o->g->bodies[b].outputs[i]]++;
}

static bool is_op(const struct ort_graph *o, uint32_t node, const char *op_type, const char *domain) {
    return node != NONE && !ort_node(o, node)->dead && !strcmp(ort_node(o, node)->op_type, op_type) &&
           !strcmp(ort_node(o, node)->domain, domain);
}

bool ort_is(const struct ort_graph *o, uint32_t node, const char *op_type) {
    return is_op(o, node, op_type, "");
}

bool ort_is_ms(const struct ort_graph *o, uint32_t node, const char *op_type) {
    return is_op(o, node, op_type, "com.microsoft");
}

uint32_t ort_producer(const struct ort_graph *o, uint32_t tensor) {
    uint32_t node = tensor == NONE ? NONE : ort_tensor(o, tensor)->producer;
    return node == NONE || ort_node(o, node)->dead ? NONE : node;
}

static bool reads(const struct node *node, uint32_t tensor) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] == tensor) return true;
    return false;
}

uint32_t ort_sole_reader(const struct ort_graph *o, uint32_t tensor) {
    if (tensor == NONE || tensor >= o->n_indexed || o->uses[tensor] != 1) return NONE;
    for (uint32_t i = o->users.start[tensor]; i < o->users.start[tensor + 1]; i++) {
        const struct node *node = ort_node(o, o->users.list[i]);
        if (!node->dead && reads(node, tensor)) return o->users.list[i];
    }
    return NONE;
}

bool ort_constant(const struct ort_graph *o, uint32_t tensor) {
    return tensor != NONE && (ort_tensor(o, tensor)->flags & (TF_CONSTANT | TF_INITIALIZER)) != 0;
}

bool ort_scalar(const struct ort_graph *o, uint32_t tensor, double *value) {
    if (!ort_constant(o, tensor)) return false;
    const struct tensor *t = ort_tensor(o, tensor);
    const struct value *v = t->value ? t->value : tensor_read(o->g, t);
    if (!v || v->n != 1 || !dim_is_number(v->at[0].d)) return false;
    *value = v->is_float ? v->at[0].f * (double)v->at[0].d.value : (double)v->at[0].d.value;
    return true;
}

bool ort_per_channel(const struct ort_graph *o, uint32_t tensor, int64_t channels) {
    if (!ort_constant(o, tensor)) return false;
    const struct tensor *t = ort_tensor(o, tensor);
    if (t->rank < 0 || t->rank > 4) return false;
    for (int32_t axis = 0; axis < t->rank; axis++) {
        bool channel_axis = axis == t->rank - 3;
        if (!dim_is(t->dims[axis], 1) && !(channel_axis && dim_is(t->dims[axis], channels))) return false;
    }
    return true;
}

uint32_t ort_constant_operand(const struct ort_graph *o, uint32_t node, uint32_t *other) {
    uint32_t a = node_in(ort_node(o, node), 0), b = node_in(ort_node(o, node), 1);
    bool constant_a = ort_constant(o, a), constant_b = ort_constant(o, b);
    *other = constant_a ? b : a;
    if (constant_a == constant_b) return NONE;
    return constant_a ? a : b;
}

void ort_kill(struct ort_graph *o, uint32_t node) {
    struct node *n = ort_node(o, node);
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] != NONE) o->uses[n->inputs[i]]--;
    n->dead = true;
}

void ort_set_inputs(struct ort_graph *o, uint32_t node, const uint32_t *inputs, uint32_t n) {
    struct node *target = ort_node(o, node);
    for (uint32_t i = 0; i < n; i++)
        if (inputs[i] != NONE) o->uses[inputs[i]]++;
    for (uint32_t i = 0; i < target->n_inputs; i++)
        if (target->inputs[i] != NONE) o->uses[target->inputs[i]]--;
    target->inputs = arena_copy(o->arena, inputs, n * sizeof *inputs);
    target->n_inputs = n;
}

void ort_retype(struct ort_graph *o, uint32_t node, const char *op_type, const char *domain) {
    struct node *n = ort_node(o, node);
    n->op_type = intern_str(o->g->names, op_type);
    n->domain = intern_str(o->g->names, domain);
    n->op = op_find(domain, op_type, INT64_MAX); /* the runtime has every operator, whatever the model imports */
}

void ort_set_attr(struct ort_graph *o, uint32_t node, const char *name, int64_t value) {
    struct node *n = ort_node(o, node);
    struct attr *attrs = arena_array(o->arena, n->n_attrs + 1, sizeof *attrs);
    if (n->n_attrs) memcpy(attrs, n->attrs, n->n_attrs * sizeof *attrs);
    attrs[n->n_attrs] = (struct attr){.name = intern_str(o->g->names, name), .type = AT_INT, .i = value};
    n->attrs = attrs;
    n->n_attrs++;
}

void ort_cover(struct ort_graph *o, uint32_t node, uint32_t of) {
    for (const struct cover *c = o->covers[of]; c; c = c->next) {
        struct cover *copy = arena_alloc(o->arena, sizeof *copy);
        copy->node = c->node;
        copy->next = NULL;
        const struct cover **end = &o->covers[node];
        if (!*end) {
            *end = copy;
            continue;
        }
        copy->next = (*end)->next; /* the first stays first: it names the kernel */
        struct cover *first = arena_alloc(o->arena, sizeof *first);
        *first = (struct cover){(*end)->node, copy};
        *end = first;
    }
}

void ort_absorb(struct ort_graph *o, uint32_t into, uint32_t last) {
    uint32_t output = node_out(ort_node(o, last), 0);
    ort_cover(o, into, last);
    ort_kill(o, last);
    struct node *node = ort_node(o, into);
    for (uint32_t i = 0; i < node->n_outputs; i++)
        if (node->outputs[i] != NONE) o->g->tensors[node->outputs[i]].producer = NONE; /* nothing gives it any more */
    node->outputs = arena_copy(o->arena, &output, sizeof output);
    node->n_outputs = 1;
    o->g->tensors[output].producer = into;
}

void ort_give(struct ort_graph *o, uint32_t into, uint32_t other) {
    uint32_t output = node_out(ort_node(o, other), 0);
    struct node *node = ort_node(o, into);
    uint32_t *outputs = arena_array(o->arena, node->n_outputs + 1u, sizeof *outputs);
    memcpy(outputs, node->outputs, node->n_outputs * sizeof *outputs);
    outputs[node->n_outputs++] = output;
    node->outputs = outputs;
    o->g->tensors[output].producer = into;
    ort_kill(o, other);
}

uint32_t ort_add_tensor(struct ort_graph *o, uint32_t like, const dim *dims, int32_t rank) {
    uint32_t t = graph_add_tensor(o->g, ort_tensor(o, like)->body, "");
    tensor_set_shape(o->g, t, ort_tensor(o, like)->dtype, dims, rank);
    make_room(o);
    o->uses[t] = 0;
    return t;
}

/* Moves the last node of the body to its place. Bodies are short and rules few: a scan is cheap enough. */
static void place(struct body *body, uint32_t at, bool after) {
    uint32_t id = body->nodes[body->n_nodes - 1];
    size_t to = body->n_nodes - 1;
    while (to && body->nodes[to - 1] != at) to--;
    size_t slot = after ? to : to - 1;
    memmove(body->nodes + slot + 1, body->nodes + slot, (body->n_nodes - 1 - slot) * sizeof *body->nodes);
    body->nodes[slot] = id;
}

uint32_t ort_insert(struct ort_graph *o, uint32_t at, bool after, const char *op_type, const char *domain,
                    const uint32_t *inputs, uint32_t n_inputs, uint32_t output) {
    uint32_t body = ort_node(o, at)->body;
    uint32_t id = graph_add_node(o->g, body, op_type, domain, "", inputs, n_inputs, &output, 1, NULL, 0);
    ort_retype(o, id, op_type, domain);
    place(&o->g->bodies[body], at, after);
    make_room(o);
    o->covers[id] = NULL;
    for (uint32_t i = 0; i < n_inputs; i++)
        if (inputs[i] != NONE) o->uses[inputs[i]]++;
    return id;
}
