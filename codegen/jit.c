/* Kernels compiled for this machine and run here, by LLVM's ORC. The kernels need no optimiser: they are written as
 * vectors, and code generation does the rest. */
#include "codegen.h"
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <string.h>

struct jit {
    struct arena *arena;
    struct isa isa;
    const char *cpu_name;
    LLVMOrcLLJITRef lljit;
    LLVMTargetMachineRef machine;
    unsigned serial;
};

static bool failed(LLVMErrorRef error, const char *doing, struct diag *diag) {
    if (!error) return false;
    char *message = LLVMGetErrorMessage(error);
    diag_fail(diag, ST_MISSING, "LLVM: %s: %s", doing, message);
    LLVMDisposeErrorMessage(message);
    return true;
}

struct jit *jit_open(struct arena *arena, struct diag *diag) {
    struct jit *jit = arena_alloc(arena, sizeof *jit);
    jit->arena = arena;
    jit->machine = machine_for_host(&jit->isa, &jit->cpu_name, arena, diag);
    if (!jit->machine) return NULL;
    /* The builder takes the machine it is given, so it gets one of its own. */
    LLVMTargetMachineRef taken = machine_for_host(&jit->isa, &jit->cpu_name, arena, diag);
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder,
                                                  LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(taken));
    if (failed(LLVMOrcCreateLLJIT(&jit->lljit, builder), "no run-time compiler", diag)) {
        LLVMDisposeTargetMachine(jit->machine);
        return NULL;
    }
    return jit;
}

const struct isa *jit_isa(const struct jit *jit) {
    return &jit->isa;
}

const char *jit_cpu_name(const struct jit *jit) {
    return jit->cpu_name;
}

struct unit { /* a module on its way to code */
    LLVMOrcThreadSafeContextRef context;
    LLVMModuleRef module;
    const char *name;
};

static struct unit unit_open(struct jit *jit) {
    struct unit unit = {.context = LLVMOrcCreateNewThreadSafeContext()};
    unit.name = arena_printf(jit->arena, "kernel%u", jit->serial++);
    unit.module = LLVMModuleCreateWithNameInContext(unit.name, LLVMOrcThreadSafeContextGetContext(unit.context));
    machine_prepare(jit->machine, unit.module);
    return unit;
}

static loop_fn *unit_close(struct jit *jit, struct unit unit, struct diag *diag) {
    LLVMOrcThreadSafeModuleRef module = LLVMOrcCreateNewThreadSafeModule(unit.module, unit.context);
    LLVMOrcDisposeThreadSafeContext(unit.context);
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(jit->lljit);
    if (failed(LLVMOrcLLJITAddLLVMIRModule(jit->lljit, library, module), "module", diag)) return NULL;
    LLVMOrcExecutorAddress address = 0;
    if (failed(LLVMOrcLLJITLookup(jit->lljit, &address, unit.name), "code", diag)) return NULL;
    loop_fn *function;
    uintptr_t code = (uintptr_t)address;
    memcpy(&function, &code, sizeof function); /* ISO C has no conversion from data to functions */
    return function;
}

loop_fn *jit_kernel(struct jit *jit, enum kernel kernel, struct variant variant, struct loop_facts *facts,
                    struct diag *diag) {
    struct unit unit = unit_open(jit);
    kernel_add(unit.module, &jit->isa, kernel, variant, unit.name, facts);
    return unit_close(jit, unit, diag);
}

loop_fn *jit_clock(struct jit *jit, struct diag *diag) {
    struct unit unit = unit_open(jit);
    clock_add(unit.module, &jit->isa, unit.name);
    return unit_close(jit, unit, diag);
}

void jit_close(struct jit *jit) {
    LLVMErrorRef error = LLVMOrcDisposeLLJIT(jit->lljit);
    if (error) LLVMConsumeError(error);
    LLVMDisposeTargetMachine(jit->machine);
}
