/* Matrix products over packed panels: a block of `rows` x `vectors` accumulators stays in registers while the loop runs
 * along the sum. A panel of A holds `rows` values a step, one of B `vectors` vectors. */
#include "emit.h"

/* Steps an iteration. Narrow cores would see the counting; with 16 registers a second step makes the scheduler spill.
 */
static unsigned unrolling(const struct isa *isa) {
    return isa->arch == X86 ? 1 : 2;
}

static void start_sums(LLVMTypeRef vector, unsigned n, ir *sums) {
    for (unsigned i = 0; i < n; i++) sums[i] = LLVMConstNull(vector);
}

static void store_sums(struct emit *e, LLVMTypeRef vector, unsigned n) {
    e->counter = NULL;
    for (unsigned i = 0; i < n; i++) store(e, e->carried[i], vector_at(e, e->c, vector, 0, i), 4);
}

struct rows {       /* the values of A for one step */
    unsigned bytes; /* of a value */
    int64_t step, offset;
    ir loaded; /* AArch64: the register that holds the current group */
};

/* Row `r` of A in every lane. AArch64 multiplies by one lane of a register: there A is loaded 16 bytes at a time and
 * never broadcast. Rows are asked for in order. */
static ir row_everywhere(struct emit *e, struct rows *rows, LLVMTypeRef vector, LLVMTypeRef scalar, unsigned r) {
    if (e->isa->arch != AARCH64 || e->isa->vscale)
        return splat(e, load(e, scalar, bytes_at(e, e->a, rows->step, rows->offset + r * rows->bytes), rows->bytes),
                     vector);
    unsigned n = LLVMGetVectorSize(vector);
    if (r % n == 0)
        rows->loaded = load(e, vector, bytes_at(e, e->a, rows->step, rows->offset + r * rows->bytes), rows->bytes);
    ir index[16];
    for (unsigned i = 0; i < n; i++) index[i] = LLVMConstInt(LLVMInt32TypeInContext(e->context), r % n, false);
    return LLVMBuildShuffleVector(e->builder, rows->loaded, LLVMGetPoison(vector), LLVMConstVector(index, n), "");
}

/* sum += a * b in every lane; a is the same in all of them. */
typedef ir multiply_fn(struct emit *, ir a, ir b, ir sum);

/* All of B first, then row by row: one register for A at a time, where it has to be broadcast. */
static void multiply_block(struct emit *e, LLVMTypeRef vector, LLVMTypeRef scalar, unsigned bytes, struct variant v,
                           multiply_fn *multiply) {
    unsigned n = v.rows * v.vectors, unroll = unrolling(e->isa);
    ir sums[MAX_ACCUMULATORS] = {NULL}, b[MAX_ACCUMULATORS];
    start_sums(vector, n, sums);
    loop_open(e, sums, n);
    for (unsigned i = 0; i < n; i++) sums[i] = e->carried[i];
    for (unsigned u = 0; u < unroll; u++) {
        for (unsigned j = 0; j < v.vectors; j++)
            b[j] = load(e, vector, vector_at(e, e->b, vector, v.vectors * unroll, u * v.vectors + j), bytes);
        struct rows rows = {.bytes = bytes, .step = v.rows * bytes * unroll, .offset = u * v.rows * bytes};
        for (unsigned r = 0; r < v.rows; r++) {
            ir a = row_everywhere(e, &rows, vector, scalar, r);
            for (unsigned j = 0; j < v.vectors; j++)
                sums[r * v.vectors + j] = multiply(e, a, b[j], sums[r * v.vectors + j]);
        }
    }
    loop_close(e, sums);
    store_sums(e, vector, n);
}

static struct loop_facts block_facts(struct emit *e, struct variant v, unsigned bytes, double work) {
    unsigned unroll = unrolling(e->isa);
    size_t whole = vector_bytes(e->isa);
    return (struct loop_facts){.work = work * unroll * v.rows * v.vectors,
                               .a_step = v.rows * bytes * unroll,
                               .a_extra = 16,
                               .b_step = v.vectors * unroll * whole,
                               .c_extra = v.rows * v.vectors * whole};
}

void build_gemm(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    unsigned bytes = (unsigned)element_bytes(element);
    multiply_block(e, vector_type(e, element), element_type(e, element), bytes, v, multiply_add);
    *facts = block_facts(e, v, bytes, 2.0 * lanes(e->isa, element));
}

static LLVMTypeRef wide_vector(struct emit *e) { /* of 32-bit sums, or of groups of four bytes */
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    unsigned n = lanes(e->isa, F32);
    return e->isa->vscale ? LLVMScalableVectorType(i32, n / e->isa->vscale) : LLVMVectorType(i32, n);
}

struct x86_names {
    const char *bytes, *words, *dot; /* products of bytes added in pairs, the same of 16 bits, of bytes in fours */
};

static const struct x86_names *x86_names(const struct isa *isa) {
    static const struct x86_names table[] = {
        /* vectors of 128, 256, 512 bits */
        {"llvm.x86.ssse3.pmadd.ub.sw.128", "llvm.x86.sse2.pmadd.wd", "llvm.x86.avx512.vpdpbusd.128"},
        {"llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd", "llvm.x86.avx512.vpdpbusd.256"},
        {"llvm.x86.avx512.pmaddubs.w.512", "llvm.x86.avx512.pmaddw.d.512", "llvm.x86.avx512.vpdpbusd.512"}};
    return &table[isa->vector_bits == 128 ? 0 : isa->vector_bits == 256 ? 1 : 2];
}

/* x86 without dot products: bytes to pairs of 16 bits, pairs to 32 bits, then the sum. */
static ir multiply_pairs(struct emit *e, ir a, ir b, ir sum) {
    const struct x86_names *names = x86_names(e->isa);
    unsigned n = e->isa->vector_bits / 8;
    LLVMTypeRef i8s = fixed_vector(LLVMInt8TypeInContext(e->context), n);
    LLVMTypeRef i16 = LLVMInt16TypeInContext(e->context), i16s = fixed_vector(i16, n / 2);
    ir bytes[] = {LLVMBuildBitCast(e->builder, a, i8s, ""), LLVMBuildBitCast(e->builder, b, i8s, "")};
    ir pairs = call_intrinsic(e, names->bytes, NULL, 0, bytes, 2);
    ir ones = splat(e, LLVMConstInt(i16, 1, false), i16s);
    ir words = call_intrinsic(e, names->words, NULL, 0, (ir[]){pairs, ones}, 2);
    return LLVMBuildAdd(e->builder, sum, words, "");
}

/* sum += four products of bytes in each 32-bit lane. */
static ir dot4(struct emit *e, ir a, ir b, ir sum) {
    if (e->isa->arch == X86) {
        if (!e->isa->dot) return multiply_pairs(e, a, b, sum);
        return call_intrinsic(e, x86_names(e->isa)->dot, NULL, 0, (ir[]){sum, a, b}, 3);
    }
    LLVMTypeRef words = LLVMTypeOf(sum), bytes = vector_type(e, I8);
    ir x = LLVMBuildBitCast(e->builder, a, bytes, ""), y = LLVMBuildBitCast(e->builder, b, bytes, "");
    if (e->isa->vscale) return call_intrinsic(e, "llvm.aarch64.sve.sdot", &words, 1, (ir[]){sum, x, y}, 3);
    /* The operand that is one lane of a register is the last. */
    return call_intrinsic(e, "llvm.aarch64.neon.sdot", (LLVMTypeRef[]){words, bytes}, 2, (ir[]){sum, y, x}, 3);
}

/* AArch64 before dot products: rows x columns of sums, eight bytes along the sum at a time; products are widened to 16
 * bits and added pairwise into 32. */
static void build_gemm_widening(struct emit *e, struct variant v, struct loop_facts *facts) {
    LLVMTypeRef i8 = LLVMInt8TypeInContext(e->context), i16 = LLVMInt16TypeInContext(e->context);
    LLVMTypeRef words = wide_vector(e), bytes = fixed_vector(i8, 8), halves = fixed_vector(i16, 8);
    ir sums[MAX_ACCUMULATORS], b[MAX_ACCUMULATORS];
    unsigned n = v.rows * v.vectors;
    start_sums(words, n, sums);
    loop_open(e, sums, n);
    for (unsigned j = 0; j < v.vectors; j++)
        b[j] = LLVMBuildSExt(e->builder, load(e, bytes, bytes_at(e, e->b, 8 * v.vectors, 8 * j), 1), halves, "");
    for (unsigned r = 0; r < v.rows; r++) {
        ir a = LLVMBuildSExt(e->builder, load(e, bytes, bytes_at(e, e->a, 8 * v.rows, 8 * r), 1), halves, "");
        for (unsigned j = 0; j < v.vectors; j++) {
            ir product = LLVMBuildMul(e->builder, a, b[j], "");
            ir pairs = call_intrinsic(e, "llvm.aarch64.neon.saddlp", (LLVMTypeRef[]){words, halves}, 2, &product, 1);
            sums[r * v.vectors + j] = LLVMBuildAdd(e->builder, e->carried[r * v.vectors + j], pairs, "");
        }
    }
    loop_close(e, sums);
    store_sums(e, words, n);
    *facts = (struct loop_facts){.work = 16.0 * n, .a_step = 8 * v.rows, .b_step = 8 * v.vectors, .c_extra = 16 * n};
}

void build_gemm_int8(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    (void)element;
    if (e->isa->arch == AARCH64 && !e->isa->dot)
        build_gemm_widening(e, v, facts);
    else {
        multiply_block(e, wide_vector(e), LLVMInt32TypeInContext(e->context), 4, v,
                       dot4); /* four bytes in place of a value */
        *facts = block_facts(e, v, 4, 8.0 * lanes(e->isa, F32));
    }
}

/* Rows of a matrix times one vector: every weight is loaded for one multiply-add. */
void build_gemv(struct emit *e, enum element element, struct variant v, struct loop_facts *facts) {
    enum { ROW_BYTES = 2048 };
    LLVMTypeRef vector = vector_type(e, element);
    size_t whole = vector_bytes(e->isa);
    int64_t step = (int64_t)(v.vectors * whole);
    ir sums[MAX_ACCUMULATORS];
    unsigned n = v.rows * v.vectors;
    start_sums(vector, n, sums);
    loop_open(e, sums, n);
    for (unsigned j = 0; j < v.vectors; j++) {
        ir x = load(e, vector, bytes_at(e, e->b, step, (int64_t)(j * whole)), 4);
        for (unsigned r = 0; r < v.rows; r++) {
            ir w = load(e, vector, bytes_at(e, e->a, step, (int64_t)(r * ROW_BYTES + j * whole)), 4);
            sums[r * v.vectors + j] = multiply_add(e, w, x, e->carried[r * v.vectors + j]);
        }
    }
    loop_close(e, sums);
    store_sums(e, vector, n);
    *facts = (struct loop_facts){.work = 2.0 * n * lanes(e->isa, element),
                                 .a_step = (size_t)step,
                                 .b_step = (size_t)step,
                                 .a_extra = v.rows * ROW_BYTES,
                                 .c_extra = n * whole,
                                 .max_iterations = (unsigned)(ROW_BYTES / step)};
}
