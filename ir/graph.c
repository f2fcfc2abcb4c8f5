/* Making, copying and asking a graph. */
#include "dims.h"
#include "ir.h"

#include <string.h>

struct graph *graph_new(struct arena *arena, const char *path) {
    struct graph *g = arena_alloc(arena, sizeof *g);
    g->arena = arena;
    g->names = arena_alloc(arena, sizeof *g->names);
    strtab_init(g->names, arena);
    g->exprs = dims_new(arena);
    g->path = arena_printf(arena, "%s", path);
    g->producer = "";
    graph_add_body(g, NONE, NONE, "");
    return g;
}

/* A body's list of nodes is grown in place, so a clone has its own. */
static void clone_bodies(struct graph *clone, const struct graph *of) {
    clone->bodies = arena_copy(clone->arena, of->bodies, of->n_bodies * sizeof *of->bodies);
    clone->cap_bodies = of->n_bodies;
    for (size_t i = 0; i < of->n_bodies; i++) {
        struct body *body = &clone->bodies[i];
        body->nodes = arena_copy(clone->arena, body->nodes, body->n_nodes * sizeof *body->nodes);
        body->cap_nodes = body->n_nodes;
    }
}

static struct strtab *clone_names(const struct strtab *of, struct arena *arena) {
    struct strtab *clone = arena_copy(arena, of, sizeof *of);

    map_clone(&clone->map, &of->map, arena);
    clone->strings = arena_copy(arena, of->strings, of->n_strings * sizeof *of->strings);
    clone->cap_strings = of->n_strings;
    return clone;
}

struct graph *graph_clone(const struct graph *of, struct arena *arena) {
    struct graph *g = arena_copy(arena, of, sizeof *of);
    g->arena = arena;
    g->names = clone_names(of->names, arena);
    g->exprs = dims_clone(of->exprs, arena);
    g->tensors = arena_copy(arena, of->tensors, of->n_tensors * sizeof *of->tensors);
    g->nodes = arena_copy(arena, of->nodes, of->n_nodes * sizeof *of->nodes);
    g->files = arena_copy(arena, of->files, of->n_files * sizeof *of->files);
    g->cap_tensors = of->n_tensors;
    g->cap_nodes = of->n_nodes;
    g->cap_files = of->n_files;
    clone_bodies(g, of);
    return g;
}

uint32_t graph_add_tensor(struct graph *g, uint32_t body, const char *name) {
    struct tensor tensor = {.name = intern_str(g->names, name),
                            .rank = RANK_UNKNOWN,
                            .producer = NONE,
                            .body = body,
                            .data = {.file = NONE},
                            .length = DIM_UNKNOWN};
    PUSH(g->arena, g, tensors, tensor);
    return (uint32_t)g->n_tensors - 1;
}

uint32_t graph_add_body(struct graph *g, uint32_t parent, uint32_t owner, const char *name) {
    struct body body = {.name = intern_str(g->names, name), .parent = parent, .owner = owner};
    PUSH(g->arena, g, bodies, body);
    return (uint32_t)g->n_bodies - 1;
}

uint32_t graph_add_node(struct graph *g, uint32_t body, const char *op_type, const char *domain, const char *name,
                        const uint32_t *inputs, uint32_t n_inputs, const uint32_t *outputs, uint32_t n_outputs,
                        const struct attr *attrs, uint32_t n_attrs) {
    if (!strcmp(domain, "ai.onnx")) domain = "";
    struct node node = {.name = intern_str(g->names, name),
                        .op_type = intern_str(g->names, op_type),
                        .domain = intern_str(g->names, domain),
                        .op = op_find(domain, op_type, graph_opset(g, domain)),
                        .body = body,
                        .n_inputs = n_inputs,
                        .n_outputs = n_outputs,
                        .n_attrs = n_attrs,
                        .inputs = arena_copy(g->arena, inputs, n_inputs * sizeof *inputs),
                        .outputs = arena_copy(g->arena, outputs, n_outputs * sizeof *outputs),
                        .attrs = arena_copy(g->arena, attrs, n_attrs * sizeof *attrs)};
    PUSH(g->arena, g, nodes, node);
    uint32_t id = (uint32_t)g->n_nodes - 1;
    PUSH(g->arena, &g->bodies[body], nodes, id);
    for (uint32_t i = 0; i < n_outputs; i++)
        if (outputs[i] != NONE) g->tensors[outputs[i]].producer = id;
    return id;
}

const struct attr *node_attr(const struct node *node, const char *name) {
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const char *has = node->attrs[i].name;
        if (has[0] == name[0] && !strcmp(has, name)) return &node->attrs[i]; /* most differ in the first letter */
    }
    return NULL;
}

int64_t node_int(const struct node *node, const char *name, int64_t otherwise) {
    const struct attr *attr = node_attr(node, name);
    return attr && attr->type == AT_INT ? attr->i : otherwise;
}

double node_float(const struct node *node, const char *name, double otherwise) {
    const struct attr *attr = node_attr(node, name);
    return attr && attr->type == AT_FLOAT ? (double)attr->f : otherwise;
}

const char *node_string(const struct node *node, const char *name, const char *otherwise) {
    const struct attr *attr = node_attr(node, name);
    return attr && attr->type == AT_STRING ? attr->s : otherwise;
}

const int64_t *node_ints(const struct node *node, const char *name, size_t *n) {
    const struct attr *attr = node_attr(node, name);
    bool found = attr && attr->type == AT_INTS;
    *n = found ? attr->n : 0;
    return found ? attr->ints : NULL;
}

const char *node_label(const struct graph *g, uint32_t id) {
    const struct node *node = &g->nodes[id];
    const char *prefix = node->domain[0] ? node->domain : "", *dot = node->domain[0] ? "." : "";
    if (node->name[0]) return arena_printf(g->arena, "node \"%s\" (%s%s%s)", node->name, prefix, dot, node->op_type);
    uint32_t out = node_out(node, 0);
    if (out != NONE && g->tensors[out].name[0])
        return arena_printf(g->arena, "node giving \"%s\" (%s%s%s)", g->tensors[out].name, prefix, dot, node->op_type);
    return arena_printf(g->arena, "node %u (%s%s%s)", id, prefix, dot, node->op_type);
}

void tensor_set_shape(struct graph *g, uint32_t id, enum dtype dtype, const dim *dims, int32_t rank) {
    struct tensor *tensor = &g->tensors[id];
    tensor->dtype = dtype;
    tensor->rank = rank;
    tensor->dims = rank > 0 ? arena_copy(g->arena, dims, (size_t)rank * sizeof *dims) : NULL;
}

dim tensor_elements(struct graph *g, const struct tensor *tensor) {
    if (tensor->rank < 0) return DIM_UNKNOWN;
    dim n = DIM(1);
    for (int32_t i = 0; i < tensor->rank; i++) n = dim_mul(g, n, tensor->dims[i]);
    return n;
}

int64_t tensor_bytes(const struct tensor *tensor) {
    if (tensor->rank < 0) return -1;
    int64_t n = 1;
    for (int32_t i = 0; i < tensor->rank; i++) {
        if (!dim_is_number(tensor->dims[i])) return -1;
        n = num_mul_sat(n, tensor->dims[i].value);
    }
    int64_t bits = num_mul_sat(n, dtype_bits(tensor->dtype));
    return bits == INT64_MAX ? bits : (bits + 7) / 8;
}

struct users graph_users(const struct graph *g, struct arena *arena) {
    uint32_t *start = arena_array(arena, g->n_tensors + 2, sizeof *start), total = 0;
    for (size_t n = 0; n < g->n_nodes; n++)
        for (uint32_t i = 0; !g->nodes[n].dead && i < g->nodes[n].n_inputs; i++)
            if (g->nodes[n].inputs[i] != NONE) start[g->nodes[n].inputs[i] + 2]++, total++;
    for (size_t t = 2; t < g->n_tensors + 2; t++) start[t] += start[t - 1];
    uint32_t *list = arena_array(arena, (size_t)total + 1, sizeof *list);
    for (uint32_t n = 0; n < g->n_nodes; n++)
        for (uint32_t i = 0; !g->nodes[n].dead && i < g->nodes[n].n_inputs; i++)
            if (g->nodes[n].inputs[i] != NONE) list[start[g->nodes[n].inputs[i] + 1]++] = n;
    return (struct users){start, list};
}
