#include "reader.h"

#include <string.h>

struct attr_text { /* where an attribute stands, and where what it holds will live */
    struct reader *r;
    const struct scope *scope;
    const Onnx__AttributeProto *text;
    uint32_t node;
    const char *what; /* for messages */
};

/* Files of the first versions leave the type out. */
static enum attr_type type_of(const Onnx__AttributeProto *a) {
    if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
        int type = (int)a->type;
        return type > AT_UNDEFINED && type <= AT_TYPE_PROTOS ? (enum attr_type)type : AT_UNDEFINED;
    }
    if (a->has_f) return AT_FLOAT;
    if (a->has_i) return AT_INT;
    if (a->has_s) return AT_STRING;
    if (a->t) return AT_TENSOR;
    if (a->g) return AT_GRAPH;
    if (a->sparse_tensor) return AT_SPARSE_TENSOR;
    if (a->tp) return AT_TYPE_PROTO;
    if (a->n_floats) return AT_FLOATS;
    if (a->n_ints) return AT_INTS;
    if (a->n_strings) return AT_STRINGS;
    if (a->n_tensors) return AT_TENSORS;
    if (a->n_graphs) return AT_GRAPHS;
    return AT_UNDEFINED;
}

static uint32_t body_of(const struct attr_text *a) {
    return a->r->graph->nodes[a->node].body;
}

static enum status nothing_there(const struct attr_text *a, const char *kind) {
    return read_fail(a->r, ST_MODEL, "%s is said to be a %s and holds none", a->what, kind);
}

static enum status take_dense(const struct attr_text *a, const Onnx__TensorProto *t, uint32_t *id) {
    if (!t) return nothing_there(a, "tensor");
    *id = graph_add_tensor(a->r->graph, body_of(a), text_or(t->name, ""));
    return read_dense(a->r, *id, t, a->what);
}

static enum status take_sparse(const struct attr_text *a, const Onnx__SparseTensorProto *t, uint32_t *id) {
    if (!t) return nothing_there(a, "sparse tensor");
    *id = graph_add_tensor(a->r->graph, body_of(a), t->values ? text_or(t->values->name, "") : "");
    return read_sparse(a->r, *id, t, a->what);
}

static enum status take_tensors(const struct attr_text *a, struct attr *out) {
    bool dense = out->type == AT_TENSORS;
    out->n = dense ? a->text->n_tensors : a->text->n_sparse_tensors;
    TRY(read_charge(a->r, out->n));
    uint32_t *ids = arena_array(a->r->arena, out->n, sizeof *ids);
    for (size_t i = 0; i < out->n; i++) {
        if (dense)
            TRY(take_dense(a, a->text->tensors[i], &ids[i]));
        else
            TRY(take_sparse(a, a->text->sparse_tensors[i], &ids[i]));
    }
    out->tensors = ids;
    return ST_OK;
}

static enum status take_graphs(const struct attr_text *a, struct attr *out) {
    out->n = a->text->n_graphs;
    uint32_t *ids = arena_array(a->r->arena, out->n, sizeof *ids);
    for (size_t i = 0; i < out->n; i++) TRY(read_subgraph(a->r, a->scope, a->text->graphs[i], a->node, &ids[i]));
    out->bodies = ids;
    return ST_OK;
}

static enum status take_type(const struct attr_text *a, const Onnx__TypeProto *type, struct attr *out) {
    struct declared declared;
    if (!type) return nothing_there(a, "type");
    TRY(read_type(a->r, type, a->what, false, !a->scope->call, &declared));
    out->type_kind = declared.kind;
    out->type_dtype = declared.dtype;
    out->type_rank = declared.rank;
    out->type_dims = declared.dims;
    return ST_OK;
}

static enum status copy_text(const struct attr_text *a, const ProtobufCBinaryData *s, const char **out) {
    TRY(read_charge(a->r, s->len / BYTES_A_CHARGE));
    *out = arena_strndup(a->r->arena, s->data ? (const char *)s->data : "", s->len);
    return ST_OK;
}

static enum status take_strings(const struct attr_text *a, struct attr *out) {
    out->n = a->text->n_strings;
    const char **strings = arena_array(a->r->arena, out->n, sizeof *strings);
    for (size_t i = 0; i < out->n; i++) TRY(copy_text(a, &a->text->strings[i], &strings[i]));
    out->strings = strings;
    return ST_OK;
}

static enum status take_value(const struct attr_text *a, struct attr *out) {
    const Onnx__AttributeProto *text = a->text;
    switch (out->type) {
    case AT_FLOAT:
        out->f = text->f;
        return ST_OK;
    case AT_INT:
        out->i = text->i;
        return ST_OK;
    case AT_STRING:
        out->n = text->s.len;
        return copy_text(a, &text->s, &out->s);
    case AT_FLOATS:
        out->n = text->n_floats;
        out->floats = text->floats;
        return ST_OK;
    case AT_INTS:
        out->n = text->n_ints;
        out->ints = text->ints;
        return ST_OK;
    case AT_STRINGS:
        return take_strings(a, out);
    case AT_TENSOR:
        return take_dense(a, text->t, &out->tensor);
    case AT_SPARSE_TENSOR:
        return take_sparse(a, text->sparse_tensor, &out->tensor);
    case AT_TENSORS:
    case AT_SPARSE_TENSORS:
        return take_tensors(a, out);
    case AT_GRAPH:
        return text->g ? read_subgraph(a->r, a->scope, text->g, a->node, &out->body) : nothing_there(a, "graph");
    case AT_GRAPHS:
        return take_graphs(a, out);
    case AT_TYPE_PROTO:
        return take_type(a, text->tp, out);
    default:
        return ST_OK; /* lists of types, and what is newer than this program, live in the origin only */
    }
}

static bool is_given(const struct attr *attrs, uint32_t n, const char *name) {
    for (uint32_t i = 0; i < n; i++)
        if (attrs[i].name == name) return true;
    return false;
}

enum status read_attrs(struct reader *r, const struct scope *scope, const Onnx__NodeProto *text, uint32_t node,
                       const char *label) {
    struct attr *attrs = arena_array(r->arena, text->n_attribute, sizeof *attrs);
    uint32_t n = 0;
    for (size_t i = 0; i < text->n_attribute; i++) {
        struct attr_text a = {.r = r, .scope = scope, .text = text->attribute[i], .node = node};
        const char *name = intern_str(r->graph->names, text_or(a.text->name, ""));
        if (!*name) return read_fail(r, ST_MODEL, "%s: attribute %zu has no name", label, i);
        if (is_given(attrs, n, name)) return read_fail(r, ST_MODEL, "%s: attribute \"%s\" is given twice", label, name);
        TRY(resolve_attr(r, &a.scope, &a.text, label));
        if (!a.text) continue;
        const char *parts[] = {label, ": attribute \"", name, "\""};
        a.what = arena_join(r->arena, parts, COUNT_OF(parts));
        struct attr *out = &attrs[n++];
        out->name = name;
        out->type = type_of(a.text);
        TRY(take_value(&a, out));
    }
    r->graph->nodes[node].attrs = attrs;
    r->graph->nodes[node].n_attrs = n;
    return ST_OK;
}
