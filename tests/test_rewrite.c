/* Which channels of small graphs go together: every rule of couple.def that moves them about. */
#include "cut_graphs.h"

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

/* ---- What must not go ---- */

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

/* As exporters write it: four groups, each normalised on its own; of 64 channels sixteen go with a group. */
Test(rewrite, alignment_of_normalised_groups) {
    const int64_t scaled[] = {4};
    uint32_t h = build_conv(&b, image(3, 8), 3, 64, 1, 1, 1, true), shape = build_unary(&b, "Shape", h);
    uint32_t rows = build_binary(&b, "Reshape", h, build_ints(&b, (int64_t[]){0, 4, -1}, 3));
    uint32_t operands[] = {rows, build_weight(&b, DT_FLOAT, scaled, 1, 1), build_weight(&b, DT_FLOAT, scaled, 1, 1)};
    uint32_t normed = build_node(&b, "InstanceNormalization", operands, 3, NULL, 0);
    uint32_t back = build_binary(&b, "Reshape", normed, shape);
    build_output(&b, build_conv(&b, back, 64, 4, 1, 1, 1, true), "y");
    find_knobs(16);
    cr_assert_eq(knobs.n_groups, 1);
    cr_expect_eq(knobs.groups[0].n_units, 4);
    cr_expect_eq(knobs.groups[0].step, 1);
    struct graph *g = cut_all(1);
    cr_expect_eq(size_of(g, h, 1), 48);
    cr_expect_eq(size_of(g, normed, 1), 3);
}
