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

static uint32_t stem(struct builder *b, const uint32_t *x, const struct block *v) {
    uint32_t first = conv_bn(b, *x, v->c_in, v->c_out, 3, v->stride, 1, "HardSwish");
    uint32_t y = conv_bn(b, first, v->c_out, v->c_out, 3, 1, v->c_out, "Relu");
    return build_binary(b, "Add", first, conv_bn(b, y, v->c_out, v->c_out, 1, 1, 1, NULL));
}

static uint32_t head(struct builder *b, const uint32_t *x, const struct block *v) {
    const int64_t wide = round_channels(1280 * WIDTH);
    uint32_t y = build_unary(b, "GlobalAveragePool", conv_bn(b, *x, v->c_in, v->c_middle, 1, 1, 1, "HardSwish"));
    y = build_unary(b, "HardSwish", build_conv(b, y, v->c_middle, wide, 1, 1, 1, false));
    return build_gemm(b, build_unary(b, "Flatten", y), wide, v->c_out, true);
}

static void stage(const struct space *s, const struct arch *a, size_t i, struct parts *list) {
    for (size_t k = 0; k < (size_t)space_value(s, a, GENE_DEPTH + i); k++) {
        int64_t c_in = last_channels(list), expansion = space_value(s, a, GENE_EXPAND + i * N_SLOTS + k);
        add_block(list, (struct block){.build = inverted_block,
                                       .c_middle = round_channels((double)(c_in * expansion)),
                                       .c_out = round_channels((double)stages[i].channels * WIDTH),
                                       .kernel = space_value(s, a, GENE_KERNEL + i * N_SLOTS + k),
                                       .stride = k == 0 ? stages[i].stride : 1,
                                       .activation = stages[i].activation,
                                       .squeeze = stages[i].squeeze});
    }
}

static void split(const struct space *s, const struct arch *a, int64_t batch, enum view view, struct parts *list) {
    (void)view;
    add_block(list, (struct block){.build = stem,
                                   .batch = batch,
                                   .c_in = 3,
                                   .side = space_value(s, a, GENE_RESOLUTION),
                                   .c_out = round_channels(16 * WIDTH),
                                   .stride = 2});
    for (size_t i = 0; i < N_STAGES; i++) stage(s, a, i, list);
    add_block(list,
              (struct block){.build = head, .c_middle = round_channels(960 * WIDTH), .c_out = s->classes, .stride = 1});
}

const struct space space_ofa = {
    .name = "ofa",
    .alias = "ofa-mbv3",
    .description = "once-for-all MobileNetV3, width 1.2, ImageNet",
    .n_fields = 4,
    .fields = {{"resolution", 1, COUNT_OF(resolutions), resolutions},
               {"depth", N_STAGES, COUNT_OF(depths), depths},
               {"kernel", N_STAGES *N_SLOTS, COUNT_OF(kernels), kernels},
               {"expand", N_STAGES *N_SLOTS, COUNT_OF(expansions), expansions}},
    .classes = 1000,
    .split = split,
};
