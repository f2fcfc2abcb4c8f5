/* Writing models: what was read comes back, what was changed is changed, and nothing else is lost. */
#include <dirent.h>
#include <sys/stat.h>

#include "messages.h"

static const int64_t IMAGE[] = {1, 3, 8, 8};

static void add_unknown(struct file *f, ProtobufCMessage *message) {
    message->n_unknown_fields = 2;
    message->unknown_fields = arena_array(&f->arena, 2, sizeof *message->unknown_fields);
    message->unknown_fields[0] = (ProtobufCMessageUnknownField){
        .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 4, .data = (uint8_t *)"\x03new"};
    message->unknown_fields[1] = (ProtobufCMessageUnknownField){
        .tag = 1001, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 2, .data = (uint8_t *)"\x96\x01"};
}

static void add_prop(struct file *f, size_t *n, Onnx__StringStringEntryProto ***list, const char *key) {
    Onnx__StringStringEntryProto *e = make(f, &onnx__string_string_entry_proto__descriptor);
    e->key = text(f, key);
    e->value = text(f, "value");
    *list = arena_array(&f->arena, 1, sizeof **list);
    (*list)[0] = e;
    *n = 1;
}

/* Everything the format has that the IR does not hold. */
static void fill(struct file *f) {
    file_start(f, 11);
    f->model.domain = text(f, "org.example");
    f->model.doc_string = text(f, "of the model");
    f->model.has_model_version = 1, f->model.model_version = 5;
    f->graph->doc_string = text(f, "of the graph");
    add_prop(f, &f->model.n_metadata_props, &f->model.metadata_props, "model");
    add_prop(f, &f->graph->n_metadata_props, &f->graph->metadata_props, "graph");
    Onnx__DeviceConfigurationProto *devices = make(f, &onnx__device_configuration_proto__descriptor);
    devices->name = text(f, "two of them");
    devices->has_num_devices = 1, devices->num_devices = 2;
    APPEND(f, &f->model, configuration, devices);

    Info *x = add_input(f, f->graph, "x", DT_FLOAT, IMAGE, 4);
    x->doc_string = text(f, "of the input");
    x->type->denotation = text(f, "IMAGE");
    add_output(f, f->graph, "y");
    APPEND(f, f->graph, value_info, new_info(f, "m", tensor_type(f, DT_FLOAT, IMAGE, 4)));
    APPEND(f, f->graph, value_info, new_info(f, "never", tensor_type(f, DT_FLOAT, IMAGE, 4)));
    Node *node = add_node(f, f->graph, "Softmax", "x", "m");
    node->doc_string = text(f, "of the node");
    add_prop(f, &node->n_metadata_props, &node->metadata_props, "node");
    Onnx__NodeDeviceConfigurationProto *where = make(f, &onnx__node_device_configuration_proto__descriptor);
    where->configuration_id = text(f, "two of them");
    APPEND(f, node, device_configurations, where);
    Attr *axis = add_int(f, node, "axis", 1);
    axis->doc_string = text(f, "of the attribute");
    Tensor *w = vector(f, "w", 8);
    w->doc_string = text(f, "of the tensor");
    APPEND(f, f->graph, initializer, w);
    add_node(f, f->graph, "Add", "m w", "y");

    Onnx__TrainingInfoProto *training = make(f, &onnx__training_info_proto__descriptor);
    training->initialization = make(f, &onnx__graph_proto__descriptor);
    APPEND(f, training->initialization, initializer, vector(f, "start", 5));
    Tensor *packed = new_tensor(f, "typed", DT_INT64, (int64_t[]){2}, 1);
    packed->n_int64_data = 2, packed->int64_data = arena_copy(&f->arena, (int64_t[]){-1, 300}, 16);
    APPEND(f, training->initialization, initializer, packed);
    APPEND(f, &f->model, training_info, training);
    ProtobufCMessage *all[] = {&f->model.base, &f->graph->base, &node->base,    &axis->base,    &w->base,
                               &x->base,       &x->type->base,  &devices->base, &training->base};
    for (size_t i = 0; i < COUNT_OF(all); i++) add_unknown(f, all[i]);
}

/* Packing what protobuf-c decoded gives one order of fields, so that equal messages are equal bytes. */
static void expect_same(struct file *f, Onnx__ModelProto *again) {
    size_t want, have = onnx__model_proto__get_packed_size(again);
    const uint8_t *first = pack(f, &want);
    Onnx__ModelProto *decoded = onnx__model_proto__unpack(NULL, want, first);
    cr_assert_eq(have, want);
    uint8_t *a = malloc(want), *b = malloc(have);
    onnx__model_proto__pack(decoded, a);
    onnx__model_proto__pack(again, b);
    cr_assert_eq(memcmp(a, b, want), 0);
    free(a);
    free(b);
    onnx__model_proto__free_unpacked(decoded, NULL);
    onnx__model_proto__free_unpacked(again, NULL);
}

Test(write, everything_comes_back) {
    struct file f;
    fill(&f);
    expect_read(&f);
    expect_same(&f, written(&f));
    file_end(&f);
}

Test(write, changes) {
    struct file f;
    fill(&f);
    expect_read(&f);
    struct graph *g = graph_clone(f.read, &f.arena);
    uint32_t m = find(g, "m"), w = find(g, "w");
    tensor_set_shape(g, m, DT_FLOAT, (dim[]){DIM(1), DIM(3), dim_symbol(g, "h"), DIM(8)}, 4);
    static const float halves[] = {0.5f, 0.5f, 0.5f, 0.5f};
    g->tensors[w].data =
        (struct data){.encoding = ENC_RAW, .file = NONE, .length = sizeof halves, .bytes = (const uint8_t *)halves};
    tensor_set_shape(g, w, DT_FLOAT, (dim[]){DIM(4)}, 1);
    struct attr *axis = arena_copy(&f.arena, g->nodes[0].attrs, sizeof *axis);
    axis->i = 2;
    g->nodes[0].attrs = axis;
    struct graph *kept = f.read;
    f.read = g;
    Onnx__ModelProto *again = written(&f);
    f.read = kept;
    Graph *graph = again->graph;
    cr_assert_str_eq(graph->value_info[0]->type->tensor_type->shape->dim[2]->dim_param, "h");
    cr_assert_str_eq(graph->value_info[1]->name, "never");
    cr_assert_eq(graph->initializer[0]->dims[0], 4);
    cr_assert_eq(graph->initializer[0]->raw_data.len, sizeof halves);
    cr_assert_str_eq(graph->initializer[0]->doc_string, "of the tensor");
    cr_assert_eq(graph->node[0]->attribute[0]->i, 2);
    cr_assert_str_eq(graph->node[0]->attribute[0]->doc_string, "of the attribute");
    cr_assert_str_eq(graph->node[0]->doc_string, "of the node");
    cr_assert_str_eq(graph->input[0]->type->denotation, "IMAGE");
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

/* Dead nodes go, with the initializers only they read; a dead node that a live one reads stays. */
Test(write, dead_nodes) {
    struct file f;
    file_start(&f, 8);
    add_input(&f, f.graph, "x", DT_FLOAT, (int64_t[]){4}, 1);
    add_output(&f, f.graph, "y");
    static const char *const weights[] = {"a", "b", "unused"};
    for (size_t i = 0; i < COUNT_OF(weights); i++) APPEND(&f, f.graph, initializer, vector(&f, weights[i], 4));
    add_node(&f, f.graph, "Neg", "a", "folded");
    add_node(&f, f.graph, "Add", "x b", "gone");
    add_node(&f, f.graph, "Add", "x folded", "y");
    APPEND(&f, f.graph, value_info, new_info(&f, "gone", tensor_type(&f, DT_FLOAT, (int64_t[]){4}, 1)));
    expect_read(&f);
    f.read->nodes[0].dead = f.read->nodes[1].dead = true;
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->graph->n_node, 2);
    cr_assert_str_eq(again->graph->node[0]->op_type, "Neg");
    cr_assert_eq(again->graph->n_initializer, 2);
    cr_assert_str_eq(again->graph->initializer[0]->name, "a");
    cr_assert_str_eq(again->graph->initializer[1]->name, "unused");
    cr_assert_eq(again->graph->n_value_info, 0);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

/* Nodes and initializers that the file did not have; IR 3 wants initializers among the inputs. */
Test(write, additions) {
    for (int64_t version = 3; version <= 4; version++) {
        struct file f;
        file_start(&f, version);
        add_input(&f, f.graph, "x", DT_FLOAT, (int64_t[]){4}, 1);
        add_output(&f, f.graph, "y");
        add_node(&f, f.graph, "Relu", "x", "y");
        expect_read(&f);
        struct graph *g = f.read;
        static const float ones[4] = {1, 1, 1, 1};
        uint32_t w = graph_add_tensor(g, 0, "new"), sum = graph_add_tensor(g, 0, "sum"), x = find(g, "x");
        tensor_set_shape(g, w, DT_FLOAT, (dim[]){DIM(4)}, 1);
        g->tensors[w].flags = TF_INITIALIZER | TF_CONSTANT;
        g->tensors[w].data =
            (struct data){.encoding = ENC_RAW, .file = NONE, .length = 16, .bytes = (const uint8_t *)ones};
        graph_add_node(g, 0, "Add", "", "added", (uint32_t[]){x, w}, 2, &sum, 1, NULL, 0);
        g->nodes[0].inputs = arena_copy(&f.arena, &sum, sizeof sum);
        Onnx__ModelProto *again = written(&f);
        cr_assert_eq(again->graph->n_node, 2);
        cr_assert_str_eq(again->graph->node[0]->input[0], "sum");
        cr_assert_str_eq(again->graph->node[1]->name, "added");
        cr_assert_str_eq(again->graph->initializer[0]->name, "new");
        cr_assert_eq(again->graph->n_input, version == 3 ? 2 : 1);
        onnx__model_proto__free_unpacked(again, NULL);
        file_end(&f);
    }
}

Test(write, graphs_made_in_memory) {
    struct file f;
    file_start(&f, 8);
    struct builder b;
    build_start(&b, &f.arena, "made", 17, 1, false);
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 3, 8, 8}, 4);
    uint32_t y = build_unary(&b, "Relu", build_conv(&b, x, 3, 4, 3, 1, 1, true));
    build_output(&b, y, "y");
    f.read = b.graph;
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->ir_version, b.graph->ir_version);
    cr_assert_str_eq(again->producer_name, "onnx-latency");
    cr_assert_eq(again->opset_import[0]->version, 17);
    cr_assert_eq(again->graph->n_node, 2);
    cr_assert_eq(again->graph->n_initializer, 2);
    cr_assert_eq(again->graph->initializer[0]->raw_data.len, 4 * 3 * 9 * 4);
    cr_assert_eq(again->graph->input[0]->type->tensor_type->shape->n_dim, 4);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);

    file_start(&f, 8);
    build_start(&b, &f.arena, "made", 17, 1, true); /* for pricing only: there is nothing to write */
    x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 3, 8, 8}, 4);
    build_output(&b, build_conv(&b, x, 3, 4, 3, 1, 1, false), "y");
    const uint8_t *bytes;
    size_t length;
    cr_assert_eq(onnx_write_bytes(b.graph, &f.arena, &bytes, &length, &f.diag), ST_MODEL);
    cr_assert(strstr(f.diag.message, "no data"));
    file_end(&f);
}

/* ---- The published backend cases ---- */

#define CASES "/usr/share/libonnx-testdata/data"

static size_t compare_all(const char *folder) {
    DIR *dir = opendir(folder);
    size_t n = 0;
    cr_assert_not_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        struct file f;
        struct stat st;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s/model.onnx", folder, e->d_name);
        if (stat(path, &st)) continue;
        file_start(&f, 8);
        struct file_map map;
        cr_assert_eq(file_map_open(&map, path, &f.diag), ST_OK);
        cr_assert_eq(onnx_read(&f.read, path, true, &f.arena, &f.diag), ST_OK, "%s", f.diag.message);
        Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, map.length, map.bytes);
        f.model = *model;
        expect_same(&f, written(&f));
        onnx__model_proto__free_unpacked(model, NULL);
        file_map_close(&map);
        file_end(&f);
        n++;
    }
    closedir(dir);
    return n;
}

Test(write, backend_cases, .timeout = 120) {
    struct stat st;
    if (stat(CASES, &st)) cr_skip_test("no " CASES ": libonnx-testdata is not installed");
    static const char *const folders[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char path[256];
        snprintf(path, sizeof path, CASES "/%s", folders[i]);
        n += compare_all(path);
    }
    cr_assert_gt(n, 1000);
}
