/* Windows that slide over an image held channels-innermost in blocks of one vector: a row is an array of vectors, one
 * a pixel. An iteration makes `rows` neighbouring outputs, which share what they load. Stencils are written with
 * explicit vectors: left to the vectoriser, shared loads become shuffles. */
#include "emit.h"

#define ROW_PIXELS 72 /* short enough that five rows of 64-byte vectors stay in a 32 KiB cache */

static ir pixel(struct emit *e, struct variant v, LLVMTypeRef vector, unsigned row, unsigned column) {
    return load(e, vector, vector_at(e, e->a, vector, v.rows, (int64_t)row * ROW_PIXELS + column), 4);
}

static void store_outputs(struct emit *e, struct variant v, LLVMTypeRef vector, ir *outputs) {
    for (unsigned i = 0; i < v.rows; i++) store(e, outputs[i], vector_at(e, e->c, vector, v.rows, i), 4);
}

static void window_facts(struct emit *e, struct variant v, unsigned size, double operations, struct loop_facts *facts) {
    size_t vector = vector_bytes(e->isa);
    *facts = (struct loop_facts){.work = operations * v.rows * lanes(e->isa, F32),
                                 .a_extra = (size_t)size * ROW_PIXELS * vector,
                                 .b_extra = (size_t)size * size * vector,
                                 .c_step = v.rows * vector,
                                 .max_iterations = (ROW_PIXELS - size + 1) / v.rows};
}

/* Weights stay in registers where they fit; where not, each is loaded as it is used, which costs what a spill would. */
static void build_depthwise(struct emit *e, enum element element, struct variant v, unsigned size, bool keep,
                            struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element);
    ir weights[25], sums[MAX_ACCUMULATORS];
    for (unsigned i = 0; keep && i < size * size; i++)
        weights[i] = load(e, vector, vector_at(e, e->b, vector, 0, i), 4);
    loop_open(e, NULL, 0);
    for (unsigned i = 0; i < v.rows; i++) sums[i] = LLVMConstNull(vector);
    for (unsigned row = 0; row < size; row++) {
        for (unsigned k = 0; !keep && k < size; k++)
            weights[row * size + k] = load(e, vector, vector_at(e, e->b, vector, 0, row * size + k), 4);
        for (unsigned column = 0; column < size + v.rows - 1; column++) {
            ir x = pixel(e, v, vector, row, column);
            for (unsigned i = 0; i < v.rows; i++) {
                if (column < i || column - i >= size) continue;
                sums[i] = multiply_add(e, x, weights[row * size + column - i], sums[i]);
            }
        }
    }
    store_outputs(e, v, vector, sums);
    loop_close(e, NULL);
    window_facts(e, v, size, 2.0 * size * size, facts);
}

void build_depthwise3(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    build_depthwise(e, element, v, 3, true, facts);
}

void build_depthwise5(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    build_depthwise(e, element, v, 5, false, facts);
}

void build_maxpool3(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element);
    ir outputs[MAX_ACCUMULATORS] = {NULL};
    loop_open(e, NULL, 0);
    for (unsigned row = 0; row < 3; row++)
        for (unsigned column = 0; column < v.rows + 2; column++) {
            ir x = pixel(e, v, vector, row, column);
            for (unsigned i = 0; i < v.rows; i++)
                if (column >= i && column - i < 3) outputs[i] = outputs[i] ? maximum(e, outputs[i], x) : x;
        }
    store_outputs(e, v, vector, outputs);
    loop_close(e, NULL);
    window_facts(e, v, 3, 1, facts);
}
