/* Reading models: what the IR holds of a file. Bad files are in test_frontend_bad.c. */
#include "messages.h"
#include "wire.h"

static const int64_t IMAGE[] = {1, 3, 8, 8};

Test(frontend, versions) {
    for (int64_t version = 2; version <= 15; version++) {
        struct file f;
        file_start(&f, version);
        add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
        add_output(&f, f.graph, "y");
        add_node(&f, f.graph, "Relu", "x", "y");
        if (version < 3) {
            expect_error(&f, ST_MODEL, "IR version 2");
            continue;
        }
        expect_read(&f);
        cr_assert_eq(f.read->ir_version, version);
        cr_assert_eq(f.diag.n_warnings, version > 14 ? 1 : 0);
        cr_assert_eq(node_at(f.read, 0, 0)->op, OP_Relu);
        file_end(&f);
    }
}

Test(frontend, inputs_and_outputs) {
    struct file f;
    file_start(&f, 8);
    Info *x = add_input(&f, f.graph, "x", DT_FLOAT, (int64_t[]){1, 3, 0}, 3);
    name_dim(&f, x->type, 0, "batch");
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Relu", "x", "y")->name = text(&f, "r");
    f.model.producer_name = text(&f, "maker");
    f.model.producer_version = text(&f, "2");
    expect_read(&f);
    const struct graph *g = f.read;
    const struct tensor *in = tensor_named(g, "x");
    cr_assert_eq(g->bodies[0].n_inputs, 1);
    cr_assert_eq(g->bodies[0].n_outputs, 1);
    cr_assert_str_eq(g->producer, "maker 2");
    cr_assert_eq(in->flags, TF_INPUT | TF_DECLARED);
    cr_assert_eq(in->dtype, DT_FLOAT);
    cr_assert_eq(in->rank, 3);
    char name[32];
    dim_print(g, in->dims[0], name, sizeof name);
    cr_assert_str_eq(name, "batch");
    cr_assert(dim_is(in->dims[1], 3));
    dim_print(g, in->dims[2], name, sizeof name);
    cr_assert_str_eq(name, "x[2]");
    cr_assert(tensor_named(g, "y")->flags & TF_OUTPUT);
    cr_assert_eq(tensor_named(g, "y")->producer, g->bodies[0].nodes[0]);
    cr_assert_str_eq(node_at(g, 0, 0)->name, "r");
    file_end(&f);
}

/* ---- Tensor data ---- */

static void expect_values(const struct file *f, const char *name, const double *want, uint32_t n) {
    const struct value *v = tensor_read(f->read, tensor_named(f->read, name));
    cr_assert(v != NULL, "%s has no value", name);
    cr_assert_eq(v->n, n);
    for (uint32_t i = 0; i < n; i++) {
        double have = v->is_float ? v->at[i].f * (double)v->at[i].d.value : (double)v->at[i].d.value;
        cr_assert_float_eq(have, want[i], 1e-9, "%s[%u]: %g, expected %g", name, i, have, want[i]);
    }
}

static void add_tensor(struct file *f, Tensor *t) {
    APPEND(f, f->graph, initializer, t);
}

static Tensor *three(struct file *f, const char *name, int dtype) {
    Tensor *t = new_tensor(f, name, dtype, (int64_t[]){3}, 1);
    add_tensor(f, t);
    return t;
}

Test(frontend, encodings) {
    struct file f;
    file_start(&f, 10);
    static float floats[] = {1.5f, -2, 3};
    static double doubles[] = {1.5, -2, 3};
    static int32_t ints[] = {1, -2, 3}, halves[] = {0x3e00, 0xc000, 0x4200}, bfloats[] = {0x3fc0, 0xc000, 0x4040};
    static int64_t longs[] = {1, -2, INT64_C(1) << 40};
    static uint64_t unsigneds[] = {1, 2, UINT64_C(1) << 40};
    Tensor *t = three(&f, "floats", DT_FLOAT);
    t->n_float_data = 3, t->float_data = floats;
    t = three(&f, "doubles", DT_DOUBLE);
    t->n_double_data = 3, t->double_data = doubles;
    t = three(&f, "ints", DT_INT32);
    t->n_int32_data = 3, t->int32_data = ints;
    t = three(&f, "int8s", DT_INT8);
    t->n_int32_data = 3, t->int32_data = ints;
    t = three(&f, "halves", DT_FLOAT16);
    t->n_int32_data = 3, t->int32_data = halves;
    t = three(&f, "bfloats", DT_BFLOAT16);
    t->n_int32_data = 3, t->int32_data = bfloats;
    t = three(&f, "longs", DT_INT64);
    t->n_int64_data = 3, t->int64_data = longs;
    t = three(&f, "unsigneds", DT_UINT64);
    t->n_uint64_data = 3, t->uint64_data = unsigneds;
    set_raw(&f, three(&f, "raw", DT_FLOAT), floats, sizeof floats);
    set_raw(&f, three(&f, "nibbles", DT_INT4), "\xe1\x03", 2);
    t = three(&f, "nibble_ints", DT_INT4);
    t->n_int32_data = 2, t->int32_data = (int32_t[]){0xe1, 3};
    expect_read(&f);
    expect_values(&f, "floats", (double[]){1.5, -2, 3}, 3);
    expect_values(&f, "doubles", (double[]){1.5, -2, 3}, 3);
    expect_values(&f, "ints", (double[]){1, -2, 3}, 3);
    expect_values(&f, "int8s", (double[]){1, -2, 3}, 3);
    expect_values(&f, "halves", (double[]){1.5, -2, 3}, 3);
    expect_values(&f, "bfloats", (double[]){1.5, -2, 3}, 3);
    expect_values(&f, "longs", (double[]){1, -2, 1099511627776.0}, 3);
    expect_values(&f, "unsigneds", (double[]){1, 2, 1099511627776.0}, 3);
    expect_values(&f, "raw", (double[]){1.5, -2, 3}, 3);
    expect_values(&f, "nibbles", (double[]){1, -2, 3}, 3);
    expect_values(&f, "nibble_ints", (double[]){1, -2, 3}, 3);
    cr_assert_eq(tensor_named(f.read, "raw")->stored_bytes, 12);
    cr_assert_eq(tensor_named(f.read, "raw")->data.file, 0);
    file_end(&f);
}

/* Wire bytes of a model with one initializer, whose fields are given. */
static const uint8_t *with_tensor_fields(struct file *f, const void *fields, size_t n, size_t *length) {
    size_t model;
    const uint8_t *bytes = pack(f, &model);
    uint8_t *all = arena_alloc(&f->arena, model + n + 32), *at = all;
    uint8_t inner[10];
    size_t prefix = 1 + wire_put_varint(inner, n); /* tag and length of the initializer */
    memcpy(at, bytes, model);
    at += model;
    *at++ = 7 << 3 | 2; /* the graph, which `f` has left out */
    at += wire_put_varint(at, prefix + n);
    *at++ = 5 << 3 | 2;
    at += wire_put_varint(at, n);
    memcpy(at, fields, n);
    *length = (size_t)(at + n - all);
    return all;
}

/* Typed data one field a number, in two packed runs, and around other fields, as the wire format allows. */
Test(frontend, scattered_data) {
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
#define BYTES(text) {text, sizeof text - 1}
        BYTES("\x08\x03\x10\x07\x42\x01w\x38\x01\x38\x02\x38\x03"),     /* int64_data: 1, 2, 3 one by one */
        BYTES("\x38\x01\x08\x03\x38\x02\x10\x07\x38\x03\x42\x01w"),     /* the other fields between */
        BYTES("\x08\x03\x10\x07\x42\x01w\x3a\x01\x01\x3a\x02\x02\x03"), /* two packed runs */
        BYTES("\x08\x03\x10\x07\x42\x01w\x3a\x02\x01\x02\x38\x03"),     /* a run and a single one */
        BYTES("\x08\x03\x10\x06\x42\x01w\x28\x01\x28\x02\x28\x03"),     /* int32_data */
        BYTES("\x08\x03\x10\x01\x42\x01w\x25\0\0\x80\x3f\x25\0\0\0\x40\x25\0\0\x40\x40"), /* float_data */
#undef BYTES
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct file f;
        file_start(&f, 8);
        f.model.graph = NULL;
        size_t length;
        const uint8_t *bytes = with_tensor_fields(&f, cases[i].bytes, cases[i].n, &length);
        enum status status = onnx_read_bytes(&f.read, bytes, length, "test.onnx", &f.arena, &f.diag);
        cr_assert(status == ST_OK, "case %zu: %s", i, f.diag.message);
        expect_values(&f, "w", (double[]){1, 2, 3}, 3);
        Onnx__ModelProto *again = written(&f);
        const Tensor *t = again->graph->initializer[0];
        cr_assert_eq(t->n_int64_data + t->n_int32_data + t->n_float_data, 3, "case %zu", i);
        onnx__model_proto__free_unpacked(again, NULL);
        file_end(&f);
    }
}

Test(frontend, strings) {
    struct file f;
    file_start(&f, 8);
    Tensor *t = three(&f, "words", DT_STRING);
    static ProtobufCBinaryData words[] = {{3, (uint8_t *)"one"}, {0, (uint8_t *)""}, {5, (uint8_t *)"th\0ee"}};
    t->n_string_data = 3, t->string_data = words;
    expect_read(&f);
    cr_assert_eq(tensor_named(f.read, "words")->data.encoding, ENC_STRINGS);
    Onnx__ModelProto *again = written(&f);
    const Tensor *w = again->graph->initializer[0];
    cr_assert_eq(w->n_string_data, 3);
    cr_assert_eq(w->string_data[2].len, 5);
    cr_assert_eq(memcmp(w->string_data[2].data, "th\0ee", 5), 0);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

Test(frontend, empty_tensors) {
    struct file f;
    file_start(&f, 8);
    add_tensor(&f, new_tensor(&f, "nothing", DT_FLOAT, (int64_t[]){0, 5}, 2));
    Tensor *raw = set_raw(&f, new_tensor(&f, "raw", DT_FLOAT, (int64_t[]){0}, 1), "", 0);
    add_tensor(&f, raw);
    expect_read(&f);
    cr_assert_eq(tensor_named(f.read, "nothing")->stored_bytes, 0);
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->graph->initializer[0]->has_raw_data, 0);
    cr_assert_eq(again->graph->initializer[1]->has_raw_data, 1);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

static void add_sparse(struct file *f, int64_t n, const int64_t *index_dims, size_t index_rank, size_t n_indices) {
    Onnx__SparseTensorProto *s = make(f, &onnx__sparse_tensor_proto__descriptor);
    static const int64_t indices[8] = {0, 1, 1, 0, 2, 2};
    s->values = vector(f, "s", (size_t)n);
    s->indices = set_raw(f, new_tensor(f, NULL, DT_INT64, index_dims, index_rank), indices, 8 * n_indices);
    s->n_dims = 2;
    s->dims = arena_copy(&f->arena, (int64_t[]){3, 4}, 2 * sizeof *s->dims);
    APPEND(f, f->graph, sparse_initializer, s);
}

Test(frontend, sparse_initializers) {
    struct file f;
    file_start(&f, 8);
    add_sparse(&f, 3, (int64_t[]){3, 2}, 2, 6);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Relu", "s", "y");
    expect_read(&f);
    const struct tensor *s = tensor_named(f.read, "s");
    cr_assert_eq(s->rank, 2);
    cr_assert(dim_is(s->dims[1], 4));
    cr_assert_eq(s->stored_bytes, 3 * 4 + 6 * 8);
    cr_assert(s->flags & TF_INITIALIZER && s->flags & TF_CONSTANT);
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->graph->n_initializer, 0);
    cr_assert_eq(again->graph->sparse_initializer[0]->values->raw_data.len, 12);
    cr_assert_eq(again->graph->sparse_initializer[0]->indices->raw_data.len, 48);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);

    file_start(&f, 8);
    add_sparse(&f, 3, (int64_t[]){3, 3}, 2, 8);
    expect_error(&f, ST_MODEL, "\"s\"");
    file_start(&f, 8);
    add_sparse(&f, 3, (int64_t[]){2}, 1, 2);
    expect_error(&f, ST_MODEL, "do not fit");
}

/* As ONNX Runtime writes them: in the least type that holds them. */
Test(frontend, sparse_indices_of_any_width) {
    struct file f;
    file_start(&f, 8);
    add_sparse(&f, 3, (int64_t[]){3}, 1, 3);
    static const int8_t narrow[] = {0, 5, 11};
    Onnx__SparseTensorProto *sparse = f.graph->sparse_initializer[0];
    sparse->indices = set_raw(&f, new_tensor(&f, NULL, DT_INT8, (int64_t[]){3}, 1), narrow, sizeof narrow);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Relu", "s", "y");
    expect_read(&f);
    const struct tensor *s = tensor_named(f.read, "s");
    cr_assert_eq(s->stored_bytes, 3 * 4 + 3);
    cr_expect_eq(s->sparse->indices.length, 24);
    cr_expect_arr_eq(s->sparse->indices.bytes, ((int64_t[]){0, 5, 11}), 24);
    file_end(&f);
}

Test(frontend, newer_types_are_kept) {
    struct file f;
    file_start(&f, 15);
    Tensor *t = three(&f, "new", 99);
    set_raw(&f, t, "0123456", 7);
    expect_read(&f);
    expect_warning(&f, "data type 99");
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->graph->initializer[0]->data_type, 99);
    cr_assert_eq(again->graph->initializer[0]->raw_data.len, 7);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

/* ---- Names ---- */

Test(frontend, optional_inputs_and_unsorted_nodes) {
    struct file f;
    file_start(&f, 8);
    add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Clip", "m - x", "y");
    add_node(&f, f.graph, "Relu", "x", "m -");
    expect_read(&f);
    const struct node *clip = node_at(f.read, 0, 0);
    cr_assert_eq(clip->n_inputs, 3);
    cr_assert_eq(clip->inputs[1], NONE);
    cr_assert_eq(clip->inputs[0], find(f.read, "m"));
    cr_assert_eq(node_at(f.read, 0, 1)->outputs[1], NONE);
    file_end(&f);
}

Test(frontend, initializers_among_inputs) {
    for (int64_t version = 3; version <= 4; version++) {
        struct file f;
        file_start(&f, version);
        add_input(&f, f.graph, "x", DT_FLOAT, (int64_t[]){4}, 1);
        add_input(&f, f.graph, "w", DT_FLOAT, (int64_t[]){4}, 1);
        add_output(&f, f.graph, "y");
        add_node(&f, f.graph, "Add", "x w", "y");
        add_tensor(&f, vector(&f, "w", 4));
        expect_read(&f);
        cr_assert_eq(f.read->bodies[0].n_inputs, 1);
        cr_assert_eq(tensor_named(f.read, "w")->flags & (TF_INPUT | TF_INITIALIZER), TF_INITIALIZER);
        Onnx__ModelProto *again = written(&f);
        cr_assert_eq(again->graph->n_input, 2);
        cr_assert_str_eq(again->graph->input[1]->name, "w");
        onnx__model_proto__free_unpacked(again, NULL);
        file_end(&f);
    }
}

Test(frontend, subgraphs_capture_and_shadow) {
    struct file f;
    file_start(&f, 8);
    add_input(&f, f.graph, "c", DT_BOOL, NULL, 0);
    add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Relu", "x", "t");
    Node *branch = add_node(&f, f.graph, "If", "c", "y");
    Graph *a = add_subgraph(&f, branch, "then_branch"), *b = add_subgraph(&f, branch, "else_branch");
    add_node(&f, a, "Neg", "t", "r"); /* captures t and x of the graph */
    add_node(&f, a, "Add", "r x", "s");
    add_output(&f, a, "s");
    add_node(&f, b, "Abs", "x", "t"); /* a t of its own */
    add_node(&f, b, "Neg", "t", "s");
    add_output(&f, b, "s");
    expect_read(&f);
    const struct graph *g = f.read;
    cr_assert_eq(g->n_bodies, 3);
    const struct node *node = node_at(g, 0, 1);
    uint32_t then_body = node_attr(node, "then_branch")->body, else_body = node_attr(node, "else_branch")->body;
    cr_assert_eq(g->bodies[then_body].parent, 0);
    cr_assert_eq(g->bodies[then_body].owner, g->bodies[0].nodes[1]);
    uint32_t outer_t = find(g, "t");
    cr_assert_eq(g->tensors[outer_t].body, 0);
    cr_assert_eq(node_at(g, then_body, 0)->inputs[0], outer_t);
    cr_assert(g->tensors[outer_t].flags & TF_CAPTURED);
    cr_assert(tensor_named(g, "x")->flags & TF_CAPTURED);
    cr_assert_neq(node_at(g, else_body, 1)->inputs[0], outer_t);
    cr_assert_eq(g->tensors[node_at(g, else_body, 1)->inputs[0]].body, else_body);
    file_end(&f);
}

Test(frontend, body_inputs_are_private) {
    struct file f;
    file_start(&f, 8);
    add_input(&f, f.graph, "n", DT_INT64, NULL, 0);
    add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(&f, f.graph, "y");
    Graph *body = add_subgraph(&f, add_node(&f, f.graph, "Loop", "n - x", "y"), "body");
    add_input(&f, body, "i", DT_INT64, NULL, 0);
    add_input(&f, body, "go", DT_BOOL, NULL, 0);
    add_input(&f, body, "state", DT_FLOAT, IMAGE, 4);
    add_node(&f, body, "Identity", "go", "on");
    add_node(&f, body, "Relu", "state", "next");
    add_output(&f, body, "on");
    add_output(&f, body, "next");
    expect_read(&f);
    cr_assert_eq(f.read->bodies[1].n_inputs, 3);
    cr_assert_eq(tensor_named(f.read, "state")->flags, TF_PRIVATE | TF_DECLARED);
    cr_assert_eq(f.read->bodies[1].n_outputs, 2);
    file_end(&f);
}

Test(frontend, sequence_and_optional_types) {
    struct file f;
    file_start(&f, 8);
    Onnx__TypeProto *sequence = make(&f, &onnx__type_proto__descriptor);
    sequence->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    sequence->sequence_type = make(&f, &onnx__type_proto__sequence__descriptor);
    sequence->sequence_type->elem_type = tensor_type(&f, DT_INT64, (int64_t[]){5, 0}, 2);
    APPEND(&f, f.graph, input, new_info(&f, "list", sequence));
    Onnx__TypeProto *optional = make(&f, &onnx__type_proto__descriptor);
    optional->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    optional->optional_type = make(&f, &onnx__type_proto__optional__descriptor);
    optional->optional_type->elem_type = sequence;
    APPEND(&f, f.graph, input, new_info(&f, "maybe", optional));
    expect_read(&f);
    cr_assert_eq(tensor_named(f.read, "list")->kind, TY_SEQUENCE);
    cr_assert_eq(tensor_named(f.read, "list")->dtype, DT_INT64);
    cr_assert_eq(tensor_named(f.read, "list")->rank, 2);
    cr_assert(dim_is_unknown(tensor_named(f.read, "list")->dims[1]));
    cr_assert_eq(tensor_named(f.read, "maybe")->kind, TY_OPTIONAL);
    file_end(&f);
}

Test(frontend, attributes) {
    struct file f;
    file_start(&f, 8);
    Node *node = add_node(&f, f.graph, "Custom", "", "y");
    node->domain = text(&f, "com.example");
    add_int(&f, node, "i", -7);
    Attr *a = add_attr(&f, node, "f", AT_FLOAT);
    a->has_f = 1, a->f = 0.5f;
    a = add_attr(&f, node, "s", AT_STRING);
    a->has_s = 1, a->s = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
    a = add_attr(&f, node, "ints", AT_INTS);
    a->n_ints = 2, a->ints = (int64_t[]){4, -5};
    a = add_attr(&f, node, "t", AT_TENSOR);
    a->t = vector(&f, "inner", 3);
    a = add_attr(&f, node, "untyped", AT_INTS); /* as files of the first versions have it */
    a->has_type = 0, a->n_ints = 1, a->ints = (int64_t[]){9};
    a = add_attr(&f, node, "tp", AT_TYPE_PROTO);
    a->tp = tensor_type(&f, DT_INT8, (int64_t[]){2}, 1);
    expect_read(&f);
    expect_warning(&f, "com.example");
    const struct node *read = node_at(f.read, 0, 0);
    size_t n;
    cr_assert_eq(read->op, OP_UNKNOWN);
    cr_assert_eq(node_int(read, "i", 0), -7);
    cr_assert_eq(node_float(read, "f", 0), 0.5);
    cr_assert_eq(node_attr(read, "s")->n, 3);
    cr_assert_eq(memcmp(node_attr(read, "s")->s, "a\0b", 4), 0);
    cr_assert_eq(node_ints(read, "ints", &n)[1], -5);
    cr_assert_eq(node_ints(read, "untyped", &n)[0], 9);
    cr_assert_eq(f.read->tensors[node_attr(read, "t")->tensor].stored_bytes, 12);
    cr_assert_eq(node_attr(read, "tp")->type_dtype, DT_INT8);
    cr_assert_eq(node_attr(read, "tp")->type_rank, 1);
    file_end(&f);
}

Test(frontend, default_domain_has_two_names) {
    struct file f;
    file_start(&f, 8);
    f.model.opset_import[0]->domain = text(&f, "ai.onnx");
    add_input(&f, f.graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Relu", "x", "y")->domain = text(&f, "ai.onnx");
    expect_read(&f);
    cr_assert_str_eq(f.read->opsets[0].domain, "");
    cr_assert_eq(node_at(f.read, 0, 0)->op, OP_Relu);
    Onnx__ModelProto *again = written(&f);
    cr_assert_str_eq(again->opset_import[0]->domain, "ai.onnx");
    cr_assert_str_eq(again->graph->node[0]->domain, "ai.onnx");
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}
