#include "writer.h"

#include <string.h>

static const Onnx__AttributeProto *origin_attr(const struct node *node, const char *name) {
    const Onnx__NodeProto *origin = node->origin;
    for (size_t i = 0; origin && i < origin->n_attribute; i++)
        if (strcmp(text_or(origin->attribute[i]->name, ""), name) == 0) return origin->attribute[i];
    return NULL;
}

/* What an attribute was besides its value: documentation and fields newer than this program. */
static Onnx__AttributeProto *start_attr(struct writer *w, const struct attr *from, const Onnx__AttributeProto *origin) {
    Onnx__AttributeProto *a = arena_alloc(w->arena, sizeof *a);
    onnx__attribute_proto__init(a);
    if (origin) {
        a->base.n_unknown_fields = origin->base.n_unknown_fields;
        a->base.unknown_fields = origin->base.unknown_fields;
        a->doc_string = origin->doc_string;
    }
    a->name = write_text(w, from->name);
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)from->type;
    return a;
}

static ProtobufCBinaryData bytes_of(const char *text, size_t length) {
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)text};
}

/* The IR holds strings of a list up to their first zero byte; the message knows the rest. */
static void write_strings(struct writer *w, const struct attr *from, const Onnx__AttributeProto *origin,
                          Onnx__AttributeProto *a) {
    a->n_strings = from->n;
    a->strings = arena_array(w->arena, from->n, sizeof *a->strings);
    for (size_t i = 0; i < from->n; i++) {
        size_t length = strlen(from->strings[i]);
        a->strings[i] = bytes_of(from->strings[i], length);
        if (!origin || origin->n_strings != from->n) continue;
        const ProtobufCBinaryData *was = &origin->strings[i];
        bool same = was->len > length && memcmp(was->data, from->strings[i], length + 1) == 0;
        if (same) a->strings[i] = *was;
    }
}

static enum status write_tensors(struct writer *w, const struct attr *from, Onnx__AttributeProto *a) {
    if (from->type == AT_SPARSE_TENSORS) {
        a->n_sparse_tensors = from->n;
        a->sparse_tensors = arena_array(w->arena, from->n, sizeof(void *));
        for (size_t i = 0; i < from->n; i++) TRY(write_sparse(w, from->tensors[i], &a->sparse_tensors[i]));
        return ST_OK;
    }
    a->n_tensors = from->n;
    a->tensors = arena_array(w->arena, from->n, sizeof(void *));
    for (size_t i = 0; i < from->n; i++) TRY(write_dense(w, from->tensors[i], &a->tensors[i]));
    return ST_OK;
}

static enum status write_graphs(struct writer *w, const struct attr *from, Onnx__AttributeProto *a) {
    a->n_graphs = from->n;
    a->graphs = arena_array(w->arena, from->n, sizeof(void *));
    for (size_t i = 0; i < from->n; i++) TRY(write_body(w, from->bodies[i], &a->graphs[i]));
    return ST_OK;
}

static enum status write_value(struct writer *w, const struct attr *from, const Onnx__AttributeProto *origin,
                               Onnx__AttributeProto *a) {
    switch (from->type) {
    case AT_FLOAT:
        a->has_f = 1;
        a->f = from->f;
        return ST_OK;
    case AT_INT:
        a->has_i = 1;
        a->i = from->i;
        return ST_OK;
    case AT_STRING:
        a->has_s = 1;
        a->s = bytes_of(from->s, from->n);
        return ST_OK;
    case AT_FLOATS:
        a->n_floats = from->n;
        a->floats = (float *)from->floats;
        return ST_OK;
    case AT_INTS:
        a->n_ints = from->n;
        a->ints = (int64_t *)from->ints;
        return ST_OK;
    case AT_STRINGS:
        write_strings(w, from, origin, a);
        return ST_OK;
    case AT_TENSOR:
        return write_dense(w, from->tensor, &a->t);
    case AT_SPARSE_TENSOR:
        return write_sparse(w, from->tensor, &a->sparse_tensor);
    case AT_TENSORS:
    case AT_SPARSE_TENSORS:
        return write_tensors(w, from, a);
    case AT_GRAPH:
        return write_body(w, from->body, &a->g);
    case AT_GRAPHS:
        return write_graphs(w, from, a);
    default: /* types: only ever read; those of functions survive as far as the IR holds them */
        a->tp = write_type(w, from->type_kind, from->type_dtype, from->type_rank, from->type_dims);
        return ST_OK;
    }
}

static bool is_kept_whole(const struct attr *from) {
    return from->type == AT_UNDEFINED || from->type == AT_TYPE_PROTO || from->type == AT_TYPE_PROTOS;
}

enum status write_attrs(struct writer *w, const struct node *from, Onnx__NodeProto *node) {
    node->n_attribute = from->n_attrs;
    node->attribute = arena_array(w->arena, from->n_attrs, sizeof(void *));
    for (uint32_t i = 0; i < from->n_attrs; i++) {
        const struct attr *attr = &from->attrs[i];
        const Onnx__AttributeProto *origin = origin_attr(from, attr->name);
        if (origin && is_kept_whole(attr)) {
            node->attribute[i] = (Onnx__AttributeProto *)origin;
            continue;
        }
        node->attribute[i] = start_attr(w, attr, origin);
        TRY(write_value(w, attr, origin, node->attribute[i]));
    }
    return ST_OK;
}
