/* Loops over long arrays: one or two streams in, one out. */
#include "emit.h"

/* Addresses of vector `i` of a group of `rows` an iteration. */
static ir stream(struct emit *e, ir base, struct variant v, unsigned i) {
    return vector_at(e, base, vector_type(e, F32), v.rows, i);
}

static void stream_facts(struct emit *e, struct variant v, unsigned inputs, bool output, double work,
                         struct loop_facts *facts) {
    size_t step = v.rows * vector_bytes(e->isa);
    *facts = (struct loop_facts){.work = work,
                                 .a_step = step,
                                 .b_step = inputs > 1 ? step : 0,
                                 .c_step = output ? step : 0,
                                 .c_extra = output ? 0 : step};
}

void build_add_relu(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element);
    ir zero = LLVMConstNull(vector);
    loop_open(e, NULL, 0);
    for (unsigned i = 0; i < v.rows; i++) {
        ir x = load(e, vector, stream(e, e->a, v, i), 4), y = load(e, vector, stream(e, e->b, v, i), 4);
        ir sum = LLVMBuildFAdd(e->builder, x, y, "");
        store(e, maximum(e, sum, zero), stream(e, e->c, v, i), 4);
    }
    loop_close(e, NULL);
    stream_facts(e, v, 2, true, v.rows * lanes(e->isa, F32), facts);
}

static ir constant(struct emit *e, LLVMTypeRef vector, double value) {
    return splat(e, LLVMConstReal(LLVMFloatTypeInContext(e->context), value), vector);
}

/* exp(x) = 2^n * 2^f: n by adding 1.5 * 2^23, which leaves it in the low bits; 2^f by a polynomial of degree 5. */
static ir exponential(struct emit *e, ir x, LLVMTypeRef vector, LLVMTypeRef integers) {
    static const double taylor[] = {1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0};
    ir magic = constant(e, vector, 12582912.0);
    ir scaled = LLVMBuildFMul(e->builder, x, constant(e, vector, 1.44269504), "");
    ir shifted = LLVMBuildFAdd(e->builder, scaled, magic, "");
    ir f = LLVMBuildFSub(e->builder, scaled, LLVMBuildFSub(e->builder, shifted, magic, ""), "");
    ir sum = constant(e, vector, taylor[0]);
    for (size_t i = 1; i < COUNT_OF(taylor); i++) sum = multiply_add(e, sum, f, constant(e, vector, taylor[i]));
    ir exponent = LLVMBuildBitCast(e->builder, shifted, integers, "");
    ir shift = splat(e, LLVMConstInt(LLVMInt32TypeInContext(e->context), 23, false), integers);
    exponent = LLVMBuildShl(e->builder, exponent, shift, "");
    ir bits = LLVMBuildAdd(e->builder, LLVMBuildBitCast(e->builder, sum, integers, ""), exponent, "");
    return LLVMBuildBitCast(e->builder, bits, vector, "");
}

void build_exp(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element), i32 = LLVMInt32TypeInContext(e->context);
    unsigned n = LLVMGetVectorSize(vector);
    LLVMTypeRef integers = e->isa->vscale ? LLVMScalableVectorType(i32, n) : LLVMVectorType(i32, n);
    loop_open(e, NULL, 0);
    for (unsigned i = 0; i < v.rows; i++) {
        ir x = maximum(e, load(e, vector, stream(e, e->a, v, i), 4), constant(e, vector, -87.0));
        store(e, exponential(e, x, vector, integers), stream(e, e->c, v, i), 4);
    }
    loop_close(e, NULL);
    stream_facts(e, v, 1, true, v.rows * lanes(e->isa, F32), facts);
}

void build_copy(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element);
    loop_open(e, NULL, 0);
    for (unsigned i = 0; i < v.rows; i++) store(e, load(e, vector, stream(e, e->a, v, i), 4), stream(e, e->c, v, i), 4);
    loop_close(e, NULL);
    stream_facts(e, v, 1, true, 2.0 * v.rows * (double)vector_bytes(e->isa), facts); /* read and written */
}

/* Reads an array; the sums are stored after the loop so that the loads are used. */
void build_read(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef vector = vector_type(e, element);
    ir sums[MAX_ACCUMULATORS], next[MAX_ACCUMULATORS];
    for (unsigned i = 0; i < v.rows; i++) sums[i] = LLVMConstNull(vector);
    loop_open(e, sums, v.rows);
    for (unsigned i = 0; i < v.rows; i++)
        next[i] = LLVMBuildFAdd(e->builder, e->carried[i], load(e, vector, stream(e, e->a, v, i), 4), "");
    loop_close(e, next);
    e->counter = NULL;
    for (unsigned i = 0; i < v.rows; i++) store(e, e->carried[i], vector_at(e, e->c, vector, 0, i), 4);
    stream_facts(e, v, 1, false, v.rows * (double)vector_bytes(e->isa), facts);
}
