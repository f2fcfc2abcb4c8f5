/* onnx-latency-codegen: what a CPU's arithmetic can do, found by compiling kernels for it.
 *
 * A program of its own, because LLVM ends the process on input it does not like and costs every start 11 ms. One
 * library of inner loops (kernels*.c) is used twice: compiled for any CPU of cpus.def and simulated by llvm-mca
 * (price.c), or compiled for this machine and timed (host.c). Answers are JSON on standard output. */
#ifndef CODEGEN_H
#define CODEGEN_H

#include "base.h"
#include <cjson/cJSON.h>
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

/* ---- CPUs (cpus.c, cpus.def) ---- */

enum arch { X86, AARCH64, RISCV };

enum cpu_flags {
    CPU_IN_ORDER = 1,   /* simulated without caches or queues, such a core is priced with less confidence */
    CPU_HALF = 2,       /* arithmetic on 16-bit floats */
    CPU_DOT = 4,        /* 8-bit dot products into 32 bits: SDOT, VPDPBUSD */
    CPU_MODEL_INT8 = 8, /* the model's 8-bit rate is known to be wrong: taken from the published peaks */
    CPU_MODEL_HALF = 16 /* the same for 16-bit floats */
};

struct cpu {
    const char *name, *about;
    enum arch arch;
    const char *llvm_name, *features;     /* features added to the ones the name implies */
    unsigned vector_bits;                 /* width the kernels are written for; 512: 256 too */
    unsigned vscale;                      /* 0: fixed-length vectors; else the scalable ones' multiple */
    const char *model;                    /* CPU whose scheduling model stands for this one; NULL: its own is true */
    unsigned flags;                       /* cpu_flags */
    double peak_f32, peak_f16, peak_int8; /* published: operations a cycle and core, 2 a multiply-add; 0: none */
    const char *peak_source;
    /* A usual machine with it, the default of what a target spec leaves out. */
    double ghz;
    unsigned cores;               /* of this kind */
    double bandwidth_gbps;        /* main memory, sustained, all cores */
    double cache_mib;             /* last level a core can fill */
    double cache_bytes_per_cycle; /* a core, read and written, from its outer private cache */
};

extern const struct cpu cpu_table[];
extern const size_t n_cpus;
const struct cpu *cpu_find(const char *name); /* NULL */
const char *arch_triple(enum arch);

/* ---- Kernels (kernels.c, kernels_dense.c, kernels_window.c, kernels_stream.c) ---- */

enum element { F32, F16, I8 };

struct isa { /* what the code generator of a kernel has to know of a machine */
    enum arch arch;
    unsigned vector_bits;
    unsigned vscale;
    bool half, dot;
};

enum kernel {
#define KERNEL(id, name, element, unit, build, variants) K_##id,
#include "kernels.def"
#undef KERNEL
    K_COUNT
};

struct variant { /* register blocking: rows x vectors of accumulators, or steps side by side in `rows` */
    unsigned rows, vectors;
};

/* One inner loop as a function void name(ptr a, ptr b, ptr c, i64 iterations). Steps: bytes an iteration moves on. */
struct loop_facts {
    double work;                      /* operations, elements or bytes an iteration, by the kernel's unit */
    size_t a_step, b_step, c_step;    /* bytes */
    size_t a_extra, b_extra, c_extra; /* bytes touched beyond iterations * step */
    unsigned max_iterations;          /* 0: any; windows have rows of a fixed length */
};

struct emit;
typedef void kernel_build(struct emit *, enum element, struct variant, struct loop_facts *);

struct kernel_info {
    const char *name;
    enum element element;
    const char *unit; /* "flop", "op", "element", "byte" */
    kernel_build *build;
    const struct variant *variants; /* ends with {0, 0} */
};

extern const struct kernel_info kernel_table[K_COUNT];
bool kernel_supported(enum kernel, const struct isa *);
/* Adds the kernel to the module. The loop's block is called "kernel.loop". */
void kernel_add(LLVMModuleRef, const struct isa *, enum kernel, struct variant, const char *name, struct loop_facts *);

/* Adds a loop whose iterations are chains of CLOCK_CHAIN dependent instructions of one cycle, whose time tells the
 * clock. Reads 8 bytes of a and b, writes 8 of c. */
#define CLOCK_CHAIN 64
void clock_add(LLVMModuleRef, const struct isa *, const char *name);

/* ---- Machines (machine.c) ---- */

void machine_init(void); /* registers all targets; once */
/* NULL with a message when LLVM has no such target. */
LLVMTargetMachineRef machine_for_cpu(const struct cpu *, struct diag *);
/* Also what it is: `name` in the arena. */
LLVMTargetMachineRef machine_for_host(struct isa *, const char **name, struct arena *, struct diag *);
struct isa cpu_isa(const struct cpu *);
void machine_prepare(LLVMTargetMachineRef, LLVMModuleRef);
void machine_attributes(const struct isa *, LLVMValueRef function);
/* The module as assembly, in the arena; NULL with a message. */
const char *machine_assembly(LLVMTargetMachineRef, LLVMModuleRef, struct arena *, struct diag *);

/* ---- Simulation (mca.c) ---- */

struct region { /* a loop cut out of assembly */
    const char *name, *text;
    bool spills;
    double cycles;       /* an iteration; 0: the model cannot tell */
    double least_cycles; /* as far as units and issue width allow, whatever depends on what */
};

/* Cuts the loop of function `name`. False when it is not found. */
bool region_cut(struct region *, const char *assembly, const char *name, struct arena *);
/* Fills in the cycles of all regions with one run of llvm-mca. */
enum status mca_run(const struct cpu *, struct region *, size_t n, struct arena *, struct diag *) MUST_CHECK;

/* ---- Answers (price.c, host.c): a row of the table of CPUs ---- */

cJSON *price_cpu(const struct cpu *, struct arena *, struct diag *); /* NULL with a message */
cJSON *measure_host(struct arena *, struct diag *);                  /* NULL with a message */
double rounded(double x);                                            /* to the four digits that answers carry */

/* ---- This machine (jit.c) ---- */

typedef void loop_fn(const void *a, const void *b, void *c, uint64_t iterations);

struct jit;
struct jit *jit_open(struct arena *, struct diag *); /* NULL with a message */
const struct isa *jit_isa(const struct jit *);
const char *jit_cpu_name(const struct jit *);
/* The kernel as code; lives as long as the jit. NULL with a message. */
loop_fn *jit_kernel(struct jit *, enum kernel, struct variant, struct loop_facts *, struct diag *);
loop_fn *jit_clock(struct jit *, struct diag *);
void jit_close(struct jit *);

#endif
