/* LLVM target machines: of a CPU of the table, or of the one this runs on. */
#include "codegen.h"
#include <assert.h>
#include <llvm-c/Target.h>
#include <string.h>

void machine_init(void) {
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
}

static LLVMTargetMachineRef machine_make(const char *triple, const char *cpu, const char *features, struct diag *diag) {
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        diag_fail(diag, ST_MISSING, "%s: this LLVM cannot compile for it: %s", triple, message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMTargetMachineOptionsRef options = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(options, cpu);
    LLVMTargetMachineOptionsSetFeatures(options, features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(options, LLVMCodeGenLevelAggressive);
    LLVMTargetMachineOptionsSetRelocMode(options, LLVMRelocPIC);
    LLVMTargetMachineRef machine = LLVMCreateTargetMachineWithOptions(target, triple, options);
    LLVMDisposeTargetMachineOptions(options);
    LLVMSetTargetMachineAsmVerbosity(machine, true); /* block names and spills are read from comments */
    return machine;
}

LLVMTargetMachineRef machine_for_cpu(const struct cpu *cpu, struct diag *diag) {
    return machine_make(arch_triple(cpu->arch), cpu->llvm_name, cpu->features, diag);
}

struct isa cpu_isa(const struct cpu *cpu) {
    return (struct isa){.arch = cpu->arch,
                        .vector_bits = cpu->vector_bits,
                        .vscale = cpu->vscale,
                        .half = cpu->flags & CPU_HALF && !(cpu->flags & CPU_MODEL_HALF),
                        .dot = cpu->flags & CPU_DOT};
}

static bool has_feature(const char *features, const char *name) {
    size_t length = strlen(name);
    for (const char *at = features; (at = strstr(at, name)) != NULL; at += length)
        if (at > features && at[-1] == '+' && (at[length] == ',' || at[length] == '\0')) return true;
    return false;
}

static struct isa host_isa(const char *triple, const char *features) {
    if (strncmp(triple, "aarch64", 7) == 0 || strncmp(triple, "arm64", 5) == 0)
        return (struct isa){.arch = AARCH64,
                            .vector_bits = 128,
                            .half = has_feature(features, "fullfp16"),
                            .dot = has_feature(features, "dotprod")};
    bool wide = has_feature(features, "avx512f") && has_feature(features, "avx512bw");
    return (struct isa){.arch = X86,
                        .vector_bits = wide ? 512 : 256,
                        .half = has_feature(features, "avx512fp16"),
                        .dot = wide ? has_feature(features, "avx512vnni") : has_feature(features, "avxvnni")};
}

LLVMTargetMachineRef machine_for_host(struct isa *isa, const char **cpu, struct arena *arena, struct diag *diag) {
    char *triple = LLVMGetDefaultTargetTriple(), *name = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    *isa = host_isa(triple, features);
    *cpu = arena_strndup(arena, name, strlen(name));
    LLVMTargetMachineRef machine = NULL;
    bool known = strncmp(triple, "x86_64", 6) == 0 || isa->arch == AARCH64;
    if (!known || (isa->arch == X86 && !has_feature(features, "fma")))
        diag_fail(diag, ST_MISSING, "%s (%s): no kernels for this machine (x86-64 with FMA, or 64-bit Arm)", name,
                  triple);
    else
        machine = machine_make(triple, name, features, diag);
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(name);
    LLVMDisposeMessage(features);
    return machine;
}

void machine_prepare(LLVMTargetMachineRef machine, LLVMModuleRef module) {
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMSetTarget(module, triple);
    LLVMDisposeMessage(triple);
}

static void set_text(LLVMValueRef function, const char *key, const char *value) {
    LLVMContextRef context = LLVMGetModuleContext(LLVMGetGlobalParent(function));
    LLVMAttributeRef attribute =
        LLVMCreateStringAttribute(context, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, attribute);
}

static void set_enum(LLVMValueRef function, const char *name, uint64_t value) {
    LLVMContextRef context = LLVMGetModuleContext(LLVMGetGlobalParent(function));
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    assert(kind != 0);
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(context, kind, value));
}

void machine_attributes(const struct isa *isa, LLVMValueRef function) {
    set_enum(function, "nounwind", 0);
    if (isa->arch == X86 && isa->vector_bits == 512) {
        set_text(function, "prefer-vector-width", "512");
        set_text(function, "min-legal-vector-width", "512");
    }
    if (isa->vscale) set_enum(function, "vscale_range", (uint64_t)isa->vscale << 32 | isa->vscale);
}

const char *machine_assembly(LLVMTargetMachineRef machine, LLVMModuleRef module, struct arena *arena,
                             struct diag *diag) {
    LLVMMemoryBufferRef buffer;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &message, &buffer)) {
        diag_fail(diag, ST_MISSING, "LLVM could not compile the kernels: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    const char *text = arena_strndup(arena, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    return text;
}
