/* Models made in memory. Operators follow the default domain at the builder's opset. */
#include "ir.h"

#include <math.h>
#include <string.h>

/* Of the ONNX release that brought the opset (docs/Versioning.md); from 8 on, as runtimes of today read it. */
static int64_t ir_version_of(int64_t opset) {
    if (opset < 19) return 8;
    if (opset < 21) return 9;
    if (opset < 23) return 10;
    return opset < 25 ? opset - 12 : 13;
}

void build_start(struct builder *b, struct arena *arena, const char *name, int64_t opset, uint64_t seed,
                 bool weightless) {
    *b = (struct builder){.graph = graph_new(arena, name), .weightless = weightless};
    struct opset *import = arena_alloc(arena, sizeof *import);
    *import = (struct opset){"", opset};
    b->graph->opsets = import;
    b->graph->n_opsets = 1;
    b->graph->ir_version = ir_version_of(opset);
    b->graph->producer = "onnx-latency";
    b->graph->bodies[0].name = intern_str(b->graph->names, "graph");
    rng_seed(&b->rng, seed);
}

/* "Conv_7", "Conv_node_8": in a graph that can be written. Making them takes longer than all else. */
static const char *fresh_name(struct builder *b, char name[64], const char *prefix, const char *infix) {
    name[0] = '\0';
    if (!b->weightless) snprintf(name, 64, "%s_%s%u", prefix, infix, b->serial++);
    return name;
}

static uint32_t new_tensor(struct builder *b, const char *prefix) {
    char name[64];
    return graph_add_tensor(b->graph, 0, fresh_name(b, name, prefix, ""));
}

static void set_numbers(struct builder *b, uint32_t tensor, enum dtype dtype, const int64_t *dims, int32_t rank) {
    dim shape[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) shape[i] = DIM(dims[i]);
    tensor_set_shape(b->graph, tensor, dtype, shape, rank);
}

static const uint32_t *append(struct arena *arena, const uint32_t *list, uint32_t n, uint32_t id) {
    uint32_t *longer = arena_array(arena, n + 1u, sizeof *longer);
    if (n) memcpy(longer, list, n * sizeof *list);
    longer[n] = id;
    return longer;
}

uint32_t build_input(struct builder *b, const char *name, enum dtype dtype, const int64_t *dims, int32_t rank) {
    uint32_t tensor = graph_add_tensor(b->graph, 0, name);
    struct body *body = &b->graph->bodies[0];
    set_numbers(b, tensor, dtype, dims, rank);
    b->graph->tensors[tensor].flags = TF_INPUT | TF_DECLARED;
    body->inputs = append(b->graph->arena, body->inputs, body->n_inputs++, tensor);
    return tensor;
}

static uint32_t initializer(struct builder *b, const char *prefix, enum dtype dtype, const int64_t *dims,
                            int32_t rank) {
    uint32_t id = new_tensor(b, prefix);
    set_numbers(b, id, dtype, dims, rank);
    struct tensor *tensor = &b->graph->tensors[id];
    tensor->flags = TF_INITIALIZER | TF_CONSTANT;
    tensor->stored_bytes = (uint64_t)tensor_bytes(tensor);
    return id;
}

static void set_raw(struct builder *b, uint32_t id, const void *bytes) {
    struct tensor *tensor = &b->graph->tensors[id];
    tensor->data = (struct data){ENC_RAW, NONE, 0, tensor->stored_bytes, bytes};
}

/* One normal draw a pair of weights (the second is its negative) and no more than a few thousand draws a tensor:
 * timing and checking need plausible weights, not independent ones. */
static void fill_normal(struct builder *b, float *out, size_t n, double scale) {
    enum { PERIOD = 4093 };
    for (size_t i = 0; i < n; i++) out[i] = i < PERIOD ? (float)(scale * rng_normal(&b->rng)) : -out[i - PERIOD];
}

uint32_t build_weight(struct builder *b, enum dtype dtype, const int64_t *dims, int32_t rank, double scale) {
    uint32_t id = initializer(b, "weight", dtype, dims, rank);
    size_t bytes = (size_t)b->graph->tensors[id].stored_bytes;
    if (b->weightless) return id;
    void *data = arena_alloc(b->graph->arena, bytes);
    if (dtype == DT_FLOAT)
        fill_normal(b, data, bytes / sizeof(float), scale);
    else
        for (size_t i = 0; i < bytes; i++) ((uint8_t *)data)[i] = (uint8_t)(rng_below(&b->rng, 7)); /* small integers */
    set_raw(b, id, data);
    return id;
}

uint32_t build_ints(struct builder *b, const int64_t *values, int64_t n) {
    uint32_t id = initializer(b, "ints", DT_INT64, &n, 1);
    set_raw(b, id, arena_copy(b->graph->arena, values, (size_t)n * sizeof *values));
    return id;
}

uint32_t build_node(struct builder *b, const char *op_type, const uint32_t *inputs, uint32_t n_inputs,
                    const struct attr *attrs, uint32_t n_attrs) {
    char name[64];
    uint32_t output = new_tensor(b, op_type);
    graph_add_node(b->graph, 0, op_type, "", fresh_name(b, name, op_type, "node_"), inputs, n_inputs, &output, 1, attrs,
                   n_attrs);
    return output;
}

/* A constant vector of one value: biases and the parameters of normalisation. */
static uint32_t build_vector(struct builder *b, int64_t n, float value) {
    uint32_t id = initializer(b, "vector", DT_FLOAT, &n, 1);
    if (b->weightless) return id;
    float *data = arena_array(b->graph->arena, (size_t)n, sizeof *data);
    for (int64_t i = 0; i < n; i++) data[i] = value;
    set_raw(b, id, data);
    return id;
}

uint32_t build_conv(struct builder *b, uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel, int64_t stride,
                    int64_t groups, bool bias) {
    int64_t dims[] = {c_out, c_in / groups, kernel, kernel}, pad = kernel / 2;
    double fan_in = (double)(c_in / groups * kernel * kernel);
    uint32_t inputs[] = {x, build_weight(b, DT_FLOAT, dims, 4, sqrt(2 / fan_in)), NONE};
    if (bias) inputs[2] = build_vector(b, c_out, 0.01f);
    struct attr attrs[] = {attr_ints(b, "kernel_shape", (int64_t[]){kernel, kernel}, 2),
                           attr_ints(b, "strides", (int64_t[]){stride, stride}, 2),
                           attr_ints(b, "pads", (int64_t[]){pad, pad, pad, pad}, 4), attr_int(b, "group", groups)};
    return build_node(b, "Conv", inputs, bias ? 3 : 2, attrs, COUNT_OF(attrs));
}

uint32_t build_batchnorm(struct builder *b, uint32_t x, int64_t channels) {
    uint32_t inputs[] = {x, build_vector(b, channels, 1), build_vector(b, channels, 0), build_vector(b, channels, 0),
                         build_vector(b, channels, 1)};
    return build_node(b, "BatchNormalization", inputs, COUNT_OF(inputs), NULL, 0);
}

uint32_t build_unary(struct builder *b, const char *op_type, uint32_t x) {
    return build_node(b, op_type, &x, 1, NULL, 0);
}

uint32_t build_binary(struct builder *b, const char *op_type, uint32_t a, uint32_t c) {
    return build_node(b, op_type, (uint32_t[]){a, c}, 2, NULL, 0);
}

uint32_t build_gemm(struct builder *b, uint32_t x, int64_t in, int64_t out, bool bias) {
    int64_t dims[] = {out, in};
    uint32_t inputs[] = {x, build_weight(b, DT_FLOAT, dims, 2, sqrt(1 / (double)in)), NONE};
    if (bias) inputs[2] = build_vector(b, out, 0.01f);
    struct attr transposed = attr_int(b, "transB", 1);
    return build_node(b, "Gemm", inputs, bias ? 3 : 2, &transposed, 1);
}

struct attr attr_int(struct builder *b, const char *name, int64_t value) {
    return (struct attr){.name = intern_str(b->graph->names, name), .type = AT_INT, .i = value};
}

struct attr attr_float(struct builder *b, const char *name, double value) {
    return (struct attr){.name = intern_str(b->graph->names, name), .type = AT_FLOAT, .f = (float)value};
}

struct attr attr_ints(struct builder *b, const char *name, const int64_t *values, size_t n) {
    return (struct attr){.name = intern_str(b->graph->names, name),
                         .type = AT_INTS,
                         .n = n,
                         .ints = arena_copy(b->graph->arena, values, n * sizeof *values)};
}

struct attr attr_string(struct builder *b, const char *name, const char *value) {
    return (struct attr){.name = intern_str(b->graph->names, name),
                         .type = AT_STRING,
                         .n = strlen(value),
                         .s = arena_strndup(b->graph->arena, value, strlen(value))};
}

void build_output(struct builder *b, uint32_t tensor, const char *name) {
    struct body *body = &b->graph->bodies[0];
    b->graph->tensors[tensor].name = intern_str(b->graph->names, name);
    b->graph->tensors[tensor].flags |= TF_OUTPUT;
    body->outputs = append(b->graph->arena, body->outputs, body->n_outputs++, tensor);
}
