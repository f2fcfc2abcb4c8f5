/* The CPUs that can be priced. LLVM has no list of its own, and ends the process on a name it does not know. */
#include "codegen.h"
#include <string.h>

const struct cpu cpu_table[] = {
#define CPU(name, about, arch, llvm_name, features, vector_bits, vscale, model, flags, peak_f32, peak_f16, peak_int8,  \
            source, ghz, cores, gbps, cache_mib, cache_bytes)                                                          \
    {name,     about,    arch,      llvm_name, features, vector_bits, vscale, model,     flags,                        \
     peak_f32, peak_f16, peak_int8, source,    ghz,      cores,       gbps,   cache_mib, cache_bytes},
#include "cpus.def"
#undef CPU
};
const size_t n_cpus = COUNT_OF(cpu_table);

const struct cpu *cpu_find(const char *name) {
    for (size_t i = 0; i < n_cpus; i++)
        if (strcmp(cpu_table[i].name, name) == 0) return &cpu_table[i];
    return NULL;
}

const char *arch_triple(enum arch arch) {
    switch (arch) {
    case X86:
        return "x86_64-linux-gnu";
    case AARCH64:
        return "aarch64-linux-gnu";
    case RISCV:
        break;
    }
    return "riscv64-linux-gnu";
}
