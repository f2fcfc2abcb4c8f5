/* The library through its public header: what callers rely on about answers, errors, memory and threads. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_latency.h"

#define NETS    SOURCE_DIR "/models/nets/"
#define RESNET  NETS "resnet18.onnx"
#define MOBILE  NETS "mobilenet_v2.onnx"
#define BERT    NETS "bert_4_layers.onnx"
#define UNET    NETS "unet.onnx"
#define TARGETS SOURCE_DIR "/models/targets/"

static ol_context *context;

static void start(void) {
    context = ol_context_new(NULL);
    cr_assert_not_null(context);
}

static void stop(void) {
    ol_context_free(context);
}

TestSuite(api, .init = start, .fini = stop);

static ol_model *open_model(const char *path) {
    ol_model *m;
    cr_assert_eq(ol_model_open(context, path, &m), OL_OK, "%s", ol_model_error(m));
    return m;
}

static ol_target *open_target(const char *name) {
    ol_target *t;
    cr_assert_eq(ol_target_open(context, name, &t), OL_OK, "%s", ol_target_error(t));
    return t;
}

static double latency(ol_model *m, const ol_target *t) {
    const ol_estimate *e;
    cr_assert_eq(ol_model_predict(m, t, &e), OL_OK, "%s", ol_model_error(m));
    return e->latency_ms;
}

/* ---- Answers ---- */

Test(api, profile) {
    const ol_profile *p, *again;
    int64_t macs = 0, flops = 0;
    ol_model *m = open_model(MOBILE);
    cr_assert_eq(ol_model_profile(m, &p), OL_OK, "%s", ol_model_error(m));
    cr_expect_eq(p->totals.macs, 300774272);
    cr_expect_eq(p->n_unresolved, 0);
    cr_expect_eq(p->totals.uncounted_nodes, 0);
    cr_assert_eq(p->n_inputs, 1);
    cr_expect_eq(p->inputs[0].rank, 4);
    cr_expect_eq(p->inputs[0].dims[0].value, 1); /* the batch */
    cr_expect_eq(p->inputs[0].dims[3].value, 224);
    for (size_t i = 0; i < p->n_nodes; i++) macs += p->nodes[i].macs, flops += p->nodes[i].flops;
    cr_expect_eq(macs, p->totals.macs);
    cr_expect_eq(flops, p->totals.flops);
    cr_assert_eq(ol_model_profile(m, &again), OL_OK);
    cr_expect_eq(p, again); /* made once */
    ol_model_free(m);
}

static void check_estimate(const ol_estimate *e) {
    double sum = 0;
    size_t named = 0;
    for (size_t i = 0; i < e->n_kernels; i++) {
        sum += e->kernels[i].ms;
        named += e->kernels[i].n_nodes;
        cr_expect(e->kernels[i].ms >= 0 && e->kernels[i].n_nodes > 0 && *e->kernels[i].nodes[0]);
    }
    cr_expect(fabs(sum / e->latency_ms - 1) < 1e-12, "%s: kernels sum to %g of %g ms", e->target, sum, e->latency_ms);
    cr_expect(0 < e->lo_ms && e->lo_ms < e->latency_ms && e->latency_ms < e->hi_ms);
    cr_expect(e->coverage > 0 && e->coverage <= 1 && e->confidence == 0.9);
    cr_expect(named > 0);
}

Test(api, every_target_predicts) {
    ol_names *names;
    ol_model *m = open_model(RESNET);
    cr_assert_eq(ol_target_names(context, &names), OL_OK);
    cr_expect_geq(names->count, 23);
    for (size_t i = 0; i < names->count; i++) {
        const ol_estimate *e;
        ol_target *t = open_target(names->at[i]);
        cr_expect_str_eq(ol_target_describe(t)->name, names->at[i]);
        cr_expect(i == 0 || strcmp(names->at[i - 1], names->at[i]) < 0, "sorted, each once");
        cr_assert_eq(ol_model_predict(m, t, &e), OL_OK, "%s", ol_model_error(m));
        cr_expect_str_eq(e->target, names->at[i]);
        check_estimate(e);
        ol_target_free(t);
    }
    ol_names_free(names);
    ol_model_free(m);
}

/* The analysis is shared, the answers are not mixed up. */
Test(api, order_of_questions_changes_nothing) {
    const ol_profile *p;
    ol_target *gpu = open_target("nvidia-a100"), *cpu = open_target("raspberry-pi-4");
    ol_model *one = open_model(MOBILE), *two = open_model(MOBILE);
    double gpu_ms = latency(one, gpu), cpu_ms = latency(one, cpu);
    cr_assert_eq(ol_model_profile(two, &p), OL_OK);
    int64_t macs = p->totals.macs;
    size_t nodes = p->n_nodes;
    cr_expect_eq(latency(two, cpu), cpu_ms);
    cr_expect_eq(latency(two, gpu), gpu_ms);
    cr_assert_eq(ol_model_profile(one, &p), OL_OK);
    cr_expect_eq(p->totals.macs, macs); /* also when predictions came first */
    cr_expect_eq(p->n_nodes, nodes);
    ol_target_free(gpu);
    cr_expect_eq(latency(two, cpu), cpu_ms); /* kernels outlive the target they were made for */
    ol_target_free(cpu);
    ol_model_free(one);
    ol_model_free(two);
}

Test(api, more_work_takes_longer) {
    ol_target *t = open_target("raspberry-pi-4");
    double last = 0;
    for (int64_t batch = 1; batch <= 64; batch *= 4) {
        ol_model *m = open_model(MOBILE);
        cr_assert_eq(ol_model_set_batch(m, batch), OL_OK);
        double ms = latency(m, t);
        cr_expect(ms > last);
        last = ms;
        ol_model_free(m);
    }
    ol_target_free(t);
}

Test(api, precision) {
    ol_target *t = open_target("nvidia-t4");
    ol_model *m = open_model(RESNET);
    double as_written = latency(m, t);
    cr_assert_eq(ol_target_set_precision(t, "fp32"), OL_OK);
    cr_expect_eq(latency(m, t), as_written);
    cr_assert_eq(ol_target_set_precision(t, "fp16"), OL_OK);
    cr_expect(latency(m, t) < as_written);
    cr_expect_str_eq(ol_target_describe(t)->precision, "fp16");
    cr_expect_eq(ol_target_set_precision(t, "fp8"), OL_EUSAGE);
    ol_model_free(m);
    ol_target_free(t);
}

static void *read_path(const char *path, size_t *length) {
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in);
    fseek(in, 0, SEEK_END);
    *length = (size_t)ftell(in);
    rewind(in);
    void *bytes = malloc(*length);
    cr_assert_eq(fread(bytes, 1, *length, in), *length);
    fclose(in);
    return bytes;
}

Test(api, from_memory) {
    size_t length;
    void *bytes = read_path(RESNET, &length);
    ol_target *t = open_target("nvidia-t4");
    ol_model *file = open_model(RESNET), *memory;
    cr_assert_eq(ol_model_open_bytes(context, bytes, length, "mine", &memory), OL_OK, "%s", ol_model_error(memory));
    cr_expect_eq(latency(memory, t), latency(file, t));
    ol_model_free(memory);
    cr_expect_eq(ol_model_open_bytes(context, bytes, length / 2, "mine", &memory), OL_EFORMAT);
    cr_expect(strncmp(ol_model_error(memory), "mine: ", 6) == 0, "%s", ol_model_error(memory));
    ol_model_free(memory);
    ol_model_free(file);
    ol_target_free(t);
    free(bytes);
}

/* ---- Errors ---- */

Test(api, what_cannot_be_opened_says_why) {
    ol_model *m;
    ol_target *t;
    cr_expect_eq(ol_model_open(context, NETS "none.onnx", &m), OL_EIO);
    cr_expect_str_eq(ol_model_error(m), NETS "none.onnx: No such file or directory");
    ol_model_free(m);
    cr_expect_eq(ol_target_open(context, "nvidia-t44", &t), OL_ETARGET);
    cr_expect_str_eq(ol_target_error(t), "target \"nvidia-t44\" is not known; did you mean nvidia-t4? "
                                         "\"onnx-latency targets\" lists all");
    ol_target_free(t);
    cr_expect_eq(ol_target_open(context, "../targets/nvidia-t4", &t), OL_ETARGET, "names are no paths");
    ol_target_free(t);
    cr_expect_eq(ol_target_open(context, TARGETS "nvidia-t4.json", &t), OL_OK);
    ol_target_free(t);
    ol_model_free(NULL), ol_target_free(NULL), ol_names_free(NULL), ol_context_free(NULL);
}

#define EXPECT_REFUSAL(call, expected, error, fragment)                                                                \
    do {                                                                                                               \
        cr_expect_eq(call, expected);                                                                                  \
        cr_expect(strstr(error, fragment), "%s", error);                                                               \
    } while (0)

/* Callers that go on after a failure are told of it again, not given a number. */
Test(api, what_did_not_open_answers_nothing) {
    ol_model *broken, *m = open_model(RESNET);
    ol_target *nowhere, *t = open_target("nvidia-t4");
    const ol_estimate *e;
    const ol_profile *p;
    const ol_search_result *found;
    ol_search *search;
    double budget = 1;
    cr_assert_eq(ol_model_open(context, "no-such.onnx", &broken), OL_EIO);
    cr_assert_eq(ol_target_open(context, "nosuch", &nowhere), OL_ETARGET);
    EXPECT_REFUSAL(ol_model_predict(broken, t, &e), OL_EIO, ol_model_error(broken), "no-such.onnx");
    EXPECT_REFUSAL(ol_model_profile(broken, &p), OL_EIO, ol_model_error(broken), "no-such.onnx");
    EXPECT_REFUSAL(ol_model_set_batch(broken, 2), OL_EIO, ol_model_error(broken), "no-such.onnx");
    cr_expect_null(e);
    cr_expect_null(p);
    cr_expect_not(ol_model_leaves_open(broken, "N") || ol_model_has_input(broken, "x"));
    EXPECT_REFUSAL(ol_model_predict(m, nowhere, &e), OL_ETARGET, ol_model_error(m), "\"nosuch\" is not known");
    EXPECT_REFUSAL(ol_target_set_precision(nowhere, "fp16"), OL_ETARGET, ol_target_error(nowhere), "\"nosuch\"");
    cr_expect_eq(ol_model_predict(m, t, &e), OL_OK, "%s", ol_model_error(m));
    const ol_target *const good[] = {t}, *const bad[] = {nowhere};
    ol_search_request request = {.model = broken, .targets = good, .budgets_ms = &budget, .n_targets = 1};
    EXPECT_REFUSAL(ol_search_run(context, &request, &found, &search), OL_EIO, ol_search_error(search), "no-such.onnx");
    ol_search_free(search);
    request = (ol_search_request){.space = "fbnet", .targets = bad, .budgets_ms = &budget, .n_targets = 1};
    EXPECT_REFUSAL(ol_search_run(context, &request, &found, &search), OL_ETARGET, ol_search_error(search), "nosuch");
    ol_search_free(search);
    request = (ol_search_request){
        .space = "fbnet", .targets = good, .budgets_ms = &budget, .n_targets = 1, .risk = NAN, .evaluations = 10};
    EXPECT_REFUSAL(ol_search_run(context, &request, &found, &search), OL_EUSAGE, ol_search_error(search), "risk");
    ol_search_free(search);
    cr_expect_str_eq(ol_status_text((ol_status)-1), "unknown status");
    ol_model_free(broken), ol_model_free(m), ol_target_free(nowhere), ol_target_free(t);
}

Test(api, open_sizes_are_refused_by_predictions_only) {
    const ol_estimate *e;
    const ol_profile *p;
    size_t n_warnings;
    ol_target *t = open_target("nvidia-t4");
    ol_model *m = open_model(BERT);
    cr_assert_eq(ol_model_profile(m, &p), OL_OK);
    cr_expect_eq(p->inputs[0].dims[1].value, -1);
    cr_expect_str_eq(p->inputs[0].dims[1].symbol, "sequence");
    cr_expect_gt(p->totals.uncounted_nodes, 0);
    cr_expect_eq(p->totals.peak_memory_bytes, -1);
    ol_model_warnings(m, &n_warnings);
    cr_expect_eq(n_warnings, 1, "the batch, once");
    for (int i = 0; i < 2; i++) { /* asking again gives the same answer */
        cr_expect_eq(ol_model_predict(m, t, &e), OL_ESHAPE);
        cr_expect_null(e);
        cr_expect_str_eq(ol_model_error(m), BERT ": the inputs leave sequence open; give --dim sequence=N");
    }
    cr_expect_eq(ol_model_set_dim(m, "sequence", 64), OL_EUSAGE, "too late");
    ol_model_free(m);
    m = open_model(BERT);
    cr_assert_eq(ol_model_set_dim(m, "sequence", 64), OL_OK);
    cr_expect(latency(m, t) > 0);
    ol_model_free(m);
    ol_target_free(t);
}

Test(api, wrong_sizes_are_refused) {
    const ol_profile *p;
    int64_t shape[] = {1, 3, 64};
    ol_model *m = open_model(UNET);
    cr_expect_eq(ol_model_set_batch(m, 0), OL_EUSAGE);
    cr_expect_str_eq(ol_model_error(m), UNET ": a batch cannot be 0");
    cr_assert_eq(ol_model_set_shape(m, "input", shape, 3), OL_OK);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(ol_model_profile(m, &p), OL_EUSAGE);
        cr_expect_str_eq(ol_model_error(m), UNET ": input \"input\" has rank 4, the shape given for it has 3");
    }
    cr_expect(ol_model_has_input(m, "input") && !ol_model_has_input(m, "image"));
    ol_model_free(m);
}

/* ---- Looking inside ---- */

static void count_text(void *user, const char *pass, const char *text, size_t length) {
    size_t *seen = user;
    cr_expect(strcmp(pass, "topo") == 0 || strcmp(pass, "lower") == 0, "%s", pass);
    cr_expect(length > 0 && text[length] == '\0');
    ++*seen;
}

Test(api, passes) {
    size_t seen = 0, n;
    ol_target *t = open_target("nvidia-t4");
    ol_model *m = open_model(RESNET);
    cr_expect_eq(ol_model_set_passes(m, "bind,lowest"), OL_EUSAGE);
    cr_assert_eq(ol_model_set_passes(m, "B,T,S,F,C,L"), OL_OK);
    cr_assert_eq(ol_model_print_after(m, "topo,lower", count_text, &seen), OL_OK);
    latency(m, t);
    cr_expect_eq(seen, 2);
    const ol_timing *timings = ol_model_timings(m, &n);
    cr_assert_eq(n, 7);
    cr_expect_str_eq(timings[0].pass, "read");
    cr_expect_str_eq(timings[6].pass, "lower");
    ol_model_free(m);
    ol_target_free(t);
}

static void count_message(void *user, const char *message) {
    cr_expect_not_null(strstr(message, "batch"));
    ++*(size_t *)user;
}

Test(api, warnings_reach_the_log) {
    const ol_profile *p;
    size_t seen = 0;
    ol_model *m;
    ol_context *c = ol_context_new(&(ol_settings){.log = count_message, .log_user = &seen});
    cr_assert_eq(ol_model_open(c, MOBILE, &m), OL_OK);
    cr_assert_eq(ol_model_profile(m, &p), OL_OK);
    cr_assert_eq(ol_model_profile(m, &p), OL_OK);
    cr_expect_eq(seen, 1);
    ol_model_free(m);
    ol_context_free(c);
}

/* ---- Memory ---- */

struct counted {
    atomic_size_t calls, live;
    size_t fail_at; /* the number of the call that gets nothing; 0: none */
};

static void *counted_alloc(void *user, size_t bytes) {
    struct counted *c = user;
    if (atomic_fetch_add(&c->calls, 1) + 1 == c->fail_at) return NULL;
    atomic_fetch_add(&c->live, 1);
    return malloc(bytes);
}

static void counted_free(void *user, void *block) {
    struct counted *c = user;
    if (block) atomic_fetch_sub(&c->live, 1);
    free(block);
}

/* Everything a caller does, carrying on after each failure as far as objects exist. */
static bool ask_everything(ol_context *c) {
    const ol_profile *p;
    const ol_estimate *e;
    ol_names *names;
    ol_target *t;
    ol_model *m;
    bool memory = ol_target_names(c, &names) != OL_EMEMORY;
    ol_names_free(names);
    ol_status opened = ol_target_open(c, "raspberry-pi-4", &t), read = ol_model_open(c, MOBILE, &m);
    memory &= opened != OL_EMEMORY && read != OL_EMEMORY;
    if (read == OL_OK) memory &= ol_model_set_batch(m, 2) != OL_EMEMORY;
    if (read == OL_OK && opened == OL_OK) memory &= ol_model_predict(m, t, &e) != OL_EMEMORY;
    if (read == OL_OK) memory &= ol_model_profile(m, &p) != OL_EMEMORY;
    if (!memory && m) cr_expect(*ol_model_error(m) || *ol_target_error(t) || opened == OL_OK);
    ol_target_free(t);
    ol_model_free(m);
    return memory;
}

static bool attempt(struct counted *counted) {
    ol_settings settings = {.allocator = {counted_alloc, counted_free, counted}};
    ol_context *c = ol_context_new(&settings);
    bool memory = c && ask_everything(c);
    ol_context_free(c);
    return memory;
}

Test(api, every_allocation_may_fail, .timeout = 120) {
    struct counted all = {0};
    cr_assert(attempt(&all));
    cr_expect_eq(all.live, 0);
    cr_assert_gt(all.calls, 5);
    for (size_t n = 1; n <= all.calls; n++) {
        struct counted some = {.fail_at = n};
        cr_expect(!attempt(&some), "allocation %zu failed and nobody noticed", n);
        cr_expect(some.live == 0, "allocation %zu failed and %zu blocks leak", n, (size_t)some.live);
    }
}

/* ---- Threads ---- */

enum { N_RUNS = 64 };

struct race {
    ol_target *targets[2];
    double ms[N_RUNS];
};

static void run_one(void *user, size_t i, unsigned worker) {
    static const char *const paths[] = {RESNET, MOBILE};
    struct race *race = user;
    const ol_estimate *e;
    ol_model *m;
    (void)worker;
    if (ol_model_open(context, paths[i % 2], &m) == OL_OK && ol_model_predict(m, race->targets[i / 2 % 2], &e) == OL_OK)
        race->ms[i] = e->latency_ms;
    ol_model_free(m);
}

Test(api, threads_get_the_answers_of_one) {
    struct race alone = {.targets = {open_target("nvidia-t4"), open_target("pixel-3")}}, together = alone;
    ol_parallel_for(1, N_RUNS, run_one, &alone);
    ol_parallel_for(8, N_RUNS, run_one, &together);
    for (size_t i = 0; i < N_RUNS; i++) {
        cr_expect(alone.ms[i] > 0);
        cr_expect_eq(alone.ms[i], together.ms[i]);
        cr_expect_eq(alone.ms[i], alone.ms[i % 4]);
    }
    ol_target_free(alone.targets[0]);
    ol_target_free(alone.targets[1]);
}

/* ---- Files ---- */

Test(api, files_appear_whole) {
    char message[256];
    size_t length;
    const char *path = BINARY_DIR "/written-by-test-api";
    cr_assert_eq(ol_write_file(path, "whole", 5, message, sizeof message), OL_OK);
    char *back = read_path(path, &length);
    cr_expect(length == 5 && memcmp(back, "whole", 5) == 0);
    cr_expect_eq(ol_write_file(BINARY_DIR "/no/such/folder", "x", 1, message, sizeof message), OL_EIO);
    cr_expect_not_null(strstr(message, "no/such/folder: cannot be written: "));
    remove(path);
    free(back);
}
