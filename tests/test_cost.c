/* Costs of whole graphs: weights counted once, views free, sizes that are not known, peak memory. */
#include "small_graphs.h"

TestSuite(cost, .init = small_setup, .fini = small_teardown);

Test(cost, a_shared_weight_is_read_twice_and_counted_once) {
    uint32_t weight = build_weight(&b, DT_FLOAT, (int64_t[]){64, 64}, 2, 1);
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){2, 64}, 2);
    uint32_t one = build_binary(&b, "MatMul", x, weight), two = build_binary(&b, "MatMul", one, weight);
    build_output(&b, two, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(one)->params, 64 * 64);
    cr_assert_eq(cost_of(two)->params, 0);
    cr_assert_eq(cost_of(one)->weight_bytes, 64 * 64 * 4);
    cr_assert_eq(cost_of(two)->weight_bytes, 0);
    cr_assert_eq(cost_of(two)->read_bytes, (64 * 64 + 2 * 64) * 4);
}

Test(cost, views_cost_nothing) {
    uint32_t flat = build_unary(&b, "Flatten", image(8, 4));
    build_output(&b, flat, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(flat)->read_bytes, 0);
    cr_assert_eq(cost_of(flat)->write_bytes, 0);
    cr_assert_eq(cost_of(flat)->flops, 0);
}

Test(cost, open_sizes_are_unknown_not_guessed) {
    const dim dims[] = {dim_symbol(b.graph, "batch"), DIM(8), DIM(4), DIM(4)};
    uint32_t x = image(8, 4);
    tensor_set_shape(b.graph, x, DT_FLOAT, dims, 4);
    uint32_t conv = build_conv(&b, x, 8, 8, 3, 1, 1, false);
    build_output(&b, conv, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(conv)->macs, -1);
    cr_assert_eq(cost_of(conv)->write_bytes, -1);
    cr_assert_eq(cost_of(conv)->params, 8 * 8 * 9);
    cr_assert_eq(run.peak_memory_bytes, -1);
}

Test(cost, sizes_that_depend_on_data_count_at_their_bound) {
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){10, 10}, 2), found = build_unary(&b, "NonZero", x);
    uint32_t floats = build_node(&b, "Cast", &found, 1, (struct attr[]){attr_int(&b, "to", DT_FLOAT)}, 1);
    build_output(&b, floats, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(floats)->flops, 2 * 100);
    cr_assert(cost_of(floats)->upper_bound);
    cr_assert_eq(run.workload->data_dependent_nodes, 2);
}

static int64_t suppression_flops(int64_t most, float threshold, enum data_case at) {
    uint32_t boxes = build_input(&b, "boxes", DT_FLOAT, (int64_t[]){2, 1000, 4}, 3);
    uint32_t scores = build_input(&b, "scores", DT_FLOAT, (int64_t[]){2, 3, 1000}, 3);
    uint32_t iou = build_weight(&b, DT_FLOAT, NULL, 0, 1);
    b.graph->tensors[iou].data = (struct data){ENC_RAW, NONE, 0, sizeof threshold, (const uint8_t *)&threshold};
    uint32_t inputs[] = {boxes, scores, build_ints(&b, &most, 1), iou};
    uint32_t kept = build_node(&b, "NonMaxSuppression", inputs, 4, NULL, 0);
    build_output(&b, kept, "out");
    b.graph->data_case = at;
    run_all(NULL);
    return cost_of(kept)->flops / 6 - 1000 * 10;
}

Test(cost, boxes_are_compared_with_those_kept) {
    cr_assert_eq(suppression_flops(5000, 0.5f, DATA_EXPECTED), 1000 * 200 / 2);
}

Test(cost, all_boxes_may_be_kept) {
    cr_assert_eq(suppression_flops(5000, 0.5f, DATA_MOST), 1000 * 1000 / 2);
}

Test(cost, one_box_may_stand_for_all) {
    cr_assert_eq(suppression_flops(5000, 0.5f, DATA_LEAST), 1000);
}

Test(cost, no_more_boxes_are_looked_at_once_enough_are_kept) {
    cr_assert_eq(suppression_flops(20, 0.5f, DATA_EXPECTED), 100 * 20 / 2);
}

Test(cost, a_threshold_of_one_keeps_all) {
    cr_assert_eq(suppression_flops(5000, 1.0f, DATA_LEAST), 1000 * 1000 / 2);
    cr_assert_eq(run.workload->data_dependent_nodes, 0);
}

Test(cost, counts_saturate) {
    const int64_t huge = INT64_C(1) << 40;
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){huge, huge}, 2);
    uint32_t y = build_binary(&b, "MatMul", x, x);
    build_output(&b, y, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(y)->macs, INT64_MAX);
    cr_assert_eq(cost_of(y)->flops, INT64_MAX);
    cr_assert_eq(run.workload->macs, INT64_MAX);
}

Test(cost, unknown_operators_have_unknown_cost) {
    uint32_t y = build_unary(&b, "Frobnicate", image(8, 4));
    build_output(&b, y, "out");
    run_all(NULL);
    cr_assert_eq(cost_of(y)->macs, -1);
    cr_assert_eq(cost_of(y)->write_bytes, -1);
}

/* A chain: while a node runs, its input and output are alive; earlier results are not. */
Test(memory, peak_of_a_chain, .init = small_setup, .fini = small_teardown) {
    uint32_t x = build_conv(&b, image(8, 4), 8, 32, 3, 1, 1, false); /* 512 to 2048 bytes */
    x = build_conv(&b, x, 32, 16, 3, 1, 1, false);                   /* to 1024 */
    build_output(&b, build_conv(&b, x, 16, 8, 3, 1, 1, false), "out");
    run_all(NULL);
    cr_assert_eq(run.peak_memory_bytes, 2048 + 1024);
}

Test(memory, a_skip_connection_stays_alive, .init = small_setup, .fini = small_teardown) {
    uint32_t x = image(8, 4), y = build_unary(&b, "Relu", build_unary(&b, "Relu", x));
    build_output(&b, build_binary(&b, "Add", x, y), "out");
    run_all(NULL);
    cr_assert_eq(run.peak_memory_bytes, 3 * 512);
}

Test(memory, views_share_what_they_look_at, .init = small_setup, .fini = small_teardown) {
    uint32_t x = build_unary(&b, "Relu", image(8, 4)), flat = build_unary(&b, "Flatten", x);
    build_output(&b, build_unary(&b, "Relu", flat), "out");
    run_all(NULL);
    cr_assert_eq(run.peak_memory_bytes, 2 * 512);
}
