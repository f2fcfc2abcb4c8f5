/* FBNet (Wu et al., CVPR 2019), the CIFAR-100 variant: 22 positions, nine blocks to choose from at each. */
#include "space.h"

static const struct block {
    int64_t kernel, expansion, groups;
} blocks[] = {{3, 1, 1}, {3, 1, 2}, {3, 3, 1}, {3, 6, 1}, {5, 1, 1}, {5, 1, 2}, {5, 3, 1}, {5, 6, 1}};

#define SKIP COUNT_OF(blocks)

static const int16_t block_options[] = {0, 1, 2, 3, 4, 5, 6, 7, SKIP};

static const struct stage {
    int layers;
    int64_t channels, stride;
} stages[] = {{1, 16, 1}, {4, 24, 1}, {4, 32, 2}, {4, 64, 2}, {4, 112, 1}, {4, 184, 2}, {1, 352, 1}};

#define N_LAYERS   22
#define STEM       16
#define HEAD       1504
#define RESOLUTION 32

struct shape {
    int64_t batch, channels, size;
};

static uint32_t shuffle(struct builder *b, uint32_t x, const struct shape *s, int64_t groups) {
    const int64_t split[] = {s->batch, groups, s->channels / groups, s->size, s->size};
    const int64_t merged[] = {s->batch, s->channels, s->size, s->size}, order[] = {0, 2, 1, 3, 4};
    uint32_t y = build_binary(b, "Reshape", x, build_ints(b, split, 5));
    struct attr perm = attr_ints(b, "perm", order, 5);
    y = build_node(b, "Transpose", &y, 1, &perm, 1);
    return build_binary(b, "Reshape", y, build_ints(b, merged, 4));
}

static uint32_t layer(struct builder *b, uint32_t x, struct shape *s, uint8_t choice, int64_t c_out, int64_t stride) {
    bool same = stride == 1 && s->channels == c_out;
    struct shape in = *s;
    s->channels = c_out;
    s->size = (s->size + stride - 1) / stride;
    if (choice == SKIP) return same ? x : conv_bn(b, x, in.channels, c_out, 1, stride, 1, "Relu");
    const struct block *block = &blocks[choice];
    struct shape middle = {in.batch, in.channels * block->expansion, in.size};
    uint32_t y = conv_bn(b, x, in.channels, middle.channels, 1, 1, block->groups, "Relu");
    if (block->groups > 1) y = shuffle(b, y, &middle, block->groups);
    y = conv_bn(b, y, middle.channels, middle.channels, block->kernel, stride, middle.channels, "Relu");
    y = conv_bn(b, y, middle.channels, c_out, 1, 1, block->groups, NULL);
    return same ? build_binary(b, "Add", x, y) : y;
}

static void build(const struct space *space, const struct arch *a, int64_t batch, struct builder *b) {
    const int64_t image[] = {batch, 3, RESOLUTION, RESOLUTION};
    struct shape s = {batch, STEM, RESOLUTION};
    uint32_t x = conv_bn(b, build_input(b, "image", DT_FLOAT, image, 4), 3, STEM, 3, 1, 1, "Relu");
    size_t gene = 0;
    for (size_t i = 0; i < COUNT_OF(stages); i++)
        for (int k = 0; k < stages[i].layers; k++)
            x = layer(b, x, &s, a->gene[gene++], stages[i].channels, k == 0 ? stages[i].stride : 1);
    x = conv_bn(b, x, s.channels, HEAD, 1, 1, 1, "Relu");
    build_output(b, classifier(b, x, HEAD, space->classes), "scores");
}

const struct space space_fbnet = {.name = "fbnet",
                                  .description = "FBNet, CIFAR-100",
                                  .n_fields = 1,
                                  .fields = {{"ops", N_LAYERS, COUNT_OF(block_options), block_options}},
                                  .classes = 100,
                                  .build = build};
