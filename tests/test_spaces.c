/* Search spaces: their text forms, and networks whose costs are known. */
#include "frontend.h"
#include "passes.h"
#include "space.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena memory;
static struct diag messages;

static void setup(void) {
    arena_init(&memory, NULL, NULL);
    diag_init(&messages, &memory);
}

static void teardown(void) {
    arena_free(&memory);
}

TestSuite(spaces, .init = setup, .fini = teardown);

static struct arch parsed(const struct space *s, const char *text) {
    struct arch a;
    cr_assert_eq(space_parse(s, text, &a, &messages), ST_OK, "%s", messages.message);
    return a;
}

static const struct workload *lowered(struct graph *graph) {
    static struct run run;
    run = (struct run){.graph = graph, .scratch = &memory, .diag = &messages, .runtime = &space_runtime};
    cr_assert_eq(passes_run(&run, PASSES_ALL), ST_OK, "%s", messages.message);
    return run.workload;
}

static const char all_conv3[] = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|"
                                "nor_conv_3x3~2|";

/* The published count of the NAS-Bench-201 network of 3x3 convolutions only: 220.12 M FLOPs (MACs), 1.53 M parameters
 * with batch normalisation (CIFAR-10). */
Test(spaces, nasbench201_counts) {
    struct arch a = parsed(&space_nasbench201_10, all_conv3);
    const struct workload *w = lowered(space_graph(&space_nasbench201_10, &a, 1, 0, true, &memory));
    const int64_t stem = 3 * 16 * 9 * 1024, cells = 5 * 6 * (16 * 16 * 9 * 1024 + 32 * 32 * 9 * 256 + 64 * 64 * 9 * 64);
    const int64_t reductions = (16 * 32 * 9 + 32 * 32 * 9 + 16 * 32) * 256 + (32 * 64 * 9 + 64 * 64 * 9 + 32 * 64) * 64;
    cr_expect_eq(w->macs, stem + cells + reductions + 64 * 10, "%lld", (long long)w->macs);
    cr_expect(w->macs > 219500000 && w->macs < 220500000);
}

/* MobileNetV2 at width 1, resolution 224, kernels 3: 300.8 M MACs (torchvision), 3.50 M parameters. */
Test(spaces, mobilenetv2_is_mobilenetv2) {
    struct arch a = parsed(&space_mobilenetv2, "224:100:2-3-4-3-3-1:3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3-3:"
                                               "6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6");
    struct graph *graph = space_graph(&space_mobilenetv2, &a, 1, 0, true, &memory);
    int64_t weights = 0;
    for (size_t i = 0; i < graph->n_tensors; i++)
        if (graph->tensors[i].flags & TF_INITIALIZER && graph->tensors[i].dtype == DT_FLOAT)
            weights += (int64_t)graph->tensors[i].stored_bytes / 4;
    const struct workload *w = lowered(graph);
    cr_expect_eq(w->macs, 300774272, "%lld", (long long)w->macs);
    cr_expect(weights > 3500000 && weights < 3550000, "%lld weights", (long long)weights); /* statistics included */
}

Test(spaces, fbnet_blocks) {
    struct arch skip = parsed(&space_fbnet, "8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8");
    const struct workload *w = lowered(space_graph(&space_fbnet, &skip, 1, 0, true, &memory));
    /* Stem, the convolutions of the 6 skips that change the shape, head, pool, classifier. */
    cr_expect_eq(w->n_kernels, 1 + 6 + 1 + 1 + 1, "%zu", w->n_kernels);
    struct arch grouped = parsed(&space_fbnet, "1-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8");
    w = lowered(space_graph(&space_fbnet, &grouped, 1, 0, true, &memory));
    size_t n_grouped = 0, n_moves = 0;
    for (size_t i = 0; i < w->n_kernels; i++) {
        n_grouped += w->kernels[i].kind == KC_GROUPED;
        n_moves += w->kernels[i].kind == KC_MOVE;
    }
    cr_expect_eq(n_grouped, 2);
    cr_expect_eq(n_moves, 1, "the shuffle's transposition");
}

/* Once-for-all, largest: published as about 590 M MACs at width 1.2, resolution 224, depth 4, kernel 7, expansion 6
 * (1.0: 430 M); ours must be in that neighbourhood and grow with the square of the resolution. */
Test(spaces, ofa_scales_with_resolution) {
    const char *rest = "4-4-4-4-4:7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7:6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6-6";
    struct arch large = parsed(&space_ofa, arena_printf(&memory, "224:%s", rest));
    struct arch small = parsed(&space_ofa, arena_printf(&memory, "128:%s", rest));
    int64_t at_224 = lowered(space_graph(&space_ofa, &large, 1, 0, true, &memory))->macs;
    int64_t at_128 = lowered(space_graph(&space_ofa, &small, 1, 0, true, &memory))->macs;
    cr_expect(at_224 > 500000000 && at_224 < 1000000000, "%lld", (long long)at_224);
    double ratio = (double)at_224 / (double)at_128;
    cr_expect(ratio > 2.7 && ratio < 3.1, "%g", ratio);
}

Test(spaces, text_survives) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t s = 0; s < space_count(); s++)
        for (int i = 0; i < 50; i++) {
            struct arch a, b;
            space_random(space_at(s), &rng, &a);
            b = parsed(space_at(s), space_print(space_at(s), &a, &memory));
            cr_assert_arr_eq(a.gene, b.gene, sizeof a.gene);
            double onehot[512], sum = 0;
            cr_assert(space_encoding(space_at(s)) <= COUNT_OF(onehot));
            space_encode(space_at(s), &a, onehot);
            for (size_t k = 0; k < space_encoding(space_at(s)); k++) sum += onehot[k];
            cr_assert_eq(sum, (double)space_genes(space_at(s)));
        }
}

Test(spaces, covers_hold_every_option_equally_often) {
    enum { N = 64 };
    for (size_t i = 0; i < space_count(); i++) {
        const struct space *s = space_at(i);
        struct arch at[N];
        struct rng rng;
        bool is_shuffled = false;
        rng_seed(&rng, 5);
        space_cover(s, &rng, at, N);
        for (size_t g = 0; g < space_genes(s); g++) {
            size_t count[UINT8_MAX + 1] = {0}, options = space_options(s, g);
            for (size_t a = 0; a < N; a++) count[at[a].gene[g]]++;
            for (size_t o = 0; o < options; o++)
                cr_assert(count[o] == N / options || count[o] == N / options + 1,
                          "%s: option %zu of gene %zu %zu times", s->name, o, g, count[o]);
            for (size_t a = 1; a < N; a++) is_shuffled |= at[a].gene[g] < at[a - 1].gene[g];
        }
        cr_assert(is_shuffled);
    }
}

Test(spaces, bad_text_is_located) {
    static const struct {
        const char *space, *text, *message;
    } bad[] = {
        {"nasbench201", "", "position 1"},
        {"nasbench201", "|nor_conv_3x3~0|+|nor_conv_3x3~0|conv~1|", "position 34"},
        {"nasbench201", "|none~0|+|none~1|none~1|+|none~0|none~1|none~2|", "position 16"},
        {"nasbench201", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|x", "the end expected"},
        {"fbnet", "1-2-3", "position 6: number 4 of 22"},
        {"fbnet", "9-2-3", "position 1: 9 is no option"},
        {"fbnet", "1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "nothing expected"},
        {"fbnet", "-1-1", "position 1"},
        {"fbnet", "99999999999999999999-1", "no option"},
        {"ofa", "200", "':' and depth expected"},
        {"ofa", "201:2-2-2-2-2:3:3", "201 is no option"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct arch a;
        struct diag diag;
        diag_init(&diag, &memory);
        cr_expect_eq(space_parse(space_find(bad[i].space), bad[i].text, &a, &diag), ST_DATA);
        cr_expect(diag.message && strstr(diag.message, bad[i].message), "\"%s\": %s", bad[i].text, diag.message);
    }
}

/* A network in memory and the same network written and read have the same features in every view. */
Test(spaces, file_road_equals_memory_road) {
    struct rng rng;
    rng_seed(&rng, 5);
    for (size_t s = 0; s < space_count(); s++) {
        const struct space *space = space_at(s);
        struct features features[VIEW_COUNT];
        struct arch a;
        const uint8_t *bytes;
        size_t length;
        space_random(space, &rng, &a);
        cr_assert_eq(space_features(space, &a, 2, features, &memory, &messages), ST_OK);
        struct graph *built = space_graph(space, &a, 2, 1, false, &memory);
        cr_assert_eq(onnx_write_bytes(built, &memory, &bytes, &length, &messages), ST_OK, "%s", messages.message);
        for (size_t v = 0; v < space_views(space); v++) {
            struct graph *read;
            struct runtime runtime = space_runtime;
            runtime.view = (enum view)v;
            cr_assert_eq(onnx_read_bytes(&read, bytes, length, "built", &memory, &messages), ST_OK, "%s",
                         messages.message);
            struct run run = {.graph = read, .scratch = &memory, .diag = &messages, .runtime = &runtime};
            cr_assert_eq(passes_run(&run, PASSES_ALL), ST_OK, "%s", messages.message);
            for (int f = 0; f < FT_COUNT; f++)
                cr_expect_eq(run.features.x[f], features[v].x[f], "%s, view %s: %s is %g from the file, %g in memory",
                             space->name, view_name((enum view)v), feature_name((enum feature)f), run.features.x[f],
                             features[v].x[f]);
            graph_close(read);
        }
    }
}
