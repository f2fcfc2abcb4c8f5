/* Fuzz target: any bytes are read as a model or refused; a model that is read keeps the graph's invariants through all
 * passes, and what is written of it reads again. A file, which is seen through a window, reads as bytes in memory do.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend.h"
#include "passes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static enum status read_and_check(struct graph **g, const uint8_t *bytes, size_t length, struct arena *arena,
                                  struct diag *diag) {
    TRY(onnx_read_bytes(g, bytes, length, "fuzz.onnx", arena, diag));
    enum status status = graph_check(*g, diag);
    assert(status == ST_OK);
    return status;
}

static enum status round_trip(struct graph *g, struct arena *arena, struct diag *diag) {
    const uint8_t *bytes;
    size_t length;
    struct graph *again;
    struct diag second;
    diag_init(&second, arena);
    TRY(onnx_write_bytes(g, arena, &bytes, &length, diag));
    enum status status = read_and_check(&again, bytes, length, arena, &second);
    assert(status == ST_OK || status == ST_LIMIT); /* inlining makes nesting deeper */
    return status;
}

static enum status analyse(struct graph *g, struct arena *arena, struct diag *diag) {
    struct run run = {.graph = g, .scratch = arena, .diag = diag};
    TRY(passes_run(&run, PASSES_ALL));
    enum status status = graph_check(g, diag);
    assert(status == ST_OK);
    return status;
}

/* Data in other files are found from here only, so a file may be refused that memory is not. */
static void read_as_file(struct graph *of_bytes, const uint8_t *bytes, size_t length, struct arena *arena) {
    static int file = -1;
    if (file < 0) file = memfd_create("fuzz.onnx", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, 0) || pwrite(file, bytes, length, 0) != (ssize_t)length) return;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct graph *g;
    struct diag diag;
    diag_init(&diag, arena);
    enum status status = onnx_read(&g, path, false, arena, &diag);
    assert(of_bytes || status != ST_OK);
    const uint8_t *out[2];
    size_t n[2];
    if (status == ST_OK && onnx_write_bytes(of_bytes, arena, &out[0], &n[0], &diag) == ST_OK) {
        status = onnx_write_bytes(g, arena, &out[1], &n[1], &diag);
        assert(status == ST_OK && n[0] == n[1] && memcmp(out[0], out[1], n[0]) == 0);
    }
    graph_close(g);
}

static enum status try_all(struct arena *arena, struct diag *diag, const uint8_t *bytes, size_t length) {
    struct graph *g;
    enum status read = read_and_check(&g, bytes, length, arena, diag);
    read_as_file(read == ST_OK ? g : NULL, bytes, length, arena);
    if (read != ST_OK) return read;
    struct diag of_writing;
    diag_init(&of_writing, arena);
    enum status written = round_trip(g, arena, &of_writing);
    assert(written == ST_OK || of_writing.message || written == ST_LIMIT);
    return analyse(g, arena, diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct arena arena;
    jmp_buf oom;
    arena_init(&arena, NULL, &oom);
    if (setjmp(oom) == 0) {
        struct diag diag;
        diag_init(&diag, &arena);
        enum status status = try_all(&arena, &diag, bytes, length);
        assert((status == ST_OK) == (diag.message == NULL));
        (void)status;
    }
    arena_free(&arena);
    return 0;
}
