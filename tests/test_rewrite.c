/* What may be cut of small graphs, and what a cut leaves: every rule of couple.def that moves channels about. */
#include "rewrite.h"
#include "score.h"
#include "small_graphs.h"

static struct knobs knobs;

static void find_as(enum coupling_view view, int64_t align) {
    run = (struct run){.graph = b.graph, .scratch = &arena, .diag = &diag};
    cr_assert_eq(passes_run(&run, PASSES_ANALYSIS), ST_OK, "%s", diag.message);
    knobs_find(&knobs, b.graph, view, align, IMPORTANCE_L2, 1, &arena);
}

static void find_knobs(int64_t align) {
    find_as(COUPLING_OUTER, align);
}

/* The cut, inferred again from its inputs alone; every shape must be the one that the coupling predicts. */
static struct graph *apply(const struct config *config) {
    struct graph *g;
    cr_assert_eq(rewrite_apply(&knobs, config, &arena, &g, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(graph_check(g, &diag), ST_OK, "%s", diag.message);
    struct graph *again = graph_clone(g, &arena);
    for (uint32_t t = 0; t < again->n_tensors; t++) {
        if (again->tensors[t].producer == NONE || again->tensors[t].flags & TF_OUTPUT) continue;
        again->tensors[t].rank = RANK_UNKNOWN;
        again->tensors[t].value = NULL;
    }
    struct run infer = {.graph = again, .scratch = &arena, .diag = &diag};
    cr_assert_eq(passes_run(&infer, PASSES_ANALYSIS), ST_OK, "%s", diag.message);
    cr_assert_eq(rewrite_verify(&knobs, config, knobs.g, again, &arena, &diag), ST_OK, "%s", diag.message);
    return g;
}

static struct graph *cut_all(uint32_t steps) {
    struct config config = config_new(&knobs, &arena);
    for (uint32_t i = 0; i < knobs.n_groups; i++)
        config.removed[i] = (uint16_t)(steps < knobs.groups[i].n_steps ? steps : knobs.groups[i].n_steps);
    return apply(&config);
}

static int64_t size_of(const struct graph *g, uint32_t tensor, int32_t axis) {
    return g->tensors[tensor].dims[axis].value;
}

static uint32_t weight_in(const struct graph *g, uint32_t tensor) {
    return g->nodes[producer(tensor)].inputs[1];
}

static uint32_t weight_of(uint32_t tensor) {
    return weight_in(b.graph, tensor);
}

TestSuite(rewrite, .init = small_setup, .fini = small_teardown);

Test(rewrite, channels_between_two_convolutions) {
    uint32_t x = image(3, 8), h = conv_norm(x, 3, 16, 3), r = build_unary(&b, "Relu", h);
    build_output(&b, build_conv(&b, r, 16, 5, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(knobs.groups[0].n_units, 16);
    struct graph *g = cut_all(6);
    cr_expect_eq(size_of(g, r, 1), 10);
    cr_expect_eq(size_of(g, x, 1), 3, "the input stays as it is");
    cr_expect_eq(g->tensors[g->bodies[0].outputs[0]].dims[1].value, 5, "the output too");
}

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

/* Where a maximum was is a number that counts through all channels. */
Test(rewrite, channels_under_indices_of_a_pool_stay) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 8, 1, 1, 1, false);
    int64_t sides[] = {2, 2};
    struct attr kernel = {.name = intern_str(b.graph->names, "kernel_shape"), .type = AT_INTS, .n = 2, .ints = sides};
    uint32_t both[] = {graph_add_tensor(b.graph, 0, "largest"), graph_add_tensor(b.graph, 0, "places")};
    graph_add_node(b.graph, 0, "MaxPool", "", "pool", &h, 1, both, 2, &kernel, 1);
    build_output(&b, build_conv(&b, both[0], 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 0);
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

Test(rewrite, a_residual_block_ties_its_ends_and_can_go) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 12, 3, 1, 1, true);
    uint32_t inner = build_unary(&b, "Relu", build_conv(&b, h, 12, 20, 3, 1, 1, true));
    uint32_t sum = build_binary(&b, "Add", build_conv(&b, inner, 20, 12, 3, 1, 1, true), h);
    build_output(&b, build_conv(&b, sum, 12, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 2);
    cr_assert_eq(knobs.n_drops, 1);
    cr_expect_eq(knobs.drops[0].keep, h);
    struct config config = config_new(&knobs, &arena);
    config.dropped[0] = true;
    struct graph *g = apply(&config);
    cr_expect(g->nodes[producer(inner)].dead, "what only the block needed goes with it");
    cr_expect_eq(size_of(cut_all(4), sum, 1), 8);
}

Test(rewrite, two_tensors_one_after_the_other_are_two_groups) {
    uint32_t x = image(3, 8), p = build_conv(&b, x, 3, 8, 1, 1, 1, true), q = build_conv(&b, x, 3, 10, 1, 1, 1, true);
    struct attr axis = attr_int(&b, "axis", 1);
    uint32_t both = build_node(&b, "Concat", (uint32_t[]){p, q}, 2, &axis, 1);
    uint32_t y = build_conv(&b, both, 18, 4, 1, 1, 1, true);
    build_output(&b, y, "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 2);
    struct config config = config_new(&knobs, &arena);
    config.removed[1] = 3;
    struct graph *g = apply(&config);
    cr_expect_eq(size_of(g, p, 1), 8);
    cr_expect_eq(size_of(g, q, 1), 7);
    cr_expect_eq(size_of(g, weight_of(y), 1), 15);
}

Test(rewrite, no_two_knobs_have_one_name) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 12, 1, 1, 1, true);
    uint32_t parts[] = {graph_add_tensor(b.graph, 0, "low"), graph_add_tensor(b.graph, 0, "high")};
    uint32_t inputs[] = {h, build_ints(&b, (int64_t[]){5, 7}, 2)};
    struct attr axis = attr_int(&b, "axis", 1);
    graph_add_node(b.graph, 0, "Split", "", "halves", inputs, 2, parts, 2, &axis, 1);
    for (int i = 0; i < 2; i++) build_output(&b, build_conv(&b, parts[i], 5 + 2 * i, 2, 1, 1, 1, true), i ? "y" : "z");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 2, "both of the rows of one weight");
    cr_expect_str_neq(knobs.groups[0].name, knobs.groups[1].name);
}

Test(rewrite, an_unknown_operator_freezes_what_it_touches) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 8, 1, 1, 1, true);
    uint32_t odd = build_unary(&b, "NoSuchOperator", h), k = build_conv(&b, h, 8, 12, 1, 1, 1, true);
    build_output(&b, odd, "odd");
    build_output(&b, build_conv(&b, k, 12, 4, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1, "only the channels that it does not see");
    cr_expect_eq(knobs.groups[0].n_units, 12);
}

/* The mask of a Dropout, seen from outside, keeps its channels; one that nobody reads is in nobody's way. */
Test(rewrite, a_mask_that_is_read_keeps_its_channels) {
    for (int read = 0; read < 2; read++) {
        build_start(&b, &arena, "small.onnx", 17, 1, false);
        uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 8, 1, 1, 1, true);
        uint32_t both[] = {graph_add_tensor(b.graph, 0, "kept"), graph_add_tensor(b.graph, 0, "mask")};
        graph_add_node(b.graph, 0, "Dropout", "", "dropout", &h, 1, both, 2, NULL, 0);
        build_output(&b, build_conv(&b, both[0], 8, 4, 1, 1, 1, true), "y");
        if (read) build_output(&b, both[1], "m");
        find_knobs(1);
        cr_expect_eq(knobs.n_groups, read ? 0 : 1);
    }
}

Test(rewrite, groups_of_no_channels) {
    uint32_t x = image(0, 8), w = build_weight(&b, DT_FLOAT, (int64_t[]){2, 0, 1, 1}, 4, 0);
    struct attr group = attr_int(&b, "group", 2);
    build_output(&b, build_node(&b, "Conv", (uint32_t[]){x, w}, 2, &group, 1), "y");
    find_knobs(1);
    cut_all(1);
}

Test(rewrite, depthwise_channels_go_with_their_input) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 16, 1, 1, 1, true),
             d = build_conv(&b, h, 16, 16, 3, 1, 16, true);
    build_output(&b, build_conv(&b, d, 16, 4, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    struct graph *g = cut_all(5);
    cr_expect_eq(size_of(g, weight_of(d), 0), 11);
    cr_expect_eq(node_int(&g->nodes[producer(d)], "group", 1), 11);
}

static uint32_t grouped(void) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 32, 1, 1, 1, true), d = build_conv(&b, h, 32, 32, 3, 1, 8, true);
    build_output(&b, build_conv(&b, d, 32, 4, 1, 1, 1, true), "y");
    return d;
}

Test(rewrite, whole_groups_of_a_convolution) {
    uint32_t d = grouped();
    find_knobs(1);
    cr_assert_eq(knobs.groups[0].n_units, 8);
    struct graph *g = cut_all(3);
    cr_expect_eq(size_of(g, d, 1), 20);
    cr_expect_eq(node_int(&g->nodes[producer(d)], "group", 1), 5);
    cr_expect_eq(size_of(g, weight_of(d), 1), 4);
}

Test(rewrite, the_width_of_groups) {
    uint32_t d = grouped();
    find_as(COUPLING_INNER, 1);
    cr_assert_eq(knobs.n_groups, 2, "inputs and outputs of every group");
    struct graph *g = cut_all(1);
    cr_expect_eq(node_int(&g->nodes[producer(d)], "group", 1), 8);
    cr_expect_eq(size_of(g, weight_of(d), 1), 3);
    cr_expect_eq(size_of(g, d, 1), 24);
}

Test(rewrite, a_flattened_channel_is_many_elements) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 8, 1, 1, 1, true), flat = build_unary(&b, "Flatten", h);
    uint32_t y = build_gemm(&b, flat, 128, 10, true);
    build_output(&b, y, "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(size_of(cut_all(3), flat, 1), 80);
}

Test(rewrite, stated_shapes_follow) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 8, 1, 1, 1, true);
    uint32_t target = build_ints(&b, (int64_t[]){1, 8, 16}, 3);
    uint32_t rows = build_node(&b, "Reshape", (uint32_t[]){h, target}, 2, NULL, 0);
    uint32_t back =
        build_node(&b, "Reshape", (uint32_t[]){rows, build_ints(&b, (int64_t[]){1, 8, 4, 4}, 4)}, 2, NULL, 0);
    build_output(&b, build_conv(&b, back, 8, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    struct graph *g = cut_all(2);
    const struct node *n = &g->nodes[producer(rows)];
    cr_expect_eq(tensor_read(g, &g->tensors[n->inputs[1]])->at[1].d.value, 6);
}

Test(rewrite, sizes_stay_aligned) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 48, 1, 1, 1, true), k = build_conv(&b, h, 48, 12, 1, 1, 1, true);
    build_output(&b, build_conv(&b, k, 12, 4, 1, 1, 1, true), "y");
    find_knobs(8);
    cr_assert_eq(knobs.n_groups, 2);
    cr_expect_eq(knobs.groups[0].step, 8);
    cr_expect_eq(knobs.groups[0].n_steps, 5, "eight stay");
    cr_expect_eq(knobs.groups[1].step, 4, "as far as it was aligned");
    cr_expect_eq(size_of(cut_all(2), h, 1), 32);
}

Test(rewrite, a_mean_over_channels_is_said) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 16, 1, 1, 1, true);
    struct attr axes = attr_ints(&b, "axes", (int64_t[]){1}, 1);
    uint32_t mean = build_node(&b, "ReduceMean", &h, 1, &axes, 1);
    build_output(&b, build_conv(&b, build_binary(&b, "Sub", h, mean), 16, 4, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect(knobs.groups[0].statistics);
}

Test(rewrite, a_maximum_over_channels_keeps_them) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 16, 1, 1, 1, true);
    struct attr axes = attr_ints(&b, "axes", (int64_t[]){1}, 1);
    build_output(&b, build_node(&b, "ReduceMax", &h, 1, &axes, 1), "y");
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

/* ---- Where a block ends ---- */

static uint32_t product(uint32_t x, int64_t in, int64_t out) {
    return build_binary(&b, "MatMul", x, build_weight(&b, DT_FLOAT, (int64_t[]){in, out}, 2, 1));
}

static uint32_t layer_norm(uint32_t x) {
    uint32_t scale = build_weight(&b, DT_FLOAT, (int64_t[]){16}, 1, 1);
    return build_binary(&b, "LayerNormalization", x, scale);
}

static uint32_t tokens(void) {
    return product(build_input(&b, "tokens", DT_FLOAT, (int64_t[]){1, 6, 8}, 3), 8, 16);
}

static uint32_t changed(uint32_t x) {
    return product(build_unary(&b, "Relu", product(x, 16, 32)), 32, 16);
}

Test(rewrite, a_layer_goes_with_the_normalisation_behind_it) {
    uint32_t x = layer_norm(tokens()), end = layer_norm(build_binary(&b, "Add", changed(x), x));
    uint32_t y = product(end, 16, 4);
    build_output(&b, y, "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_drops, 1);
    cr_expect_eq(knobs.drops[0].keep, x);
    cr_expect_eq(knobs.drops[0].output, end);
    struct config config = config_new(&knobs, &arena);
    config.dropped[0] = true;
    for (uint32_t i = 0; i < knobs.n_groups; i++) config.removed[i] = 2;
    struct graph *g = apply(&config);
    cr_expect_eq(g->nodes[producer(y)].inputs[0], x);
    cr_expect(g->nodes[producer(end)].dead);
    cr_expect_eq(size_of(g, weight_of(y), 0), 14);
}

Test(rewrite, a_normalisation_that_the_next_layer_bypasses_stays) {
    uint32_t x = tokens(), sum = build_binary(&b, "Add", x, changed(layer_norm(x)));
    uint32_t last = build_binary(&b, "Add", sum, changed(layer_norm(sum)));
    build_output(&b, product(layer_norm(last), 16, 4), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_drops, 2);
    cr_expect_eq(knobs.drops[0].output, sum);
    cr_expect_eq(knobs.drops[1].keep, sum);
    cr_expect_eq(knobs.drops[1].output, last);
}

Test(rewrite, a_block_goes_with_its_last_activation) {
    uint32_t x = build_unary(&b, "Relu", build_conv(&b, image(3, 8), 3, 12, 3, 1, 1, true));
    uint32_t end = build_unary(&b, "Relu", build_binary(&b, "Add", build_conv(&b, x, 12, 12, 3, 1, 1, true), x));
    uint32_t past = build_binary(&b, "Add", build_conv(&b, end, 12, 12, 3, 1, 1, true), end);
    build_output(&b, build_unary(&b, "Relu", past), "seen");
    build_output(&b, build_conv(&b, past, 12, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_drops, 2);
    cr_expect_eq(knobs.drops[0].output, end);
    cr_expect_eq(knobs.drops[1].output, past, "whose sum is read elsewhere too");
}

/* Channels of two groups take turns. */
static uint32_t shuffled(uint32_t x, int64_t channels, int64_t side) {
    uint32_t apart = build_ints(&b, (int64_t[]){1, 2, channels / 2, side, side}, 5);
    uint32_t whole = build_ints(&b, (int64_t[]){1, channels, side, side}, 4);
    struct attr order = attr_ints(&b, "perm", (int64_t[]){0, 2, 1, 3, 4}, 5);
    uint32_t turned = build_node(&b, "Transpose", (uint32_t[]){build_binary(&b, "Reshape", x, apart)}, 1, &order, 1);
    return build_binary(&b, "Reshape", turned, whole);
}

/* ShuffleNet V1: the channels are shuffled within a branch that is added. */
Test(rewrite, a_block_with_a_shuffle_inside_can_go) {
    uint32_t x = build_unary(&b, "Relu", build_conv(&b, image(3, 8), 3, 16, 3, 1, 1, true));
    uint32_t inner = shuffled(build_conv(&b, x, 16, 16, 1, 1, 2, true), 16, 8);
    uint32_t sum = build_binary(&b, "Add", x, build_conv(&b, inner, 16, 16, 1, 1, 2, true));
    uint32_t end = build_unary(&b, "Relu", sum);
    build_output(&b, build_conv(&b, end, 16, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_drops, 1);
    cr_expect_eq(knobs.drops[0].keep, x);
    cr_expect_eq(knobs.drops[0].output, end);
}

/* ShuffleNet V2: half of the channels are replaced and all are shuffled, so what comes out stands for nothing before.
 */
Test(rewrite, a_unit_that_shuffles_what_it_passes_on_stays) {
    uint32_t x = build_unary(&b, "Relu", build_conv(&b, image(3, 8), 3, 16, 3, 1, 1, true));
    uint32_t parts[] = {graph_add_tensor(b.graph, 0, "left"), graph_add_tensor(b.graph, 0, "right")};
    struct attr axis = attr_int(&b, "axis", 1);
    graph_add_node(b.graph, 0, "Split", "", "halves", (uint32_t[]){x, build_ints(&b, (int64_t[]){8, 8}, 2)}, 2, parts,
                   2, &axis, 1);
    uint32_t right = build_unary(&b, "Relu", build_conv(&b, parts[1], 8, 8, 3, 1, 1, true));
    uint32_t both = build_node(&b, "Concat", (uint32_t[]){parts[0], right}, 2, &axis, 1);
    build_output(&b, build_conv(&b, shuffled(both, 16, 8), 16, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_drops, 0);
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

/* ---- What must not go ---- */

/* The centre of a box, a polynomial: nothing in them was learned. */
Test(rewrite, sums_of_arithmetic_are_no_blocks) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 12, 3, 1, 1, true);
    uint32_t cube = build_binary(&b, "Mul", h, build_binary(&b, "Mul", h, h));
    build_output(&b, build_conv(&b, build_binary(&b, "Add", cube, h), 12, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_drops, 0);
    cr_expect_eq(knobs.n_groups, 1);
}

/* Data over its number of elements; as a shape the same number follows. */
Test(rewrite, sizes_that_data_is_computed_with) {
    for (int as_data = 0; as_data < 2; as_data++) {
        build_start(&b, &arena, "small.onnx", 17, 1, false);
        uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 3, 4, 4}, 4);
        dim dims[] = {dim_symbol(b.graph, "n"), DIM(3), DIM(4), DIM(4)};
        tensor_set_shape(b.graph, x, DT_FLOAT, dims, 4);
        uint32_t h = build_conv(&b, x, 3, 8, 1, 1, 1, false), shape = build_node(&b, "Shape", &h, 1, NULL, 0);
        struct attr axis = attr_int(&b, "axis", 0), to = attr_int(&b, "to", 1);
        uint32_t picked =
            build_node(&b, "Gather", (uint32_t[]){shape, build_ints(&b, (int64_t[]){0, 1}, 2)}, 2, &axis, 1);
        uint32_t count = build_node(&b, "ReduceProd", &picked, 1, NULL, 0);
        uint32_t scaled = as_data ? build_binary(&b, "Div", h, build_node(&b, "Cast", &count, 1, &to, 1)) : h;
        build_output(&b, build_conv(&b, scaled, 8, 4, 1, 1, 1, false), "y");
        find_knobs(1);
        cr_expect_eq(knobs.n_groups, as_data ? 0 : 1);
    }
}

Test(rewrite, repeats_are_no_sizes) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 8, 1, 1, 1, false),
             one = build_conv(&b, x, 3, 1, 1, 1, 1, false);
    uint32_t repeats = build_ints(&b, (int64_t[]){1, 8, 1, 1}, 4);
    uint32_t wide = build_node(&b, "Tile", (uint32_t[]){one, repeats}, 2, NULL, 0);
    build_output(&b, build_conv(&b, build_binary(&b, "Add", h, wide), 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_groups, 0);
}

Test(rewrite, a_shape_shorter_than_what_it_shapes) {
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 8, 1, 1, 1, false),
             one = build_conv(&b, x, 3, 1, 1, 1, 1, false);
    uint32_t shape = build_ints(&b, (int64_t[]){8, 1, 1}, 3);
    uint32_t wide = build_node(&b, "Expand", (uint32_t[]){one, shape}, 2, NULL, 0);
    uint32_t both = build_binary(&b, "Add", h, wide);
    build_output(&b, build_conv(&b, both, 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(size_of(cut_all(3), both, 1), 5);
}

Test(rewrite, operands_keep_their_type) {
    int32_t from[1] = {4}, to[1] = {12};
    uint32_t x = image(3, 4), h = build_conv(&b, x, 3, 16, 1, 1, 1, false), operands[4] = {h};
    for (int i = 1; i < 4; i++) {
        operands[i] = build_weight(&b, DT_INT32, (int64_t[]){1}, 1, 0);
        const int32_t *at = i == 1 ? from : i == 2 ? to : (const int32_t[]){1};
        b.graph->tensors[operands[i]].data =
            (struct data){ENC_RAW, NONE, 0, sizeof *at, arena_copy(&arena, at, sizeof *at)};
    }
    uint32_t part = build_node(&b, "Slice", operands, 4, NULL, 0);
    build_output(&b, build_conv(&b, part, 8, 4, 1, 1, 1, false), "y");
    find_knobs(1);
    cr_assert_eq(knobs.n_groups, 2);
    struct graph *g = cut_all(2);
    cr_expect_eq(size_of(g, part, 1), 6);
    const struct node *slice = &g->nodes[producer(part)];
    cr_expect_eq(g->tensors[slice->inputs[1]].dtype, DT_INT32);
    cr_expect_eq(g->tensors[slice->inputs[2]].dtype, DT_INT32);
}

/* Four heads of eight: alignment is for what is multiplied, and heads are only counted. */
Test(rewrite, alignment_of_heads) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 6, 16}, 3), part[3];
    int64_t split[] = {0, 0, 4, 8}, order[] = {0, 2, 1, 3}, joined[] = {0, 0, 32};
    struct attr perm = {.name = intern_str(b.graph->names, "perm"), .type = AT_INTS, .n = 4, .ints = order};
    for (int i = 0; i < 3; i++) {
        uint32_t wide = build_binary(&b, "MatMul", x, build_weight(&b, DT_FLOAT, (int64_t[]){16, 32}, 2, 16));
        uint32_t heads = build_binary(&b, "Reshape", wide, build_ints(&b, split, 4));
        part[i] = build_node(&b, "Transpose", &heads, 1, &perm, 1);
    }
    struct attr last = {.name = perm.name, .type = AT_INTS, .n = 4, .ints = (int64_t[]){0, 1, 3, 2}};
    uint32_t turned = build_node(&b, "Transpose", &part[1], 1, &last, 1);
    uint32_t scores = build_unary(&b, "Softmax", build_binary(&b, "MatMul", part[0], turned));
    uint32_t seen = build_binary(&b, "MatMul", scores, part[2]), back = build_node(&b, "Transpose", &seen, 1, &perm, 1);
    uint32_t flat = build_binary(&b, "Reshape", back, build_ints(&b, joined, 3));
    build_output(&b, build_binary(&b, "MatMul", flat, build_weight(&b, DT_FLOAT, (int64_t[]){32, 16}, 2, 32)), "y");
    find_knobs(8);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(knobs.groups[0].n_units, 4);
    cr_expect_eq(knobs.groups[0].step, 1);
    cr_expect_eq(size_of(cut_all(1), scores, 1), 3);
}
