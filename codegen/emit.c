/* A few words for writing an inner loop as LLVM IR. */
#include "emit.h"
#include <assert.h>
#include <string.h>

LLVMTypeRef element_type(struct emit *e, enum element element) {
    switch (element) {
    case F32:
        return LLVMFloatTypeInContext(e->context);
    case F16:
        return LLVMHalfTypeInContext(e->context);
    case I8:
        break;
    }
    return LLVMInt8TypeInContext(e->context);
}

size_t element_bytes(enum element element) {
    return element == F32 ? 4 : element == F16 ? 2 : 1;
}

size_t vector_bytes(const struct isa *isa) {
    return isa->vector_bits / 8;
}

unsigned lanes(const struct isa *isa, enum element element) {
    return (unsigned)(vector_bytes(isa) / element_bytes(element));
}

LLVMTypeRef fixed_vector(LLVMTypeRef element, unsigned n) {
    return LLVMVectorType(element, n);
}

LLVMTypeRef vector_type(struct emit *e, enum element element) {
    LLVMTypeRef type = element_type(e, element);
    unsigned n = lanes(e->isa, element);
    return e->isa->vscale ? LLVMScalableVectorType(type, n / e->isa->vscale) : LLVMVectorType(type, n);
}

ir const_index(struct emit *e, int64_t value) {
    return LLVMConstInt(LLVMInt64TypeInContext(e->context), (uint64_t)value, true);
}

static bool is_scalable(LLVMTypeRef type) {
    return LLVMGetTypeKind(type) == LLVMScalableVectorTypeKind;
}

ir splat(struct emit *e, ir scalar, LLVMTypeRef vector) {
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    unsigned n = LLVMGetVectorSize(vector);
    ir zero = LLVMConstInt(i32, 0, false);
    ir one = LLVMBuildInsertElement(e->builder, LLVMGetPoison(vector), scalar, zero, "");
    LLVMTypeRef mask = is_scalable(vector) ? LLVMScalableVectorType(i32, n) : LLVMVectorType(i32, n);
    return LLVMBuildShuffleVector(e->builder, one, LLVMGetPoison(vector), LLVMConstNull(mask), "");
}

void loop_open(struct emit *e, const ir *initial, unsigned n) {
    assert(n <= MAX_ACCUMULATORS);
    e->entry = LLVMGetInsertBlock(e->builder);
    e->body = LLVMAppendBasicBlockInContext(e->context, e->function, "kernel.loop");
    e->exit = LLVMAppendBasicBlockInContext(e->context, e->function, "kernel.exit");
    LLVMBuildBr(e->builder, e->body);
    LLVMPositionBuilderAtEnd(e->builder, e->body);
    e->counter = LLVMBuildPhi(e->builder, LLVMInt64TypeInContext(e->context), "");
    ir zero = const_index(e, 0);
    LLVMAddIncoming(e->counter, &zero, &e->entry, 1);
    e->n_carried = n;
    for (unsigned i = 0; i < n; i++) {
        e->carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(initial[i]), "");
        LLVMAddIncoming(e->carried[i], (ir *)&initial[i], &e->entry, 1);
    }
}

void loop_close(struct emit *e, const ir *next) {
    ir following = LLVMBuildAdd(e->builder, e->counter, const_index(e, 1), "");
    ir again = LLVMBuildICmp(e->builder, LLVMIntULT, following, e->iterations, "");
    LLVMBuildCondBr(e->builder, again, e->body, e->exit);
    LLVMAddIncoming(e->counter, &following, &e->body, 1);
    for (unsigned i = 0; i < e->n_carried; i++) {
        LLVMAddIncoming(e->carried[i], (ir *)&next[i], &e->body, 1);
        e->carried[i] = next[i];
    }
    LLVMPositionBuilderAtEnd(e->builder, e->exit);
}

static ir affine(struct emit *e, int64_t step, int64_t offset) {
    ir product = e->counter ? LLVMBuildMul(e->builder, e->counter, const_index(e, step), "") : const_index(e, 0);
    return LLVMBuildAdd(e->builder, product, const_index(e, offset), "");
}

ir vector_at(struct emit *e, ir base, LLVMTypeRef vector, int64_t step, int64_t offset) {
    ir index = affine(e, step, offset);
    return LLVMBuildInBoundsGEP2(e->builder, vector, base, &index, 1, "");
}

ir bytes_at(struct emit *e, ir base, int64_t step, int64_t offset) {
    return vector_at(e, base, LLVMInt8TypeInContext(e->context), step, offset);
}

ir load(struct emit *e, LLVMTypeRef type, ir address, unsigned align) {
    ir value = LLVMBuildLoad2(e->builder, type, address, "");
    LLVMSetAlignment(value, align);
    return value;
}

void store(struct emit *e, ir value, ir address, unsigned align) {
    LLVMSetAlignment(LLVMBuildStore(e->builder, value, address), align);
}

ir call_intrinsic(struct emit *e, const char *name, LLVMTypeRef *overload, unsigned n_overload, ir *args,
                  unsigned n_args) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id != 0);
    ir callee = LLVMGetIntrinsicDeclaration(e->module, id, overload, n_overload);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, overload, n_overload);
    return LLVMBuildCall2(e->builder, type, callee, args, n_args, "");
}

ir multiply_add(struct emit *e, ir x, ir y, ir sum) {
    LLVMTypeRef type = LLVMTypeOf(sum);
    return call_intrinsic(e, "llvm.fma", &type, 1, (ir[]){x, y, sum}, 3);
}

ir maximum(struct emit *e, ir x, ir y) {
    /* Without the flags AArch64 cannot use its maximum instruction. */
    LLVMFastMathFlags flags = LLVMFastMathNoNaNs | LLVMFastMathNoSignedZeros;
    ir larger = LLVMBuildFCmp(e->builder, LLVMRealOGT, x, y, "");
    if (LLVMCanValueUseFastMathFlags(larger)) LLVMSetFastMathFlags(larger, flags);
    ir chosen = LLVMBuildSelect(e->builder, larger, x, y, "");
    if (LLVMCanValueUseFastMathFlags(chosen)) LLVMSetFastMathFlags(chosen, flags);
    return chosen;
}
