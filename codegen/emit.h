/* A few words for writing an inner loop as LLVM IR. */
#ifndef EMIT_H
#define EMIT_H

#include "codegen.h"

#define MAX_ACCUMULATORS 32

struct emit {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    const struct isa *isa;
    LLVMValueRef function, a, b, c, iterations;
    LLVMBasicBlockRef entry, body, exit;
    LLVMValueRef counter;                   /* of the loop, from 0 */
    LLVMValueRef carried[MAX_ACCUMULATORS]; /* values the loop carries: phis inside */
    unsigned n_carried;
};

typedef LLVMValueRef ir;

LLVMTypeRef element_type(struct emit *, enum element);
size_t element_bytes(enum element);
unsigned lanes(const struct isa *, enum element);     /* of a vector at run time */
LLVMTypeRef vector_type(struct emit *, enum element); /* the machine's own, fixed or scalable */
LLVMTypeRef fixed_vector(LLVMTypeRef element, unsigned n);
size_t vector_bytes(const struct isa *);
ir const_index(struct emit *, int64_t);
ir splat(struct emit *, ir scalar, LLVMTypeRef vector);

/* Opens the loop; `carried` start at `initial`. Close it with the values of the next round. */
void loop_open(struct emit *, const ir *initial, unsigned n);
void loop_close(struct emit *, const ir *next); /* then at the exit, carried[] are the values there */

/* Vector number counter * step + offset of an array of vectors. */
ir vector_at(struct emit *, ir base, LLVMTypeRef vector, int64_t step, int64_t offset);
ir bytes_at(struct emit *, ir base, int64_t step, int64_t offset); /* the same in bytes */
ir load(struct emit *, LLVMTypeRef, ir address, unsigned align);
void store(struct emit *, ir value, ir address, unsigned align);

ir multiply_add(struct emit *, ir x, ir y, ir sum);
ir maximum(struct emit *, ir x, ir y); /* of numbers: no NaN, either zero */
/* Calls an intrinsic: `overload` are the types its name carries. */
ir call_intrinsic(struct emit *, const char *name, LLVMTypeRef *overload, unsigned n_overload, ir *args,
                  unsigned n_args);

/* The builders of kernels.def */
kernel_build build_gemm, build_gemm_int8, build_gemv;            /* kernels_dense.c */
kernel_build build_depthwise3, build_depthwise5, build_maxpool3; /* kernels_window.c */
kernel_build build_add_relu, build_exp, build_copy, build_read;  /* kernels_stream.c */

#endif
