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

static uint32_t stage(struct builder *b, uint32_t x, const struct space *s, const struct arch *a, size_t i,
                      double width, int64_t *channels) {
    for (size_t k = 0; k < (size_t)space_value(s, a, GENE_DEPTH + i); k++) {
        struct inverted v = {.c_in = *channels,
                             .c_middle = *channels * space_value(s, a, GENE_EXPAND + i * N_SLOTS + k),
                             .c_out = round_channels((double)stages[i].channels * width),
                             .kernel = space_value(s, a, GENE_KERNEL + i * N_SLOTS + k),
                             .stride = k == 0 ? stages[i].stride : 1,
                             .activation = "Relu6"};
        x = inverted_block(b, x, &v);
        *channels = v.c_out;
    }
    return x;
}

static void build(const struct space *s, const struct arch *a, int64_t batch, struct builder *b) {
    const int64_t side = space_value(s, a, GENE_RESOLUTION), image[] = {batch, 3, side, side};
    double width = space_value(s, a, GENE_WIDTH) / 100.0;
    int64_t stem = round_channels(32 * width), channels = round_channels(16 * width);
    int64_t last = width > 1 ? round_channels(LAST * width) : LAST;
    uint32_t x = conv_bn(b, build_input(b, "image", DT_FLOAT, image, 4), 3, stem, 3, 2, 1, "Relu6");
    x = conv_bn(b, x, stem, stem, 3, 1, stem, "Relu6"); /* the first block does not expand */
    x = conv_bn(b, x, stem, channels, 1, 1, 1, NULL);
    for (size_t i = 0; i < N_STAGES; i++) x = stage(b, x, s, a, i, width, &channels);
    x = conv_bn(b, x, channels, last, 1, 1, 1, "Relu6");
    build_output(b, classifier(b, x, last, s->classes), "scores");
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
    .build = build,
};
