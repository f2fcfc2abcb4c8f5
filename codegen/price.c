/* What a CPU can do without having it: every kernel in several register blockings, compiled for it and simulated; the
 * best of each that keeps its accumulators in registers, never more than the published peak. */
#include "codegen.h"
#include <math.h>

#define MAX_CANDIDATES 128

struct candidate {
    enum kernel kernel;
    struct loop_facts facts;
};

struct candidates {
    size_t n;
    struct candidate at[MAX_CANDIDATES];
    const char *names[MAX_CANDIDATES];
};

static void add_candidates(struct candidates *all, LLVMModuleRef module, const struct isa *isa, struct arena *arena) {
    for (enum kernel k = 0; k < K_COUNT; k++) {
        if (!kernel_supported(k, isa)) continue;
        for (const struct variant *v = kernel_table[k].variants; v->rows && all->n < MAX_CANDIDATES; v++) {
            struct candidate *c = &all->at[all->n];
            c->kernel = k;
            const char *name = arena_printf(arena, "%s_%ux%u", kernel_table[k].name, v->rows, v->vectors);
            all->names[all->n++] = name;
            kernel_add(module, isa, k, *v, name, &c->facts);
        }
    }
}

static double peak_of(const struct cpu *cpu, enum kernel k) {
    if (kernel_table[k].unit[0] != 'f' && kernel_table[k].unit[0] != 'o') return INFINITY; /* not counted in FLOPs */
    switch (kernel_table[k].element) {
    case F32:
        return cpu->peak_f32;
    case F16:
        return cpu->peak_f16;
    case I8:
        break;
    }
    return cpu->peak_int8;
}

/* Hand-written kernels for cores that issue in order hide latencies a compiler's order leaves open: the truth lies
 * between what is simulated and what the units allow. */
static double cycles_of(const struct cpu *cpu, const struct region *region) {
    bool between = cpu->flags & CPU_IN_ORDER && region->least_cycles > 0;
    return between ? sqrt(region->cycles * fmin(region->least_cycles, region->cycles)) : region->cycles;
}

/* The best rate of each kernel among candidates that do not spill, or among all where every one does. */
static void best_rates(const struct cpu *cpu, const struct candidates *all, const struct region *regions,
                       double rates[K_COUNT]) {
    double clean[K_COUNT] = {0}, any[K_COUNT] = {0};
    for (size_t i = 0; i < all->n; i++) {
        const struct candidate *c = &all->at[i];
        if (regions[i].cycles <= 0) continue;
        double rate = fmin(c->facts.work / cycles_of(cpu, &regions[i]), peak_of(cpu, c->kernel));
        any[c->kernel] = fmax(any[c->kernel], rate);
        if (!regions[i].spills) clean[c->kernel] = fmax(clean[c->kernel], rate);
    }
    for (enum kernel k = 0; k < K_COUNT; k++) rates[k] = clean[k] > 0 ? clean[k] : any[k];
}

/* Where the model is known to be wrong or absent, the published peaks say how the narrower type relates to f32. */
static void fill_by_peaks(const struct cpu *cpu, double rates[K_COUNT]) {
    double reached = rates[K_GEMM_F32] / cpu->peak_f32;
    if (cpu->flags & CPU_MODEL_HALF) rates[K_GEMM_F16] = reached * cpu->peak_f16;
    if (cpu->flags & CPU_MODEL_INT8) rates[K_GEMM_INT8] = reached * cpu->peak_int8;
}

static enum status simulate(const struct cpu *cpu, const struct candidates *all, const char *assembly,
                            double rates[K_COUNT], struct arena *arena, struct diag *diag) {
    struct region *regions = arena_array(arena, all->n, sizeof *regions);
    for (size_t i = 0; i < all->n; i++)
        if (!region_cut(&regions[i], assembly, all->names[i], arena))
            return diag_fail(diag, ST_MISSING, "%s: no loop found in the code of %s", cpu->name, all->names[i]);
    TRY(mca_run(cpu, regions, all->n, arena, diag));
    best_rates(cpu, all, regions, rates);
    fill_by_peaks(cpu, rates);
    return ST_OK;
}

double rounded(double x) {
    double scale = x > 0 ? pow(10, 3 - floor(log10(x))) : 1;
    return round(x * scale) / scale;
}

static cJSON *rates_json(const double rates[K_COUNT]) {
    cJSON *object = cJSON_CreateObject();
    for (enum kernel k = 0; k < K_COUNT; k++)
        if (rates[k] > 0) cJSON_AddNumberToObject(object, kernel_table[k].name, rounded(rates[k]));
    return object;
}

static cJSON *cpu_json(const struct cpu *cpu, const double rates[K_COUNT]) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", cpu->name);
    cJSON_AddStringToObject(object, "description", cpu->about);
    cJSON_AddStringToObject(object, "triple", arch_triple(cpu->arch));
    cJSON_AddStringToObject(object, "llvm_cpu", cpu->llvm_name);
    cJSON_AddStringToObject(object, "model", cpu->model ? cpu->model : cpu->llvm_name);
    cJSON_AddNumberToObject(object, "vector_bits", cpu->vector_bits);
    cJSON_AddBoolToObject(object, "in_order", cpu->flags & CPU_IN_ORDER);
    cJSON_AddNumberToObject(object, "ghz", cpu->ghz);
    cJSON_AddNumberToObject(object, "cores", cpu->cores);
    cJSON_AddNumberToObject(object, "bandwidth_gbps", cpu->bandwidth_gbps);
    cJSON_AddNumberToObject(object, "cache_mib", cpu->cache_mib);
    cJSON_AddNumberToObject(object, "cache_bytes_per_cycle", cpu->cache_bytes_per_cycle);
    cJSON *peak = cJSON_AddObjectToObject(object, "peak_per_cycle");
    cJSON_AddNumberToObject(peak, "f32", cpu->peak_f32);
    if (cpu->peak_f16 > 0) cJSON_AddNumberToObject(peak, "f16", cpu->peak_f16);
    if (cpu->peak_int8 > 0) cJSON_AddNumberToObject(peak, "int8", cpu->peak_int8);
    cJSON_AddStringToObject(peak, "source", cpu->peak_source);
    cJSON_AddItemToObject(object, "per_cycle", rates_json(rates));
    return object;
}

/* Raises the rates to what code of the instruction set's width reaches. */
static enum status price_width(const struct cpu *cpu, const struct isa *isa, double rates[K_COUNT], struct arena *arena,
                               struct diag *diag) {
    double here[K_COUNT] = {0};
    LLVMTargetMachineRef machine = machine_for_cpu(cpu, diag);
    if (!machine) return diag->status;
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext(cpu->name, context);
    machine_prepare(machine, module);
    struct candidates *all = arena_alloc(arena, sizeof *all);
    add_candidates(all, module, isa, arena);
    const char *assembly = machine_assembly(machine, module, arena, diag);
    LLVMDisposeModule(module);
    LLVMContextDispose(context);
    LLVMDisposeTargetMachine(machine);
    if (!assembly) return diag->status;
    TRY(simulate(cpu, all, assembly, here, arena, diag));
    for (enum kernel k = 0; k < K_COUNT; k++) rates[k] = fmax(rates[k], here[k]);
    return ST_OK;
}

/* Where 512 bits are worked on in halves, code of 256 may be the faster. */
cJSON *price_cpu(const struct cpu *cpu, struct arena *arena, struct diag *diag) {
    double rates[K_COUNT] = {0};
    struct isa isa = cpu_isa(cpu);
    if (price_width(cpu, &isa, rates, arena, diag) != ST_OK) return NULL;
    if (isa.arch == X86 && isa.vector_bits == 512) {
        isa.vector_bits = 256;
        if (price_width(cpu, &isa, rates, arena, diag) != ST_OK) return NULL;
    }
    return cpu_json(cpu, rates);
}
