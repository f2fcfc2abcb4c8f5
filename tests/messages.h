/* Small ONNX files for tests, made message by message with the generated classes. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "frontend.h"
#include "onnx.pb-c.h"

typedef Onnx__NodeProto Node;
typedef Onnx__GraphProto Graph;
typedef Onnx__AttributeProto Attr;
typedef Onnx__TensorProto Tensor;
typedef Onnx__ValueInfoProto Info;
typedef Onnx__FunctionProto Function;

struct file { /* a model under construction, and what reading it gave */
    struct arena arena;
    struct diag diag;
    Onnx__ModelProto model;
    Graph *graph;
    struct graph *read;
};

#define APPEND(file, message, list, value)                                                                             \
    do {                                                                                                               \
        size_t cap_ = (message)->n_##list;                                                                             \
        (message)->list = arena_grow(&(file)->arena, (message)->list, cap_, &cap_, cap_ + 1, sizeof *(message)->list); \
        (message)->list[(message)->n_##list++] = (value);                                                              \
    } while (0)

static inline void *make(struct file *f, const ProtobufCMessageDescriptor *type) {
    ProtobufCMessage *message = arena_alloc(&f->arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}

static inline char *text(struct file *f, const char *from) {
    return arena_strndup(&f->arena, from, strlen(from));
}

static inline void import(struct file *f, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *set = make(f, &onnx__operator_set_id_proto__descriptor);
    set->domain = text(f, domain);
    set->has_version = 1;
    set->version = version;
    APPEND(f, &f->model, opset_import, set);
}

static inline void file_start(struct file *f, int64_t ir_version) {
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, NULL, NULL);
    diag_init(&f->diag, &f->arena);
    onnx__model_proto__init(&f->model);
    f->model.has_ir_version = 1;
    f->model.ir_version = ir_version;
    f->graph = f->model.graph = make(f, &onnx__graph_proto__descriptor);
    f->graph->name = text(f, "test");
    import(f, "", 17);
}

static inline void file_end(struct file *f) {
    graph_close(f->read);
    arena_free(&f->arena);
}

/* Blank-separated names; "-" is an empty one. */
static inline size_t names(struct file *f, const char *list, char ***out) {
    struct {
        char **name;
        size_t n_name;
    } found = {0};
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, " ");
        char *one = n == 1 && *at == '-' ? text(f, "") : arena_strndup(&f->arena, at, n);
        APPEND(f, &found, name, one);
        at += n + strspn(at + n, " ");
    }
    *out = found.name;
    return found.n_name;
}

static inline Node *new_node(struct file *f, const char *op, const char *inputs, const char *outputs) {
    Node *node = make(f, &onnx__node_proto__descriptor);
    node->op_type = text(f, op);
    node->n_input = names(f, inputs, &node->input);
    node->n_output = names(f, outputs, &node->output);
    return node;
}

static inline Node *add_node(struct file *f, Graph *g, const char *op, const char *inputs, const char *outputs) {
    Node *node = new_node(f, op, inputs, outputs);
    APPEND(f, g, node, node);
    return node;
}

static inline Attr *add_attr(struct file *f, Node *node, const char *name, int type) {
    Attr *attr = make(f, &onnx__attribute_proto__descriptor);
    attr->name = text(f, name);
    attr->has_type = 1;
    attr->type = (Onnx__AttributeProto__AttributeType)type;
    APPEND(f, node, attribute, attr);
    return attr;
}

static inline Attr *add_int(struct file *f, Node *node, const char *name, int64_t value) {
    Attr *attr = add_attr(f, node, name, AT_INT);
    attr->has_i = 1;
    attr->i = value;
    return attr;
}

static inline Graph *add_subgraph(struct file *f, Node *node, const char *name) {
    Attr *attr = add_attr(f, node, name, AT_GRAPH);
    attr->g = make(f, &onnx__graph_proto__descriptor);
    attr->g->name = text(f, name);
    return attr->g;
}

/* A float tensor type; a size of 0 is left open without a name. */
static inline Onnx__TypeProto *tensor_type(struct file *f, int dtype, const int64_t *dims, size_t rank) {
    Onnx__TypeProto *type = make(f, &onnx__type_proto__descriptor);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = make(f, &onnx__type_proto__tensor__descriptor);
    type->tensor_type->has_elem_type = 1;
    type->tensor_type->elem_type = dtype;
    type->tensor_type->shape = make(f, &onnx__tensor_shape_proto__descriptor);
    for (size_t i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *d = make(f, &onnx__tensor_shape_proto__dimension__descriptor);
        d->value_case = dims[i] ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
        d->dim_value = dims[i];
        APPEND(f, type->tensor_type->shape, dim, d);
    }
    return type;
}

static inline void name_dim(struct file *f, Onnx__TypeProto *type, size_t axis, const char *symbol) {
    Onnx__TensorShapeProto__Dimension *d = type->tensor_type->shape->dim[axis];
    d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    d->dim_param = text(f, symbol);
}

static inline Info *new_info(struct file *f, const char *name, Onnx__TypeProto *type) {
    Info *info = make(f, &onnx__value_info_proto__descriptor);
    info->name = text(f, name);
    info->type = type;
    return info;
}

static inline Info *add_input(struct file *f, Graph *g, const char *name, int dtype, const int64_t *dims, size_t rank) {
    Info *info = new_info(f, name, tensor_type(f, dtype, dims, rank));
    APPEND(f, g, input, info);
    return info;
}

static inline Info *add_output(struct file *f, Graph *g, const char *name) {
    Info *info = new_info(f, name, tensor_type(f, DT_FLOAT, NULL, 0));
    info->type->tensor_type->shape = NULL;
    APPEND(f, g, output, info);
    return info;
}

static inline Tensor *new_tensor(struct file *f, const char *name, int dtype, const int64_t *dims, size_t rank) {
    Tensor *t = make(f, &onnx__tensor_proto__descriptor);
    if (name) t->name = text(f, name);
    t->has_data_type = 1;
    t->data_type = dtype;
    t->n_dims = rank;
    t->dims = arena_copy(&f->arena, dims, rank * sizeof *dims);
    return t;
}

static inline Tensor *set_raw(struct file *f, Tensor *t, const void *bytes, size_t length) {
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){.len = length, .data = arena_copy(&f->arena, bytes, length)};
    return t;
}

/* A float vector of `n` elements 1, 2, 3, ... */
static inline Tensor *vector(struct file *f, const char *name, size_t n) {
    int64_t dims[] = {(int64_t)n};
    float *values = arena_array(&f->arena, n, sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)(i + 1);
    return set_raw(f, new_tensor(f, name, DT_FLOAT, dims, 1), values, n * sizeof *values);
}

static inline void add_external(struct file *f, Tensor *t, const char *key, const char *value) {
    Onnx__StringStringEntryProto *e = make(f, &onnx__string_string_entry_proto__descriptor);
    e->key = text(f, key);
    e->value = text(f, value);
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    APPEND(f, t, external_data, e);
}

static inline Function *add_function(struct file *f, const char *domain, const char *name, const char *inputs,
                                     const char *outputs) {
    Function *function = make(f, &onnx__function_proto__descriptor);
    function->domain = text(f, domain);
    function->name = text(f, name);
    function->n_input = names(f, inputs, &function->input);
    function->n_output = names(f, outputs, &function->output);
    APPEND(f, &f->model, functions, function);
    return function;
}

static inline Node *add_function_node(struct file *f, Function *function, const char *op, const char *inputs,
                                      const char *outputs) {
    Node *node = new_node(f, op, inputs, outputs);
    APPEND(f, function, node, node);
    return node;
}

/* An attribute of a node inside a function that stands for one of the call. */
static inline void add_reference(struct file *f, Node *node, const char *name, const char *of_call, int type) {
    add_attr(f, node, name, type)->ref_attr_name = text(f, of_call);
}

static inline const uint8_t *pack(struct file *f, size_t *length) {
    *length = onnx__model_proto__get_packed_size(&f->model);
    uint8_t *bytes = arena_alloc(&f->arena, *length);
    onnx__model_proto__pack(&f->model, bytes);
    return bytes;
}

/* Packs the model and reads it: f->read, f->diag. */
static inline enum status read_back(struct file *f) {
    size_t length;
    const uint8_t *bytes = pack(f, &length);
    return onnx_read_bytes(&f->read, bytes, length, "test.onnx", &f->arena, &f->diag);
}

static inline void expect_read(struct file *f) {
    enum status status = read_back(f);
    cr_assert(status == ST_OK, "%s", f->diag.message);
    cr_assert(graph_check(f->read, &f->diag) == ST_OK, "%s", f->diag.message);
}

/* Reading fails and says so. */
static inline void expect_error(struct file *f, enum status want, const char *says) {
    enum status status = read_back(f);
    cr_assert(status == want, "status %d (%s), expected %d", status, f->diag.message ? f->diag.message : "", want);
    cr_assert(strncmp(f->diag.message, "test.onnx: ", 11) == 0, "%s", f->diag.message);
    cr_assert(strstr(f->diag.message, says) != NULL, "\"%s\" does not say \"%s\"", f->diag.message, says);
    file_end(f);
}

static inline void expect_warning(const struct file *f, const char *says) {
    for (size_t i = 0; i < f->diag.n_warnings; i++)
        if (strstr(f->diag.warnings[i], says)) return;
    cr_assert_fail("no warning says \"%s\"", says);
}

static inline uint32_t find(const struct graph *g, const char *name) {
    for (uint32_t i = 0; i < g->n_tensors; i++)
        if (strcmp(g->tensors[i].name, name) == 0) return i;
    cr_assert_fail("no tensor \"%s\"", name);
    return NONE;
}

static inline const struct tensor *tensor_named(const struct graph *g, const char *name) {
    return &g->tensors[find(g, name)];
}

static inline const struct node *node_at(const struct graph *g, uint32_t body, size_t i) {
    cr_assert(i < g->bodies[body].n_nodes, "body %u has no node %zu", body, i);
    return &g->nodes[g->bodies[body].nodes[i]];
}

/* Writes the graph that was read and decodes it again. */
static inline Onnx__ModelProto *written(struct file *f) {
    const uint8_t *bytes;
    size_t length;
    enum status status = onnx_write_bytes(f->read, &f->arena, &bytes, &length, &f->diag);
    cr_assert(status == ST_OK, "%s", f->diag.message);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, length, bytes);
    cr_assert(model != NULL);
    return model;
}

#endif
