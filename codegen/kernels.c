/* The library of inner loops: which there are, which register blockings are tried, which a machine can run. */
#include "emit.h"

/* Blockings of a matrix product, rows x vectors: for 16 registers first, then for 32. */
static const struct variant blocks[] = {{4, 2}, {4, 3}, {6, 2},  {8, 2},  {4, 4},
                                        {8, 3}, {6, 4}, {12, 2}, {14, 2}, {0, 0}};
static const struct variant gemv_rows[] = {{4, 1}, {4, 2}, {8, 1}, {0, 0}};
static const struct variant columns[] = {{1, 1}, {2, 1}, {4, 1}, {6, 1}, {0, 0}};
static const struct variant steps[] = {{1, 1}, {2, 1}, {4, 1}, {8, 1}, {0, 0}};

const struct kernel_info kernel_table[K_COUNT] = {
#define KERNEL(id, name, element, unit, build, variants) {name, element, unit, build, variants},
#include "kernels.def"
#undef KERNEL
};

bool kernel_supported(enum kernel kernel, const struct isa *isa) {
    switch (kernel_table[kernel].element) {
    case F32:
        return true;
    case F16:
        return isa->half;
    case I8:
        break;
    }
    /* Widening products of scalable vectors have no common form across the two instruction sets. */
    return !isa->vscale || (isa->arch == AARCH64 && isa->dot);
}

static LLVMValueRef add_function(struct emit *e, const char *name) {
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0), i64 = LLVMInt64TypeInContext(e->context);
    LLVMTypeRef params[] = {pointer, pointer, pointer, i64};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), params, COUNT_OF(params), false);
    LLVMValueRef function = LLVMAddFunction(e->module, name, type);
    unsigned noalias = LLVMGetEnumAttributeKindForName("noalias", 7);
    for (unsigned i = 1; i <= 3; i++)
        LLVMAddAttributeAtIndex(function, i, LLVMCreateEnumAttribute(e->context, noalias, 0));
    machine_attributes(e->isa, function);
    return function;
}

static void function_open(struct emit *e, LLVMModuleRef module, const struct isa *isa, const char *name) {
    *e = (struct emit){.context = LLVMGetModuleContext(module), .module = module, .isa = isa};
    e->builder = LLVMCreateBuilderInContext(e->context);
    e->function = add_function(e, name);
    e->a = LLVMGetParam(e->function, 0);
    e->b = LLVMGetParam(e->function, 1);
    e->c = LLVMGetParam(e->function, 2);
    e->iterations = LLVMGetParam(e->function, 3);
    LLVMPositionBuilderAtEnd(e->builder, LLVMAppendBasicBlockInContext(e->context, e->function, "entry"));
}

static void function_close(struct emit *e) {
    LLVMBuildRetVoid(e->builder);
    LLVMDisposeBuilder(e->builder);
}

void clock_add(LLVMModuleRef module, const struct isa *isa, const char *name) {
    struct emit e;
    function_open(&e, module, isa, name);
    LLVMTypeRef i64 = LLVMInt64TypeInContext(e.context);
    ir key = load(&e, i64, e.b, 8), start = load(&e, i64, e.a, 8);
    loop_open(&e, &start, 1);
    ir x = e.carried[0];
    for (int i = 0; i < CLOCK_CHAIN; i += 2) x = LLVMBuildAdd(e.builder, LLVMBuildXor(e.builder, x, key, ""), key, "");
    loop_close(&e, &x);
    store(&e, e.carried[0], e.c, 8);
    function_close(&e);
}

void kernel_add(LLVMModuleRef module, const struct isa *isa, enum kernel kernel, struct variant variant,
                const char *name, struct loop_facts *facts) {
    struct emit e;
    function_open(&e, module, isa, name);
    *facts = (struct loop_facts){0};
    kernel_table[kernel].build(&e, kernel_table[kernel].element, variant, facts);
    function_close(&e);
}
