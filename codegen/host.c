/* What this machine can do: the same kernels as price.c, timed. Rates of arithmetic come from data in the first cache;
 * bandwidths from arrays of growing size; threads run copies side by side. Best of several runs: what disturbs a
 * measurement only ever makes it slower. */
#include "codegen.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define L1_BYTES    (20 * 1024) /* stays in any first-level data cache */
#define RUN_SECONDS 1e-3
#define RUNS        9
#define LARGEST     (256u << 20) /* bytes of one array */
#define MAX_THREADS 64

struct arrays {
    char *a, *b, *c;
    size_t bytes; /* of each */
};

struct code { /* a kernel ready to run */
    loop_fn *run;
    struct loop_facts facts;
    struct variant variant;
};

struct host {
    struct jit *jit;
    struct arena *arena;
    struct diag *diag;
    double hz;
    double rates[K_COUNT];     /* work a second, data in the first cache */
    struct code best[K_COUNT]; /* the blocking that reached it */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char *array_new(size_t bytes) {
    void *block = NULL;
    if (posix_memalign(&block, 4096, bytes)) return NULL;
    return memset(block, 0, bytes);
}

static void arrays_free(struct arrays *x) {
    free(x->a);
    free(x->b);
    free(x->c);
}

static bool arrays_new(struct arrays *x, size_t bytes, bool need_b) {
    *x = (struct arrays){array_new(bytes), need_b ? array_new(bytes) : NULL, array_new(bytes), bytes};
    if (x->a && x->c && (x->b || !need_b)) return true;
    arrays_free(x);
    return false;
}

static double seconds_of(loop_fn *run, const struct arrays *x, uint64_t iterations, uint64_t repeats) {
    double start = now();
    for (uint64_t i = 0; i < repeats; i++) run(x->a, x->b, x->c, iterations);
    return now() - start;
}

/* Calls in RUN_SECONDS; at least one. */
static uint64_t repeats_for(loop_fn *run, const struct arrays *x, uint64_t iterations) {
    uint64_t repeats = 1;
    while (seconds_of(run, x, iterations, repeats) < RUN_SECONDS && repeats < UINT64_C(1) << 40) repeats *= 2;
    return repeats;
}

static double best_seconds(loop_fn *run, const struct arrays *x, uint64_t iterations, int runs) {
    uint64_t repeats = repeats_for(run, x, iterations);
    double best = INFINITY;
    for (int i = 0; i < runs; i++) best = fmin(best, seconds_of(run, x, iterations, repeats) / (double)repeats);
    return best;
}

static uint64_t iterations_within(const struct loop_facts *f, size_t bytes) {
    size_t fixed = f->a_extra + f->b_extra + f->c_extra, step = f->a_step + f->b_step + f->c_step;
    uint64_t n = step && bytes > fixed ? (bytes - fixed) / step : 1;
    if (f->max_iterations && (!step || n > f->max_iterations)) n = f->max_iterations;
    return n ? n : 1;
}

static enum status find_clock(struct host *host) {
    loop_fn *run = jit_clock(host->jit, host->diag);
    if (!run) return host->diag->status;
    uint64_t a = 1, b = 0x9e3779b97f4a7c15u, c = 0;
    struct arrays x = {(char *)&a, (char *)&b, (char *)&c, sizeof a};
    host->hz = CLOCK_CHAIN * 1000.0 / best_seconds(run, &x, 1000, RUNS);
    return ST_OK;
}

/* Every blocking of a kernel; the fastest is kept. */
static enum status time_kernel(struct host *host, enum kernel k, const struct arrays *x) {
    for (const struct variant *v = kernel_table[k].variants; v->rows; v++) {
        struct code code = {.variant = *v};
        code.run = jit_kernel(host->jit, k, *v, &code.facts, host->diag);
        if (!code.run) return host->diag->status;
        uint64_t n = iterations_within(&code.facts, L1_BYTES);
        double rate = code.facts.work * (double)n / best_seconds(code.run, x, n, RUNS);
        if (rate <= host->rates[k]) continue;
        host->rates[k] = rate;
        host->best[k] = code;
    }
    return ST_OK;
}

static enum status time_kernels(struct host *host) {
    struct arrays x;
    if (!arrays_new(&x, 1 << 20, true)) return diag_fail(host->diag, ST_MEMORY, "out of memory");
    enum status status = ST_OK;
    for (enum kernel k = 0; k < K_COUNT && status == ST_OK; k++)
        if (kernel_supported(k, jit_isa(host->jit))) status = time_kernel(host, k, &x);
    arrays_free(&x);
    return status;
}

static double stream_rate(const struct code *code, const struct arrays *x, size_t bytes) {
    size_t step = code->facts.a_step;
    uint64_t n = bytes / step;
    return code->facts.work * (double)n / best_seconds(code->run, x, n, bytes > (4u << 20) ? 3 : RUNS);
}

#define SIZES 8 /* of arrays, from 16 KiB up by factors of four */

struct levels { /* bandwidths in GB/s by size of the arrays */
    size_t n;
    size_t bytes[SIZES];
    double copy[SIZES], read[SIZES]; /* copies: bytes read and written */
};

static struct levels time_levels(struct host *host) {
    struct levels levels = {0};
    struct arrays x;
    size_t largest = LARGEST;
    bool room = arrays_new(&x, largest, false);
    while (!room && largest > (1u << 20)) room = arrays_new(&x, largest /= 4, false);
    for (size_t bytes = 16u << 10; room && bytes <= largest && levels.n < SIZES; bytes *= 4) {
        size_t i = levels.n++;
        levels.bytes[i] = bytes;
        levels.copy[i] = stream_rate(&host->best[K_COPY], &x, bytes) / 1e9;
        levels.read[i] = stream_rate(&host->best[K_READ], &x, bytes) / 1e9;
    }
    if (room) arrays_free(&x);
    return levels;
}

/* What stands for the caches in a CPU's row: the largest pair of arrays that is copied half as fast again as those in
 * main memory, and the rate from a core's outer private cache, which holds 2 x 256 KiB on all but small cores. */
static void add_memory(cJSON *row, const struct levels *levels, double hz) {
    double memory = levels->n ? levels->copy[levels->n - 1] : 0, cached = 0, rate = memory;
    cJSON *list = cJSON_AddArrayToObject(row, "levels");
    for (size_t i = 0; i < levels->n; i++) {
        cJSON *level = cJSON_CreateObject();
        cJSON_AddNumberToObject(level, "bytes", (double)levels->bytes[i]);
        cJSON_AddNumberToObject(level, "copy_gbps", rounded(levels->copy[i]));
        cJSON_AddNumberToObject(level, "read_gbps", rounded(levels->read[i]));
        cJSON_AddItemToArray(list, level);
        if (levels->copy[i] >= 1.5 * memory) cached = 2.0 * (double)levels->bytes[i];
        if (levels->bytes[i] == 256u << 10) rate = levels->copy[i];
    }
    cJSON_AddNumberToObject(row, "bandwidth_gbps", rounded(memory));
    cJSON_AddNumberToObject(row, "cache_mib", cached / 1048576);
    cJSON_AddNumberToObject(row, "cache_bytes_per_cycle", rounded(rate * 1e9 / hz));
}

struct side_by_side {
    const struct code *code;
    struct arrays arrays[MAX_THREADS];
    uint64_t iterations, repeats;
};

static void run_copy(void *user, size_t i, unsigned worker) {
    (void)worker;
    struct side_by_side *s = user;
    seconds_of(s->code->run, &s->arrays[i], s->iterations, s->repeats);
}

/* Work a second of `threads` copies of a kernel, each on arrays of its own. 0 without memory. */
static double threads_rate(const struct code *code, unsigned threads, size_t bytes, uint64_t iterations, bool need_b) {
    struct side_by_side s = {.code = code, .iterations = iterations};
    unsigned ready = 0;
    while (ready < threads && arrays_new(&s.arrays[ready], bytes, need_b)) ready++;
    double best = INFINITY;
    if (ready == threads) {
        s.repeats = 20 * repeats_for(code->run, &s.arrays[0], iterations); /* starting threads must not show */
        if (bytes > (1u << 20)) s.repeats = 3;
        for (int i = 0; i < 5; i++) {
            double start = now();
            parallel_for(threads, threads, run_copy, &s);
            best = fmin(best, now() - start);
        }
    }
    for (unsigned i = 0; i < ready; i++) arrays_free(&s.arrays[i]);
    return code->facts.work * (double)(iterations * s.repeats) * threads / best;
}

static cJSON *thread_rows(struct host *host) {
    cJSON *rows = cJSON_CreateArray();
    unsigned most = cpu_count() < MAX_THREADS ? cpu_count() : MAX_THREADS;
    for (unsigned n = 1; n <= most; n = n < most && n * 2 > most ? most : n * 2) {
        const struct code *gemm = &host->best[K_GEMM_F32], *copy = &host->best[K_COPY];
        size_t slice = LARGEST / n;
        double flops = threads_rate(gemm, n, 1 << 20, iterations_within(&gemm->facts, L1_BYTES), true);
        double bytes = threads_rate(copy, n, slice, slice / copy->facts.a_step, false);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "threads", n);
        cJSON_AddNumberToObject(row, "gemm_f32_gflops", rounded(flops / 1e9));
        cJSON_AddNumberToObject(row, "copy_gbps", rounded(bytes / 1e9));
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

static void add_rates(cJSON *row, const struct host *host) {
    cJSON *peaks = cJSON_AddObjectToObject(row, "peak_per_cycle"), *rates = cJSON_AddObjectToObject(row, "per_cycle");
    static const struct {
        const char *name;
        enum kernel kernel;
    } types[] = {{"f32", K_GEMM_F32}, {"f16", K_GEMM_F16}, {"int8", K_GEMM_INT8}};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        double rate = host->rates[types[i].kernel];
        if (rate > 0) cJSON_AddNumberToObject(peaks, types[i].name, rounded(rate / host->hz));
    }
    cJSON_AddStringToObject(peaks, "source", "timed here");
    for (enum kernel k = 0; k < K_COUNT; k++)
        if (host->rates[k] > 0)
            cJSON_AddNumberToObject(rates, kernel_table[k].name, rounded(host->rates[k] / host->hz));
}

/* As a row of the table of CPUs, with what only a machine at hand can tell. */
static cJSON *host_json(struct host *host) {
    cJSON *row = cJSON_CreateObject();
    struct levels levels = time_levels(host);
    cJSON_AddStringToObject(row, "name", "host");
    cJSON_AddStringToObject(row, "description", jit_cpu_name(host->jit));
    cJSON_AddStringToObject(row, "triple", arch_triple(jit_isa(host->jit)->arch));
    cJSON_AddStringToObject(row, "model", "none, timed");
    cJSON_AddNumberToObject(row, "vector_bits", jit_isa(host->jit)->vector_bits);
    cJSON_AddNumberToObject(row, "ghz", rounded(host->hz / 1e9));
    cJSON_AddNumberToObject(row, "cores", cpu_count());
    add_rates(row, host);
    add_memory(row, &levels, host->hz);
    cJSON_AddItemToObject(row, "threads", thread_rows(host));
    return row;
}

cJSON *measure_host(struct arena *arena, struct diag *diag) {
    struct host host = {.arena = arena, .diag = diag, .jit = jit_open(arena, diag)};
    if (!host.jit) return NULL;
    cJSON *answer = NULL;
    if (find_clock(&host) == ST_OK && time_kernels(&host) == ST_OK) answer = host_json(&host);
    jit_close(host.jit);
    return answer;
}
