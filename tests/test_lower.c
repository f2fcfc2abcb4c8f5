/* The plain lowering: classes by shape, fusion by rules, bytes, predecessors, loops. */
#include "small_graphs.h"

TestSuite(lower, .init = small_setup, .fini = small_teardown);

static const struct fuse_rule usual[] = {
    {KC_CONV, KC_NORM}, {KC_CONV, KC_ACTIVATION}, {KC_CONV, KC_ELEMENTWISE}, {KC_GEMM, KC_ACTIVATION}};

static const struct runtime fusing = {.lowering = "plain", .n_fuse = COUNT_OF(usual), .fuse = usual};

static const struct kernel *kernel(size_t i) {
    cr_assert_lt(i, run.workload->n_kernels);
    return &run.workload->kernels[i];
}

static void expect_preds(size_t i, size_t n, const uint32_t *preds) {
    const struct kernel *k = kernel(i);
    cr_assert_eq(k->n_preds, n, "kernel %zu has %u predecessors, expected %zu", i, k->n_preds, n);
    for (size_t p = 0; p < n; p++) {
        bool found = false;
        for (uint32_t q = 0; q < k->n_preds; q++) found |= run.workload->preds[k->first_pred + q] == preds[p];
        cr_assert(found, "kernel %zu does not follow kernel %u", i, preds[p]);
    }
}

Test(lower, convolutions_have_classes_by_shape) {
    uint32_t x = image(8, 16);
    x = build_conv(&b, x, 8, 16, 3, 2, 1, true);
    x = build_conv(&b, x, 16, 16, 1, 1, 1, true);
    x = build_conv(&b, x, 16, 32, 3, 1, 4, true);
    x = build_conv(&b, x, 32, 32, 5, 1, 32, true);
    build_output(&b, x, "out");
    run_all(NULL);
    const enum kernel_class classes[] = {KC_CONV, KC_POINTWISE, KC_GROUPED, KC_DEPTHWISE};
    for (size_t i = 0; i < COUNT_OF(classes); i++) cr_assert_eq(kernel(i)->kind, classes[i]);
    const struct kernel *k = kernel(0);
    cr_assert_eq(k->in_h, 16);
    cr_assert_eq(k->out_w, 8);
    cr_assert_eq(k->kernel_h, 3);
    cr_assert_eq(k->stride_w, 2);
    cr_assert_eq(k->pad_left, 1);
    cr_assert_eq(k->positions, 64);
    cr_assert_eq(k->reduction, 72);
    cr_assert_eq(k->macs, k->positions * k->c_out * k->reduction);
    cr_assert_eq(kernel(2)->reduction, 36);
    cr_assert_eq(kernel(3)->reduction, 25);
}

Test(lower, products_have_classes_by_operands) {
    uint32_t row = build_input(&b, "row", DT_FLOAT, (int64_t[]){1, 64}, 2);
    uint32_t rows = build_input(&b, "rows", DT_FLOAT, (int64_t[]){2, 10, 64}, 3);
    uint32_t weight = build_weight(&b, DT_FLOAT, (int64_t[]){64, 32}, 2, 1);
    uint32_t turned =
        build_node(&b, "Transpose", &rows, 1, (struct attr[]){attr_ints(&b, "perm", (int64_t[]){0, 2, 1}, 3)}, 1);
    build_output(&b, build_gemm(&b, row, 64, 32, true), "a");
    build_output(&b, build_binary(&b, "MatMul", rows, weight), "b");
    build_output(&b, build_binary(&b, "MatMul", rows, turned), "c");
    run_all(NULL);
    cr_assert_eq(kernel(0)->kind, KC_MOVE);
    cr_assert_eq(kernel(1)->kind, KC_GEMV);
    cr_assert_eq(kernel(2)->kind, KC_GEMM);
    cr_assert_eq(kernel(2)->positions, 20);
    cr_assert_eq(kernel(2)->c_in, 64);
    cr_assert_eq(kernel(2)->c_out, 32);
    cr_assert_eq(kernel(2)->weight_bytes, 64 * 32 * 4);
    cr_assert_eq(kernel(3)->kind, KC_MATMUL);
    cr_assert_eq(kernel(3)->batch, 2);
    cr_assert_eq(kernel(3)->positions, 10);
    cr_assert_eq(kernel(3)->n_inputs, 2);
    cr_assert_eq(kernel(3)->macs, 2 * 10 * 64 * 10);
}

Test(lower, nothing_is_fused_without_rules) {
    build_output(&b, build_unary(&b, "Relu", conv_norm(image(8, 4), 8, 8, 3)), "out");
    run_all(NULL);
    cr_assert_eq(run.workload->n_kernels, 3);
    expect_preds(2, 1, (uint32_t[]){1});
}

Test(lower, norm_and_activation_join_a_convolution) {
    uint32_t x = image(8, 4);
    build_output(&b, build_unary(&b, "Relu", conv_norm(x, 8, 16, 3)), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 1);
    const struct kernel *k = kernel(0);
    cr_assert_eq(k->n_nodes, 3);
    cr_assert_str_eq(k->op, "Conv");
    cr_assert(k->has_activation);
    cr_assert_eq(k->in_bytes, 8 * 16 * 4);
    cr_assert_eq(k->out_bytes, 16 * 16 * 4);
    cr_assert_eq(k->weight_bytes, 16 * 8 * 9 * 4); /* the normalisation is in them */
    cr_assert_eq(k->flops, 2 * k->macs + 16 * 16);
    cr_assert_eq(run.workload->n_uncovered, 0);
    cr_assert_eq(run.workload->graph_nodes, 3);
}

Test(lower, a_result_read_twice_is_not_fused) {
    uint32_t conv = build_conv(&b, image(8, 4), 8, 8, 3, 1, 1, true);
    build_output(&b, build_binary(&b, "Mul", conv, build_unary(&b, "Sigmoid", conv)), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 3);
    expect_preds(2, 2, (uint32_t[]){0, 1});
}

Test(lower, a_residual_joins_the_later_convolution) {
    uint32_t x = image(8, 4), one = build_conv(&b, x, 8, 8, 1, 1, 1, true),
             two = build_conv(&b, x, 8, 8, 3, 1, 1, true);
    build_output(&b, build_unary(&b, "Relu", build_binary(&b, "Add", one, two)), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 2);
    cr_assert(kernel(1)->has_residual && kernel(1)->has_activation);
    cr_assert_eq(kernel(1)->in_bytes, 2 * 8 * 16 * 4);
    expect_preds(1, 1, (uint32_t[]){0});
}

Test(lower, a_broadcast_sum_is_no_residual) {
    uint32_t x = image(8, 4), gate = build_input(&b, "gate", DT_FLOAT, (int64_t[]){1, 8, 1, 1}, 4);
    build_output(&b, build_binary(&b, "Mul", x, build_conv(&b, gate, 8, 8, 1, 1, 1, true)), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 2);
}

Test(lower, views_are_no_kernels_and_pass_dependence_on) {
    uint32_t x = build_conv(&b, image(8, 4), 8, 8, 3, 1, 1, true);
    uint32_t flat = build_unary(&b, "Flatten", x);
    build_output(&b, build_gemm(&b, flat, 128, 10, true), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 2);
    expect_preds(1, 1, (uint32_t[]){0});
    cr_assert_eq(run.workload->n_uncovered, 0);
}

Test(lower, precision_scales_floating_bytes) {
    build_output(&b, build_conv(&b, image(8, 4), 8, 16, 3, 1, 1, false), "out");
    struct runtime half = {.precision = PREC_FP16};
    run_all(&half);
    cr_assert_eq(kernel(0)->in_bytes, 8 * 16 * 2);
    cr_assert_eq(kernel(0)->weight_bytes, 16 * 8 * 9 * 2);
    cr_assert_eq(kernel(0)->dtype, DT_FLOAT16);
}

Test(lower, unknown_operators_reduce_coverage) {
    uint32_t x = build_unary(&b, "Relu", image(8, 4));
    build_output(&b, build_unary(&b, "Frobnicate", x), "out");
    run_all(NULL);
    cr_assert_eq(run.workload->graph_nodes, 2);
    cr_assert_eq(run.workload->n_uncovered, 1);
    cr_assert_str_eq(b.graph->nodes[run.workload->uncovered[0]].op_type, "Frobnicate");
    cr_assert_eq(run.workload->n_kernels, 1);
}

Test(lower, unknown_lowering_is_an_error) {
    struct runtime odd = {.lowering = "odd"};
    build_output(&b, build_unary(&b, "Relu", image(8, 4)), "out");
    run = (struct run){.graph = b.graph, .scratch = &arena, .diag = &diag, .runtime = &odd};
    cr_assert_eq(passes_run(&run, PASSES_ALL), ST_TARGET);
    cr_assert(strstr(diag.message, "\"odd\""));
}

/* A loop of five rounds with a convolution in it, after one outside. */
Test(lower, bodies_run_in_place_with_a_count) {
    struct graph *g = b.graph;
    uint32_t x = build_conv(&b, image(8, 4), 8, 8, 1, 1, 1, true);
    uint32_t weight = build_weight(&b, DT_FLOAT, (int64_t[]){8, 8, 3, 3}, 4, 1);
    uint32_t trips = build_ints(&b, (int64_t[]){5}, 1);
    uint32_t body = graph_add_body(g, 0, NONE, "body");
    uint32_t in[] = {graph_add_tensor(g, body, "i"), graph_add_tensor(g, body, "c"), graph_add_tensor(g, body, "v")};
    uint32_t out[] = {graph_add_tensor(g, body, "d"), graph_add_tensor(g, body, "w")};
    struct attr pads = attr_ints(&b, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    for (size_t i = 0; i < COUNT_OF(in); i++) g->tensors[in[i]].flags |= TF_PRIVATE;
    graph_add_node(g, body, "Identity", "", "keep", &in[1], 1, &out[0], 1, NULL, 0);
    graph_add_node(g, body, "Conv", "", "inner", (uint32_t[]){in[2], weight}, 2, &out[1], 1, &pads, 1);
    g->bodies[body].inputs = in;
    g->bodies[body].n_inputs = 3;
    g->bodies[body].outputs = out;
    g->bodies[body].n_outputs = 2;
    struct attr attr = {.name = intern_str(g->names, "body"), .type = AT_GRAPH, .body = body};
    uint32_t result = build_node(&b, "Loop", (uint32_t[]){trips, NONE, x}, 3, &attr, 1);
    g->bodies[body].owner = producer(result);
    build_output(&b, build_unary(&b, "Relu", result), "out");
    run_all(&fusing);
    cr_assert_eq(run.workload->n_kernels, 3);
    cr_assert_eq(kernel(1)->count, 5);
    cr_assert_eq(kernel(1)->macs, 8 * 8 * 9 * 16);
    expect_preds(1, 1, (uint32_t[]){0});
    expect_preds(2, 1, (uint32_t[]){1}); /* not fused: it runs once, the convolution five times */
    cr_assert_eq(run.workload->macs, 8 * 8 * 16 + 5 * 8 * 8 * 9 * 16);
}
