/* What the tests of passes share: small graphs made with the builder, and running passes over them. */
#ifndef SMALL_GRAPHS_H
#define SMALL_GRAPHS_H

#include "passes.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena arena;
static struct builder b;
static struct diag diag;
static struct run run;

static void small_setup(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    build_start(&b, &arena, "small.onnx", 17, 1, false);
}

static void small_teardown(void) {
    arena_free(&arena);
}

static inline uint32_t image(int64_t channels, int64_t side) {
    return build_input(&b, "image", DT_FLOAT, (int64_t[]){1, channels, side, side}, 4);
}

static inline uint32_t conv_norm(uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel) {
    return build_batchnorm(&b, build_conv(&b, x, c_in, c_out, kernel, 1, 1, false), c_out);
}

static inline uint32_t scalar(double value) {
    uint32_t id = build_weight(&b, DT_FLOAT, NULL, 0, 0);
    float *data = arena_alloc(&arena, sizeof *data);
    *data = (float)value;
    b.graph->tensors[id].data.bytes = (const uint8_t *)data;
    return id;
}

static uint32_t producer(uint32_t tensor) {
    return b.graph->tensors[tensor].producer;
}

static inline bool is_dead(uint32_t tensor) {
    return b.graph->nodes[producer(tensor)].dead;
}

static inline const char *op_of(uint32_t tensor) {
    return b.graph->nodes[producer(tensor)].op_type;
}

static inline void run_all(const struct runtime *runtime) {
    run = (struct run){.graph = b.graph, .scratch = &arena, .diag = &diag, .runtime = runtime};
    enum status status = passes_run(&run, PASSES_ALL);
    cr_assert_eq(status, ST_OK, "%s", diag.message);
}

static inline const struct cost *cost_of(uint32_t tensor) {
    return &run.costs[producer(tensor)];
}

#endif
