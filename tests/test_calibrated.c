/* Calibrated machines: the fit, the file, and the measuring with a runtime that is made up. */
#include "calibrate.h"
#include "frontend.h"
#include "passes.h"
#include "probes.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { NETS = 20, KERNELS = 12, BLOCK = 16 };

static struct arena arena;
static struct diag diag;
static char path[] = BINARY_DIR "/calibrated-XXXXXX";
static struct kernel kernels[NETS * KERNELS];
static struct calibration_row rows[NETS * KERNELS];
static struct calibration_net nets[NETS];

static void start(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    close(mkstemp(path));
}

static void stop(void) {
    unlink(path);
    arena_free(&arena);
}

TestSuite(calibrated, .init = start, .fini = stop);

static struct kernel conv(int64_t c, int64_t size) {
    return (struct kernel){.kind = KC_CONV,
                           .op = "Conv",
                           .count = 1,
                           .macs = c * c * 9 * size * size,
                           .in_bytes = c * size * size * 4,
                           .out_bytes = c * size * size * 4,
                           .weight_bytes = c * c * 36,
                           .batch = 1,
                           .groups = 1,
                           .c_in = c,
                           .c_out = c,
                           .in_h = size,
                           .in_w = size,
                           .out_h = size,
                           .out_w = size,
                           .kernel_h = 3,
                           .kernel_w = 3,
                           .stride_h = 1,
                           .stride_w = 1,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .pad_top = 1,
                           .pad_left = 1,
                           .pad_bottom = 1,
                           .pad_right = 1,
                           .positions = size * size,
                           .reduction = 9 * c,
                           .n_inputs = 1,
                           .variant = CONV_NCHWC};
}

static struct kernel move(const char *op, int64_t c, int64_t size) {
    return (struct kernel){.kind = KC_MOVE,
                           .op = op,
                           .count = 1,
                           .in_bytes = c * size * size * 4,
                           .out_bytes = c * size * size * 4,
                           .batch = 1,
                           .groups = 1,
                           .c_in = c,
                           .c_out = c,
                           .positions = size * size,
                           .n_inputs = 1,
                           .chunk = size};
}

/* What the made-up machine takes: a launch, multiply-accumulates and bytes. */
static double truth(const struct kernel *k) {
    return 1.5 + (double)k->macs / 4e4 + (double)(k->in_bytes + k->out_bytes) / 1e4;
}

static void make_rows(void) {
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t c = 16 * (1 + (int64_t)rng_below(&rng, 16)), size = 7 << rng_below(&rng, 3);
        kernels[i] = i % 3 ? conv(c, size) : move("Concat", c, size);
        rows[i] = (struct calibration_row){&kernels[i], 1000000, (uint32_t)(i / KERNELS), truth(&kernels[i])};
    }
    for (size_t n = 0; n < NETS; n++) nets[n] = (struct calibration_net){n * KERNELS, KERNELS, NAN, 0};
}

static struct calibrated *fitted(void) {
    struct calibrated *c = NULL;
    make_rows();
    cr_assert_eq(calibrated_fit(&c, rows, COUNT_OF(rows), nets, NETS, BLOCK, &arena, &diag), ST_OK, "%s", diag.message);
    return c;
}

static double guess(const struct calibrated *c, const struct kernel *k) {
    struct kernel_guess g;
    calibrated_kernel(c, k, 1000000, 2, &g);
    return g.us;
}

Test(calibrated, learns_what_is_linear_in_its_terms) {
    struct calibrated *c = fitted();
    for (int64_t channels = 24; channels <= 200; channels += 44) {
        struct kernel k = conv(channels - channels % 16, 14), m = move("Concat", channels, 14);
        cr_assert_float_eq(guess(c, &k) / truth(&k), 1, 0.1, "%g for %g", guess(c, &k), truth(&k));
        cr_assert_float_eq(guess(c, &m) / truth(&m), 1, 0.1, "%g for %g", guess(c, &m), truth(&m));
    }
    cr_assert_lt(c->error, 0.1);
    cr_assert_eq(c->networks, NETS);
}

Test(calibrated, unknown_kernels_are_doubtful) {
    struct calibrated *c = fitted();
    struct kernel known = conv(64, 14), moved = move("Slice", 64, 14), odd = {.kind = KC_RNN, .op = "LSTM", .count = 1};
    struct kernel_guess g;
    calibrated_kernel(c, &known, 1000000, 2, &g);
    cr_assert_not(g.doubtful);
    calibrated_kernel(c, &moved, 1000000, 2, &g);
    cr_assert(g.doubtful);
    cr_assert_float_eq(g.us / truth(&moved), 1, 0.2, "what all moves have in common serves: %g", g.us);
    calibrated_kernel(c, &odd, 1000000, 2, &g);
    cr_assert(g.doubtful);
}

Test(calibrated, comparisons_of_boxes_are_learned) {
    struct calibrated *c = NULL;
    make_rows();
    for (size_t i = 0; i < COUNT_OF(rows); i += 2) {
        int64_t n = 100 + (int64_t)i * 30, pairs = i % 4 ? n : n * n / 2;
        kernels[i] = (struct kernel){.kind = KC_SORT, .op = "NonMaxSuppression", .count = 1, .batch = 1, .c_in = n};
        kernels[i].pairs = pairs;
        rows[i].us = 2 + (double)n / 50 + (double)pairs / 800;
    }
    cr_assert_eq(calibrated_fit(&c, rows, COUNT_OF(rows), nets, NETS, BLOCK, &arena, &diag), ST_OK, "%s", diag.message);
    struct kernel k = {.kind = KC_SORT, .op = "NonMaxSuppression", .count = 1, .batch = 1, .c_in = 5000};
    k.pairs = 2500000;
    cr_assert_float_eq(guess(c, &k) / (2 + 100 + 3125), 1, 0.1, "%g", guess(c, &k));
}

static const struct calibrated_class *class_named(const struct calibrated *c, const char *name) {
    size_t i = 0;
    while (i < c->n_classes && strcmp(c->classes[i].name, name) != 0) i++;
    cr_assert_lt(i, c->n_classes, "no class %s", name);
    return &c->classes[i];
}

/* Every network moves something; what moves much, or what moves little, takes anything around what it should. */
static double error_of_moves(bool much_is_noisy) {
    struct calibrated *c = NULL;
    struct rng rng;
    rng_seed(&rng, 5);
    make_rows();
    for (size_t n = 0; n < NETS; n++) {
        struct kernel *k = &kernels[n * KERNELS];
        bool much = n % 2;
        *k = move("Slice", much ? 4096 : 16, 14);
        rows[n * KERNELS].us = truth(k) * (much != much_is_noisy ? 1 : rng_below(&rng, 2) ? 1.6 : 0.6);
    }
    cr_assert_eq(calibrated_fit(&c, rows, COUNT_OF(rows), nets, NETS, BLOCK, &arena, &diag), ST_OK, "%s", diag.message);
    return class_named(c, "Slice")->error;
}

Test(calibrated, errors_count_by_what_they_do_to_networks) {
    double where_it_matters = error_of_moves(true), elsewhere = error_of_moves(false);
    cr_assert_gt(where_it_matters, 0.25, "%g", where_it_matters);
    cr_assert_lt(elsewhere, where_it_matters / 2, "%g, %g", elsewhere, where_it_matters);
}

/* The image's planes are a multiple of a page apart: 16 channels at once fall into the same lines of a cache. */
Test(calibrated, planes_a_page_apart) {
    struct kernel_form page, other;
    struct kernel at_32 = move("ReorderOutput", 64, 32), at_31 = move("ReorderOutput", 64, 31);
    kernel_form(&at_32, BLOCK, 1000000, &page);
    kernel_form(&at_31, BLOCK, 1000000, &other);
    cr_assert_eq(page.n_terms, other.n_terms);
    cr_assert_float_eq(page.terms[page.n_terms - 1], 64 * 32 * 32 * 4e-6, 1e-9);
    cr_assert_eq(other.terms[other.n_terms - 1], 0);
}

static struct target target_of(struct calibrated *c) {
    return (struct target){.name = "t",
                           .kind = TARGET_CALIBRATED,
                           .calibrated = c,
                           .runtime = {.lowering = "ort", .view = VIEW_KEPT, .block = BLOCK, .threads = 1}};
}

static struct kernel product(int64_t in, int64_t out) {
    return (struct kernel){.kind = KC_GEMV,
                           .op = "Gemm",
                           .count = 1,
                           .macs = in * out,
                           .in_bytes = in * 4,
                           .out_bytes = out * 4,
                           .weight_bytes = in * out * 4,
                           .batch = 1,
                           .groups = 1,
                           .c_in = in,
                           .c_out = out,
                           .positions = 1,
                           .n_inputs = 1};
}

/* Until the next inference of a short network its weights stay in a cache; a long one's are gone by then. */
Test(calibrated, weights_cost_by_how_long_an_inference_takes) {
    struct calibrated *c = NULL;
    struct kernel_guess soon, late;
    make_rows();
    for (size_t i = 0; i < COUNT_OF(rows); i++) rows[i].us = truth(&kernels[i]) / 100;
    for (size_t n = 0; n < NETS; n++) {
        bool is_long = n % 2;
        kernels[n * KERNELS] = product(512, 256 * (1 + (int64_t)n % 5));
        rows[n * KERNELS].us = 1 + (double)kernels[n * KERNELS].weight_bytes / 1e6 * (is_long ? 50 : 12);
        kernels[n * KERNELS + 1] = move("Slice", is_long ? 1 << 14 : 16, 28);
        rows[n * KERNELS + 1].us = truth(&kernels[n * KERNELS + 1]) * (is_long ? 5 : 1);
    }
    cr_assert_eq(calibrated_fit(&c, rows, COUNT_OF(rows), nets, NETS, BLOCK, &arena, &diag), ST_OK, "%s", diag.message);
    struct kernel both[] = {product(512, 1000), move("Slice", 1 << 14, 28)};
    calibrated_kernel(c, &both[0], 1000000, 0.5, &soon);
    calibrated_kernel(c, &both[0], 1000000, 100, &late);
    cr_assert_gt(late.us, 3 * soon.us, "%g, %g", soon.us, late.us);
    struct target t = target_of(c);
    struct workload w = {.n_kernels = 1, .kernels = both, .weight_bytes = 1000000};
    struct model_input input = {.workload = &w};
    struct estimate alone, with_slice;
    cr_assert_eq(predict(&t, &input, &arena, &alone, &diag), ST_OK);
    w.n_kernels = 2;
    cr_assert_eq(predict(&t, &input, &arena, &with_slice, &diag), ST_OK);
    cr_assert_gt(with_slice.kernels[0].ms, 2 * alone.ms, "%g, %g", alone.ms, with_slice.kernels[0].ms);
}

/* What disturbed the measurements of one network shows in how far it is off when left out. */
Test(calibrated, tells_the_disturbed_network) {
    struct calibrated *c = NULL;
    make_rows();
    for (size_t i = 0; i < KERNELS; i++) rows[5 * KERNELS + i].us *= 2;
    cr_assert_eq(calibrated_fit(&c, rows, COUNT_OF(rows), nets, NETS, BLOCK, &arena, &diag), ST_OK, "%s", diag.message);
    for (size_t n = 0; n < NETS; n++)
        if (n != 5) cr_expect_lt(fabs(nets[n].off), fabs(nets[5].off), "%zu: %g, %g", n, nets[n].off, nets[5].off);
    cr_expect_lt(nets[5].off, -0.4, "%g", nets[5].off);
}

Test(calibrated, too_few_networks) {
    struct calibrated *c;
    make_rows();
    cr_assert_eq(calibrated_fit(&c, rows, 2 * KERNELS, nets, 2, BLOCK, &arena, &diag), ST_DATA);
}

Test(calibrated, a_file_predicts_what_was_written) {
    struct calibrated *c = fitted();
    struct target written = target_of(c), *read;
    cr_assert_eq(target_save(&written, path, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(target_load(&read, path, &arena, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(read->kind, TARGET_CALIBRATED);
    for (size_t i = 0; i < COUNT_OF(kernels); i += 7)
        cr_assert_float_eq(guess(read->calibrated, &kernels[i]), guess(c, &kernels[i]), 1e-9 * guess(c, &kernels[i]));
}

Test(calibrated, the_sum_is_the_estimate) {
    struct calibrated *c = fitted();
    struct target t = target_of(c);
    struct workload w = {.n_kernels = KERNELS, .kernels = kernels, .weight_bytes = 1000000};
    struct model_input input = {.workload = &w};
    struct estimate e;
    double sum = 0;
    cr_assert_eq(predict(&t, &input, &arena, &e, &diag), ST_OK);
    for (size_t i = 0; i < KERNELS; i++) sum += e.kernels[i].ms;
    cr_assert_float_eq(e.ms, sum, 1e-9);
    cr_assert(e.lo_ms < e.ms && e.ms < e.hi_ms);
    cr_assert_not(e.extrapolated);
    double lo = e.lo_ms, hi = e.hi_ms;
    struct workload least = w, most = w;
    least.n_kernels = KERNELS / 2;
    kernels[KERNELS - 1].count = 9;
    most.kernels = arena_copy(&arena, kernels, KERNELS * sizeof *kernels);
    kernels[KERNELS - 1].count = 1;
    w.least = &least;
    w.most = &most;
    cr_assert_eq(predict(&t, &input, &arena, &e, &diag), ST_OK);
    cr_assert_float_eq(e.ms, sum, 1e-9);
    cr_assert_not(e.extrapolated, "data decide, but no kernel is unknown");
    cr_assert_float_eq(e.hi_ms / hi, (sum + 8 * e.kernels[KERNELS - 1].ms) / sum, 1e-6);
    sum = 0;
    for (size_t i = 0; i < KERNELS / 2; i++) sum += e.kernels[i].ms;
    cr_assert_float_eq(e.lo_ms / lo, sum / e.ms, 1e-6);
    w.least = w.most = NULL;
    w.open_nodes = 1;
    cr_assert_eq(predict(&t, &input, &arena, &e, &diag), ST_OK);
    cr_assert_gt(e.hi_ms, 5 * e.ms, "nobody knows how often a loop runs");
    w.open_nodes = 0;
    kernels[0] = (struct kernel){.kind = KC_RNN, .op = "LSTM", .count = 1, .in_bytes = 100000000};
    cr_assert_eq(predict(&t, &input, &arena, &e, &diag), ST_OK);
    cr_assert(e.extrapolated, "most of its time is in a kernel nothing is known of");
}

static enum status load_calibrated(int forms, const char *rest) {
    struct target *t;
    FILE *out = fopen(path, "wb");
    fprintf(out, "{\"schema\":\"onnx-latency/target/1\",\"name\":\"t\",\"kind\":\"calibrated\",");
    fprintf(out, "\"calibrated\":{\"forms\":%d%s}}", forms, rest);
    fclose(out);
    diag_init(&diag, &arena);
    return target_load(&t, path, &arena, &diag);
}

Test(calibrated, malformed_files) {
    static const char *const bad[] = {"",
                                      ",\"block\":16",
                                      ",\"block\":-1,\"error\":0,\"scale\":1,\"classes\":[]",
                                      ",\"block\":16,\"error\":0,\"scale\":1,\"weight_us_mb\":[1],\"classes\":[]",
                                      ",\"block\":16,\"error\":0,\"scale\":1,\"weight_us_mb\":[1,1,1,1],"
                                      "\"classes\":[{\"name\":\"conv\",\"coefficients\":[]}]",
                                      ",\"block\":16,\"error\":0,\"scale\":1,\"weight_us_mb\":[1,1,1,1],"
                                      "\"classes\":[{\"name\":\"conv\",\"coefficients\":[1,\"x\"]}]"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        cr_assert_neq(load_calibrated(FORMS_VERSION, bad[i]), ST_OK, "%s", bad[i]);
        cr_assert_not_null(diag.message);
        cr_assert_null(strstr(diag.message, "another version"), "%s", diag.message);
    }
    cr_assert_eq(load_calibrated(FORMS_VERSION - 1, ""), ST_TARGET, "its coefficients belong to other terms");
    cr_assert_not_null(strstr(diag.message, "another version"), "%s", diag.message);
}

/* ---- Probes ---- */

Test(calibrated, every_probe_is_measured_once) {
    bool seen[400] = {0};
    size_t later = 0;
    for (uint32_t place = 0; place < COUNT_OF(seen); place++) {
        uint32_t number = probe_number(place);
        cr_assert(probe_exists(number));
        later += number >= COUNT_OF(seen);
        if (number >= COUNT_OF(seen)) continue;
        cr_assert_not(seen[number]);
        seen[number] = true;
    }
    cr_assert_eq(later, COUNT_OF(seen) / 12);
    cr_assert_not(probe_exists(UINT32_MAX));
}

Test(calibrated, probes_know_how_many_boxes_are_compared) {
    size_t found = 0;
    for (uint32_t place = 11; place < 200; place += 12) {
        struct profile p;
        cr_assert_eq(lower_probe(1, probe_number(place), BLOCK, 1, &p, &arena, &diag), ST_OK, "%s", diag.message);
        for (size_t i = 0; i < p.n_kernels; i++) {
            const struct kernel *k = &p.kernels[i];
            if (strcmp(k->op, "NonMaxSuppression") != 0) continue;
            int64_t kept = k->out_bytes / (24 * k->batch);
            cr_assert_eq(k->pairs, kept * kept / 2);
            found++;
        }
    }
    cr_assert_gt(found, 10);
}

/* ---- Measuring ---- */

static size_t n_measured;           /* without the canary */
static size_t disturbed = SIZE_MAX; /* the one that something else on the machine slows down */

static void shapes_of(const struct kernel *k, struct node_time *node) {
    int64_t window = strstr(k->op, "Conv") ? (int64_t)k->kernel_h * k->kernel_w : 1;
    node->op = k->op;
    node->name = "n";
    node->weight_bytes = 4 * window;
    node->in_shapes = arena_printf(&arena, "[{\"float\":[%lld]},{\"float\":[1,1,%lld]}]", (long long)k->in_bytes / 4,
                                   (long long)window);
    if (strcmp(k->op, "ConvTranspose") == 0) { /* its weights are packed beforehand, and not told; only the bias is */
        node->weight_bytes = 4 * k->c_out;
        node->in_shapes = arena_printf(&arena, "[{\"float\":[%lld]},{\"float\":[%lld]}]", (long long)k->in_bytes / 4,
                                       (long long)k->c_out);
    }
    node->out_shapes = arena_printf(&arena, "[{\"float\":[%lld]}]", (long long)k->out_bytes / 4);
    node->mean_us = truth(k) + 1;
}

/* A runtime that does exactly what the lowering expects and takes a microsecond more a node when watched. */
static enum status made_up(const uint8_t *bytes, size_t length, const char *name, const struct measure_options *options,
                           struct arena *out, struct measurement *m, struct diag *messages) {
    struct runtime runtime = {.lowering = "ort", .view = VIEW_KEPT, .block = BLOCK, .threads = 1};
    struct run run = {.scratch = out, .diag = messages, .runtime = &runtime};
    double plain_us = 0;
    TRY(onnx_read_bytes(&run.graph, bytes, length, name, out, messages));
    TRY(passes_run(&run, PASSES_ALL));
    *m = (struct measurement){.runtime = "made up 1", .threads = 1, .n_nodes = run.workload->n_kernels};
    m->nodes = arena_array(out, m->n_nodes, sizeof *m->nodes);
    for (size_t i = 0; i < m->n_nodes; i++) {
        shapes_of(&run.workload->kernels[i], &m->nodes[i]);
        if (n_measured == disturbed) m->nodes[i].mean_us *= 4;
        plain_us += truth(&run.workload->kernels[i]);
    }
    m->median_ms = m->min_ms = options->only_profile ? NAN : plain_us / 1e3;
    n_measured += strcmp(name, "canary") != 0;
    graph_close(run.graph);
    return ST_OK;
}

static enum status run_calibration(uint64_t seed, size_t probes, struct target **t) {
    struct calibration spec = {.journal = path, .minutes = 1000, .probes = probes, .seed = seed, .measure = made_up};
    n_measured = 0;
    return calibrate_runtime(&spec, t, &arena, &diag);
}

Test(calibrated, every_kernel_is_found_in_the_profile) {
    for (uint32_t number = 0; number < 40; number++) { /* 7, 22 and 37 have a ConvTranspose */
        struct profile p;
        cr_assert_eq(lower_probe(1, number, BLOCK, 1, &p, &arena, &diag), ST_OK, "%s", diag.message);
        struct measurement m = {.n_nodes = p.n_kernels,
                                .nodes = arena_array(&arena, p.n_kernels, sizeof(struct node_time))};
        for (size_t i = 0; i < p.n_kernels; i++) shapes_of(&p.kernels[i], &m.nodes[i]);
        match_nodes(&m, &p, p.us, &arena);
        for (size_t i = 0; i < p.n_kernels; i++)
            cr_expect_gt(p.us[i], 0, "probe %u, kernel %zu (%s)", number, i, p.kernels[i].op);
    }
}

Test(calibrated, an_interrupted_calibration_goes_on) {
    struct target *first = NULL, *again = NULL;
    unlink(path);
    cr_assert_eq(run_calibration(1, 16, &first), ST_OK, "%s", diag.message);
    cr_assert_eq(n_measured, 32, "%zu: sixteen probes, two passes", n_measured);
    cr_assert_eq(first->calibrated->block, BLOCK);
    cr_assert_float_eq(first->calibrated->scale, 1, 0.02, "what the profiler adds is found: %g",
                       first->calibrated->scale);
    cr_assert_eq(run_calibration(1, 16, &again), ST_OK, "%s", diag.message);
    cr_assert_eq(n_measured, 0, "everything was in the journal");
    struct file_map map;
    cr_assert_eq(file_map_open(&map, path, &diag), ST_OK);
    off_t cut = (off_t)map.length - 10;
    file_map_close(&map);
    cr_assert_eq(truncate(path, cut), 0);
    cr_assert_eq(run_calibration(1, 16, &again), ST_OK, "%s", diag.message);
    cr_assert_eq(n_measured, 1, "%zu: only the line that was cut off", n_measured);
    cr_assert_float_eq(again->calibrated->error, first->calibrated->error, 1e-3);
}

/* The second pass starts with the network that the others tell to be off. */
Test(calibrated, what_was_disturbed_is_measured_again_first) {
    struct target *t = NULL;
    char *text;
    size_t length;
    unlink(path);
    disturbed = 6;
    cr_assert_eq(run_calibration(1, 60, &t), ST_OK, "%s", diag.message);
    cr_assert_eq(n_measured, 120);
    cr_assert_eq(file_read(&text, &length, path, &diag), ST_OK, "%s", diag.message);
    const char *again = strstr(text, "\"pass\":2");
    cr_assert_not_null(again);
    while (again > text && again[-1] != '\n') again--;
    cr_expect_eq(strncmp(again, "{\"probe\":6,", 11), 0, "%.30s", again);
    free(text);
}

Test(calibrated, a_journal_of_another_seed_is_refused) {
    struct target *t = NULL;
    unlink(path);
    cr_assert_eq(run_calibration(1, 16, &t), ST_OK, "%s", diag.message);
    cr_assert_eq(run_calibration(2, 16, &t), ST_DATA);
    cr_assert_not_null(strstr(diag.message, "another seed"), "%s", diag.message);
}

static void write_text(const char *mode, const char *text) {
    FILE *file = fopen(path, mode);
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* Another's file stays as it is; of one's own only the damaged line is lost. */
Test(calibrated, a_journal_is_not_written_over) {
    static const char notes[] = "notes\nof somebody\n";
    struct target *t = NULL;
    char *text;
    size_t length;
    write_text("w", notes);
    cr_assert_eq(run_calibration(1, 16, &t), ST_DATA);
    cr_expect(strstr(diag.message, "is no file of measurements"), "%s", diag.message);
    cr_assert_eq(file_read(&text, &length, path, &diag), ST_OK);
    cr_expect_str_eq(text, notes);
    free(text);
    unlink(path);
    diag_init(&diag, &arena);
    cr_assert_eq(run_calibration(1, 16, &t), ST_OK, "%s", diag.message);
    cr_assert_eq(file_read(&text, &length, path, &diag), ST_OK);
    *strchr(strchr(text, '\n') + 1, '{') = '!';
    write_text("w", text);
    free(text);
    cr_assert_eq(run_calibration(1, 16, &t), ST_OK, "%s", diag.message);
    cr_expect(n_measured <= 1, "%zu: what follows the damaged line is still known", n_measured);
    cr_assert_eq(diag.n_warnings, 1);
    cr_expect(strstr(diag.warnings[0], "line 2 is damaged"), "%s", diag.warnings[0]);
}

Test(calibrated, a_journal_has_one_writer) {
    struct target *t = NULL;
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    cr_assert_eq(flock(fd, LOCK_EX), 0);
    cr_assert_eq(run_calibration(1, 16, &t), ST_IO);
    cr_expect(strstr(diag.message, "another calibration is writing it"), "%s", diag.message);
    close(fd);
}

static enum status no_runtime(const uint8_t *bytes, size_t length, const char *name,
                              const struct measure_options *options, struct arena *out, struct measurement *m,
                              struct diag *messages) {
    (void)bytes, (void)length, (void)name, (void)options, (void)out, (void)m;
    return diag_fail(messages, ST_MISSING, "no runtime");
}

Test(calibrated, without_a_runtime) {
    struct target *t = NULL;
    struct calibration spec = {.journal = path, .measure = no_runtime};
    cr_assert_eq(calibrate_runtime(&spec, &t, &arena, &diag), ST_MISSING);
}
