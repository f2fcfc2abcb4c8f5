/* What cuts do to weights, however they are stored: which go first, what is copied, kernels that shrink. */
#include "cut_graphs.h"
#include "score.h"

TestSuite(rewrite, .init = small_setup, .fini = small_teardown);

Test(rewrite, the_least_important_goes_and_the_rest_is_copied) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 6, 1, 1, 1, false), w = weight_of(h);
    build_output(&b, build_conv(&b, h, 6, 4, 1, 1, 1, false), "y");
    float *data = arena_copy(&arena, b.graph->tensors[w].data.bytes, 18 * sizeof *data);
    for (int i = 0; i < 18; i++) data[i] = (float)(i / 3 == 2 ? 0.001 : i + 1);
    b.graph->tensors[w].data.bytes = (const uint8_t *)data;
    uint32_t last = weight_of(b.graph->bodies[0].outputs[0]);
    float *second = arena_copy(&arena, b.graph->tensors[last].data.bytes, 24 * sizeof *second);
    for (int i = 0; i < 24; i++) second[i] = 1;
    b.graph->tensors[last].data.bytes = (const uint8_t *)second;
    find_knobs(1);
    struct graph *g = cut_all(1);
    cr_assert_eq(size_of(g, w, 0), 5);
    const float *kept = (const float *)(const void *)g->tensors[w].data.bytes;
    for (int i = 0; i < 15; i++) cr_expect_float_eq(kept[i], i + (i < 6 ? 1 : 4), 1e-6);
}

/* Two of six filters weigh next to nothing, and go first however the weights are stored. */
static void find_weak_filters(enum dtype dtype, enum encoding encoding, const void *strong, const void *weak,
                              size_t width) {
    build_start(&b, &arena, "small.onnx", 17, 1, false);
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 6, 1, 1, 1, false);
    build_output(&b, build_conv(&b, h, 6, 4, 1, 1, 1, false), "y");
    struct tensor *w = &b.graph->tensors[weight_of(h)];
    uint8_t *bytes = arena_alloc(&arena, 18 * width);
    for (size_t i = 0; i < 18; i++) memcpy(bytes + i * width, i / 3 % 3 == 1 ? weak : strong, width);
    w->dtype = dtype;
    w->data = (struct data){encoding, NONE, 0, 18 * width, bytes};
    find_knobs(1);
    const uint32_t *order = knobs.groups[0].order;
    cr_expect(order[0] + order[1] == 1 + 4 && (order[0] == 1 || order[0] == 4), "%s: %u, %u first", dtype_name(dtype),
              order[0], order[1]);
}

Test(rewrite, importance_of_weights_however_they_are_stored) {
    find_weak_filters(DT_FLOAT, ENC_RAW, &(float){1}, &(float){1e-3f}, 4);
    find_weak_filters(DT_FLOAT, ENC_FLOATS, &(float){-1}, &(float){1e-3f}, 4);
    find_weak_filters(DT_DOUBLE, ENC_DOUBLES, &(double){1}, &(double){-1e-3}, 8);
    find_weak_filters(DT_FLOAT16, ENC_RAW, &(uint16_t){0x3c00}, &(uint16_t){0x1418}, 2);
    find_weak_filters(DT_BFLOAT16, ENC_RAW, &(uint16_t){0xbf80}, &(uint16_t){0x3a83}, 2);
}

/* Weights that a DequantizeLinear hands on go with their scales and zero points, and weigh what those make of them. */
Test(rewrite, quantised_weights) {
    int8_t numbers[8] = {3, 8, 3, 8, 3, 8, 3, 8}, zeros[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    float scales[8] = {2, 1, 2, 1, 2, 1, 2, 1}; /* 4 and 7 by turns: what is stored and what is scaled say otherwise */
    uint32_t x = image(1, 4), stored = build_weight(&b, DT_INT8, (int64_t[]){8, 1, 1, 1}, 4, 0);
    uint32_t scale = build_weight(&b, DT_FLOAT, (int64_t[]){8}, 1, 0);
    uint32_t zero = build_weight(&b, DT_INT8, (int64_t[]){8}, 1, 0);
    b.graph->tensors[stored].data = (struct data){ENC_RAW, NONE, 0, sizeof numbers, (const uint8_t *)numbers};
    b.graph->tensors[scale].data = (struct data){ENC_RAW, NONE, 0, sizeof scales, (const uint8_t *)scales};
    b.graph->tensors[zero].data = (struct data){ENC_RAW, NONE, 0, sizeof zeros, (const uint8_t *)zeros};
    struct attr axis = attr_int(&b, "axis", 0);
    uint32_t w = build_node(&b, "DequantizeLinear", (uint32_t[]){stored, scale, zero}, 3, &axis, 1);
    uint32_t h = build_node(&b, "Conv", (uint32_t[]){x, w}, 2, NULL, 0);
    build_output(&b, build_conv(&b, h, 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    struct graph *g = cut_all(4);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(tensor_number(&g->tensors[stored], i), 8);
        cr_expect_eq(tensor_number(&g->tensors[scale], i), 1);
    }
    cr_expect_eq(size_of(g, zero, 0), 4);
    cr_expect_eq(size_of(g, w, 0), 4);
}

/* As some exporters write weights. */
Test(rewrite, weights_in_constant_nodes) {
    uint32_t x = image(3, 4), w = build_weight(&b, DT_FLOAT, (int64_t[]){8, 3, 1, 1}, 4, 1);
    struct attr value = {.name = intern_str(b.graph->names, "value"), .type = AT_TENSOR, .tensor = w};
    uint32_t constant = build_node(&b, "Constant", NULL, 0, &value, 1);
    uint32_t h = build_node(&b, "Conv", (uint32_t[]){x, constant}, 2, NULL, 0);
    build_output(&b, build_conv(&b, h, 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(size_of(cut_all(3), constant, 0), 5);
}

/* A scale for each block of an axis says nothing about single indices. */
Test(rewrite, weights_quantised_in_blocks_stay) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){4, 8}, 2), first = build_gemm(&b, x, 8, 16, false);
    uint32_t stored = build_weight(&b, DT_INT8, (int64_t[]){16, 6}, 2, 0);
    uint32_t scale = build_weight(&b, DT_FLOAT, (int64_t[]){4, 6}, 2, 0);
    struct attr attrs[] = {attr_int(&b, "axis", 0), attr_int(&b, "block_size", 4)};
    uint32_t w = build_node(&b, "DequantizeLinear", (uint32_t[]){stored, scale}, 2, attrs, 2);
    build_output(&b, build_node(&b, "MatMul", (uint32_t[]){first, w}, 2, NULL, 0), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 0);
}

Test(rewrite, shared_weights_stay_shared_where_they_stay_equal) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 8, 1, 1, 1, true), k = build_conv(&b, h, 8, 8, 1, 1, 1, true);
    uint32_t bias = b.graph->nodes[producer(h)].inputs[2];
    uint32_t last = build_conv(&b, k, 8, 2, 1, 1, 1, true);
    build_output(&b, last, "y");
    uint32_t inputs[3];
    memcpy(inputs, b.graph->nodes[producer(k)].inputs, sizeof inputs);
    inputs[2] = bias;
    b.graph->nodes[producer(k)].inputs = inputs;
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 2, "a shared bias couples nothing");
    struct config config = config_new(&knobs, &arena);
    struct graph *g = apply(&config);
    cr_expect_eq(g->nodes[producer(h)].inputs[2], g->nodes[producer(k)].inputs[2]);
    config.removed[0] = 2;
    g = apply(&config);
    cr_expect_neq(g->nodes[producer(h)].inputs[2], g->nodes[producer(k)].inputs[2]);
}

/* Two layers with one weight between the same channels, and the second of them with another one's inputs. */
Test(rewrite, shared_weights_that_are_cut_alike_are_one) {
    uint32_t h = build_conv(&b, image(3, 8), 3, 8, 1, 1, 1, true), p = build_conv(&b, h, 8, 8, 1, 1, 1, false);
    uint32_t q = build_binary(&b, "Conv", h, weight_of(p)), sum = build_binary(&b, "Add", p, q);
    uint32_t r = build_binary(&b, "Conv", sum, weight_of(p));
    build_output(&b, build_conv(&b, r, 8, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 3);
    struct config config = config_new(&knobs, &arena);
    config.removed[0] = 2;
    config.removed[1] = 3;
    struct graph *g = apply(&config);
    cr_expect_eq(weight_in(g, p), weight_in(g, q));
    cr_expect_not(g->tensors[weight_of(q)].flags & TF_INITIALIZER, "it is not written");
    cr_expect_eq(size_of(g, weight_in(g, p), 0), 5);
    cr_expect_neq(weight_in(g, p), weight_in(g, r));
    cr_expect_eq(size_of(g, weight_in(g, r), 1), 5);
}

/* ---- Sparse weights ---- */

static void make_sparse(uint32_t w, const int64_t *places, const float *values, int64_t n, bool flat) {
    struct tensor *t = &b.graph->tensors[w];
    size_t bytes = (size_t)(n * (flat ? 1 : t->rank)) * sizeof *places;
    struct sparse sparse = {n,
                            flat,
                            {ENC_RAW, NONE, 0, (uint64_t)n * sizeof *values, (const uint8_t *)values},
                            {ENC_RAW, NONE, 0, bytes, (const uint8_t *)places}};
    t->data = (struct data){.file = NONE};
    t->sparse = arena_copy(&arena, &sparse, sizeof sparse);
}

static void cut_sparse(const int64_t *places, bool flat, const int64_t *want) {
    static const float values[] = {1, 2, 3};
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 4, 1, 1, 1, false), w = weight_of(h);
    build_output(&b, build_conv(&b, h, 4, 2, 1, 1, 1, false), "y");
    make_sparse(w, places, values, 3, flat);
    find_knobs(1);
    for (int i = 0; i < 4; i++) ((uint32_t *)(uintptr_t)knobs.groups[0].order)[i] = (uint32_t)i;
    struct graph *g = cut_all(1);
    cr_assert_eq(size_of(g, w, 0), 3);
    const struct sparse *kept = g->tensors[w].sparse;
    cr_assert_eq(kept->n, 2, "what lay in the first channel, and outside, is gone");
    cr_assert_eq(((const float *)(const void *)kept->values.bytes)[1], 2);
    cr_assert_eq(kept->indices.length, (flat ? 2 : 8) * sizeof *want);
    cr_expect_arr_eq(kept->indices.bytes, want, kept->indices.length);
}

Test(rewrite, sparse_weights_by_position) {
    cut_sparse((int64_t[]){3, 11, 1}, true, (int64_t[]){0, 8});
}

Test(rewrite, sparse_weights_by_coordinates) {
    cut_sparse((int64_t[]){2, 1, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0}, false, (int64_t[]){1, 1, 0, 0, 2, 0, 0, 0});
}

/* The second convolution reads 16 channels whose weights are all stored sparsely; returns the first one's weights. */
static uint32_t many_sparse(int64_t n) {
    float *values = arena_array(&arena, (size_t)n, sizeof *values);
    int64_t *places = arena_array(&arena, (size_t)n, sizeof *places);
    for (int64_t i = 0; i < n; i++) values[i] = (float)i, places[i] = i;
    uint32_t h = build_conv(&b, image((int)(n / 16), 4), n / 16, 16, 1, 1, 1, false), w = weight_of(h);
    build_output(&b, build_conv(&b, h, 16, 2, 1, 1, 1, false), "y");
    make_sparse(w, places, values, n, true);
    return w;
}

Test(rewrite, many_sparse_weights) {
    uint32_t w = many_sparse(8192);
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    for (int i = 0; i < 16; i++) ((uint32_t *)(uintptr_t)knobs.groups[0].order)[i] = (uint32_t)i;
    const struct sparse *kept = cut_all(1)->tensors[w].sparse;
    cr_assert_eq(kept->n, 8192 - 512);
    for (int64_t i = 0; i < kept->n; i++) {
        cr_assert_eq(((const int64_t *)(const void *)kept->indices.bytes)[i], i);
        cr_assert_eq(((const float *)(const void *)kept->values.bytes)[i], (float)(i + 512));
    }
}

Test(rewrite, sparse_weights_by_varints) {
    uint32_t w = many_sparse(32);
    struct sparse *sparse = (struct sparse *)(uintptr_t)b.graph->tensors[w].sparse;
    uint8_t places[32];
    for (int i = 0; i < 32; i++) places[i] = (uint8_t)i;
    sparse->indices = (struct data){ENC_VARINTS, NONE, 0, sizeof places, places};
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_assert_eq(cut_all(1)->tensors[w].sparse->n, 30);
}

Test(rewrite, sparse_weights_whose_places_end_early_stay) {
    uint32_t w = many_sparse(32);
    struct sparse *sparse = (struct sparse *)(uintptr_t)b.graph->tensors[w].sparse;
    sparse->indices.length--;
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 0);
    sparse->indices = (struct data){ENC_VARINTS, NONE, 0, 31, sparse->indices.bytes};
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 0);
}

/* ---- Kernels that shrink ---- */

static uint32_t wide_conv(uint32_t x, int64_t c_in, int64_t c_out, int64_t groups, const int64_t *sides,
                          const struct attr *attrs, uint32_t n_attrs) {
    uint32_t w = build_weight(&b, DT_FLOAT, (int64_t[]){c_out, c_in / groups, sides[0], sides[1]}, 4, 1);
    return build_node(&b, "Conv", (uint32_t[]){x, w}, 2, attrs, n_attrs);
}

static struct graph *crop_all(void) {
    struct config config = config_new(&knobs, &arena);
    for (uint32_t i = 0; i < knobs.n_crops; i++) config.cropped[i] = (uint16_t)knobs.crops[i].n_steps;
    return apply(&config);
}

static void expect_ints(const struct graph *g, uint32_t tensor, const char *name, const int64_t *want, size_t n) {
    size_t have = 0;
    const int64_t *values = node_ints(&g->nodes[producer(tensor)], name, &have);
    cr_assert_eq(have, n, "%s", name);
    for (size_t i = 0; i < n; i++) cr_expect_eq(values[i], want[i], "%s[%zu] is %lld", name, i, (long long)values[i]);
}

Test(rewrite, a_kernel_loses_its_rim_and_the_padding_that_reached_it) {
    uint32_t x = image(3, 32), h = build_conv(&b, x, 3, 4, 7, 2, 1, true);
    build_output(&b, build_conv(&b, h, 4, 2, 3, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_crops, 1, "the other one is small already");
    cr_expect_eq(knobs.crops[0].n_steps, 2);
    struct graph *g = crop_all();
    cr_expect_eq(size_of(g, h, 2), 16);
    expect_ints(g, h, "kernel_shape", (int64_t[]){3, 3}, 2);
    expect_ints(g, h, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    const float *now = (const float *)(const void *)g->tensors[weight_of(h)].data.bytes;
    const float *was = (const float *)(const void *)b.graph->tensors[weight_of(h)].data.bytes;
    for (int i = 0; i < 4 * 3 * 9; i++) cr_assert_eq(now[i], was[i / 9 * 49 + (i / 3 % 3 + 2) * 7 + i % 3 + 2]);
}

Test(rewrite, a_depthwise_kernel_shrinks_with_its_channels) {
    uint32_t x = image(3, 16), h = build_conv(&b, x, 3, 8, 1, 1, 1, true), d = build_conv(&b, h, 8, 8, 5, 1, 8, true);
    build_output(&b, build_conv(&b, d, 8, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_crops, 1);
    struct config config = config_new(&knobs, &arena);
    config.removed[0] = 3;
    config.cropped[0] = 1;
    struct graph *g = apply(&config), *priced = rewrite_shapes(&knobs, &config, knobs.g, &arena);
    for (int i = 0; i < 4; i++) {
        static const int64_t want[] = {5, 1, 3, 3};
        cr_expect_eq(size_of(g, weight_of(d), i), want[i]);
        cr_expect_eq(size_of(priced, weight_of(d), i), want[i]);
    }
    expect_ints(priced, d, "pads", (int64_t[]){1, 1, 1, 1}, 4);
}

Test(rewrite, each_side_of_a_kernel_shrinks_as_far_as_it_is_long) {
    uint32_t x = image(3, 16);
    struct attr attrs[] = {attr_ints(&b, "pads", (int64_t[]){0, 6, 0, 6}, 4),
                           attr_ints(&b, "dilations", (int64_t[]){1, 2}, 2)};
    uint32_t h = wide_conv(x, 3, 4, 1, (int64_t[]){1, 7}, attrs, 2);
    build_output(&b, h, "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_crops, 1);
    struct graph *g = crop_all();
    expect_ints(g, h, "pads", (int64_t[]){0, 2, 0, 2}, 4);
    cr_expect_eq(size_of(g, weight_of(h), 2), 1);
    cr_expect_eq(size_of(g, weight_of(h), 3), 3);
}

Test(rewrite, padding_that_follows_by_itself) {
    uint32_t x = image(3, 31);
    struct attr attrs[] = {attr_string(&b, "auto_pad", "SAME_UPPER"), attr_ints(&b, "strides", (int64_t[]){2, 2}, 2)};
    uint32_t h = wide_conv(x, 3, 4, 1, (int64_t[]){5, 5}, attrs, 2);
    build_output(&b, h, "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_crops, 1);
    struct graph *g = crop_all();
    cr_expect_eq(size_of(g, weight_of(h), 2), 3);
    cr_expect_null(node_attr(&g->nodes[producer(h)], "pads"));
}

Test(rewrite, kernels_that_cannot_shrink_in_place) {
    struct attr none = attr_ints(&b, "pads", (int64_t[]){0, 0, 0, 0}, 4),
                little = attr_ints(&b, "pads", (int64_t[]){2, 2, 0, 2}, 4),
                even = attr_ints(&b, "pads", (int64_t[]){3, 3, 3, 3}, 4),
                coarse[] = {attr_string(&b, "auto_pad", "SAME_LOWER"), attr_ints(&b, "strides", (int64_t[]){4, 4}, 2)};
    uint32_t x = image(3, 32), y[] = {wide_conv(x, 3, 4, 1, (int64_t[]){5, 5}, &none, 1),
                                      wide_conv(x, 3, 4, 1, (int64_t[]){5, 5}, &little, 1),
                                      wide_conv(x, 3, 4, 1, (int64_t[]){6, 6}, &even, 1),
                                      wide_conv(x, 3, 4, 1, (int64_t[]){5, 5}, coarse, 2)};
    for (size_t i = 0; i < COUNT_OF(y); i++) build_output(&b, y[i], (const char *[]){"a", "b", "c", "d"}[i]);
    find_knobs(1);
    cr_expect_eq(knobs.n_crops, 0);
}

Test(rewrite, the_score_of_a_kernel_is_what_its_middle_weighs) {
    uint32_t x = image(1, 8), h = build_conv(&b, x, 1, 1, 5, 1, 1, false);
    build_output(&b, h, "y");
    float *data = arena_array(&arena, 25, sizeof *data);
    for (int i = 0; i < 25; i++) data[i] = i == 12 ? 3 : i == 0 ? 4 : 0;
    b.graph->tensors[weight_of(h)].data.bytes = (const uint8_t *)data;
    find_knobs(1);
    struct score score;
    score_start(&score, &knobs, &arena);
    struct config config = config_new(&knobs, &arena);
    cr_expect_float_eq(score_of(&score, &config, knobs.g), 1, 1e-12);
    config.cropped[0] = 1;
    cr_expect_float_eq(score_of(&score, &config, knobs.g), 9.0 / 25, 1e-12);
}
