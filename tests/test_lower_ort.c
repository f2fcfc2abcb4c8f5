/* The kernels that ONNX Runtime runs for small graphs: fusions, the blocked layout, its reorders. */
#include "small_graphs.h"

#include <stdio.h>

TestSuite(lower_ort, .init = small_setup, .fini = small_teardown);

static const struct runtime blocked = {.lowering = "ort", .view = VIEW_KEPT, .block = 16, .threads = 1};

/* "Conv+act ReorderOutput": the kernels in order, with what was fused into them. */
static void expect_on(const struct runtime *runtime, const char *kernels) {
    char text[2048] = "";
    run_all(runtime);
    for (size_t i = 0; i < run.workload->n_kernels; i++) {
        const struct kernel *k = &run.workload->kernels[i];
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s%s%s", i ? " " : "", k->op, k->has_residual ? "+sum" : "",
                 k->second_pass      ? "+act2"
                 : k->has_activation ? "+act"
                                     : "");
    }
    cr_assert_str_eq(text, kernels);
}

static void expect(const char *kernels) {
    expect_on(&blocked, kernels);
}

static uint32_t relu(uint32_t x) {
    return build_unary(&b, "Relu", x);
}

static uint32_t constant(const int64_t *dims, int32_t rank) {
    return build_weight(&b, DT_FLOAT, dims, rank, 1);
}

static uint32_t with_ints(const char *op, uint32_t x, const char *name, const int64_t *values, size_t n) {
    struct attr attr = attr_ints(&b, name, values, n);
    return build_node(&b, op, &x, 1, &attr, 1);
}

Test(lower_ort, a_stem_reads_the_image_as_it_is) {
    build_output(&b, relu(conv_norm(image(3, 16), 3, 32, 3)), "out");
    expect("Conv+act ReorderOutput");
    cr_assert_eq(run.workload->kernels[0].variant, CONV_FROM_NCHW);
}

/* What enters and leaves the model is in no cache. */
Test(lower_ort, the_model_s_own_activations) {
    build_output(&b, relu(conv_norm(image(3, 16), 3, 32, 3)), "out");
    expect("Conv+act ReorderOutput");
    cr_assert_eq(run.workload->kernels[0].outer_bytes, 3 * 16 * 16 * 4);
    cr_assert_eq(run.workload->kernels[1].outer_bytes, 32 * 16 * 16 * 4);
}

/* A factor for each channel is read 256 elements long; one for each row 16; the whole of a scalar. */
Test(lower_ort, spans_of_a_broadcast) {
    uint32_t x = image(8, 16);
    const int64_t channels[] = {8, 1, 1}, rows[] = {16, 1}, columns[] = {16};
    x = build_binary(&b, "Mul", x, constant(channels, 3));
    x = build_binary(&b, "Add", x, constant(rows, 2));
    x = build_binary(&b, "Sub", x, constant(columns, 1));
    x = build_binary(&b, "Div", x, constant(NULL, 0));
    build_output(&b, x, "out");
    expect("Mul Add Sub Div");
    static const int64_t spans[] = {256, 16, 16, 0};
    static const int32_t kinds[] = {BCAST_CHANNEL, BCAST_OTHER, BCAST_LAST, BCAST_SCALAR};
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        cr_expect_eq(run.workload->kernels[i].chunk, spans[i], "%zu: %lld", i,
                     (long long)run.workload->kernels[i].chunk);
        cr_expect_eq(run.workload->kernels[i].variant, kinds[i], "%zu: %d", i, run.workload->kernels[i].variant);
    }
}

Test(lower_ort, a_chain_stays_in_blocks) {
    uint32_t x = relu(conv_norm(image(3, 16), 3, 32, 3));
    x = relu(conv_norm(x, 32, 48, 1));
    build_output(&b, build_unary(&b, "GlobalAveragePool", x), "out");
    expect("Conv+act Conv+act GlobalAveragePool ReorderOutput");
    cr_assert_eq(run.workload->kernels[1].variant, CONV_NCHWC);
}

Test(lower_ort, an_odd_number_of_channels_stays_plain) {
    uint32_t x = relu(build_conv(&b, image(18, 16), 18, 18, 1, 1, 1, true));
    build_output(&b, x, "out");
    expect("FusedConv");
    cr_assert_eq(run.workload->kernels[0].variant, CONV_IM2COL);
}

Test(lower_ort, a_residual_joins_the_convolution) {
    uint32_t x = relu(build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    uint32_t y = build_conv(&b, x, 32, 32, 3, 1, 1, true);
    build_output(&b, relu(build_binary(&b, "Add", y, x)), "out");
    expect("Conv+act Conv+sum+act ReorderOutput");
}

Test(lower_ort, a_residual_that_is_not_in_blocks_does_not) {
    uint32_t x = image(32, 16), y = build_conv(&b, x, 32, 32, 3, 1, 1, true);
    build_output(&b, relu(build_binary(&b, "Add", y, x)), "out");
    expect("ReorderInput Conv ReorderOutput Add Relu");
}

Test(lower_ort, squeeze_and_excite_leaves_the_layout) {
    uint32_t x = relu(build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    uint32_t s = build_conv(&b, build_unary(&b, "GlobalAveragePool", x), 32, 32, 1, 1, 1, true);
    x = build_binary(&b, "Mul", x, build_unary(&b, "Sigmoid", s));
    build_output(&b, build_conv(&b, x, 32, 16, 1, 1, 1, true), "out");
    expect("Conv+act GlobalAveragePool Conv+act2 ReorderOutput ReorderOutput Mul ReorderInput Conv ReorderOutput");
}

Test(lower_ort, only_relu_is_done_in_the_inner_loop) {
    uint32_t x = build_unary(&b, "LeakyRelu", build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    build_output(&b, relu(build_conv(&b, x, 32, 32, 3, 1, 1, true)), "out");
    expect("Conv+act2 Conv+act ReorderOutput");
}

Test(lower_ort, swish_is_one_operator_hard_swish_two) {
    uint32_t x = build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true);
    x = build_binary(&b, "Mul", x, build_unary(&b, "Sigmoid", x));
    x = build_conv(&b, x, 32, 32, 1, 1, 1, true);
    build_output(&b, build_unary(&b, "HardSwish", x), "out");
    expect("Conv ReorderOutput QuickGelu ReorderInput Conv ReorderOutput HardSigmoid Mul");
}

/* How many channels a block holds is the processor's: 24 are three blocks of 8. */
Test(lower_ort, pooling_needs_whole_blocks) {
    struct runtime narrow = blocked;
    narrow.block = 8;
    build_output(&b, build_unary(&b, "GlobalAveragePool", relu(conv_norm(image(3, 16), 3, 24, 3))), "out");
    expect_on(&narrow, "Conv+act GlobalAveragePool ReorderOutput");
    expect_on(&blocked, "Conv+act ReorderOutput GlobalAveragePool");
}

Test(lower_ort, concatenation_needs_whole_blocks) {
    uint32_t x = relu(build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    uint32_t whole[] = {build_conv(&b, x, 32, 16, 1, 1, 1, true), build_conv(&b, x, 32, 32, 1, 1, 1, true)};
    uint32_t part[] = {whole[0], build_conv(&b, x, 32, 24, 1, 1, 1, true)};
    struct attr axis = attr_int(&b, "axis", 1);
    build_output(&b, build_node(&b, "Concat", whole, 2, &axis, 1), "blocks");
    build_output(&b, build_node(&b, "Concat", part, 2, &axis, 1), "odd");
    run_all(&blocked);
    size_t reorders = 0;
    for (size_t i = 0; i < run.workload->n_kernels; i++)
        reorders += strcmp(run.workload->kernels[i].op, "ReorderOutput") == 0;
    cr_assert_eq(reorders, 3, "one for the first result, two for what the second reads: %zu", reorders);
}

Test(lower_ort, batch_normalisation_in_blocks_is_a_convolution) {
    uint32_t x = relu(build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    x = build_batchnorm(&b, x, 32);
    struct attr epsilon = attr_float(&b, "epsilon", 1e-5);
    b.graph->nodes[producer(x)].attrs = &epsilon;
    b.graph->nodes[producer(x)].n_attrs = 1;
    build_output(&b, x, "out");
    expect("Conv+act Conv ReorderOutput");
    cr_assert_eq(run.workload->kernels[1].kind, KC_DEPTHWISE);
    cr_assert_eq(run.workload->kernels[1].kernel_h, 1);
}

Test(lower_ort, channels_last_is_a_way_out) {
    uint32_t x = relu(build_conv(&b, image(3, 16), 3, 32, 3, 1, 1, true));
    build_output(&b, with_ints("Transpose", x, "perm", (int64_t[]){0, 2, 3, 1}, 4), "out");
    expect("Conv+act ReorderOutput");
}

Test(lower_ort, a_product_and_its_bias_lie_between_reshapes) {
    uint32_t x = build_input(&b, "tokens", DT_FLOAT, (int64_t[]){1, 10, 64}, 3);
    x = build_binary(&b, "MatMul", x, constant((int64_t[]){64, 32}, 2));
    build_output(&b, build_binary(&b, "Add", x, constant((int64_t[]){32}, 1)), "out");
    expect("Reshape Gemm Reshape");
}

/* One Relu, or two of them. */
static uint32_t branches(uint32_t condition, uint32_t x) {
    struct attr attrs[2];
    for (int k = 0; k < 2; k++) {
        uint32_t body = graph_add_body(b.graph, 0, NONE, k ? "two" : "one"), last = x;
        for (int i = 0; i <= k; i++) {
            uint32_t next = graph_add_tensor(b.graph, body, "");
            graph_add_node(b.graph, body, "Relu", "", "", &last, 1, &next, 1, NULL, 0);
            last = next;
        }
        struct body *made = &b.graph->bodies[body];
        made->outputs = arena_copy(&arena, &last, sizeof last);
        made->n_outputs = 1;
        attrs[k] = (struct attr){.name = k ? "else_branch" : "then_branch", .type = AT_GRAPH, .body = body};
    }
    uint32_t owner = (uint32_t)b.graph->n_nodes, out = build_node(&b, "If", &condition, 1, attrs, 2);
    for (int k = 0; k < 2; k++) b.graph->bodies[attrs[k].body].owner = owner;
    return out;
}

Test(lower_ort, the_dearer_branch_runs) {
    uint32_t condition = build_input(&b, "c", DT_BOOL, NULL, 0), x = image(3, 16);
    build_output(&b, build_unary(&b, "Sigmoid", branches(condition, x)), "out");
    expect("If Relu Relu Sigmoid");
    cr_assert_eq(run.workload->least->n_kernels, 3);
    cr_assert_eq(run.workload->most->n_kernels, 4);
    const struct kernel *last = &run.workload->kernels[3];
    cr_assert_eq(run.workload->preds[last->first_pred], 2, "what the branch gave");
}

/* x = relu(x), seven times. */
static uint32_t seven_rounds(uint32_t x) {
    struct graph *g = b.graph;
    uint32_t body = graph_add_body(g, 0, NONE, "round"), next = graph_add_tensor(g, body, "next"), in[3];
    for (int i = 0; i < 3; i++) {
        in[i] = graph_add_tensor(g, body, i == 0 ? "i" : i == 1 ? "go" : "x");
        g->tensors[in[i]].flags = TF_PRIVATE;
    }
    graph_add_node(g, body, "Relu", "", "", &in[2], 1, &next, 1, NULL, 0);
    const uint32_t out[] = {in[1], next};
    g->bodies[body].inputs = arena_copy(&arena, in, sizeof in);
    g->bodies[body].n_inputs = 3;
    g->bodies[body].outputs = arena_copy(&arena, out, sizeof out);
    g->bodies[body].n_outputs = 2;
    g->bodies[body].owner = (uint32_t)g->n_nodes;
    int64_t rounds = 7;
    struct attr attr = {.name = "body", .type = AT_GRAPH, .body = body};
    return build_node(&b, "Loop", (uint32_t[]){build_ints(&b, &rounds, 1), NONE, x}, 3, &attr, 1);
}

Test(lower_ort, a_loop_runs_its_body_as_often_as_it_says) {
    build_output(&b, build_unary(&b, "Sigmoid", seven_rounds(image(3, 16))), "out");
    expect("Loop Relu Sigmoid");
    cr_assert_eq(run.workload->kernels[1].count, 7);
    cr_assert_eq(run.workload->kernels[1].out_bytes, 3 * 16 * 16 * 4);
}

Test(lower_ort, what_data_decide_is_priced_three_times) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){10, 10}, 2), found = build_unary(&b, "NonZero", x);
    uint32_t floats = build_node(&b, "Cast", &found, 1, (struct attr[]){attr_int(&b, "to", DT_FLOAT)}, 1);
    build_output(&b, floats, "out");
    expect("NonZero Cast");
    cr_assert_eq(run.workload->kernels[1].out_bytes, 2 * 50 * 4);
    cr_assert_eq(run.workload->least->kernels[1].out_bytes, 0);
    cr_assert_eq(run.workload->most->kernels[1].out_bytes, 2 * 100 * 4);
}

Test(lower_ort, reshapes_in_a_row_are_one) {
    uint32_t x = build_input(&b, "tokens", DT_FLOAT, (int64_t[]){1, 10, 64}, 3);
    x = build_binary(&b, "MatMul", x, constant((int64_t[]){64, 32}, 2));
    x = build_binary(&b, "Add", x, constant((int64_t[]){32}, 1));
    x = build_node(&b, "Reshape", (uint32_t[]){x, build_ints(&b, (int64_t[]){1, 10, 4, 8}, 4)}, 2, NULL, 0);
    build_output(&b, x, "out");
    expect("Reshape Gemm Reshape");
}

Test(lower_ort, a_layer_takes_its_activation) {
    uint32_t x = build_input(&b, "row", DT_FLOAT, (int64_t[]){1, 64}, 2);
    build_output(&b, relu(build_gemm(&b, x, 64, 32, true)), "out");
    expect("FusedGemm");
}

Test(lower_ort, gelu_is_recognised) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 10, 64}, 3);
    uint32_t e = build_unary(&b, "Erf", build_binary(&b, "Div", x, scalar(1.41421356)));
    e = build_binary(&b, "Mul", x, build_binary(&b, "Add", e, scalar(1)));
    build_output(&b, build_binary(&b, "Mul", e, scalar(0.5)), "out");
    expect("Gelu");
}

Test(lower_ort, scale_and_transpose_vanish_in_a_product) {
    uint32_t q = build_input(&b, "q", DT_FLOAT, (int64_t[]){1, 4, 10, 8}, 4);
    uint32_t k = build_input(&b, "k", DT_FLOAT, (int64_t[]){1, 4, 10, 8}, 4);
    k = with_ints("Transpose", k, "perm", (int64_t[]){0, 1, 3, 2}, 4);
    build_output(&b, build_binary(&b, "MatMul", build_binary(&b, "Mul", q, scalar(0.35)), k), "out");
    expect("FusedMatMul");
}

static uint32_t channels(uint32_t x, int64_t from, int64_t to) {
    const uint32_t inputs[] = {x, build_ints(&b, &from, 1), build_ints(&b, &to, 1), build_ints(&b, (int64_t[]){1}, 1)};
    return build_node(&b, "Slice", inputs, 4, NULL, 0);
}

Test(lower_ort, slices_of_a_whole_are_a_split) {
    uint32_t x = image(32, 8);
    build_output(&b, relu(channels(x, 0, 16)), "a");
    build_output(&b, relu(channels(x, 16, 32)), "b");
    expect("Split Relu Relu");
}

Test(lower_ort, without_blocks_nothing_is_reordered) {
    static const struct runtime plain = {.lowering = "ort", .view = VIEW_KEPT, .threads = 1};
    build_output(&b, relu(conv_norm(image(3, 16), 3, 32, 3)), "out");
    run_all(&plain);
    cr_assert_eq(run.workload->n_kernels, 1);
    cr_assert_str_eq(run.workload->kernels[0].op, "FusedConv");
}
