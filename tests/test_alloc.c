/* Memory runs out at every allocation in turn, while a model is read, analysed and written: the arena jumps, nothing
 * leaks, nothing else happens. */
#include <setjmp.h>

#include "messages.h"
#include "passes.h"

struct counted {
    size_t calls, fail_at, live; /* fail_at: the number of the call that gets nothing, 0: none */
};

static void *counted_alloc(void *user, size_t bytes) {
    struct counted *c = user;
    if (++c->calls == c->fail_at) return NULL;
    c->live++;
    return malloc(bytes);
}

static void counted_free(void *user, void *block) {
    struct counted *c = user;
    c->live -= block != NULL;
    free(block);
}

enum { STEP = 1504, STEPS = 10 };

struct outcome {
    bool out_of_memory;
    enum status status;
    size_t written;
};

static enum status work(struct graph **g, const char *path, struct arena *arena, struct diag *diag, size_t *written) {
    const uint8_t *bytes;
    struct run run = {.scratch = arena, .diag = diag};
    TRY(onnx_read(g, path, false, arena, diag));
    run.graph = *g;
    TRY(passes_run(&run, PASSES_ALL));
    enum status status = onnx_write_bytes(*g, arena, &bytes, written, diag);
    return status == ST_MODEL ? ST_OK : status; /* sample models come without their weights */
}

/* An arena asks for few blocks, each holding many objects. Bytes taken beforehand move the ends of the blocks, so that
 * another object is the one that finds no room. */
static struct outcome attempt(const char *path, size_t taken, struct counted *counted) {
    struct allocator allocator = {.alloc = counted_alloc, .free = counted_free, .user = counted};
    struct arena arena;
    struct graph *volatile graph = NULL;
    volatile struct outcome result = {0};
    jmp_buf oom;
    arena_init(&arena, &allocator, &oom);
    if (setjmp(oom) == 0) {
        struct diag diag;
        size_t written = 0;
        arena_alloc(&arena, taken);
        diag_init(&diag, &arena);
        result.status = work((struct graph **)&graph, path, &arena, &diag, &written);
        cr_assert(result.status == ST_OK, "%s", diag.message);
        result.written = written;
    } else {
        result.out_of_memory = true;
    }
    graph_close(graph);
    arena_free(&arena);
    return (struct outcome){result.out_of_memory, result.status, result.written};
}

static void fail_everywhere(const char *path, size_t taken) {
    struct counted all = {0};
    cr_assert_eq(attempt(path, taken, &all).out_of_memory, false);
    cr_assert_eq(all.live, 0);
    for (size_t n = 1; n <= all.calls; n++) {
        struct counted some = {.fail_at = n};
        struct outcome outcome = attempt(path, taken, &some);
        cr_assert(outcome.out_of_memory, "%s: allocation %zu failed and nobody noticed", path, n);
        cr_assert(some.live == 0, "%s: allocation %zu failed and %zu blocks leak", path, n, some.live);
    }
}

Test(alloc, every_allocation, .timeout = 240) {
    static const char *const models[] = {"mobilenet_v2", "bert_4_layers", "ssdlite320"};
    for (size_t m = 0; m < COUNT_OF(models); m++) {
        char path[512];
        snprintf(path, sizeof path, SOURCE_DIR "/models/nets/%s.onnx", models[m]);
        for (size_t taken = 0; taken < STEPS * STEP; taken += STEP) fail_everywhere(path, taken);
    }
}
