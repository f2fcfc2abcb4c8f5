/* The layers that probes are made of. */
#include "probes.h"

#include <math.h>

int64_t probe_pick(struct probe *p, const int64_t *choices, size_t n) {
    return choices[rng_below(&p->rng, n)];
}

bool probe_chance(struct probe *p, double share) {
    return rng_unit(&p->rng) < share;
}

int64_t probe_log_uniform(struct probe *p, int64_t low, int64_t high, int64_t multiple) {
    if (high < low) high = low;
    double at = log((double)low) + rng_unit(&p->rng) * (log((double)high) - log((double)low));
    int64_t n = (int64_t)llround(exp(at) / (double)multiple) * multiple;
    return n < multiple ? multiple : n;
}

void probe_image(struct probe *p, int64_t channels, int64_t size) {
    const int64_t dims[] = {1, channels, size, size};
    p->x = build_input(&p->b, "input", DT_FLOAT, dims, 4);
    p->c = channels;
    p->h = p->w = size;
}

bool probe_full(const struct probe *p) {
    return p->macs >= p->limit || p->weights >= p->most_weights;
}

static int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t dilation) {
    int64_t pad = (kernel - 1) / 2 * dilation;
    return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

/* "Same" padding for odd windows. */
void probe_conv(struct probe *p, const struct conv_layer *l) {
    struct builder *b = &p->b;
    int64_t dilation = l->dilation ? l->dilation : 1, group_in = p->c / l->groups;
    int64_t pad_h = (l->kernel_h - 1) / 2 * dilation, pad_w = (l->kernel_w - 1) / 2 * dilation;
    const int64_t dims[] = {l->out, group_in, l->kernel_h, l->kernel_w}, bias_dims[] = {l->out};
    double fan_in = (double)(group_in * l->kernel_h * l->kernel_w);
    uint32_t inputs[] = {p->x, build_weight(b, DT_FLOAT, dims, 4, sqrt(2 / fan_in)), NONE};
    if (!l->no_bias) inputs[2] = build_weight(b, DT_FLOAT, bias_dims, 1, 0.1);
    struct attr attrs[] = {attr_ints(b, "kernel_shape", (int64_t[]){l->kernel_h, l->kernel_w}, 2),
                           attr_ints(b, "strides", (int64_t[]){l->stride, l->stride}, 2),
                           attr_ints(b, "pads", (int64_t[]){pad_h, pad_w, pad_h, pad_w}, 4),
                           attr_ints(b, "dilations", (int64_t[]){dilation, dilation}, 2),
                           attr_int(b, "group", l->groups)};
    p->x = build_node(b, "Conv", inputs, l->no_bias ? 2 : 3, attrs, COUNT_OF(attrs));
    p->c = l->out;
    p->h = out_size(p->h, l->kernel_h, l->stride, dilation);
    p->w = out_size(p->w, l->kernel_w, l->stride, dilation);
    p->macs += fan_in * (double)(l->out * p->h * p->w);
    p->weights += fan_in * (double)l->out;
}

void probe_conv_square(struct probe *p, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
    probe_conv(p, &(struct conv_layer){out, kernel, kernel, stride, groups, 1, false});
}

void probe_unary(struct probe *p, const char *op) {
    p->x = build_unary(&p->b, op, p->x);
}

void probe_binary(struct probe *p, const char *op, uint32_t other) {
    p->x = build_binary(&p->b, op, p->x, other);
}

uint32_t probe_constant(struct probe *p, const int64_t *dims, int32_t rank, double scale) {
    return build_weight(&p->b, DT_FLOAT, dims, rank, scale);
}

void probe_set_data(struct probe *p, uint32_t tensor, const void *bytes, size_t length) {
    p->b.graph->tensors[tensor].data =
        (struct data){ENC_RAW, NONE, 0, length, arena_copy(p->b.graph->arena, bytes, length)};
}

uint32_t probe_scalar(struct probe *p, float value) {
    uint32_t id = build_weight(&p->b, DT_FLOAT, NULL, 0, 1);
    probe_set_data(p, id, &value, sizeof value);
    return id;
}

static void gate(struct probe *p, uint32_t sigmoid_of) {
    p->x = build_binary(&p->b, "Mul", sigmoid_of, build_unary(&p->b, "Sigmoid", sigmoid_of));
}

void probe_activation(struct probe *p, int64_t which) {
    static const char *const plain[] = {"", "Relu", "", "HardSwish", "", "Sigmoid", "HardSigmoid", "Tanh", "LeakyRelu"};
    if (which == 2) {
        uint32_t inputs[] = {p->x, probe_scalar(p, 0), probe_scalar(p, 6)};
        p->x = build_node(&p->b, "Clip", inputs, 3, NULL, 0);
    } else if (which == 4)
        gate(p, p->x);
    else if (which > 0 && which < (int64_t)COUNT_OF(plain))
        probe_unary(p, plain[which]);
}

void probe_pool(struct probe *p, const char *op, int64_t kernel, int64_t stride) {
    int64_t pad = (kernel - 1) / 2;
    struct attr attrs[] = {attr_ints(&p->b, "kernel_shape", (int64_t[]){kernel, kernel}, 2),
                           attr_ints(&p->b, "strides", (int64_t[]){stride, stride}, 2),
                           attr_ints(&p->b, "pads", (int64_t[]){pad, pad, pad, pad}, 4)};
    p->x = build_node(&p->b, op, &p->x, 1, attrs, COUNT_OF(attrs));
    p->h = out_size(p->h, kernel, stride, 1);
    p->w = out_size(p->w, kernel, stride, 1);
}

void probe_global_pool(struct probe *p) {
    probe_unary(p, "GlobalAveragePool");
    p->h = p->w = 1;
}

void probe_squeeze_excite(struct probe *p, int64_t squeezed, int64_t which) {
    uint32_t x = p->x;
    int64_t c = p->c, h = p->h, w = p->w;
    probe_global_pool(p);
    probe_conv_square(p, squeezed, 1, 1, 1);
    probe_activation(p, which == 5 ? 4 : 1);
    probe_conv_square(p, c, 1, 1, 1);
    probe_activation(p, which);
    probe_binary(p, "Mul", x);
    p->h = h;
    p->w = w;
}

void probe_reshape(struct probe *p, const int64_t *dims, int32_t rank) {
    uint32_t inputs[] = {p->x, build_ints(&p->b, dims, rank)};
    p->x = build_node(&p->b, "Reshape", inputs, 2, NULL, 0);
}

void probe_transpose(struct probe *p, const int64_t *perm, int32_t rank) {
    struct attr attr = attr_ints(&p->b, "perm", perm, (size_t)rank);
    p->x = build_node(&p->b, "Transpose", &p->x, 1, &attr, 1);
}

uint32_t probe_slice(struct probe *p, uint32_t x, int64_t axis, int64_t from, int64_t to) {
    uint32_t inputs[] = {x, build_ints(&p->b, &from, 1), build_ints(&p->b, &to, 1), build_ints(&p->b, &axis, 1)};
    return build_node(&p->b, "Slice", inputs, 4, NULL, 0);
}

void probe_concat(struct probe *p, const uint32_t *parts, uint32_t n, int64_t axis) {
    struct attr attr = attr_int(&p->b, "axis", axis);
    p->x = build_node(&p->b, "Concat", parts, n, &attr, 1);
}

void probe_matmul(struct probe *p, int64_t rows, int64_t in, int64_t out, bool bias) {
    const int64_t dims[] = {in, out}, bias_dims[] = {out};
    probe_binary(p, "MatMul", probe_constant(p, dims, 2, sqrt(1 / (double)in)));
    if (bias) probe_binary(p, "Add", probe_constant(p, bias_dims, 1, 0.1));
    p->macs += (double)rows * (double)in * (double)out;
    p->weights += (double)in * (double)out;
}

void probe_layer_norm(struct probe *p, int64_t width) {
    uint32_t inputs[] = {p->x, probe_constant(p, &width, 1, 1), probe_constant(p, &width, 1, 0.1)};
    struct attr axis = attr_int(&p->b, "axis", -1);
    p->x = build_node(&p->b, "LayerNormalization", inputs, 3, &axis, 1);
}

/* As exporters write it: x / sqrt 2 - erf - + 1 - times x - times 0.5. */
void probe_gelu(struct probe *p) {
    uint32_t x = p->x;
    probe_binary(p, "Div", probe_scalar(p, 1.41421356f));
    probe_unary(p, "Erf");
    probe_binary(p, "Add", probe_scalar(p, 1));
    p->x = build_binary(&p->b, "Mul", x, p->x);
    probe_binary(p, "Mul", probe_scalar(p, 0.5f));
}

void probe_softmax(struct probe *p, int64_t axis) {
    struct attr attr = attr_int(&p->b, "axis", axis);
    p->x = build_node(&p->b, "Softmax", &p->x, 1, &attr, 1);
}
