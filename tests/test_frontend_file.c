/* Models as files: data in other files, what lies outside the model's folder, writing and reading again. */
#include <sys/stat.h>
#include <unistd.h>

#include "messages.h"

static char folder[] = BINARY_DIR "/frontend-XXXXXX";

static const char *path_of(const char *name) {
    static char path[4][1024];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void put_file(const char *name, const void *bytes, size_t n) {
    FILE *stream = fopen(path_of(name), "wb");
    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(bytes, 1, n, stream), n);
    fclose(stream);
}

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(mkdir(path_of("model"), 0700), 0);
    cr_assert_eq(mkdir(path_of("model/data"), 0700), 0);
    cr_assert_eq(mkdir(path_of("model2"), 0700), 0);
}

static void remove_folder(void) {
    char command[1024];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_expect_eq(system(command), 0);
}

TestSuite(file, .init = make_folder, .fini = remove_folder);

/* A model whose initializer w has 4 floats in another file. */
static Tensor *start(struct file *f, const char *location) {
    file_start(f, 8);
    add_output(f, f->graph, "y");
    add_node(f, f->graph, "Relu", "w", "y");
    Tensor *w = new_tensor(f, "w", DT_FLOAT, (int64_t[]){4}, 1);
    add_external(f, w, "location", location);
    APPEND(f, f->graph, initializer, w);
    return w;
}

static enum status read_file(struct file *f, bool need_weights) {
    size_t length;
    const uint8_t *bytes = pack(f, &length);
    put_file("model/m.onnx", bytes, length);
    return onnx_read(&f->read, path_of("model/m.onnx"), need_weights, &f->arena, &f->diag);
}

static void expect_good(struct file *f) {
    enum status status = read_file(f, true);
    cr_assert(status == ST_OK, "%s", f->diag.message);
    const struct tensor *w = tensor_named(f->read, "w");
    cr_assert_eq(w->stored_bytes, 16);
    cr_assert_eq(w->data.file, 1);
    const struct value *v = tensor_read(f->read, w);
    cr_assert(v && v->n == 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(v->at[i].f, i + 1);
    file_end(f);
}

static void expect_bad(struct file *f, enum status want, const char *says) {
    enum status status = read_file(f, false);
    cr_assert(status == want, "status %d: %s", status, f->diag.message ? f->diag.message : "");
    cr_assert(strstr(f->diag.message, says), "\"%s\" does not say \"%s\"", f->diag.message, says);
    cr_assert(strstr(f->diag.message, "\"w\""), "\"%s\" does not name the tensor", f->diag.message);
    file_end(f);
}

static const float VALUES[] = {1, 2, 3, 4};

Test(file, external_data) {
    struct file f;
    put_file("model/weights", VALUES, sizeof VALUES);
    put_file("model/data/deep", VALUES, sizeof VALUES);
    static const float padded[] = {9, 9, 1, 2, 3, 4, 9};
    put_file("model/padded", padded, sizeof padded);
    start(&f, "weights");
    expect_good(&f);
    start(&f, "./data/deep");
    expect_good(&f);
    Tensor *w = start(&f, "padded");
    add_external(&f, w, "offset", "8");
    add_external(&f, w, "length", "16");
    add_external(&f, w, "checksum", "not looked at");
    expect_good(&f);
    cr_assert_eq(symlink("data/deep", path_of("model/link")), 0);
    start(&f, "link"); /* a link may stay inside */
    expect_good(&f);
}

Test(file, external_data_outside) {
    struct file f;
    put_file("secret", VALUES, sizeof VALUES);
    put_file("model2/secret", VALUES, sizeof VALUES);
    static const char *const ways[] = {"../secret",        "data/../../secret", "..", "data/..", "/etc/hostname",
                                       "../model/weights", "../model2/secret"};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        start(&f, ways[i]);
        expect_bad(&f, ST_MODEL, "leads out");
    }
    cr_assert_eq(symlink("../secret", path_of("model/link")), 0);
    cr_assert_eq(symlink("..", path_of("model/up")), 0);
    cr_assert_eq(symlink("../model2", path_of("model/beside")), 0);
    static const char *const links[] = {"link", "up/secret", "beside/secret"};
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        start(&f, links[i]);
        expect_bad(&f, ST_MODEL, "leads out");
    }
    cr_assert_eq(symlink("round", path_of("model/round")), 0);
    start(&f, "round");
    expect_bad(&f, ST_IO, "external data");
}

Test(file, external_data_of_a_wrong_size) {
    struct file f;
    put_file("model/weights", VALUES, sizeof VALUES);
    put_file("model/empty", "", 0);
    static const char *const cases[][3] = {
        {"4", NULL, "16 bytes, 16 from byte 4"},
        {NULL, "12", "needs 16 bytes"},
        {"-4", NULL, "no size"},
        {"x", NULL, "no size"},
        {"9223372036854775807", "16", "from byte"},
        {"1", "16", "from byte 1"},
        {"99999999999999999999", NULL, "no size"},
        {"", NULL, "no size"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Tensor *w = start(&f, "weights");
        if (cases[i][0]) add_external(&f, w, "offset", cases[i][0]);
        if (cases[i][1]) add_external(&f, w, "length", cases[i][1]);
        expect_bad(&f, ST_MODEL, cases[i][2]);
    }
    start(&f, "empty");
    expect_bad(&f, ST_MODEL, "has 0 bytes");
    start(&f, "");
    expect_bad(&f, ST_MODEL, "without a location");
    start(&f, "data");
    cr_assert_eq(read_file(&f, false), ST_IO); /* a folder */
    file_end(&f);
}

Test(file, missing_external_data) {
    struct file f;
    start(&f, "absent");
    expect_bad(&f, ST_IO, "\"absent\": No such file");
}

Test(file, external_data_of_a_model_in_memory) {
    struct file f;
    start(&f, "weights");
    expect_read(&f);
    expect_warning(&f, "is left out");
    const struct tensor *w = tensor_named(f.read, "w");
    cr_assert_null(w->data.bytes);
    cr_assert_eq(w->stored_bytes, 16);
    cr_assert_eq(onnx_write(f.read, path_of("model/out.onnx"), false, &f.diag), ST_MODEL);
    cr_assert_neq(access(path_of("model/out.onnx"), F_OK), 0);
    file_end(&f);
}

Test(file, not_a_model) {
    struct file f;
    static const char *const names[] = {"", "absent.onnx", "model"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        file_start(&f, 8);
        cr_assert_eq(onnx_read(&f.read, path_of(names[i]), false, &f.arena, &f.diag), ST_IO);
        cr_assert(strstr(f.diag.message, folder) == f.diag.message);
        file_end(&f);
    }
    put_file("empty.onnx", "", 0);
    file_start(&f, 8);
    cr_assert_eq(onnx_read(&f.read, path_of("empty.onnx"), false, &f.arena, &f.diag), ST_FORMAT);
    cr_assert(strstr(f.diag.message, "empty"));
    file_end(&f);
}

static void add_weights(struct file *f, const char *name, size_t n) {
    APPEND(f, f->graph, initializer, vector(f, name, n));
}

static bool same_file(const char *a, const char *b) {
    struct file_map one, two;
    struct arena arena;
    struct diag diag;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    cr_assert_eq(file_map_open(&one, a, &diag), ST_OK);
    cr_assert_eq(file_map_open(&two, b, &diag), ST_OK);
    bool same = one.length == two.length && memcmp(one.bytes, two.bytes, one.length) == 0;
    file_map_close(&one);
    file_map_close(&two);
    arena_free(&arena);
    return same;
}

static void rewrite(const char *from, const char *to, bool external) {
    struct file f;
    file_start(&f, 8);
    char source[1024];
    snprintf(source, sizeof source, "%s", path_of(from));
    cr_assert_eq(onnx_read(&f.read, source, true, &f.arena, &f.diag), ST_OK, "%s", f.diag.message);
    cr_assert_eq(onnx_write(f.read, path_of(to), external, &f.diag), ST_OK, "%s", f.diag.message);
    file_end(&f);
}

/* Inside, outside, inside again: the same bytes. */
Test(file, weights_out_and_in) {
    struct file f;
    file_start(&f, 8);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Concat", "small large huge", "y");
    add_int(&f, f.graph->node[0], "axis", 0);
    add_weights(&f, "small", 10);
    add_weights(&f, "large", 1000);
    add_weights(&f, "huge", 3000000); /* longer than one step of copying */
    cr_assert_eq(read_file(&f, true), ST_OK);
    file_end(&f);
    rewrite("model/m.onnx", "model/outside.onnx", true);
    rewrite("model/outside.onnx", "model/inside.onnx", false);
    rewrite("model/m.onnx", "model/direct.onnx", false);
    rewrite("model/outside.onnx", "model/outside.onnx", true); /* over itself */
    rewrite("model/outside.onnx", "model/again.onnx", false);
    struct stat st;
    cr_assert_eq(stat(path_of("model/outside.onnx"), &st), 0);
    cr_assert(st.st_size < 1000);
    cr_assert_eq(stat(path_of("model/outside.onnx.data"), &st), 0);
    cr_assert(st.st_size > 12000000);
    cr_assert(same_file(path_of("model/direct.onnx"), path_of("model/inside.onnx")));
    cr_assert(same_file(path_of("model/direct.onnx"), path_of("model/again.onnx")));
}

static void add_typed(struct file *f, const char *name, int64_t n) {
    Tensor *t = new_tensor(f, name, DT_INT64, &n, 1);
    t->n_int64_data = (size_t)n;
    t->int64_data = arena_array(&f->arena, (size_t)n, sizeof *t->int64_data);
    for (int64_t i = 0; i < n; i++) t->int64_data[i] = i * i * i;
    APPEND(f, f->graph, initializer, t);
}

/* A file is seen through a window, memory as it is: payloads and texts around its size come out alike. */
Test(file, window) {
    static const size_t floats[] = {1, 63, 1023, 1024, 1025, 4000, 4095, 4096, 4097, 20000, 3};
    struct file f;
    file_start(&f, 8);
    add_output(&f, f.graph, "y");
    add_node(&f, f.graph, "Identity", "w0", "y");
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        add_weights(&f, arena_printf(&f.arena, "w%zu", i), floats[i]);
        add_typed(&f, arena_printf(&f.arena, "t%zu", i), (int64_t)floats[i]);
        Node *node = add_node(&f, f.graph, "Relu", "w0", arena_printf(&f.arena, "r%zu", i));
        node->doc_string = memset(arena_alloc(&f.arena, floats[i] + 1), 'x', floats[i]);
    }
    size_t length, n[2];
    const uint8_t *bytes = pack(&f, &length), *again[2];
    struct graph *in_memory;
    cr_assert_eq(onnx_read_bytes(&in_memory, bytes, length, "m", &f.arena, &f.diag), ST_OK, "%s", f.diag.message);
    cr_assert_eq(read_file(&f, true), ST_OK, "%s", f.diag.message);
    cr_assert_eq(onnx_write_bytes(in_memory, &f.arena, &again[0], &n[0], &f.diag), ST_OK, "%s", f.diag.message);
    cr_assert_eq(onnx_write_bytes(f.read, &f.arena, &again[1], &n[1], &f.diag), ST_OK, "%s", f.diag.message);
    cr_assert(n[0] > length / 2 && n[0] == n[1] && memcmp(again[0], again[1], n[0]) == 0);
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        const struct tensor *w = tensor_named(f.read, arena_printf(&f.arena, "w%zu", i));
        cr_assert_eq(w->data.length, floats[i] * sizeof(float));
        const Tensor *sent = f.graph->initializer[2 * i]; /* a typed one follows each */
        cr_assert(memcmp(w->data.bytes, sent->raw_data.data, w->data.length) == 0);
    }
    file_end(&f);
}

Test(file, writing_to_nowhere) {
    struct file f;
    file_start(&f, 8);
    add_output(&f, f.graph, "y");
    add_weights(&f, "y", 10);
    cr_assert_eq(read_file(&f, true), ST_OK);
    cr_assert_eq(onnx_write(f.read, path_of("absent/m.onnx"), false, &f.diag), ST_IO);
    file_end(&f);
}
