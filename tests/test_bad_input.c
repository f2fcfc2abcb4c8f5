/* Bad files through the whole program: one clear line on stderr that starts with the file's name, exit 1, no crash.
 * Under the sanitizer build the program is instrumented, so that a silent overflow or leak fails here too. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"

extern char **environ;

/* ---- Running the program ---- */

struct finished {
    int exit; /* -1: ended by a signal */
    char out[4096], err[8192];
};

static char folder[] = BINARY_DIR "/bad-input-XXXXXX";

/* Good until the next call. */
static const char *in_folder(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void read_start(const char *path, char *text, size_t size) {
    FILE *stream = fopen(path, "rb");
    cr_assert_not_null(stream);
    size_t n = fread(text, 1, size - 1, stream);
    text[n] = '\0';
    fclose(stream);
}

static struct finished run(const char *command, const char *const *files, size_t n_files) {
    char out[1024], err[1024];
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(err, sizeof err, "%s/err", folder);
    char *argv[8] = {PROGRAM, (char *)(uintptr_t)command};
    for (size_t i = 0; i < n_files; i++) argv[2 + i] = (char *)(uintptr_t)files[i];

    posix_spawn_file_actions_t io;
    posix_spawn_file_actions_init(&io);
    posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&io, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&io, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child;
    cr_assert_eq(posix_spawn(&child, PROGRAM, &io, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&io);

    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    struct finished result = {.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1};
    read_start(out, result.out, sizeof result.out);
    read_start(err, result.err, sizeof result.err);
    return result;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void expect_one_error(const char *path, const char *says, const char *what) {
    struct finished result = run("profile", &path, 1);
    cr_assert_eq(result.exit, 1, "%s: exit %d, stderr: %s", what, result.exit, result.err);
    cr_assert_eq(count_lines(result.err), 1, "%s: not one line: %s", what, result.err);
    const char *at = strstr(result.err, path);
    cr_assert(at != NULL && at < result.err + 16, "%s: does not start with the file: %s", what, result.err);
    cr_assert(says == NULL || strstr(result.err, says), "%s: does not say \"%s\": %s", what, says, result.err);
    cr_assert_eq(strlen(result.err) < 1000, 1, "%s: a line nobody reads: %s", what, result.err);
}

static void expect_no_crash(const char *path, const char *what) {
    struct finished result = run("profile", &path, 1);
    cr_assert(result.exit == 0 || result.exit == 1, "%s: exit %d, stderr: %s", what, result.exit, result.err);
    cr_assert_null(strstr(result.err, "Sanitizer"), "%s: %s", what, result.err);
}

/* ---- Files ---- */

static void start(void) {
    cr_assert_not_null(mkdtemp(folder));
}

static void stop(void) {
    char command[1024];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_expect_eq(system(command), 0);
}

TestSuite(bad_input, .init = start, .fini = stop, .timeout = 240);

static const char *write_file(const char *name, const void *bytes, size_t n) {
    const char *path = in_folder(name);
    FILE *stream = fopen(path, "wb");
    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(bytes, 1, n, stream), n);
    fclose(stream);
    return path;
}

static uint8_t *read_sample(const char *name, size_t *n) {
    char path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/models/nets/%s", name);
    FILE *stream = fopen(path, "rb");
    cr_assert_not_null(stream, "%s", path);
    fseek(stream, 0, SEEK_END);
    *n = (size_t)ftell(stream);
    rewind(stream);
    uint8_t *bytes = malloc(*n);
    cr_assert_eq(fread(bytes, 1, *n, stream), *n);
    fclose(stream);
    return bytes;
}

/* Protocol buffers written from the end backwards, so that a message's length is known when its tag is written. */
struct wire {
    uint8_t *bytes;
    size_t size, at; /* bytes[at .. size) is written */
};

static struct wire wire_new(size_t size) {
    return (struct wire){.bytes = malloc(size), .size = size, .at = size};
}

static void put(struct wire *w, const void *bytes, size_t n) {
    cr_assert(n <= w->at);
    w->at -= n;
    memcpy(w->bytes + w->at, bytes, n);
}

static void put_varint(struct wire *w, uint64_t value) {
    uint8_t text[10];
    size_t n = 0;
    do {
        text[n] = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        n++;
        value >>= 7;
    } while (value);
    put(w, text, n);
}

static void put_number(struct wire *w, uint32_t field, int64_t value) {
    put_varint(w, (uint64_t)value);
    put_varint(w, field << 3);
}

static void put_text(struct wire *w, uint32_t field, const char *text) {
    put(w, text, strlen(text));
    put_varint(w, strlen(text));
    put_varint(w, field << 3 | 2);
}

/* Closes the message that begins at the place now reached and ends where `end` was. */
static void put_close(struct wire *w, uint32_t field, size_t end) {
    put_varint(w, end - w->at);
    put_varint(w, field << 3 | 2);
}

static void put_node(struct wire *w, const char *op, const char *input, const char *output) {
    size_t end = w->at;
    put_text(w, 4, op);
    put_text(w, 2, output);
    put_text(w, 1, input);
    put_close(w, 1, end);
}

/* GraphProto.input `x`: float, one dimension. */
static void put_input(struct wire *w, int64_t size) {
    size_t value = w->at;
    size_t type = w->at, tensor = w->at, shape = w->at, dim = w->at;
    put_number(w, 1, size);
    put_close(w, 1, dim);    /* TensorShapeProto.dim */
    put_close(w, 2, shape);  /* Tensor.shape */
    put_number(w, 1, 1);     /* Tensor.elem_type */
    put_close(w, 1, tensor); /* TypeProto.tensor_type */
    put_close(w, 2, type);   /* ValueInfoProto.type */
    put_text(w, 1, "x");
    put_close(w, 11, value);
}

static void put_output(struct wire *w, const char *name) {
    size_t end = w->at;
    put_text(w, 1, name);
    put_close(w, 12, end);
}

/* Wraps what is written so far as the graph of a model, and writes the file. */
static const char *write_model(struct wire *w, const char *name) {
    put_close(w, 7, w->size);
    size_t end = w->at;
    put_number(w, 2, 17);
    put_text(w, 1, "");
    put_close(w, 8, end);
    put_number(w, 1, 8);
    const char *path = write_file(name, w->bytes + w->at, w->size - w->at);
    free(w->bytes);
    return path;
}

/* GraphProto.initializer `w` whose data lies in another file. */
static const char *write_external(const char *name, const char *location) {
    struct wire w = wire_new(4096);
    put_output(&w, "y");
    put_input(&w, 4);
    size_t end = w.at;
    put_number(&w, 14, 1); /* TensorProto.data_location: external */
    size_t entry = w.at;
    put_text(&w, 2, location);
    put_text(&w, 1, "location");
    put_close(&w, 13, entry);
    put_text(&w, 8, "w");
    put_number(&w, 2, 1);
    put_number(&w, 1, 4);
    put_close(&w, 5, end);
    put_node(&w, "Relu", "w", "y");
    return write_model(&w, name);
}

/* ---- The tests ---- */

Test(bad_input, not_models) {
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
    static const uint8_t zeros[4096];
    static const char text[] = "{\"this\": \"is not a model\"}\n";
    expect_one_error(in_folder("missing.onnx"), NULL, "missing");
    expect_one_error(folder, NULL, "directory");
    expect_one_error(write_file("empty.onnx", "", 0), "empty", "empty");
    expect_one_error(write_file("png.onnx", png, sizeof png), NULL, "PNG");
    expect_one_error(write_file("zeros.onnx", zeros, sizeof zeros), NULL, "zeros");
    expect_one_error(write_file("text.onnx", text, sizeof text - 1), NULL, "text");
    expect_one_error("/dev/null", NULL, "device");
}

Test(bad_input, truncated) {
    static const char *const samples[] = {"resnet18.onnx", "unet.onnx"};
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t s = 0; s < COUNT_OF(samples); s++) {
        size_t n;
        uint8_t *bytes = read_sample(samples[s], &n);
        for (size_t i = 0; i < 40; i++) {
            /* The first bytes one by one, then anywhere, then the last ones one by one. */
            size_t length = i < 10 ? i + 1 : i < 30 ? (size_t)rng_below(&rng, n - 1) + 1 : n - (i - 29);
            char what[64];
            snprintf(what, sizeof what, "%s cut to %zu bytes", samples[s], length);
            expect_one_error(write_file("cut.onnx", bytes, length), NULL, what);
        }
        free(bytes);
    }
}

Test(bad_input, flipped_bits) {
    struct rng rng;
    rng_seed(&rng, 2);
    size_t n;
    uint8_t *bytes = read_sample("resnet18.onnx", &n);
    for (int i = 0; i < 100; i++) {
        size_t at = (size_t)rng_below(&rng, n);
        uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8));
        bytes[at] ^= bit;
        char what[64];
        snprintf(what, sizeof what, "bit %u of byte %zu", bit, at);
        expect_no_crash(write_file("flipped.onnx", bytes, n), what);
        bytes[at] ^= bit;
    }
    free(bytes);
}

Test(bad_input, cycle) {
    struct wire w = wire_new(4096);
    put_output(&w, "b");
    put_node(&w, "Relu", "a", "b");
    put_node(&w, "Relu", "b", "a");
    expect_one_error(write_model(&w, "cycle.onnx"), "cycl", "cycle");
}

Test(bad_input, duplicate_name) {
    struct wire w = wire_new(4096);
    put_output(&w, "y");
    put_input(&w, 4);
    put_node(&w, "Neg", "x", "y");
    put_node(&w, "Relu", "x", "y");
    expect_one_error(write_model(&w, "twice.onnx"), "\"y\"", "a name given twice");
}

Test(bad_input, missing_producer) {
    struct wire w = wire_new(4096);
    put_output(&w, "y");
    put_node(&w, "Relu", "nowhere", "y");
    expect_one_error(write_model(&w, "nowhere.onnx"), "nowhere", "an input that nothing makes");
}

Test(bad_input, dimensions) {
    static const int64_t sizes[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 62};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct wire w = wire_new(4096);
        put_output(&w, "y");
        put_input(&w, sizes[i]);
        put_node(&w, "Relu", "x", "y");
        expect_no_crash(write_model(&w, "dimension.onnx"), "dimension of an input");
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct wire w = wire_new(4096);
        put_output(&w, "y");
        size_t end = w.at;
        put_text(&w, 8, "w");
        put_text(&w, 9, "abcd"); /* raw_data */
        put_number(&w, 2, 1);
        put_number(&w, 1, sizes[i]);
        put_close(&w, 5, end);
        put_node(&w, "Relu", "w", "y");
        expect_one_error(write_model(&w, "weight.onnx"), "\"w\"", "dimension of an initializer");
    }
}

Test(bad_input, external_data) {
    static const float ones[4] = {1, 1, 1, 1};
    write_file("weights", ones, sizeof ones);
    cr_assert_eq(symlink("/etc/hostname", in_folder("link")), 0);

    const char *path = write_external("inside.onnx", "weights");
    cr_assert_eq(run("profile", &path, 1).exit, 0);
    expect_one_error(write_external("absent.onnx", "absent"), "\"absent\"", "a file that is not there");
    expect_one_error(write_external("up.onnx", "../secret"), "../secret", "a way up");
    expect_one_error(write_external("absolute.onnx", "/etc/hostname"), "/etc/hostname", "an absolute path");
    expect_one_error(write_external("linked.onnx", "link"), "link", "a link out of the folder");
}

Test(bad_input, nested_subgraphs) {
    enum { DEPTH = 100000 };
    struct wire w = wire_new((size_t)DEPTH * 64);
    for (int i = 0; i < DEPTH; i++) {
        put_close(&w, 6, w.size); /* AttributeProto.g: all that is written so far */
        put_number(&w, 20, 5);
        put_text(&w, 1, "then_branch");
        put_close(&w, 5, w.size);
        put_text(&w, 4, "If");
        put_text(&w, 1, "c");
        put_close(&w, 1, w.size);
    }
    expect_one_error(write_model(&w, "deep.onnx"), "nest", "nested subgraphs");
}

Test(bad_input, the_others_are_still_handled) {
    static const char nonsense[] = "nonsense";
    char bad[1024];
    snprintf(bad, sizeof bad, "%s", write_file("nonsense.onnx", nonsense, sizeof nonsense));
    const char *files[] = {bad, SOURCE_DIR "/models/nets/resnet18.onnx"};
    struct finished result = run("profile", files, 2);
    cr_assert_eq(result.exit, 1);
    cr_assert(strstr(result.out, "resnet18.onnx") != NULL, "%s", result.out);
    cr_assert(strstr(result.err, "nonsense.onnx") != NULL, "%s", result.err);
}
