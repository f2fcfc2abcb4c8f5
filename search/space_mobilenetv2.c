/* MobileNetV2 (Sandler et al., CVPR 2018) with its free numbers open: input resolution, width, and the depth of each
 * stage, kernel and expansion of each block. */
#include "space.h"

static const int16_t resolutions[] = {96, 128, 160, 176, 192, 208, 224};
static const int16_t widths[] = {35, 50, 75, 100, 120, 140}; /* percent */
static const int16_t depths[] = {1, 2, 3, 4}, kernels[] = {3, 5, 7}, expansions[] = {3, 4, 6};

static const struct stage {
    int64_t channels, stride;
} stages[] = {{24, 2}, {32, 2}, {64, 2}, {96, 1}, {160, 2}, {320, 1}};

#define N_STAGES COUNT_OF(stages)
#define N_SLOTS  4
#define LAST     1280

enum {
    GENE_RESOLUTION,
    GENE_WIDTH,
    GENE_DEPTH,
    GENE_KERNEL = GENE_DEPTH + N_STAGES,
    GENE_EXPAND = GENE_KERNEL + N_STAGES * N_SLOTS
};

static uint32_t stem(struct builder *b, const uint32_t *x, const struct block *v) {
    uint32_t y = conv_bn(b, *x, v->c_in, v->c_middle, 3, v->stride, 1, "Relu6");
    y = conv_bn(b, y, v->c_middle, v->c_middle, 3, 1, v->c_middle, "Relu6"); /* the first block does not expand */
    return conv_bn(b, y, v->c_middle, v->c_out, 1, 1, 1, NULL);
}

static uint32_t head(struct builder *b, const uint32_t *x, const struct block *v) {
    return classifier(b, conv_bn(b, *x, v->c_in, v->c_middle, 1, 1, 1, "Relu6"), v->c_middle, v->c_out);
}

static void stage(const struct space *s, const struct arch *a, size_t i, double width, struct parts *list) {
    for (size_t k = 0; k < (size_t)space_value(s, a, GENE_DEPTH + i); k++)
        add_block(list,
                  (struct block){.build = inverted_block,
                                 .c_middle = last_channels(list) * space_value(s, a, GENE_EXPAND + i * N_SLOTS + k),
                                 .c_out = round_channels((double)stages[i].channels * width),
                                 .kernel = space_value(s, a, GENE_KERNEL + i * N_SLOTS + k),
                                 .stride = k == 0 ? stages[i].stride : 1,
                                 .activation = "Relu6"});
}

static void split(const struct space *s, const struct arch *a, int64_t batch, enum view view, struct parts *list) {
    (void)view;
    double width = space_value(s, a, GENE_WIDTH) / 100.0;
    add_block(list, (struct block){.build = stem,
                                   .batch = batch,
                                   .c_in = 3,
                                   .side = space_value(s, a, GENE_RESOLUTION),
                                   .c_middle = round_channels(32 * width),
                                   .c_out = round_channels(16 * width),
                                   .stride = 2});
    for (size_t i = 0; i < N_STAGES; i++) stage(s, a, i, width, list);
    add_block(list, (struct block){.build = head,
                                   .c_middle = width > 1 ? round_channels(LAST * width) : LAST,
                                   .c_out = s->classes,
                                   .stride = 1});
}

const struct space space_mobilenetv2 = {
    .name = "mobilenetv2",
    .description = "MobileNetV2 with free width, depth, kernels, expansions and resolution, ImageNet",
    .n_fields = 5,
    .fields = {{"resolution", 1, COUNT_OF(resolutions), resolutions},
               {"width", 1, COUNT_OF(widths), widths},
               {"depth", N_STAGES, COUNT_OF(depths), depths},
               {"kernel", N_STAGES *N_SLOTS, COUNT_OF(kernels), kernels},
               {"expand", N_STAGES *N_SLOTS, COUNT_OF(expansions), expansions}},
    .classes = 1000,
    .split = split,
};
