/* Functions of the model are inlined where they are called (IR.md, "Functions"): the body's tensors get names of their
 * own, inputs and outputs become the caller's tensors, references to attributes become the attributes of the call. */
#include "reader.h"

#include <inttypes.h>
#include <string.h>

/* ---- Names ---- */

/* The value is the next number to try behind the name. */
static void take(struct reader *r, const char *name, uint32_t next) {
    map_put(&r->taken, name, strlen(name), next);
}

/* Subgraphs nest no deeper than messages. */
static void take_names(struct reader *r, const Onnx__GraphProto *g) {
    for (size_t i = 0; i < g->n_initializer; i++) take(r, text_or(g->initializer[i]->name, ""), 2);
    for (size_t i = 0; i < g->n_input; i++) take(r, text_or(g->input[i]->name, ""), 2);
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnx__NodeProto *node = g->node[i];
        for (size_t k = 0; k < node->n_output; k++) take(r, node->output[k], 2);
        for (size_t k = 0; k < node->n_attribute; k++) {
            const Onnx__AttributeProto *a = node->attribute[k];
            if (a->g) take_names(r, a->g);
            for (size_t j = 0; j < a->n_graphs; j++) take_names(r, a->graphs[j]);
        }
    }
}

static const char *unused_name(struct reader *r, const char *wanted) {
    const char *name = wanted;
    uint32_t next = 2, other;
    if (map_get(&r->taken, wanted, strlen(wanted), &next)) do
            name = arena_printf(r->arena, "%s_%" PRIu32, wanted, next++);
        while (map_get(&r->taken, name, strlen(name), &other));
    take(r, wanted, next);
    if (name != wanted) take(r, name, 2);
    return name;
}

const char *name_in_graph(struct reader *r, const struct scope *s, const char *name) {
    return s->call ? unused_name(r, arena_printf(r->arena, "%s/%s", s->call->prefix, name)) : name;
}

/* ---- Which function ---- */

static const char *key_of(struct reader *r, const char *domain, const char *name, const char *overload,
                          size_t *length) {
    const char *key =
        arena_printf(r->arena, "%s%c%s%c%s", domain_of(domain), 0, text_or(name, ""), 0, text_or(overload, ""));
    *length = strlen(domain_of(domain)) + strlen(text_or(name, "")) + strlen(text_or(overload, "")) + 2;
    return key;
}

enum status functions_collect(struct reader *r) {
    map_init(&r->functions, r->arena);
    map_init(&r->taken, r->arena);
    for (size_t i = 0; i < r->message->n_functions; i++) {
        const Onnx__FunctionProto *f = r->message->functions[i];
        size_t length;
        uint32_t other;
        const char *key = key_of(r, f->domain, f->name, f->overload, &length);
        if (map_get(&r->functions, key, length, &other))
            return read_fail(r, ST_MODEL, "function \"%s\" is defined twice", text_or(f->name, ""));
        map_put(&r->functions, key, length, (uint32_t)i);
    }
    if (r->message->n_functions) take_names(r, r->message->graph);
    return ST_OK;
}

const Onnx__FunctionProto *function_of(const struct reader *r, const Onnx__NodeProto *node) {
    if (r->message->n_functions == 0) return NULL;
    size_t length;
    uint32_t at;
    const char *key = key_of((struct reader *)r, node->domain, node->op_type, node->overload, &length);
    return map_get(&r->functions, key, length, &at) ? r->message->functions[at] : NULL;
}

/* ---- Attributes ---- */

static const Onnx__AttributeProto *named(Onnx__AttributeProto *const *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(text_or(list[i]->name, ""), name) == 0) return list[i];
    return NULL;
}

enum status resolve_attr(struct reader *r, const struct scope **scope, const Onnx__AttributeProto **attr,
                         const char *label) {
    while (*attr && (*attr)->ref_attr_name && *(*attr)->ref_attr_name) {
        const char *name = (*attr)->ref_attr_name;
        const struct call *call = (*scope)->call;
        if (!call)
            return read_fail(r, ST_MODEL, "%s: attribute \"%s\" refers to \"%s\" of a function, outside of any", label,
                             text_or((*attr)->name, ""), name);
        *attr = named(call->node->attribute, call->node->n_attribute, name);
        if (*attr)
            *scope = call->caller;
        else
            *attr = named(call->function->attribute_proto, call->function->n_attribute_proto, name);
    }
    return ST_OK;
}

/* ---- Operator sets ---- */

static int64_t imported(const Onnx__FunctionProto *f, const char *domain) {
    int64_t version = 0;
    for (size_t i = 0; i < f->n_opset_import; i++)
        if (strcmp(domain_of(f->opset_import[i]->domain), domain) == 0 && f->opset_import[i]->version > version)
            version = f->opset_import[i]->version;
    return version;
}

/* What a function imports and the model does not is the model's from here on. */
static enum status merge_imports(struct reader *r, const Onnx__FunctionProto *f, const char *label) {
    if (f->n_attribute_proto > LIMIT_ATTRIBUTES)
        return read_fail(r, ST_LIMIT, "%s: its function has more than %d attributes", label, LIMIT_ATTRIBUTES);
    if (f->n_opset_import > LIMIT_OPSETS)
        return read_fail(r, ST_LIMIT, "%s: its function imports more than %d operator sets", label, LIMIT_OPSETS);
    for (size_t i = 0; i < f->n_opset_import; i++) {
        const char *domain = domain_of(f->opset_import[i]->domain);
        int64_t version = imported(f, domain);
        if (version > 0) TRY(read_import(r, domain, version));
    }
    return ST_OK;
}

void apply_imports(struct reader *r, const struct scope *s, uint32_t id) {
    struct node *node = &r->graph->nodes[id];
    int64_t own = imported(s->call->function, node->domain), models = graph_opset(r->graph, node->domain);
    if (own == 0 || own == models) return;
    uint16_t op = op_find(node->domain, node->op_type, own);
    if (op != node->op)
        read_warn(r, "function \"%s\": %s means something else in its operator set than in the model's",
                  text_or(s->call->function->name, ""), node->op_type);
    node->op = op;
}

/* ---- Calls ---- */

static enum status check_nesting(struct reader *r, const struct call *call, const char *label) {
    for (const struct call *outer = call->outer; outer; outer = outer->outer)
        if (outer->function == call->function)
            return read_fail(r, ST_MODEL, "%s: function \"%s\" calls itself", label, text_or(call->function->name, ""));
    if (call->depth > LIMIT_INLINE_DEPTH || r->depth >= LIMIT_MESSAGE_DEPTH)
        return read_fail(r, ST_LIMIT, "%s: functions call each other deeper than %d", label, LIMIT_INLINE_DEPTH);
    return ST_OK;
}

static enum status bind_inputs(struct reader *r, struct scope *inside, const struct call *call, const uint32_t *inputs,
                               const char *label) {
    const Onnx__FunctionProto *f = call->function;
    if (call->node->n_input > f->n_input)
        return read_fail(r, ST_MODEL, "%s: %zu inputs for a function of %zu", label, call->node->n_input, f->n_input);
    for (size_t i = 0; i < f->n_input; i++) {
        uint32_t ignored;
        if (map_get(&inside->names, f->input[i], strlen(f->input[i]), &ignored))
            return read_fail(r, ST_MODEL, "%s: function \"%s\" has two inputs \"%s\"", label, text_or(f->name, ""),
                             f->input[i]);
        map_put(&inside->names, f->input[i], strlen(f->input[i]), i < call->node->n_input ? inputs[i] : NONE);
    }
    return ST_OK;
}

static enum status bind_outputs(struct reader *r, struct call *call, const uint32_t *outputs, const char *label) {
    const Onnx__FunctionProto *f = call->function;
    map_init(&call->results, r->arena);
    if (call->node->n_output > f->n_output)
        return read_fail(r, ST_MODEL, "%s: %zu outputs of a function of %zu", label, call->node->n_output, f->n_output);
    for (size_t i = call->node->n_output; i-- > 0;)
        if (outputs[i] != NONE) map_put(&call->results, f->output[i], strlen(f->output[i]), outputs[i]);
    return ST_OK;
}

/* An output that is an input of the function, or an output twice, needs a node of its own. */
static enum status copy_results(struct reader *r, const struct scope *inside, const uint32_t *outputs,
                                const char *label) {
    const struct call *call = inside->call;
    for (size_t i = 0; i < call->node->n_output; i++) {
        uint32_t from;
        if (outputs[i] == NONE) continue;
        TRY(read_name(r, inside, inside->body, call->function->output[i], label, &from));
        if (from == NONE)
            return read_fail(r, ST_MODEL, "%s: output %zu is an input that the call leaves out", label, i);
        if (from == outputs[i]) continue;
        const char *name = arena_printf(r->arena, "%s/output_%zu", call->prefix, i);
        if (!graph_opset(r->graph, "")) TRY(read_import(r, "", 1)); /* a model of functions alone needs none itself */
        graph_add_node(r->graph, inside->body, "Identity", "", name, &from, 1, &outputs[i], 1, NULL, 0);
    }
    return ST_OK;
}

static const char *prefix_of(struct reader *r, const struct scope *s, const Onnx__NodeProto *node) {
    const char *own = text_or(node->name, "");
    if (!*own) own = node->n_output && *node->output[0] ? node->output[0] : node->op_type;
    return s->call ? arena_printf(r->arena, "%s/%s", s->call->prefix, own) : own;
}

static enum status charge_call(struct reader *r, const Onnx__FunctionProto *f) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->n_input; i++) bytes += strlen(f->input[i]);
    for (size_t i = 0; i < f->n_output; i++) bytes += strlen(f->output[i]);
    return read_charge(r, f->n_input + f->n_output + bytes / BYTES_A_CHARGE);
}

enum status inline_call(struct reader *r, const struct scope *s, const Onnx__NodeProto *node,
                        const Onnx__FunctionProto *function, const uint32_t *inputs, const uint32_t *outputs,
                        const char *label) {
    struct call call = {.outer = s->call,
                        .depth = s->call ? s->call->depth + 1 : 1,
                        .node = node,
                        .function = function,
                        .caller = s,
                        .prefix = prefix_of(r, s, node)};
    struct scope inside = {.body = s->body, .call = &call};
    map_init(&inside.names, r->arena);
    TRY(check_nesting(r, &call, label));
    TRY(merge_imports(r, function, label));
    TRY(charge_call(r, function));
    TRY(bind_inputs(r, &inside, &call, inputs, label));
    TRY(bind_outputs(r, &call, outputs, label));
    r->depth++;
    r->calls++;
    TRY(read_nodes(r, &inside, function->node, function->n_node));
    r->calls--;
    r->depth--;
    return copy_results(r, &inside, outputs, label);
}
