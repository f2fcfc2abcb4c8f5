/* Before the analysis: constants take the place of the nodes that compute them, nodes that only pass a value on go, and
 * every use of an initializer gets a copy of its own (exporters share equal tensors; a shared one would couple layers
 * that have nothing to do with each other). Copies share their bytes until one of them is cut. */
#include "rewrite.h"

#include <string.h>

static bool all_numbers(const struct value *v) {
    for (uint32_t i = 0; i < v->n; i++)
        if (!dim_is_number(v->at[i].d)) return false;
    return true;
}

/* Little-endian bytes of a value in the tensor's own type; NULL for types that carry no shape arithmetic. */
static const uint8_t *encode(const struct tensor *t, struct arena *arena) {
    size_t width = dtype_bits(t->dtype) / 8;
    uint8_t *bytes = arena_alloc(arena, t->value->n * width + 1);
    for (uint32_t i = 0; i < t->value->n; i++) {
        const struct scalar *s = &t->value->at[i];
        float single = (float)(s->f * (double)s->d.value);
        double number = s->f * (double)s->d.value;
        if (t->dtype == DT_FLOAT)
            memcpy(bytes + i * width, &single, width);
        else if (t->dtype == DT_DOUBLE)
            memcpy(bytes + i * width, &number, width);
        else if (dtype_is_integer(t->dtype) && width)
            memcpy(bytes + i * width, &s->d.value, width);
        else
            return NULL;
    }
    return bytes;
}

static bool can_bake(const struct graph *g, const struct node *node) {
    const struct op_info *op = &op_table[node->op];
    if (node->dead || node->op == OP_UNKNOWN || op->flags & (F_RANDOM | F_CONTROL | F_HOST) || !node->n_outputs)
        return false;
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        if (node->outputs[i] == NONE) continue;
        const struct tensor *t = &g->tensors[node->outputs[i]];
        bool known =
            t->kind == TY_TENSOR && t->rank >= 0 && t->value && all_numbers(t->value) && !(t->flags & TF_OUTPUT);
        if (!known) return false;
    }
    return true;
}

static void bake(struct graph *g, struct node *node, struct arena *arena) {
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        if (node->outputs[i] == NONE) continue;
        struct tensor *t = &g->tensors[node->outputs[i]];
        const uint8_t *bytes = encode(t, arena);
        if (!bytes) return;
        t->stored_bytes = (uint64_t)tensor_bytes(t);
        t->data = (struct data){ENC_RAW, NONE, 0, t->stored_bytes, bytes};
        t->flags |= TF_INITIALIZER | TF_CONSTANT;
        t->producer = NONE;
    }
    node->dead = true;
}

/* Weights that some exporters keep in Constant nodes are initializers like any other. */
static bool bake_constant(struct graph *g, struct node *node) {
    if (node->op != OP_Constant || node->dead || node->n_attrs != 1 || node->attrs[0].type != AT_TENSOR) return false;
    struct tensor *t = &g->tensors[node->outputs[0]];
    const struct tensor *stored = &g->tensors[node->attrs[0].tensor];
    if (t->kind != TY_TENSOR || t->rank < 0 || t->flags & TF_OUTPUT || stored->data.encoding == ENC_NONE) return false;
    t->data = stored->data;
    t->stored_bytes = stored->stored_bytes;
    t->flags |= TF_INITIALIZER | TF_CONSTANT;
    t->producer = NONE;
    node->dead = true;
    return true;
}

static bool is_read(const struct graph *g, uint32_t tensor) {
    bool read = g->tensors[tensor].flags & (TF_OUTPUT | TF_CAPTURED);
    for (size_t n = 0; n < g->n_nodes && !read; n++)
        for (uint32_t i = 0; i < g->nodes[n].n_inputs; i++) read = read || g->nodes[n].inputs[i] == tensor;
    return read;
}

static bool passes_on(const struct graph *g, const struct node *node) {
    bool is_identity = !strcmp(node->op_type, "Identity") || !strcmp(node->op_type, "Dropout");
    for (uint32_t i = 1; i < node->n_outputs; i++) /* the mask of a Dropout */
        if (node->outputs[i] != NONE && is_read(g, node->outputs[i])) return false;
    return is_identity && !node->dead && node->domain[0] == '\0' && node->inputs[0] != NONE &&
           !(g->tensors[node->outputs[0]].flags & (TF_OUTPUT | TF_CAPTURED)) &&
           !(g->tensors[node->inputs[0]].flags & TF_CAPTURED);
}

static void read_through(struct graph *g, struct arena *arena) {
    uint32_t *alias = arena_array(arena, g->n_tensors + 1, sizeof *alias);
    for (uint32_t t = 0; t < g->n_tensors; t++) alias[t] = t;
    const struct body *body = &g->bodies[0];
    for (size_t i = 0; i < body->n_nodes; i++) {
        struct node *node = &g->nodes[body->nodes[i]];
        uint32_t *inputs = arena_copy(arena, node->inputs, node->n_inputs * sizeof *inputs);
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (inputs[k] != NONE) inputs[k] = alias[inputs[k]];
        node->inputs = inputs;
        if (!passes_on(g, node)) continue;
        alias[node->outputs[0]] = inputs[0];
        node->dead = true;
    }
}

static uint32_t private_copy(struct graph *g, uint32_t of) {
    char name[512];
    uint32_t id;
    unsigned serial = 1;
    struct tensor copy = g->tensors[of];
    do snprintf(name, sizeof name, "%.400s_copy%u", copy.name, serial++);
    while (map_get(&g->names->map, name, strlen(name), &id));
    id = graph_add_tensor(g, copy.body, name);
    copy.name = g->tensors[id].name;
    copy.origin = NULL; /* what the file declares, it declares of the original */
    g->tensors[id] = copy;
    return id;
}

static const uint32_t *privatise(struct graph *g, struct arena *arena) {
    size_t n = g->n_tensors, cap = 0, n_copies = n;
    bool *used = arena_array(arena, n + 1, sizeof *used);
    uint32_t *copy_of = arena_grow(arena, NULL, 0, &cap, n + 1, sizeof *copy_of);
    for (uint32_t t = 0; t < n; t++) copy_of[t] = t;
    for (size_t b = 0; b < g->bodies[0].n_nodes; b++) {
        struct node *node = &g->nodes[g->bodies[0].nodes[b]];
        uint32_t *inputs = arena_copy(arena, node->inputs, node->n_inputs * sizeof *inputs);
        for (uint32_t k = 0; !node->dead && k < node->n_inputs; k++) {
            uint32_t t = inputs[k];
            if (t == NONE || !(g->tensors[t].flags & TF_INITIALIZER) || g->tensors[t].flags & TF_CAPTURED) continue;
            if (used[t]) {
                inputs[k] = private_copy(g, t);
                copy_of = arena_grow(arena, copy_of, n_copies, &cap, n_copies + 1, sizeof *copy_of);
                copy_of[n_copies++] = t;
            }
            used[t] = true;
        }
        node->inputs = inputs;
    }
    return copy_of;
}

void prepare(struct graph *g, struct arena *arena, const uint32_t **copy_of) {
    const struct body *body = &g->bodies[0];
    for (size_t i = 0; i < body->n_nodes; i++) {
        struct node *node = &g->nodes[body->nodes[i]];
        if (!bake_constant(g, node) && can_bake(g, node)) bake(g, node, arena);
    }
    read_through(g, arena);
    *copy_of = privatise(g, arena);
}
