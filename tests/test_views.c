/* Graph views: what each of them leaves of a small network with zeroed edges (predictor study, section 1). */
#include "small_graphs.h"

TestSuite(views, .init = small_setup, .fini = small_teardown);

static void run_view(enum view view) {
    struct runtime runtime = {.view = view};
    run_all(&runtime);
}

static uint32_t zeroed(uint32_t x) {
    return build_binary(&b, "Mul", x, scalar(0));
}

static uint32_t pool(uint32_t x) {
    struct attr attrs[] = {attr_ints(&b, "kernel_shape", (int64_t[]){3, 3}, 2),
                           attr_ints(&b, "pads", (int64_t[]){1, 1, 1, 1}, 4)};
    return build_node(&b, "AveragePool", &x, 1, attrs, 2);
}

/* out = conv(x) + pool(x * 0) */
struct cell {
    uint32_t conv, zero, pooled, sum;
};

static struct cell cell(void) {
    uint32_t x = build_unary(&b, "Relu", image(8, 4));
    struct cell c = {.conv = build_conv(&b, x, 8, 8, 3, 1, 1, false), .zero = zeroed(x)};
    c.pooled = pool(c.zero);
    c.sum = build_binary(&b, "Add", c.conv, c.pooled);
    build_output(&b, c.sum, "out");
    return c;
}

Test(views, kept_is_as_written) {
    struct cell c = cell();
    uint32_t unread = build_unary(&b, "Relu", c.conv);
    run_view(VIEW_KEPT);
    cr_assert_not(is_dead(c.zero) || is_dead(c.pooled) || is_dead(c.sum) || is_dead(unread));
    cr_assert_eq(run.workload->n_kernels, 6);
}

Test(views, prune_keeps_what_runs_on_a_zero) {
    struct cell c = cell();
    run_view(VIEW_PRUNE);
    cr_assert(is_dead(c.zero));
    cr_assert_not(is_dead(c.pooled) || is_dead(c.sum) || is_dead(c.conv));
    cr_assert_str_eq(op_of(c.sum), "Add");
}

Test(views, full_drops_what_sees_only_zeros) {
    struct cell c = cell();
    run_view(VIEW_FULL);
    cr_assert(is_dead(c.zero) && is_dead(c.pooled));
    cr_assert_str_eq(op_of(c.sum), "Identity");
    cr_assert_eq(run.workload->n_kernels, 2); /* Relu and Conv */
}

Test(views, a_sum_loses_its_zero_terms) {
    uint32_t x = image(8, 4), conv = build_conv(&b, x, 8, 8, 3, 1, 1, false), zero = zeroed(x);
    uint32_t sum = build_binary(&b, "Add", zero, conv), out = build_unary(&b, "Relu", sum);
    build_output(&b, out, "out");
    run_view(VIEW_PRUNE);
    cr_assert(is_dead(zero));
    cr_assert_str_eq(op_of(sum), "Identity");
    cr_assert_eq(b.graph->nodes[producer(sum)].inputs[0], conv);
    cr_assert_eq(run.workload->n_kernels, 2);
}

/* Biases that were never trained; exporters read one that several layers share through an Identity. */
Test(views, a_zero_weight_is_a_weight_still) {
    const float zeros[4] = {0};
    uint32_t x = image(8, 4), bias = build_weight(&b, DT_FLOAT, (int64_t[]){4}, 1, 1);
    b.graph->tensors[bias].data = (struct data){ENC_RAW, NONE, 0, sizeof zeros, (const uint8_t *)zeros};
    uint32_t direct = build_binary(&b, "Add", build_unary(&b, "Relu", x), bias);
    uint32_t shared = build_binary(&b, "Add", direct, build_unary(&b, "Identity", bias));
    build_output(&b, shared, "out");
    run_view(VIEW_FULL);
    cr_assert_str_eq(op_of(direct), "Add");
    cr_assert_str_eq(op_of(shared), "Add");
}

Test(views, a_zero_that_shapes_the_sum_stays) {
    uint32_t x = image(8, 4), zero = zeroed(x), row = build_weight(&b, DT_FLOAT, (int64_t[]){4}, 1, 1);
    uint32_t scaled = build_binary(&b, "Mul", build_input(&b, "row", DT_FLOAT, (int64_t[]){4}, 1), row);
    uint32_t sum = build_binary(&b, "Add", scaled, zero);
    build_output(&b, sum, "out");
    run_view(VIEW_PRUNE);
    cr_assert_str_eq(op_of(sum), "Add");
}

/* The convolution under a zeroed edge that nobody else reads takes the zero into its weights, so it runs. */
Test(views, prune_folds_a_zero_into_a_convolution) {
    uint32_t x = image(8, 4), norm = conv_norm(x, 8, 8, 1), zero = zeroed(norm);
    build_output(&b, build_binary(&b, "Add", zero, x), "out");
    run_view(VIEW_PRUNE);
    cr_assert_not(is_dead(norm));
    cr_assert_str_eq(op_of(zero), "Identity");
    cr_assert_eq(run.workload->n_kernels, 3); /* Conv, BatchNormalization, Add */
}

Test(views, prune_sees_the_convolution_through_a_dropped_sum) {
    uint32_t x = image(8, 4), norm = conv_norm(x, 8, 8, 1);
    uint32_t node = build_binary(&b, "Add", norm, zeroed(x)), zero = zeroed(node);
    build_output(&b, build_binary(&b, "Add", zero, x), "out");
    run_view(VIEW_PRUNE);
    cr_assert_str_eq(op_of(node), "Identity");
    cr_assert_str_eq(op_of(zero), "Identity");
    cr_assert_not(is_dead(norm));
}

/* Of two products with zero the first goes into the weights; of three none does. */
Test(views, prune_folds_one_of_two_zeros) {
    uint32_t x = image(8, 4), norm = conv_norm(x, 8, 8, 1), one = zeroed(norm), other = zeroed(norm);
    uint32_t sum = build_binary(&b, "Add", one, other);
    build_output(&b, build_binary(&b, "Add", sum, x), "out");
    run_view(VIEW_PRUNE);
    cr_assert_not(is_dead(norm));
    cr_assert_str_eq(op_of(one), "Identity");
    cr_assert(is_dead(other));
    cr_assert_str_eq(op_of(sum), "Identity");
}

Test(views, prune_drops_a_convolution_zeroed_thrice) {
    uint32_t x = image(8, 4), norm = conv_norm(x, 8, 8, 1), one = zeroed(norm), other = zeroed(norm);
    uint32_t sum = build_binary(&b, "Add", build_binary(&b, "Add", one, other), zeroed(norm));
    build_output(&b, build_binary(&b, "Add", sum, x), "out");
    run_view(VIEW_PRUNE);
    cr_assert(is_dead(norm) && is_dead(one) && is_dead(other) && is_dead(sum));
    cr_assert_eq(run.workload->n_kernels, 0);
}

Test(views, full_drops_the_zeroed_convolution) {
    uint32_t x = image(8, 4), norm = conv_norm(x, 8, 8, 1), zero = zeroed(norm);
    build_output(&b, build_binary(&b, "Add", zero, x), "out");
    run_view(VIEW_FULL);
    cr_assert(is_dead(norm) && is_dead(zero));
    cr_assert_eq(run.workload->n_kernels, 0);
}

Test(views, what_reaches_no_output_dies_unless_kept) {
    uint32_t x = image(8, 4), unread = build_conv(&b, x, 8, 8, 3, 1, 1, false), out = build_unary(&b, "Relu", x);
    build_output(&b, out, "out");
    run_view(VIEW_FULL);
    cr_assert(is_dead(unread));
    cr_assert_not(is_dead(out));
    cr_assert_eq(cost_of(unread)->macs, 0);
}

Test(views, a_large_zero_is_seen_in_its_data) {
    uint32_t x = image(8, 32), zeros = build_weight(&b, DT_FLOAT, (int64_t[]){1, 8, 32, 32}, 4, 0);
    float *data = arena_array(&arena, 8 * 32 * 32, sizeof *data);
    b.graph->tensors[zeros].data.bytes = (const uint8_t *)data;
    uint32_t biased = build_binary(&b, "Add", x, zeros), product = build_binary(&b, "Mul", biased, zeros);
    build_output(&b, biased, "biased");
    build_output(&b, build_binary(&b, "Add", x, product), "out");
    run_view(VIEW_PRUNE);
    cr_assert(is_dead(product));
    cr_assert_str_eq(op_of(biased), "Add"); /* a bias that is zero is a bias still */
}
