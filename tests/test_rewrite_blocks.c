/* Residual blocks: what is one, where it ends, and what going leaves. */
#include "cut_graphs.h"

TestSuite(rewrite, .init = small_setup, .fini = small_teardown);

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

/* The centre of a box, a polynomial: nothing in them was learned. */
Test(rewrite, sums_of_arithmetic_are_no_blocks) {
    uint32_t x = image(3, 8), h = build_conv(&b, x, 3, 12, 3, 1, 1, true);
    uint32_t cube = build_binary(&b, "Mul", h, build_binary(&b, "Mul", h, h));
    build_output(&b, build_conv(&b, build_binary(&b, "Add", cube, h), 12, 2, 1, 1, 1, true), "y");
    find_knobs(1);
    cr_expect_eq(knobs.n_drops, 0);
    cr_expect_eq(knobs.n_groups, 1);
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
