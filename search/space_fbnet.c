/* FBNet (Wu et al., CVPR 2019), the CIFAR-100 variant: 22 positions, nine blocks to choose from at each. */
#include "space.h"

static const struct option {
    int64_t kernel, expansion, groups;
} options[] = {{3, 1, 1}, {3, 1, 2}, {3, 3, 1}, {3, 6, 1}, {5, 1, 1}, {5, 1, 2}, {5, 3, 1}, {5, 6, 1}};

#define SKIP COUNT_OF(options)

static const int16_t block_options[] = {0, 1, 2, 3, 4, 5, 6, 7, SKIP};

static const struct stage {
    int layers;
    int64_t channels, stride;
} stages[] = {{1, 16, 1}, {4, 24, 1}, {4, 32, 2}, {4, 64, 2}, {4, 112, 1}, {4, 184, 2}, {1, 352, 1}};

#define N_LAYERS   22
#define STEM       16
#define HEAD       1504
#define RESOLUTION 32

static uint32_t shuffle(struct builder *b, uint32_t x, const struct block *v) {
    const int64_t split[] = {v->batch, v->groups, v->c_middle / v->groups, v->side, v->side};
    const int64_t merged[] = {v->batch, v->c_middle, v->side, v->side}, order[] = {0, 2, 1, 3, 4};
    uint32_t y = build_binary(b, "Reshape", x, build_ints(b, split, 5));
    struct attr perm = attr_ints(b, "perm", order, 5);
    y = build_node(b, "Transpose", &y, 1, &perm, 1);
    return build_binary(b, "Reshape", y, build_ints(b, merged, 4));
}

static uint32_t choice(struct builder *b, const uint32_t *x, const struct block *v) {
    uint32_t y = conv_bn(b, *x, v->c_in, v->c_middle, 1, 1, v->groups, "Relu");
    if (v->groups > 1) y = shuffle(b, y, v);
    y = conv_bn(b, y, v->c_middle, v->c_middle, v->kernel, v->stride, v->c_middle, "Relu");
    y = conv_bn(b, y, v->c_middle, v->c_out, 1, 1, v->groups, NULL);
    return v->stride == 1 && v->c_in == v->c_out ? build_binary(b, "Add", *x, y) : y;
}

static uint32_t plain(struct builder *b, const uint32_t *x, const struct block *v) {
    return conv_bn(b, *x, v->c_in, v->c_out, v->kernel, v->stride, 1, "Relu");
}

static uint32_t head(struct builder *b, const uint32_t *x, const struct block *v) {
    return classifier(b, conv_bn(b, *x, v->c_in, HEAD, 1, 1, 1, "Relu"), HEAD, v->c_out);
}

static void layer(struct parts *list, uint8_t gene, int64_t c_out, int64_t stride) {
    int64_t c_in = last_channels(list);
    if (gene != SKIP)
        add_block(list, (struct block){.build = choice,
                                       .c_middle = c_in * options[gene].expansion,
                                       .c_out = c_out,
                                       .kernel = options[gene].kernel,
                                       .stride = stride,
                                       .groups = options[gene].groups});
    else if (stride != 1 || c_in != c_out)
        add_block(list, (struct block){.build = plain, .c_out = c_out, .kernel = 1, .stride = stride});
}

static void split(const struct space *space, const struct arch *a, int64_t batch, enum view view, struct parts *list) {
    (void)view;
    size_t gene = 0;
    add_block(
        list,
        (struct block){
            .build = plain, .batch = batch, .c_in = 3, .side = RESOLUTION, .c_out = STEM, .kernel = 3, .stride = 1});
    for (size_t i = 0; i < COUNT_OF(stages); i++)
        for (int k = 0; k < stages[i].layers; k++)
            layer(list, a->gene[gene++], stages[i].channels, k == 0 ? stages[i].stride : 1);
    add_block(list, (struct block){.build = head, .c_out = space->classes, .stride = 1});
}

const struct space space_fbnet = {.name = "fbnet",
                                  .description = "FBNet, CIFAR-100",
                                  .n_fields = 1,
                                  .fields = {{"ops", N_LAYERS, COUNT_OF(block_options), block_options}},
                                  .classes = 100,
                                  .split = split};
