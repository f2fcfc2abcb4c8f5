/* The operator table, element types, values, the builder, clones, the dump and the invariants. */
#include "ir.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena;
static struct builder b;
static struct graph *g;
static struct diag diag;

static void setup(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    build_start(&b, &arena, "net", 17, 1, false);
    g = b.graph;
}

static void teardown(void) {
    arena_free(&arena);
}

TestSuite(ir, .init = setup, .fini = teardown);

/* ---- Operators ---- */

Test(ir, operators_are_sorted) {
    for (int i = 2; i < OP_COUNT; i++) {
        const struct op_info *a = &op_table[i - 1], *z = &op_table[i];
        int order = strcmp(a->domain, z->domain);
        if (!order) order = strcmp(a->name, z->name);
        if (!order) order = a->since - z->since;
        cr_assert_lt(order, 0, "%s.%s %d is not before %s.%s %d", a->domain, a->name, a->since, z->domain, z->name,
                     z->since);
    }
}

Test(ir, operators_are_found_from_their_version_on) {
    for (int i = 1; i < OP_COUNT; i++) {
        const struct op_info *row = &op_table[i], *before = &op_table[i - 1];
        bool older = i > 1 && !strcmp(row->name, before->name) && !strcmp(row->domain, before->domain);
        cr_assert_eq(op_find(row->domain, row->name, row->since), i, "%s", row->name);
        cr_assert_eq(op_find(row->domain, row->name, row->since - 1), older ? i - 1 : OP_UNKNOWN, "%s", row->name);
    }
    cr_assert_eq(op_find("", "Softmax", 12), OP_Softmax);
    cr_assert_eq(op_find("", "Softmax", 99), OP_Softmax13);
    cr_assert_eq(op_find("ai.onnx", "Conv", 17), OP_Conv);
    cr_assert_eq(op_find("", "Convolve", 17), OP_UNKNOWN);
    cr_assert_eq(op_find("nowhere", "Conv", 17), OP_UNKNOWN);
    cr_assert_eq(op_find("", "", 17), OP_UNKNOWN);
}

Test(ir, operators_have_sensible_rows) {
    for (int i = 1; i < OP_COUNT; i++) {
        const struct op_info *row = &op_table[i];
        cr_assert(row->max_in == -1 || row->max_in >= row->min_in, "%s", row->name);
        cr_assert_geq(row->min_in, 0);
        cr_assert_geq(row->since, 1);
        cr_assert_lt(row->kernel, KC_COUNT);
    }
}

/* ---- Names ---- */

Test(ir, names_are_read_back) {
    for (int i = 0; i < KC_COUNT; i++) cr_assert_eq((int)kernel_class_parse(kernel_class_name(i)), i);
    cr_assert_eq(kernel_class_parse("nothing of the kind"), KC_COUNT);
    for (int i = 0; i < VIEW_COUNT; i++) {
        enum view view = VIEW_COUNT;
        cr_assert(view_parse(view_name(i), &view));
        cr_assert_eq((int)view, i);
    }
    enum view view;
    cr_assert_not(view_parse("partial", &view));
    for (int i = 0; i < FT_COUNT; i++)
        for (int k = 0; k < i; k++) cr_assert_str_neq(feature_name(i), feature_name(k));
}

Test(ir, element_types) {
    for (int i = 1; i < DT_COUNT; i++) {
        cr_assert_eq((int)dtype_parse(dtype_name(i)), i);
        cr_assert_eq(dtype_bits(i) == 0, i == DT_STRING);
        cr_assert_not(dtype_is_float(i) && dtype_is_integer(i));
    }
    cr_assert_eq(dtype_parse("float31"), DT_UNDEFINED);
    cr_assert_eq(dtype_bits(DT_UNDEFINED), 0);
    cr_assert_eq(dtype_bits(DT_INT4), 4);
    cr_assert_eq(dtype_bits(DT_COMPLEX128), 128);
    cr_assert(dtype_is_integer(DT_BOOL));
    cr_assert(dtype_is_float(DT_BFLOAT16));
}

/* ---- Values ---- */

static const struct value *read(enum dtype dtype, enum encoding encoding, const void *bytes, size_t length, int64_t n) {
    uint32_t id = graph_add_tensor(g, 0, "t");
    tensor_set_shape(g, id, dtype, &DIM(n), 1);
    g->tensors[id].data = (struct data){encoding, NONE, 0, length, bytes};
    return tensor_read(g, &g->tensors[id]);
}

static double float_at(enum dtype dtype, uint64_t bits) {
    const struct value *value = read(dtype, ENC_RAW, &bits, (dtype_bits(dtype) + 7) / 8, 1);
    cr_assert(value && value->is_float && dim_is(value->at[0].d, 1));
    return value->at[0].f;
}

/* Bit patterns from IEEE 754 and the tables of https://onnx.ai/onnx/technical/float8.html. */
Test(ir, floats_of_every_width) {
    cr_assert_eq(float_at(DT_FLOAT, 0xc0490fdb), (double)-3.14159274101257324f);
    cr_assert_eq(float_at(DT_DOUBLE, 0x3ff8000000000000), 1.5);
    cr_assert_eq(float_at(DT_FLOAT16, 0x3c01), 1 + 0x1p-10);
    cr_assert_eq(float_at(DT_FLOAT16, 0x0001), 0x1p-24);
    cr_assert_eq(float_at(DT_FLOAT16, 0xfbff), -65504);
    cr_assert_eq(float_at(DT_FLOAT16, 0xfc00), -INFINITY);
    cr_assert(isnan(float_at(DT_FLOAT16, 0x7e00)));
    cr_assert_eq(float_at(DT_BFLOAT16, 0x4049), 3.140625);
    cr_assert_eq(float_at(DT_FLOAT8E4M3FN, 0x7e), 448);
    cr_assert_eq(float_at(DT_FLOAT8E4M3FN, 0x01), 0x1p-9);
    cr_assert(isnan(float_at(DT_FLOAT8E4M3FN, 0xff)));
    cr_assert_eq(float_at(DT_FLOAT8E4M3FNUZ, 0x7f), 240);
    cr_assert(isnan(float_at(DT_FLOAT8E4M3FNUZ, 0x80)));
    cr_assert_eq(float_at(DT_FLOAT8E5M2, 0x7b), 57344);
    cr_assert_eq(float_at(DT_FLOAT8E5M2, 0x7c), INFINITY);
    cr_assert_eq(float_at(DT_FLOAT8E5M2FNUZ, 0x7f), 57344);
    cr_assert_eq(float_at(DT_FLOAT8E8M0, 0x80), 2);
    cr_assert_eq(float_at(DT_FLOAT4E2M1, 0x7), 6);
    cr_assert_eq(float_at(DT_FLOAT4E2M1, 0x9), -0.5);
}

static void expect(const struct value *value, const int64_t *numbers, uint32_t n) {
    cr_assert_not_null(value);
    cr_assert_eq(value->n, n);
    cr_assert_not(value->is_float);
    for (uint32_t i = 0; i < n; i++)
        cr_assert(dim_is(value->at[i].d, numbers[i]), "element %u: %ld", i, (long)value->at[i].d.value);
}

Test(ir, integers_raw_and_packed) {
    const uint8_t bytes[] = {0xff, 0x01, 0x80, 0x7f};
    expect(read(DT_INT8, ENC_RAW, bytes, 4, 4), (int64_t[]){-1, 1, -128, 127}, 4);
    expect(read(DT_UINT8, ENC_RAW, bytes, 4, 4), (int64_t[]){255, 1, 128, 127}, 4);
    expect(read(DT_INT16, ENC_RAW, bytes, 4, 2), (int64_t[]){0x01ff, 0x7f80}, 2);
    expect(read(DT_INT32, ENC_RAW, bytes, 4, 1), (int64_t[]){0x7f8001ff}, 1);
    expect(read(DT_BOOL, ENC_RAW, bytes, 2, 2), (int64_t[]){1, 1}, 2);
    expect(read(DT_INT4, ENC_RAW, (uint8_t[]){0x8f, 0x07}, 2, 3), (int64_t[]){-1, -8, 7}, 3);
    expect(read(DT_UINT4, ENC_RAW, (uint8_t[]){0x8f}, 1, 2), (int64_t[]){15, 8}, 2);
    expect(read(DT_INT2, ENC_RAW, (uint8_t[]){0xe4}, 1, 4), (int64_t[]){0, 1, -2, -1}, 4);
}

Test(ir, integers_as_varints) {
    const uint8_t minus_one[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    expect(read(DT_INT64, ENC_VARINTS, minus_one, sizeof minus_one, 1), (int64_t[]){-1}, 1);
    expect(read(DT_INT32, ENC_VARINTS, (uint8_t[]){0xac, 0x02, 0x05}, 3, 2), (int64_t[]){300, 5}, 2);
    expect(read(DT_INT4, ENC_VARINTS, (uint8_t[]){0x8f, 0x01, 0x07}, 3, 3), (int64_t[]){-1, -8, 7}, 3);
    const struct value *half = read(DT_FLOAT16, ENC_VARINTS, (uint8_t[]){0x80, 0x78}, 2, 1); /* 0x3c00 */
    cr_assert(half && half->at[0].f == 1);
    const struct value *large = read(DT_UINT64, ENC_VARINTS, minus_one, sizeof minus_one, 1);
    cr_assert(large && dim_is_unknown(large->at[0].d));
}

Test(ir, values_that_cannot_be_read) {
    uint8_t bytes[16] = {0};
    cr_assert_null(read(DT_INT64, ENC_RAW, bytes, 15, 2));
    cr_assert_null(read(DT_INT64, ENC_VARINTS, (uint8_t[]){0x80}, 1, 1));
    cr_assert_null(read(DT_INT32, ENC_FLOATS, bytes, 16, 4));
    cr_assert_null(read(DT_STRING, ENC_STRINGS, bytes, 16, 1));
    cr_assert_null(read(DT_COMPLEX64, ENC_RAW, bytes, 16, 2));
    cr_assert_null(read(DT_FLOAT, ENC_RAW, bytes, 16, VALUE_MAX + 1));
    cr_assert_null(read(DT_FLOAT, ENC_RAW, NULL, 0, 1));
    cr_assert_not_null(read(DT_FLOAT, ENC_NONE, NULL, 0, 0));
}

/* ---- Building ---- */

static uint32_t input(void) {
    return build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 3, 32, 32}, 4);
}

static uint32_t small_net(void) {
    uint32_t conv = build_conv(&b, input(), 3, 8, 3, 2, 1, false);
    uint32_t relu = build_unary(&b, "Relu", build_batchnorm(&b, conv, 8));
    uint32_t sum = build_binary(&b, "Add", relu, conv);
    build_output(&b, sum, "y");
    return sum;
}

static char *dump(const struct graph *of) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    graph_print(of, out);
    fclose(out);
    return text;
}

Test(ir, built_graphs_hold_the_invariants) {
    small_net();
    cr_assert_eq(graph_check(g, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(g->bodies[0].n_nodes, 4);
    cr_assert_eq(graph_opset(g, ""), 17);
    cr_assert_eq(graph_opset(g, "com.microsoft"), 0);
    const struct node *conv = &g->nodes[0];
    cr_assert_eq(conv->op, OP_Conv);
    cr_assert_eq(node_int(conv, "group", 0), 1);
    cr_assert_eq(node_int(conv, "absent", 7), 7);
    size_t n;
    const int64_t *pads = node_ints(conv, "pads", &n);
    cr_assert_eq(n, 4);
    cr_assert_eq(pads[3], 1);
    cr_assert_str_eq(node_label(g, 0), "node \"Conv_node_2\" (Conv)");
}

Test(ir, dump) {
    small_net();
    char *text = dump(g);
    const char *nodes = strstr(text, "body 0");
    cr_assert_str_eq(
        nodes,
        "body 0 (%x: float32[1,3,32,32]) -> (%y: undefined[...])\n"
        "  %Conv_1: undefined[...] <- Conv(%x, %weight_0) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], group=1} "
        "\"Conv_node_2\"\n"
        "  %BatchNormalization_7: undefined[...] <- BatchNormalization(%Conv_1, %vector_3, %vector_4, %vector_5, "
        "%vector_6) \"BatchNormalization_node_8\"\n"
        "  %Relu_9: undefined[...] <- Relu(%BatchNormalization_7) \"Relu_node_10\"\n"
        "  %y: undefined[...] <- Add(%Relu_9, %Conv_1) \"Add_node_12\"\n");
    cr_assert_not_null(strstr(text, "init %weight_0: float32[8,3,3,3] 864 bytes\n"));
    free(text);
}

Test(ir, weights_are_he_scaled_and_seeded) {
    int64_t dims[] = {64, 32, 3, 3};
    uint32_t id = build_weight(&b, DT_FLOAT, dims, 4, sqrt(2.0 / (32 * 9)));
    const struct tensor *w = &g->tensors[id];
    const float *data = (const float *)(const void *)w->data.bytes;
    double sum = 0, n = 64 * 32 * 9;
    for (size_t i = 0; i < (size_t)n; i++) sum += (double)data[i] * (double)data[i];
    cr_assert_float_eq(sqrt(sum / n), sqrt(2.0 / (32 * 9)), 0.003);

    struct builder again;
    build_start(&again, &arena, "again", 17, 1, false);
    uint32_t same = build_weight(&again, DT_FLOAT, dims, 4, sqrt(2.0 / (32 * 9)));
    cr_assert_arr_eq(again.graph->tensors[same].data.bytes, data, w->stored_bytes);
}

Test(ir, weightless_graphs_have_shapes_only) {
    struct builder light;
    build_start(&light, &arena, "light", 17, 1, true);
    uint32_t id = build_weight(&light, DT_FLOAT, (int64_t[]){1 << 20, 1 << 10}, 2, 1);
    const struct tensor *w = &light.graph->tensors[id];
    cr_assert_eq(w->stored_bytes, UINT64_C(1) << 32);
    cr_assert_null(w->data.bytes);
    cr_assert_eq(tensor_bytes(w), INT64_C(1) << 32);
}

Test(ir, sizes_of_tensors) {
    uint32_t id = graph_add_tensor(g, 0, "t");
    cr_assert_eq(tensor_bytes(&g->tensors[id]), -1);
    cr_assert(dim_is_unknown(tensor_elements(g, &g->tensors[id])));
    tensor_set_shape(g, id, DT_INT4, (dim[]){DIM(3), DIM(5)}, 2);
    cr_assert_eq(tensor_bytes(&g->tensors[id]), 8);
    tensor_set_shape(g, id, DT_FLOAT, (dim[]){DIM(INT64_MAX), DIM(5)}, 2);
    cr_assert_eq(tensor_bytes(&g->tensors[id]), INT64_MAX);
    tensor_set_shape(g, id, DT_FLOAT, (dim[]){dim_symbol(g, "n"), DIM(5)}, 2);
    cr_assert_eq(tensor_bytes(&g->tensors[id]), -1);
    cr_assert(dim_same(tensor_elements(g, &g->tensors[id]), dim_mul(g, dim_symbol(g, "n"), DIM(5))));
    tensor_set_shape(g, id, DT_DOUBLE, NULL, 0);
    cr_assert_eq(tensor_bytes(&g->tensors[id]), 8);
}

Test(ir, users) {
    uint32_t sum = small_net(), conv = g->nodes[0].outputs[0];
    struct users users = graph_users(g, &arena);
    cr_assert_eq(users.start[conv + 1] - users.start[conv], 2);
    cr_assert_eq(users.list[users.start[conv]], 1);
    cr_assert_eq(users.list[users.start[conv] + 1], 3);
    cr_assert_eq(users.start[sum + 1], users.start[sum]);
    g->nodes[3].dead = true;
    users = graph_users(g, &arena);
    cr_assert_eq(users.start[conv + 1] - users.start[conv], 1);
}

Test(ir, clones_change_alone) {
    small_net();
    char *before = dump(g);
    struct arena other;
    arena_init(&other, NULL, NULL);
    struct graph *clone = graph_clone(g, &other);
    char *copy = dump(clone);
    cr_assert_str_eq(copy, before);

    uint32_t out = graph_add_tensor(clone, 0, "extra");
    graph_add_node(clone, 0, "Relu", "ai.onnx", "more", (uint32_t[]){0}, 1, &out, 1, NULL, 0);
    tensor_set_shape(clone, 0, DT_FLOAT, (dim[]){dim_symbol(clone, "batch")}, 1);
    clone->nodes[1].dead = true;
    cr_assert_eq(graph_check(clone, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(clone->bodies[0].n_nodes, 5);
    arena_free(&other);

    char *after = dump(g);
    cr_assert_str_eq(after, before);
    free(before);
    free(copy);
    free(after);
}

/* ---- Invariants: each broken once ---- */

static void expect_broken(int rule) {
    char words[64];
    snprintf(words, sizeof words, "invariant %d of the graph does not hold", rule);
    cr_assert_eq(graph_check(g, &diag), ST_MODEL, "rule %d is not checked", rule);
    cr_assert_not_null(strstr(diag.message, words), "%s", diag.message);
}

Test(ir, a_body_without_owner) {
    small_net();
    graph_add_body(g, 0, 0, "stray");
    expect_broken(1);
}

Test(ir, an_owned_body) {
    small_net();
    uint32_t body = graph_add_body(g, 0, (uint32_t)g->n_nodes, "then");
    struct attr attr = {.name = "then_branch", .type = AT_GRAPH, .body = body};
    uint32_t condition = build_input(&b, "c", DT_BOOL, NULL, 0);
    build_node(&b, "If", &condition, 1, &attr, 1);
    uint32_t inner = graph_add_tensor(g, body, "inner"), outer = graph_add_tensor(g, 0, "outer");
    graph_add_node(g, body, "Relu", "", "inside", (uint32_t[]){0}, 1, &inner, 1, NULL, 0);
    cr_assert_eq(graph_check(g, &diag), ST_OK, "%s", diag.message);
    graph_add_node(g, 0, "Relu", "", "outside", &inner, 1, &outer, 1, NULL, 0);
    expect_broken(6);
}

Test(ir, ids_that_do_not_exist) {
    small_net();
    g->nodes[0].inputs = (uint32_t[]){0, 9999};
    expect_broken(2);
}

Test(ir, a_node_that_stands_twice) {
    small_net();
    g->bodies[0].nodes[3] = 0;
    expect_broken(3);
}

Test(ir, two_producers) {
    small_net();
    g->tensors[g->nodes[1].outputs[0]].producer = 0;
    expect_broken(4);
}

Test(ir, a_produced_initializer) {
    small_net();
    g->tensors[g->nodes[1].outputs[0]].flags |= TF_INITIALIZER;
    expect_broken(5);
}

Test(ir, negative_dims) {
    small_net();
    tensor_set_shape(g, 0, DT_FLOAT, &DIM(-1), 1);
    expect_broken(7);
}

Test(ir, values_of_another_size) {
    small_net();
    g->tensors[0].value = value_new(&arena, 2, true);
    expect_broken(8);
}
