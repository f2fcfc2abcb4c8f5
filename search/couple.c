/* The classes themselves: union-find over elements, frozen flags, the walk over the nodes. */
#include "couple.h"

/* Reads only: several threads may ask at once. */
static uint32_t find(const struct coupling *c, uint32_t e) {
    while (c->parent[e] != e) e = c->parent[e];
    return e;
}

static uint32_t find_and_shorten(struct coupling *c, uint32_t e) {
    while (c->parent[e] != e) e = c->parent[e] = c->parent[c->parent[e]];
    return e;
}

void join(struct coupling *c, uint32_t a, uint32_t b) {
    a = find_and_shorten(c, a);
    b = find_and_shorten(c, b);
    if (a == b) return;
    uint32_t low = a < b ? a : b, high = a < b ? b : a; /* the smallest element is the root: order of ties is nothing */
    c->parent[high] = low;
    c->frozen[low] = c->frozen[low] || c->frozen[high];
}

int64_t couple_size(const struct coupling *c, uint32_t tensor, int32_t axis) {
    const struct tensor *t = &c->g->tensors[tensor];
    return axis >= 0 && axis < t->rank && dim_is_number(t->dims[axis]) ? t->dims[axis].value : -1;
}

static uint32_t base_of(const struct coupling *c, uint32_t tensor, int32_t axis) {
    if (tensor == NONE || axis < 0 || axis >= c->g->tensors[tensor].rank) return NONE;
    return c->base[c->first_axis[tensor] + (uint32_t)axis];
}

uint32_t couple_element(const struct coupling *c, uint32_t tensor, int32_t axis, int64_t index) {
    uint32_t base = base_of(c, tensor, axis);
    return base == NONE ? NONE : find(c, base + (uint32_t)index);
}

bool couple_is_frozen(const struct coupling *c, uint32_t class_) {
    return class_ == NONE || c->frozen[find(c, class_)];
}

void freeze_range(struct coupling *c, uint32_t tensor, int32_t axis, int64_t from, int64_t count) {
    uint32_t base = base_of(c, tensor, axis);
    for (int64_t i = from; base != NONE && i < from + count; i++) c->frozen[find(c, base + (uint32_t)i)] = true;
}

void freeze(struct coupling *c, uint32_t tensor, int32_t axis) {
    freeze_range(c, tensor, axis, 0, base_of(c, tensor, axis) == NONE ? 0 : couple_size(c, tensor, axis));
}

void freeze_all(struct coupling *c, uint32_t tensor) {
    if (tensor == NONE) return;
    for (int32_t axis = 0; axis < c->g->tensors[tensor].rank; axis++) freeze(c, tensor, axis);
}

void freeze_node(struct coupling *c, uint32_t node) {
    const struct node *n = &c->g->nodes[node];
    for (uint32_t i = 0; i < n->n_inputs; i++) freeze_all(c, n->inputs[i]);
    for (uint32_t i = 0; i < n->n_outputs; i++) freeze_all(c, n->outputs[i]);
}

void tie_range(struct coupling *c, uint32_t a, int32_t axis_a, int64_t from_a, uint32_t b, int32_t axis_b,
               int64_t from_b, int64_t count) {
    uint32_t base_a = base_of(c, a, axis_a), base_b = base_of(c, b, axis_b);
    bool fits = base_a != NONE && base_b != NONE && from_a >= 0 && from_b >= 0 &&
                from_a + count <= couple_size(c, a, axis_a) && from_b + count <= couple_size(c, b, axis_b);
    if (!fits) {
        freeze(c, a, axis_a);
        freeze(c, b, axis_b);
        return;
    }
    for (int64_t i = 0; i < count; i++) join(c, base_a + (uint32_t)(from_a + i), base_b + (uint32_t)(from_b + i));
}

void tie(struct coupling *c, uint32_t a, int32_t axis_a, uint32_t b, int32_t axis_b) {
    if (base_of(c, a, axis_a) == NONE && base_of(c, b, axis_b) == NONE) return;
    int64_t size = couple_size(c, a, axis_a);
    if (size == couple_size(c, b, axis_b))
        tie_range(c, a, axis_a, 0, b, axis_b, 0, size);
    else {
        freeze(c, a, axis_a);
        freeze(c, b, axis_b);
    }
}

bool axis_is_frozen(const struct coupling *c, uint32_t tensor, int32_t axis) {
    uint32_t base = base_of(c, tensor, axis);
    if (base == NONE) return true;
    for (int64_t i = 0; i < couple_size(c, tensor, axis); i++)
        if (!c->frozen[find(c, base + (uint32_t)i)]) return false;
    return true;
}

void note_contraction(struct coupling *c, uint32_t node, uint32_t tensor, int32_t axis) {
    PUSH(c->arena, c, contractions, ((struct axis_use){node, tensor, axis}));
}

void note_statistics(struct coupling *c, uint32_t node, uint32_t tensor, int32_t axis) {
    PUSH(c->arena, c, statistics, ((struct axis_use){node, tensor, axis}));
}

static void number_elements(struct coupling *c) {
    size_t n_axes = 0;
    for (size_t t = 0; t < c->g->n_tensors; t++)
        n_axes += c->g->tensors[t].rank > 0 ? (size_t)c->g->tensors[t].rank : 0;
    c->first_axis = arena_array(c->arena, c->g->n_tensors + 1, sizeof *c->first_axis);
    c->base = arena_array(c->arena, n_axes + 1, sizeof *c->base);
    uint32_t at = 0;
    int64_t elements = 0;
    for (uint32_t t = 0; t < c->g->n_tensors; t++) {
        c->first_axis[t] = at;
        for (int32_t axis = 0; axis < c->g->tensors[t].rank; axis++) {
            int64_t size = couple_size(c, t, axis);
            bool counts = size > 1 && elements + size < INT32_MAX;
            c->base[at++] = counts ? (uint32_t)elements : NONE;
            elements += counts ? size : 0;
        }
    }
    c->n = (uint32_t)elements;
    c->parent = arena_array(c->arena, (size_t)c->n + 1, sizeof *c->parent);
    c->frozen = arena_array(c->arena, (size_t)c->n + 1, sizeof *c->frozen);
    for (uint32_t e = 0; e < c->n; e++) c->parent[e] = e;
}

/* Slices are taken of whole bytes that lie one element after the other; of sparse tensors by reading their places. */
static bool can_be_sliced(const struct tensor *t) {
    const struct data *data = t->sparse ? &t->sparse->values : &t->data;
    if (!(t->flags & TF_INITIALIZER) || data->encoding == ENC_NONE) return true;
    if (t->sparse && !sparse_places(t, NULL)) return false;
    return t->kind == TY_TENSOR && dtype_bits(t->dtype) >= 8 && data->encoding != ENC_STRINGS &&
           data->encoding != ENC_VARINTS;
}

/* The interface stays as it is, and what a subgraph sees is left alone. */
bool couple_can_cut(const struct tensor *t) {
    return t->body == 0 && can_be_sliced(t) && !(t->flags & (TF_INPUT | TF_OUTPUT | TF_CAPTURED | TF_PRIVATE));
}

void couple(struct coupling *c, struct graph *g, bool inner, struct arena *arena) {
    *c = (struct coupling){.g = g, .arena = arena, .inner = inner};
    number_elements(c);
    for (uint32_t t = 0; t < g->n_tensors; t++)
        if (!couple_can_cut(&g->tensors[t])) freeze_all(c, t);
    const struct body *body = &g->bodies[0];
    for (size_t i = 0; i < body->n_nodes; i++)
        if (!g->nodes[body->nodes[i]].dead) couple_node(c, body->nodes[i]);
    settle_choices(c);
    for (uint32_t e = 0; e < c->n; e++) c->parent[e] = find_and_shorten(c, e);
}
