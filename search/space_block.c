/* Building blocks that the mobile search spaces share. */
#include "space.h"

#include <assert.h>
#include <string.h>

int64_t round_channels(double channels) {
    int64_t rounded = (int64_t)(channels + 4) / 8 * 8;
    if (rounded < 8) rounded = 8;
    return (double)rounded < 0.9 * channels ? rounded + 8 : rounded;
}

uint32_t float_scalar(struct builder *b, float number) {
    struct graph *g = b->graph;
    uint32_t id = graph_add_tensor(g, 0, b->weightless ? "" : arena_printf(g->arena, "scalar_%u", b->serial++));
    struct tensor *t = &g->tensors[id];
    t->flags |= TF_INITIALIZER | TF_CONSTANT;
    t->data = (struct data){.encoding = ENC_RAW,
                            .file = NONE,
                            .length = sizeof number,
                            .bytes = arena_copy(g->arena, &number, sizeof number)};
    t->stored_bytes = sizeof number;
    tensor_set_shape(g, id, DT_FLOAT, NULL, 0);
    return id;
}

static uint32_t activate(struct builder *b, const char *activation, uint32_t x) {
    if (strcmp(activation, "Relu6") != 0) return build_unary(b, activation, x);
    const uint32_t inputs[] = {x, float_scalar(b, 0), float_scalar(b, 6)};
    return build_node(b, "Clip", inputs, COUNT_OF(inputs), NULL, 0);
}

uint32_t conv_bn(struct builder *b, uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel, int64_t stride,
                 int64_t groups, const char *activation) {
    x = build_batchnorm(b, build_conv(b, x, c_in, c_out, kernel, stride, groups, false), c_out);
    return activation ? activate(b, activation, x) : x;
}

uint32_t classifier(struct builder *b, uint32_t x, int64_t channels, int64_t classes) {
    x = build_unary(b, "Flatten", build_unary(b, "GlobalAveragePool", x));
    return build_gemm(b, x, channels, classes, true);
}

/* Squeeze-and-excitation with a hard sigmoid (MobileNetV3). */
static uint32_t squeeze(struct builder *b, uint32_t x, int64_t channels) {
    int64_t middle = round_channels((double)(channels / 4));
    uint32_t s = build_conv(b, build_unary(b, "GlobalAveragePool", x), channels, middle, 1, 1, 1, true);
    s = build_conv(b, build_unary(b, "Relu", s), middle, channels, 1, 1, 1, true);
    struct attr slope = attr_float(b, "alpha", 1.0 / 6);
    return build_binary(b, "Mul", x, build_node(b, "HardSigmoid", &s, 1, &slope, 1));
}

uint32_t inverted_block(struct builder *b, const uint32_t *x, const struct block *v) {
    uint32_t y = conv_bn(b, *x, v->c_in, v->c_middle, 1, 1, 1, v->activation);
    y = conv_bn(b, y, v->c_middle, v->c_middle, v->kernel, v->stride, v->c_middle, v->activation);
    if (v->squeeze) y = squeeze(b, y, v->c_middle);
    y = conv_bn(b, y, v->c_middle, v->c_out, 1, 1, 1, NULL);
    return v->stride == 1 && v->c_in == v->c_out ? build_binary(b, "Add", *x, y) : y;
}

uint8_t add_kind(struct parts *list, const struct block *block) {
    assert(list->n_blocks < BLOCKS_MAX);
    list->block[list->n_blocks] = *block;
    return (uint8_t)list->n_blocks++;
}

uint8_t add_part(struct parts *list, uint8_t block, uint8_t x, uint8_t second) {
    assert(list->n_parts < PARTS_MAX);
    list->part[list->n_parts] = (struct part){block, {x, second}};
    return (uint8_t)list->n_parts++;
}

static const struct block *last_block(const struct parts *list) {
    return &list->block[list->part[list->n_parts - 1].block];
}

int64_t last_channels(const struct parts *list) {
    return last_block(list)->c_out;
}

void add_block(struct parts *list, struct block block) {
    if (list->n_parts > 0) {
        const struct block *last = last_block(list);
        block.batch = last->batch;
        block.c_in = last->c_out;
        block.side = (last->side + last->stride - 1) / last->stride;
    }
    add_part(list, add_kind(list, &block), list->n_parts > 0 ? (uint8_t)(list->n_parts - 1) : NO_PART, NO_PART);
}
