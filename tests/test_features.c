/* Features of small networks against numbers worked out by hand (predictor study, section 1). */
#include "small_graphs.h"

#include <math.h>

TestSuite(features, .init = small_setup, .fini = small_teardown);

static const struct fuse_rule usual[] = {{KC_CONV, KC_NORM}, {KC_CONV, KC_ACTIVATION}};
static const struct runtime fusing = {.n_fuse = COUNT_OF(usual), .fuse = usual};

struct expected {
    enum feature feature;
    double value;
};

static void expect(const struct expected *all, size_t n) {
    bool listed[FT_COUNT] = {false};
    for (size_t i = 0; i < n; i++) {
        double got = run.features.x[all[i].feature];
        cr_expect(fabs(got - all[i].value) <= 1e-9 * fabs(all[i].value), "%s is %.12g, expected %.12g",
                  feature_name(all[i].feature), got, all[i].value);
        listed[all[i].feature] = true;
    }
    for (int f = 0; f < FT_COUNT; f++)
        cr_expect(listed[f] || run.features.x[f] == 0, "%s is %.12g, expected nothing", feature_name((enum feature)f),
                  run.features.x[f]);
}

/* conv 3x3 8->8 + BN + ReLU, depthwise 5x5, pointwise 8->16, sum with another pointwise: on 16x16. */
Test(features, of_convolutions) {
    uint32_t x = image(8, 16);
    uint32_t y = build_unary(&b, "Relu", conv_norm(x, 8, 8, 3));
    y = build_conv(&b, y, 8, 8, 5, 1, 8, false);
    y = build_conv(&b, y, 8, 16, 1, 1, 1, false);
    build_output(&b, build_binary(&b, "Add", build_conv(&b, x, 8, 16, 1, 1, 1, false), y), "out");
    run_all(&fusing);
    const double p = 256, filled = 1 << 18, conv = p * 8 * 72, dw = p * 8 * 25, pw = p * 16 * 8;
    const struct expected all[] = {
        {FT_CONST, 1},
        {FT_N_CONV, 1},
        {FT_N_DEPTHWISE, 1},
        {FT_N_POINTWISE, 2},
        {FT_N_ELEMENTWISE, 1},
        {FT_MAC_CONV, conv / 1e6},
        {FT_MAC_DEPTHWISE5, dw / 1e6},
        {FT_MAC_POINTWISE, 2 * pw / 1e6},
        {FT_BYTES_DENSE, 4 * p * ((8 + 8) + 2 * (8 + 16)) / 1e6},
        {FT_BYTES_DEPTHWISE, 4 * p * (8 + 8) / 1e6},
        {FT_BYTES_ELEMENTWISE, 4 * p * (16 + 16 + 16) / 1e6},
        {FT_WEIGHT_BYTES, 4 * (72 * 8 + 25 * 8 + 2 * 8 * 16) / 1e6},
        {FT_PAD32, (p * 32 * 72 + dw + 2 * p * 32 * 8) / 1e6}, /* channels padded to 32; the depthwise as it is */
        {FT_UTIL18, filled * (72 + 25 + 2 * 8) / 1e6},
        {FT_REDUCTION, (72 + 25 + 2 * 8) / 1e3},
        {FT_SQRT_MAC, sqrt(conv / 1e6) + sqrt(dw / 1e6) + 2 * sqrt(pw / 1e6)},
        {FT_PATH_KERNELS, 4}, /* conv, depthwise, pointwise, sum */
        {FT_PATH_MACS, (conv + dw + pw) / 1e6},
    };
    expect(all, COUNT_OF(all));
}

/* A ReLU in front of a convolution that has no producer to join counts as elementwise; pools count their window. */
Test(features, of_an_activation_alone_and_a_pool) {
    uint32_t x = build_unary(&b, "Relu", image(8, 8));
    struct attr attrs[] = {attr_ints(&b, "kernel_shape", (int64_t[]){3, 3}, 2),
                           attr_ints(&b, "pads", (int64_t[]){1, 1, 1, 1}, 4)};
    build_output(&b, build_node(&b, "AveragePool", &x, 1, attrs, 2), "out");
    run_all(&fusing);
    const struct expected all[] = {
        {FT_CONST, 1},
        {FT_N_ELEMENTWISE, 1},
        {FT_N_POOL, 1},
        {FT_BYTES_ELEMENTWISE, 4 * 2 * 512 / 1e6},
        {FT_BYTES_POOL, 4 * 2 * 512 / 1e6},
        {FT_PAD32, 512 * 9 / 1e6},
        {FT_UTIL18, (1 << 18) * 9 / 1e6},
        {FT_PATH_KERNELS, 2},
    };
    expect(all, COUNT_OF(all));
}

/* Transformers have features, too: products with weights and with data, normalisation, softmax. */
Test(features, of_attention_spelled_out) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 10, 64}, 3);
    struct attr perm = attr_ints(&b, "perm", (int64_t[]){0, 2, 1}, 3);
    uint32_t q = build_binary(&b, "MatMul", x, build_weight(&b, DT_FLOAT, (int64_t[]){64, 64}, 2, 1));
    uint32_t k = build_node(&b, "Transpose", &q, 1, &perm, 1);
    uint32_t scores = build_unary(&b, "Softmax", build_binary(&b, "MatMul", q, k));
    build_output(&b, build_binary(&b, "MatMul", scores, q), "out");
    run_all(&fusing);
    const double *f = run.features.x;
    cr_assert_eq(f[FT_N_PRODUCT], 3);
    cr_assert_float_eq(f[FT_MAC_PRODUCT], (10 * 64 * 64 + 2 * 10 * 10 * 64) / 1e6, 1e-12);
    cr_assert_eq(f[FT_N_REDUCE], 1);
    cr_assert_eq(f[FT_N_ELEMENTWISE], 1); /* the transposition */
    cr_assert_eq(f[FT_PATH_KERNELS], 5);
}

Test(features, of_batched_products_count_every_product) {
    uint32_t q = build_input(&b, "q", DT_FLOAT, (int64_t[]){8, 512, 64}, 3);
    uint32_t k = build_input(&b, "k", DT_FLOAT, (int64_t[]){8, 64, 512}, 3);
    build_output(&b, build_binary(&b, "MatMul", q, k), "out");
    run_all(NULL);
    cr_assert_float_eq(run.features.x[FT_UTIL18], 8. * 512 * 512 * 64 / 1e6, 1e-9);
}

/* What is beyond 12 MB, and beyond 32 million MACs of a depthwise convolution, counts once more: kernel by kernel. */
Test(features, of_kernels_longer_than_a_launch) {
    uint32_t x = image(16, 512);
    uint32_t y = build_conv(&b, x, 16, 16, 3, 1, 16, false);
    build_output(&b, build_conv(&b, y, 16, 2, 1, 1, 1, false), "out");
    run_all(NULL);
    const double plane = 512 * 512, *f = run.features.x;
    cr_assert_float_eq(f[FT_MAC_DEPTHWISE_LARGE], (9 * 16 * plane - 32e6) / 1e6, 1e-9);
    cr_assert_float_eq(f[FT_BYTES_LARGE], (4 * plane * (16 + 16) - 12e6 + 4 * plane * (16 + 2) - 12e6) / 1e6, 1e-9);
}

/* Convolutions after one another wait for none of their kind; a pool between them, for two of the others. */
Test(features, of_kinds_that_take_turns) {
    struct attr attrs[] = {attr_ints(&b, "kernel_shape", (int64_t[]){3, 3}, 2),
                           attr_ints(&b, "pads", (int64_t[]){1, 1, 1, 1}, 4)};
    uint32_t x = build_conv(&b, build_conv(&b, image(8, 8), 8, 8, 3, 1, 1, false), 8, 8, 1, 1, 1, false);
    x = build_node(&b, "AveragePool", &x, 1, attrs, 2);
    x = build_unary(&b, "Sqrt", build_conv(&b, x, 8, 8, 3, 1, 8, false)); /* what does not sum is not counted */
    build_output(&b, build_node(&b, "MaxPool", &x, 1, attrs, 2), "out");
    run_all(NULL);
    cr_assert_float_eq(run.features.x[FT_LAUNCH_GAP], log(3) + log(2) + log(2), 1e-12); /* pool, conv, pool */
}
