/* What the Python test runs: reads models and writes them again.
 *
 *     roundtrip [external] < pairs      lines "FROM TO"
 *     roundtrip made TO                 a network made in memory, its shapes inferred
 *
 * A failure is a line on stdout. */
#include <string.h>

#include "frontend.h"
#include "passes.h"

static enum status copy_model(const char *from, const char *to, bool external, struct graph **g, struct arena *arena,
                              struct diag *diag) {
    TRY(onnx_read(g, from, true, arena, diag));
    TRY(graph_check(*g, diag));
    return onnx_write(*g, to, external, diag);
}

static enum status make_model(const char *to, struct arena *arena, struct diag *diag) {
    struct builder b;
    build_start(&b, arena, "made", 17, 1, false);
    uint32_t x = build_input(&b, "x", DT_FLOAT, (int64_t[]){1, 3, 16, 16}, 4);
    x = build_unary(&b, "Relu", build_batchnorm(&b, build_conv(&b, x, 3, 8, 3, 2, 1, false), 8));
    x = build_binary(&b, "Add", x, build_conv(&b, x, 8, 8, 3, 1, 8, true));
    x = build_unary(&b, "Flatten", build_unary(&b, "GlobalAveragePool", x));
    build_output(&b, build_gemm(&b, x, 8, 10, true), "y");
    struct run run = {.graph = b.graph, .scratch = arena, .diag = diag};
    TRY(passes_run(&run, PASSES_ANALYSIS));
    return onnx_write(b.graph, to, false, diag);
}

static void report(enum status status, struct diag *diag, struct graph *g, struct arena *arena) {
    if (status != ST_OK) puts(diag->message);
    graph_close(g);
    arena_free(arena);
}

int main(int argc, char **argv) {
    char from[4096], to[4096];
    struct arena arena;
    struct diag diag;
    bool external = argc > 1 && strcmp(argv[1], "external") == 0;
    if (argc == 3 && strcmp(argv[1], "made") == 0) {
        arena_init(&arena, NULL, NULL);
        diag_init(&diag, &arena);
        report(make_model(argv[2], &arena, &diag), &diag, NULL, &arena);
        return 0;
    }
    while (scanf("%4095s %4095s", from, to) == 2) {
        struct graph *g = NULL;
        arena_init(&arena, NULL, NULL);
        diag_init(&diag, &arena);
        enum status status = copy_model(from, to, external, &g, &arena, &diag);
        report(status, &diag, g, &arena);
    }
    return 0;
}
