/* Once-for-all MobileNetV3 (Cai et al., ICLR 2020) at width 1.2: resolution, and depth, kernels and expansions of five
 * stages of at most four blocks. */
#include "space.h"

static const int16_t resolutions[] = {128, 132, 136, 140, 144, 148, 152, 156, 160, 164, 168, 172, 176,
                                      180, 184, 188, 192, 196, 200, 204, 208, 212, 216, 220, 224};
static const int16_t depths[] = {2, 3, 4}, kernels[] = {3, 5, 7}, expansions[] = {3, 4, 6};

static const struct stage {
    int64_t channels, stride;
    const char *activation;
    bool squeeze;
} stages[] = {{24, 2, "Relu", false},
              {40, 2, "Relu", true},
              {80, 2, "HardSwish", false},
              {112, 1, "HardSwish", true},
              {160, 2, "HardSwish", true}};

#define N_STAGES COUNT_OF(stages)
#define N_SLOTS  4
#define WIDTH    1.2

enum {
    GENE_RESOLUTION,
    GENE_DEPTH,
    GENE_KERNEL = GENE_DEPTH + N_STAGES,
    GENE_EXPAND = GENE_KERNEL + N_STAGES * N_SLOTS
};

static uint32_t stage(struct builder *b, uint32_t x, const struct space *s, const struct arch *a, size_t i,
                      int64_t *channels) {
    for (size_t k = 0; k < (size_t)space_value(s, a, GENE_DEPTH + i); k++) {
        struct inverted v = {.c_in = *channels,
                             .c_middle = *channels * space_value(s, a, GENE_EXPAND + i * N_SLOTS + k),
                             .c_out = round_channels((double)stages[i].channels * WIDTH),
                             .kernel = space_value(s, a, GENE_KERNEL + i * N_SLOTS + k),
                             .stride = k == 0 ? stages[i].stride : 1,
                             .activation = stages[i].activation,
                             .squeeze = stages[i].squeeze};
        v.c_middle = round_channels((double)v.c_middle);
        x = inverted_block(b, x, &v);
        *channels = v.c_out;
    }
    return x;
}

static void build(const struct space *s, const struct arch *a, int64_t batch, struct builder *b) {
    const int64_t side = space_value(s, a, GENE_RESOLUTION), image[] = {batch, 3, side, side};
    int64_t channels = round_channels(16 * WIDTH), final = round_channels(960 * WIDTH),
            wide = round_channels(1280 * WIDTH);
    uint32_t x = conv_bn(b, build_input(b, "image", DT_FLOAT, image, 4), 3, channels, 3, 2, 1, "HardSwish");
    uint32_t y = conv_bn(b, x, channels, channels, 3, 1, channels, "Relu");
    x = build_binary(b, "Add", x, conv_bn(b, y, channels, channels, 1, 1, 1, NULL));
    for (size_t i = 0; i < N_STAGES; i++) x = stage(b, x, s, a, i, &channels);
    x = build_unary(b, "GlobalAveragePool", conv_bn(b, x, channels, final, 1, 1, 1, "HardSwish"));
    x = build_unary(b, "HardSwish", build_conv(b, x, final, wide, 1, 1, 1, false));
    build_output(b, build_gemm(b, build_unary(b, "Flatten", x), wide, s->classes, true), "scores");
}

const struct space space_ofa = {
    .name = "ofa",
    .description = "once-for-all MobileNetV3, width 1.2, ImageNet",
    .n_fields = 4,
    .fields = {{"resolution", 1, COUNT_OF(resolutions), resolutions},
               {"depth", N_STAGES, COUNT_OF(depths), depths},
               {"kernel", N_STAGES *N_SLOTS, COUNT_OF(kernels), kernels},
               {"expand", N_STAGES *N_SLOTS, COUNT_OF(expansions), expansions}},
    .classes = 1000,
    .build = build,
};
