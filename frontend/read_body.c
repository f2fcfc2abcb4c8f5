#include "reader.h"

#include <string.h>

struct tensor_origin *read_tensor_origin(struct reader *r, uint32_t id) {
    struct tensor *t = &r->graph->tensors[id];
    if (!t->origin) t->origin = arena_alloc(r->arena, sizeof(struct tensor_origin));
    return (struct tensor_origin *)t->origin;
}

/* As node_label(), of nodes that are not in the graph yet. */
static const char *label_of(struct reader *r, const Onnx__NodeProto *node) {
    const char *domain = domain_of(node->domain), *type = text_or(node->op_type, ""), *name = text_or(node->name, "");
    const char *what = *name ? "node \"" : "node giving \"";
    if (!*name && node->n_output) name = node->output[0];
    const char *parts[] = {what, name, "\" (", domain, *domain ? "." : "", type, ")"};
    return arena_join(r->arena, parts, COUNT_OF(parts));
}

static bool find_name(const struct scope *s, const char *name, uint32_t *id) {
    size_t n = strlen(name);
    for (; s; s = s->outer)
        if (map_get(&s->names, name, n, id)) return true;
    return false;
}

/* ---- Defining names ---- */

static enum status define(struct reader *r, struct scope *s, const char *name, const char *what, uint32_t *id) {
    size_t n = strlen(name);
    if (map_get(&s->names, name, n, id))
        return read_fail(r, ST_MODEL, "%s: \"%s\" is defined twice in its graph", what, name);
    /* Outputs of a function are tensors of its caller. */
    bool of_caller = s->call && !s->outer && map_get(&s->call->results, name, n, id);
    if (!of_caller) *id = graph_add_tensor(r->graph, s->body, name_in_graph(r, s, name));
    map_put(&s->names, name, n, *id);
    return ST_OK;
}

static enum status define_dense(struct reader *r, struct scope *s, const Onnx__TensorProto *t, size_t at) {
    const char *name = text_or(t->name, "");
    if (!*name) return read_fail(r, ST_MODEL, "initializer %zu has no name", at);
    const char *parts[] = {"initializer \"", name, "\""};
    const char *what = arena_join(r->arena, parts, COUNT_OF(parts));
    uint32_t id;
    TRY(define(r, s, name, what, &id));
    return read_dense(r, id, t, what);
}

static enum status define_sparse(struct reader *r, struct scope *s, const Onnx__SparseTensorProto *t, size_t at) {
    const char *name = t->values ? text_or(t->values->name, "") : "";
    if (!*name) return read_fail(r, ST_MODEL, "sparse initializer %zu has no name", at);
    const char *what = arena_printf(r->arena, "sparse initializer \"%s\"", name);
    uint32_t id;
    TRY(define(r, s, name, what, &id));
    return read_sparse(r, id, t, what);
}

static enum status define_initializers(struct reader *r, struct scope *s, const Onnx__GraphProto *g) {
    for (size_t i = 0; i < g->n_initializer; i++) TRY(define_dense(r, s, g->initializer[i], i));
    for (size_t i = 0; i < g->n_sparse_initializer; i++) TRY(define_sparse(r, s, g->sparse_initializer[i], i));
    return ST_OK;
}

static enum status declare(struct reader *r, const struct scope *s, uint32_t id, const Onnx__ValueInfoProto *info,
                           bool open) {
    struct tensor *t = &r->graph->tensors[id];
    if (t->flags & (TF_INITIALIZER | TF_DECLARED) || !info->type) return ST_OK;
    struct declared *type = &read_tensor_origin(r, id)->type;
    TRY(read_type(r, info->type, text_or(info->name, ""), open, !s->call, type));
    t->kind = type->kind;
    t->flags |= TF_DECLARED;
    tensor_set_shape(r->graph, id, type->dtype, type->dims, type->rank);
    return ST_OK;
}

/* Inputs, less those that give an initializer its type (IR 3 wants one for each; later it makes them overridable). */
static enum status define_inputs(struct reader *r, struct scope *s, const Onnx__GraphProto *g) {
    uint32_t *inputs = arena_array(r->arena, g->n_input, sizeof *inputs), n = 0;
    for (size_t i = 0; i < g->n_input; i++) {
        const char *name = text_or(g->input[i]->name, "");
        uint32_t id;
        if (!*name) return read_fail(r, ST_MODEL, "input %zu of graph \"%s\" has no name", i, text_or(g->name, ""));
        bool known = map_get(&s->names, name, strlen(name), &id);
        if (!known || read_tensor_origin(r, id)->input)
            TRY(define(r, s, name, arena_printf(r->arena, "input \"%s\"", name), &id));
        read_tensor_origin(r, id)->input = g->input[i];
        if (known) continue;
        inputs[n++] = id;
        r->graph->tensors[id].flags |= s->body == 0 ? TF_INPUT : TF_PRIVATE;
        TRY(declare(r, s, id, g->input[i], s->body == 0));
    }
    r->graph->bodies[s->body].inputs = inputs;
    r->graph->bodies[s->body].n_inputs = n;
    return ST_OK;
}

static enum status declare_values(struct reader *r, struct scope *s, const Onnx__GraphProto *g) {
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = text_or(g->output[i]->name, "");
        uint32_t id;
        if (!map_get(&s->names, name, strlen(name), &id)) continue;
        read_tensor_origin(r, id)->output = g->output[i];
        TRY(declare(r, s, id, g->output[i], false));
    }
    for (size_t i = 0; i < g->n_value_info; i++) {
        const char *name = text_or(g->value_info[i]->name, "");
        uint32_t id;
        if (!map_get(&s->names, name, strlen(name), &id)) continue;
        read_tensor_origin(r, id)->hint = g->value_info[i];
        TRY(declare(r, s, id, g->value_info[i], false));
    }
    return ST_OK;
}

static enum status define_outputs_of(struct reader *r, struct scope *s, const Onnx__NodeProto *node, uint32_t *ids) {
    const char *label = label_of(r, node);
    for (size_t i = 0; i < node->n_output; i++) {
        ids[i] = NONE;
        if (*node->output[i]) TRY(define(r, s, node->output[i], label, &ids[i]));
    }
    return ST_OK;
}

/* ---- Nodes ---- */

enum status read_name(struct reader *r, const struct scope *s, uint32_t user_body, const char *name, const char *label,
                      uint32_t *id) {
    *id = NONE;
    if (!*name) return ST_OK;
    if (!find_name(s, name, id))
        return read_fail(r, ST_MODEL, "%s: \"%s\" is no input, initializer or output of a node", label, name);
    if (*id != NONE && r->graph->tensors[*id].body != user_body) r->graph->tensors[*id].flags |= TF_CAPTURED;
    return ST_OK;
}

/* A domain without an import has no meaning (IR.md, "Operator Sets"); others than the default one are let through,
 * because converters forget them. */
static enum status check_import(struct reader *r, const char *domain, const char *label) {
    if (graph_opset(r->graph, domain) > 0) return ST_OK;
    if (!*domain) return read_fail(r, ST_MODEL, "%s: the model imports no version of the default operator set", label);
    read_warn(r, "operator set \"%s\" is used and not imported: version 1 is assumed", domain);
    return read_import(r, domain, 1);
}

static enum status add_node(struct reader *r, struct scope *s, const Onnx__NodeProto *text, const uint32_t *inputs,
                            const uint32_t *outputs, const char *label) {
    const char *domain = domain_of(text->domain), *name = text_or(text->name, "");
    TRY(check_import(r, domain, label));
    if (r->graph->n_nodes == LIMIT_NODES)
        return read_fail(r, ST_LIMIT, "%s: more than %d nodes, functions counted at every call", label, LIMIT_NODES);
    if (s->call && *name) name = arena_printf(r->arena, "%s/%s", s->call->prefix, name);
    uint32_t id = graph_add_node(r->graph, s->body, text->op_type, domain, name, inputs, (uint32_t)text->n_input,
                                 outputs, (uint32_t)text->n_output, NULL, 0);
    if (s->call)
        apply_imports(r, s, id);
    else
        r->graph->nodes[id].origin = text;
    return read_attrs(r, s, text, id, label);
}

static enum status read_node(struct reader *r, struct scope *s, const Onnx__NodeProto *text, const uint32_t *outputs) {
    const char *label = label_of(r, text);
    if (!text->op_type || !*text->op_type) return read_fail(r, ST_MODEL, "%s has no operator", label);
    uint32_t *inputs = arena_array(r->arena, text->n_input, sizeof *inputs);
    for (size_t i = 0; i < text->n_input; i++) TRY(read_name(r, s, s->body, text->input[i], label, &inputs[i]));
    if (text->n_attribute > LIMIT_ATTRIBUTES)
        return read_fail(r, ST_LIMIT, "%s has %zu attributes, more than %d", label, text->n_attribute,
                         LIMIT_ATTRIBUTES);
    const Onnx__FunctionProto *function = function_of(r, text);
    if (function) return inline_call(r, s, text, function, inputs, outputs, label);
    return add_node(r, s, text, inputs, outputs, label);
}

/* Names of a function are looked up, and written with their prefix, at every call. */
static enum status charge_nodes(struct reader *r, const struct scope *s, Onnx__NodeProto *const *nodes, size_t n) {
    size_t prefix = s->call ? strlen(s->call->prefix) : 0;
    for (size_t i = 0; i < n && r->calls; i++) {
        const Onnx__NodeProto *node = nodes[i];
        uint64_t bytes = prefix * (1 + node->n_output) + strlen(text_or(node->name, "")) +
                         strlen(text_or(node->op_type, "")) + strlen(text_or(node->domain, "")) +
                         strlen(text_or(node->overload, ""));
        for (size_t k = 0; k < node->n_input; k++) bytes += strlen(node->input[k]);
        for (size_t k = 0; k < node->n_output; k++) bytes += strlen(node->output[k]);
        TRY(read_charge(r, 1 + node->n_input + node->n_output + node->n_attribute + bytes / BYTES_A_CHARGE));
    }
    return ST_OK;
}

enum status read_nodes(struct reader *r, struct scope *s, Onnx__NodeProto *const *nodes, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += nodes[i]->n_output;
    TRY(charge_nodes(r, s, nodes, n));
    uint32_t *outputs = arena_array(r->arena, total, sizeof *outputs), *at = outputs;
    for (size_t i = 0; i < n; at += nodes[i++]->n_output) TRY(define_outputs_of(r, s, nodes[i], at));
    at = outputs;
    for (size_t i = 0; i < n; at += nodes[i++]->n_output) TRY(read_node(r, s, nodes[i], at));
    return ST_OK;
}

/* ---- Bodies ---- */

static enum status read_outputs(struct reader *r, const struct scope *s, const Onnx__GraphProto *g) {
    uint32_t *outputs = arena_array(r->arena, g->n_output, sizeof *outputs);
    const char *label = arena_printf(r->arena, "output of graph \"%s\"", text_or(g->name, ""));
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = text_or(g->output[i]->name, "");
        TRY(read_name(r, s, s->body, name, label, &outputs[i]));
        if (outputs[i] == NONE) return read_fail(r, ST_MODEL, "%s: number %zu has no name", label, i);
        if (s->body == 0) r->graph->tensors[outputs[i]].flags |= TF_OUTPUT;
    }
    r->graph->bodies[s->body].outputs = outputs;
    r->graph->bodies[s->body].n_outputs = (uint32_t)g->n_output;
    return ST_OK;
}

static enum status read_body(struct reader *r, struct scope *s, const Onnx__GraphProto *g) {
    while (r->origin->n_bodies <= s->body) PUSH(r->arena, r->origin, bodies, NULL);
    if (!s->call) r->origin->bodies[s->body] = g;
    TRY(read_charge(r, g->n_initializer + g->n_sparse_initializer + g->n_input + g->n_output + g->n_value_info));
    TRY(define_initializers(r, s, g));
    TRY(define_inputs(r, s, g));
    TRY(read_nodes(r, s, g->node, g->n_node));
    TRY(declare_values(r, s, g));
    return read_outputs(r, s, g);
}

enum status read_subgraph(struct reader *r, const struct scope *outer, const Onnx__GraphProto *g, uint32_t node,
                          uint32_t *body) {
    uint32_t parent = r->graph->nodes[node].body;
    if (r->depth == LIMIT_MESSAGE_DEPTH)
        return read_fail(r, ST_LIMIT, "subgraphs nest deeper than %d", LIMIT_MESSAGE_DEPTH);
    *body = graph_add_body(r->graph, parent, node, text_or(g->name, ""));
    struct scope s = {.outer = outer, .body = *body, .call = outer->call};
    map_init(&s.names, r->arena);
    r->depth++;
    TRY(read_body(r, &s, g));
    r->depth--;
    return ST_OK;
}

enum status read_graph(struct reader *r) {
    struct scope s = {.body = 0};
    map_init(&s.names, r->arena);
    r->graph->bodies[0].name = intern_str(r->graph->names, text_or(r->message->graph->name, ""));
    return read_body(r, &s, r->message->graph);
}
