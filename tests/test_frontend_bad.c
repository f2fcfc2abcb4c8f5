/* What is refused, and that nothing else happens: every file gives one message with a place, or a graph that holds. */
#include <dirent.h>

#include "messages.h"
#include "wire.h"

static const int64_t IMAGE[] = {1, 3, 8, 8};

/* x -> Relu -> y */
static void start(struct file *f) {
    file_start(f, 8);
    add_input(f, f->graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(f, f->graph, "y");
    add_node(f, f->graph, "Relu", "x", "y")->name = text(f, "only");
}

static Tensor *start_with(struct file *f, int dtype, const int64_t *dims, size_t rank) {
    start(f);
    Tensor *t = new_tensor(f, "w", dtype, dims, rank);
    APPEND(f, f->graph, initializer, t);
    return t;
}

/* ---- The message around the graph ---- */

Test(bad, model) {
    struct file f;
    start(&f);
    f.model.has_ir_version = 0;
    expect_error(&f, ST_FORMAT, "not an ONNX model");
    start(&f);
    f.model.graph = NULL;
    expect_error(&f, ST_FORMAT, "not an ONNX model");
    start(&f);
    f.model.ir_version = -1;
    expect_error(&f, ST_MODEL, "IR version -1");
    start(&f);
    f.model.n_opset_import = 0;
    expect_error(&f, ST_MODEL, "node \"only\" (Relu): the model imports no version");
    start(&f);
    f.model.opset_import[0]->version = 0;
    expect_error(&f, ST_MODEL, "version 0");
    start(&f);
    for (int i = 0; i < 300; i++) import(&f, "other", 1);
    expect_error(&f, ST_LIMIT, "operator sets");
}

/* ---- Names ---- */

Test(bad, names) {
    struct file f;
    start(&f);
    add_node(&f, f.graph, "Neg", "x", "y")->name = text(&f, "second");
    expect_error(&f, ST_MODEL, "node \"second\" (Neg): \"y\" is defined twice");
    start(&f);
    add_node(&f, f.graph, "Neg", "x", "x");
    expect_error(&f, ST_MODEL, "\"x\" is defined twice");
    start(&f);
    add_node(&f, f.graph, "Split", "x", "a a");
    expect_error(&f, ST_MODEL, "node giving \"a\" (Split): \"a\" is defined twice");
    start(&f);
    for (int i = 0; i < 2; i++) APPEND(&f, f.graph, initializer, vector(&f, "w", 2));
    expect_error(&f, ST_MODEL, "initializer \"w\": \"w\" is defined twice");
    start(&f);
    add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
    expect_error(&f, ST_MODEL, "input \"x\"");
    start(&f);
    APPEND(&f, f.graph, initializer, vector(&f, "y", 2));
    expect_error(&f, ST_MODEL, "\"y\" is defined twice");
    start(&f);
    add_node(&f, f.graph, "Neg", "nowhere", "z");
    expect_error(&f, ST_MODEL, "node giving \"z\" (Neg): \"nowhere\" is no input");
    start(&f);
    add_output(&f, f.graph, "nowhere");
    expect_error(&f, ST_MODEL, "\"nowhere\" is no input");
    start(&f);
    add_input(&f, f.graph, "", DT_FLOAT, IMAGE, 4);
    expect_error(&f, ST_MODEL, "input 1");
    start(&f);
    APPEND(&f, f.graph, initializer, vector(&f, "", 2));
    expect_error(&f, ST_MODEL, "initializer 0 has no name");
    start(&f);
    add_node(&f, f.graph, "", "x", "z");
    expect_error(&f, ST_MODEL, "has no operator");
    start(&f);
    add_int(&f, f.graph->node[0], "alpha", 1);
    add_int(&f, f.graph->node[0], "alpha", 1);
    expect_error(&f, ST_MODEL, "attribute \"alpha\" is given twice");
    start(&f);
    add_attr(&f, f.graph->node[0], "t", AT_TENSOR);
    expect_error(&f, ST_MODEL, "attribute \"t\" is said to be a tensor");
    start(&f);
    for (int i = 0; i < 1025; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        add_int(&f, f.graph->node[0], name, 1);
    }
    expect_error(&f, ST_LIMIT, "1025 attributes");
}

/* A subgraph does not give its names to the graph around it, nor to its neighbour. */
Test(bad, names_of_subgraphs) {
    struct file f;
    start(&f);
    add_input(&f, f.graph, "c", DT_BOOL, NULL, 0);
    Node *branch = add_node(&f, f.graph, "If", "c", "z");
    Graph *a = add_subgraph(&f, branch, "then_branch"), *b = add_subgraph(&f, branch, "else_branch");
    add_node(&f, a, "Neg", "x", "inner");
    add_output(&f, a, "inner");
    add_node(&f, b, "Neg", "inner", "other");
    add_output(&f, b, "other");
    expect_error(&f, ST_MODEL, "\"inner\" is no input");
}

/* ---- Tensors ---- */

Test(bad, tensors) {
    struct file f;
    static const float four[4] = {0};
    start_with(&f, DT_FLOAT, (int64_t[]){-4}, 1);
    expect_error(&f, ST_MODEL, "initializer \"w\": dimension 0 is -4");
    start_with(&f, DT_FLOAT, (int64_t[]){INT64_MAX, 2}, 2);
    expect_error(&f, ST_LIMIT, "initializer \"w\" has more elements");
    start_with(&f, DT_FLOAT, (int64_t[]){INT64_C(1) << 60}, 1);
    expect_error(&f, ST_LIMIT, "initializer \"w\" has more elements");
    set_raw(&f, start_with(&f, DT_FLOAT, (int64_t[]){5}, 1), four, sizeof four);
    expect_error(&f, ST_MODEL, "initializer \"w\": its shape needs 20 bytes of data, 16 are there");
    set_raw(&f, start_with(&f, DT_FLOAT, (int64_t[]){3}, 1), four, sizeof four);
    expect_error(&f, ST_MODEL, "needs 12 bytes");
    Tensor *t = start_with(&f, DT_INT64, (int64_t[]){3}, 1);
    t->n_int64_data = 2, t->int64_data = (int64_t[]){1, 2};
    expect_error(&f, ST_MODEL, "needs 3 numbers of data, 2 are there");
    t = start_with(&f, DT_INT64, (int64_t[]){2}, 1);
    t->n_float_data = 2, t->float_data = (float[]){1, 2};
    expect_error(&f, ST_MODEL, "field for another type");
    t = start_with(&f, DT_STRING, (int64_t[]){2}, 1);
    set_raw(&f, t, "ab", 2);
    expect_error(&f, ST_MODEL, "field for another type");
    t = start_with(&f, DT_STRING, (int64_t[]){2}, 1);
    t->n_string_data = 1, t->string_data = &(ProtobufCBinaryData){2, (uint8_t *)"ab"};
    expect_error(&f, ST_MODEL, "needs 2 strings of data, 1 are there");
    t = set_raw(&f, start_with(&f, DT_FLOAT, (int64_t[]){1}, 1), four, 4);
    t->n_float_data = 1, t->float_data = (float[]){1};
    expect_error(&f, ST_FORMAT, "second kind of data");
    t = start_with(&f, 0, (int64_t[]){1}, 1);
    expect_error(&f, ST_MODEL, "has no data type");
    t = start_with(&f, DT_FLOAT, (int64_t[]){1}, 1);
    t->segment = make(&f, &onnx__tensor_proto__segment__descriptor);
    expect_error(&f, ST_MODEL, "segments");
    int64_t dims[65] = {0};
    start_with(&f, DT_FLOAT, dims, 65);
    expect_error(&f, ST_LIMIT, "65 dimensions");
}

Test(bad, types) {
    struct file f;
    static const int64_t sizes[] = {-1, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        start(&f);
        add_input(&f, f.graph, "z", DT_FLOAT, &sizes[i], 1);
        expect_error(&f, ST_MODEL, "tensor \"z\": dimension 0");
    }
    start(&f);
    add_input(&f, f.graph, "z", DT_FLOAT, (int64_t[]){INT64_C(1) << 40, INT64_C(1) << 40}, 2);
    expect_error(&f, ST_LIMIT, "tensor \"z\"");
    start(&f);
    int64_t dims[65] = {0};
    add_input(&f, f.graph, "z", DT_FLOAT, dims, 65);
    expect_error(&f, ST_LIMIT, "tensor \"z\" has 65 dimensions");
}

/* ---- The wire ---- */

static void expect_bytes(const void *bytes, size_t length, enum status want, const char *says) {
    struct file f;
    file_start(&f, 8);
    enum status status = onnx_read_bytes(&f.read, bytes, length, "test.onnx", &f.arena, &f.diag);
    cr_assert_eq(status, want, "%s", f.diag.message ? f.diag.message : "accepted");
    cr_assert(strstr(f.diag.message, says), "\"%s\" does not say \"%s\"", f.diag.message, says);
    file_end(&f);
}

#define EXPECT_BYTES(text, want, says) expect_bytes(text, sizeof text - 1, want, says)

Test(bad, wire) {
    EXPECT_BYTES("", ST_FORMAT, "empty");
    EXPECT_BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ST_FORMAT, "not an ONNX model: byte ");
    EXPECT_BYTES("\0\0\0\0", ST_FORMAT, "byte 0");
    EXPECT_BYTES("\x08\x08\x3b", ST_FORMAT, "byte 2: field graph of ModelProto has an encoding");
    EXPECT_BYTES("\x08\x08\x38\x01", ST_FORMAT, "byte 2: field graph of ModelProto has the encoding of another type");
    EXPECT_BYTES("\x08\x08\x3a", ST_FORMAT, "byte 2: field graph of ModelProto needs 1 bytes, 0 are left");
    EXPECT_BYTES("\x08\x08\x3a\x05", ST_FORMAT, "needs 5 bytes, 0 are left");
    EXPECT_BYTES("\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ST_FORMAT, "needs 18446744073709551615 bytes");
    EXPECT_BYTES("\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ST_FORMAT, "endless");
    EXPECT_BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ST_FORMAT, "endless");
    EXPECT_BYTES("\x08\x08\x3a\x02\x12\x05", ST_FORMAT, "byte 4: field name of GraphProto needs 5 bytes, 0 are left");
    EXPECT_BYTES("\x08\x08\x3a\x04\x12\x02\x61\x00", ST_FORMAT, "zero byte");
    EXPECT_BYTES("\x08\x08\x3a\x00\x3a\x00", ST_FORMAT, "byte 4: field graph of ModelProto occurs twice");
    /* Packed numbers that end in the middle: dims of an initializer, float_data of one. */
    EXPECT_BYTES("\x08\x08\x3a\x05\x2a\x03\x0a\x01\x80", ST_FORMAT, "field dims of TensorProto ends inside a number");
    EXPECT_BYTES("\x08\x08\x3a\x05\x2a\x03\x22\x01\x80", ST_FORMAT, "field float_data of TensorProto ends inside");
}

static void expect_no_crash(const uint8_t *bytes, size_t length, const char *what, size_t at) {
    struct file f;
    file_start(&f, 8);
    enum status status = onnx_read_bytes(&f.read, bytes, length, "test.onnx", &f.arena, &f.diag);
    if (status == ST_OK) status = graph_check(f.read, &f.diag);
    if (status == ST_OK)
        cr_assert_null(f.diag.message);
    else
        cr_assert(f.diag.message && f.diag.status == status, "%s %zu: no message", what, at);
    cr_assert(f.read && !f.read->files[0].map.bytes);
    file_end(&f);
}

/* A model with a bit of everything. */
static const uint8_t *rich_model(struct file *f, size_t *length) {
    start(f);
    import(f, "f", 1);
    add_input(f, f->graph, "c", DT_BOOL, NULL, 0);
    APPEND(f, f->graph, initializer, vector(f, "w", 3));
    Tensor *typed = new_tensor(f, "typed", DT_INT64, (int64_t[]){2}, 1);
    typed->n_int64_data = 2, typed->int64_data = arena_copy(&f->arena, (int64_t[]){-1, 300}, 16);
    APPEND(f, f->graph, initializer, typed);
    Node *branch = add_node(f, f->graph, "If", "c", "z");
    Graph *a = add_subgraph(f, branch, "then_branch"), *b = add_subgraph(f, branch, "else_branch");
    add_node(f, a, "Neg", "x", "s");
    add_output(f, a, "s");
    APPEND(f, b, initializer, vector(f, "s", 2));
    add_output(f, b, "s");
    Node *call = add_node(f, f->graph, "F", "z", "q");
    call->domain = text(f, "f");
    add_function_node(f, add_function(f, "f", "F", "i", "o"), "Abs", "i", "o");
    add_attr(f, add_node(f, f->graph, "Constant", "", "k"), "value", AT_TENSOR)->t = vector(f, NULL, 2);
    APPEND(f, f->graph, value_info, new_info(f, "z", tensor_type(f, DT_FLOAT, IMAGE, 4)));
    return pack(f, length);
}

Test(bad, truncated_everywhere) {
    struct file f;
    size_t length;
    const uint8_t *bytes = rich_model(&f, &length);
    for (size_t n = 0; n < length; n++) {
        /* A copy of the right size, so that the sanitizer sees a step too far. */
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, bytes, n);
        expect_no_crash(cut, n, "cut to", n);
        free(cut);
    }
    expect_no_crash(bytes, length, "whole", length);
    file_end(&f);
}

Test(bad, every_bit_flipped) {
    struct file f;
    size_t length;
    const uint8_t *bytes = rich_model(&f, &length);
    uint8_t *flipped = malloc(length);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        memcpy(flipped, bytes, length);
        flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_no_crash(flipped, length, "bit", bit);
    }
    free(flipped);
    file_end(&f);
}

Test(bad, random_bytes_changed) {
    struct file f;
    struct rng rng;
    size_t length;
    const uint8_t *bytes = rich_model(&f, &length);
    uint8_t *changed = malloc(length);
    rng_seed(&rng, 7);
    for (size_t i = 0; i < 20000; i++) {
        memcpy(changed, bytes, length);
        for (uint64_t k = rng_below(&rng, 4) + 1; k; k--) changed[rng_below(&rng, length)] = (uint8_t)rng_next(&rng);
        expect_no_crash(changed, length, "seed 7, case", i);
    }
    free(changed);
    file_end(&f);
}

/* ---- Nesting ---- */

/* `depth` times tag and length around nothing, as messages inside messages; fields: the way down, repeated. */
static uint8_t *nest(const uint8_t *fields, size_t n_fields, size_t depth, size_t *length) {
    size_t room = depth * 11 + 16, at = room;
    uint8_t *bytes = malloc(room), prefix[10];
    for (size_t i = depth; i-- > 0;) {
        size_t n = wire_put_varint(prefix, room - at);
        memcpy(bytes + (at -= n), prefix, n);
        uint8_t field = i == 0 ? 7 : fields[(i - 1) % n_fields]; /* ModelProto.graph, then round and round */
        bytes[--at] = (uint8_t)(field << 3 | 2);
    }
    bytes[--at] = 8;
    bytes[--at] = 8;
    memmove(bytes, bytes + at, room - at);
    *length = room - at;
    return bytes;
}

Test(bad, nested_subgraphs) {
    static const uint8_t subgraphs[] = {1, 5, 6}; /* GraphProto.node, NodeProto.attribute, AttributeProto.g */
    for (size_t depth = 190; depth <= 400000; depth = depth < 210 ? depth + 1 : depth * 20) {
        size_t length;
        uint8_t *bytes = nest(subgraphs, COUNT_OF(subgraphs), depth, &length);
        expect_bytes(bytes, length, depth > LIMIT_MESSAGE_DEPTH ? ST_LIMIT : ST_MODEL,
                     depth > LIMIT_MESSAGE_DEPTH ? "nest deeper than 200" : "has no operator");
        free(bytes);
    }
}

Test(bad, nested_types) {
    size_t length;
    /* GraphProto.input, ValueInfoProto.type, then TypeProto.sequence_type, Sequence.elem_type on and on */
    uint8_t way[100002] = {11, 2};
    for (size_t i = 2; i < sizeof way; i++) way[i] = i % 2 ? 1 : 4;
    uint8_t *bytes = nest(way, sizeof way, sizeof way + 1, &length);
    expect_bytes(bytes, length, ST_LIMIT, "nest deeper than 200");
    free(bytes);
}
