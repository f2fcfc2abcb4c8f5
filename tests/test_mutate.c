/* Shape inference on graphs that make no sense: the backend cases with operators, attributes, sizes and edges exchanged
 * at random (seeded). Whatever it answers, it must not crash, and the graph must still be one. */
#include "frontend.h"
#include "passes.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define CASES "/usr/share/libonnx-testdata/data/node/*/model.onnx"

static int64_t odd_number(struct rng *rng) {
    static const int64_t odd[] = {0, 1, -1, 2, 3, -2, 7, 64, 4096, INT32_MAX, INT64_MAX, INT64_MIN, -INT64_MAX};
    return rng_below(rng, 3) ? (int64_t)rng_below(rng, 9) - 3 : odd[rng_below(rng, COUNT_OF(odd))];
}

static void mutate_attr(struct graph *g, struct node *node, struct rng *rng) {
    if (node->n_attrs == 0) return;
    struct attr *attrs = arena_copy(g->arena, node->attrs, node->n_attrs * sizeof *attrs);
    struct attr *a = &attrs[rng_below(rng, node->n_attrs)];
    if (a->type == AT_INT) {
        a->i = odd_number(rng);
    } else if (a->type == AT_INTS) {
        size_t n = rng_below(rng, 6);
        int64_t *ints = arena_array(g->arena, n, sizeof *ints);
        for (size_t i = 0; i < n; i++) ints[i] = odd_number(rng);
        a->ints = ints;
        a->n = n;
    } else if (a->type != AT_GRAPH && a->type != AT_GRAPHS) {
        *a = (struct attr){.name = a->name, .type = AT_INT, .i = odd_number(rng)};
    }
    node->attrs = attrs;
}

static void mutate_edges(struct graph *g, struct node *node, struct rng *rng) {
    uint32_t n = (uint32_t)rng_below(rng, 7), *inputs = arena_array(g->arena, n, sizeof *inputs);
    for (uint32_t i = 0; i < n; i++) {
        inputs[i] = (uint32_t)rng_below(rng, g->n_tensors);
        if (g->tensors[inputs[i]].body != node->body || rng_below(rng, 8) == 0) inputs[i] = NONE;
    }
    node->inputs = inputs;
    node->n_inputs = n;
}

static void mutate_tensor(struct graph *g, struct tensor *t, struct rng *rng) {
    if (t->producer != NONE) return;
    int32_t rank = (int32_t)rng_below(rng, 6) - 1;
    dim dims[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) {
        switch (rng_below(rng, 4)) {
        case 0:
            dims[i] = DIM_UNKNOWN;
            break;
        case 1:
            dims[i] = dim_symbol(g, "n");
            break;
        default:
            dims[i] = DIM((int64_t)rng_below(rng, 5));
        }
    }
    bool tensor = t->kind == TY_TENSOR;
    tensor_set_shape(g, (uint32_t)(t - g->tensors), (enum dtype)rng_below(rng, DT_COUNT), dims, rank);
    t->data = (struct data){.encoding = ENC_NONE, .file = NONE};
    t->flags &= ~(uint32_t)TF_INITIALIZER;
    if (!tensor) t->length = DIM_UNKNOWN;
}

static void mutate(struct graph *g, struct rng *rng) {
    struct node *node = &g->nodes[rng_below(rng, g->n_nodes)];
    switch (rng_below(rng, 4)) {
    case 0:
        node->op = (uint16_t)(1 + rng_below(rng, OP_COUNT - 1));
        node->op_type = op_table[node->op].name;
        break;
    case 1:
        mutate_attr(g, node, rng);
        break;
    case 2:
        mutate_edges(g, node, rng);
        break;
    default:
        mutate_tensor(g, &g->tensors[rng_below(rng, g->n_tensors)], rng);
    }
}

static void run_mutant(const char *path, uint64_t seed) {
    struct arena arena;
    struct diag diag;
    struct graph *g;
    struct rng rng;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    rng_seed(&rng, seed);
    cr_assert_eq(onnx_read(&g, path, false, &arena, &diag), ST_OK, "%s", diag.message);
    for (uint64_t i = 0, n = 1 + rng_below(&rng, 4); i < n && g->n_nodes > 0; i++) mutate(g, &rng);
    struct run run = {.graph = g, .scratch = &arena, .diag = &diag};
    enum status status = passes_run(&run, PASSES_PROFILE);
    cr_assert(status == ST_OK || diag.message, "%s: seed %llu", path, (unsigned long long)seed);
    if (status == ST_OK) {
        enum status sound = graph_check(g, &diag);
        cr_assert_eq(sound, ST_OK, "%s: seed %llu: %s", path, (unsigned long long)seed, diag.message);
    }
    graph_close(g);
    arena_free(&arena);
}

Test(mutate, nothing_crashes) {
    glob_t files;
    const char *more = getenv("ONNX_LATENCY_MUTANTS"); /* a model; the default is quick */
    uint64_t n = more ? strtoull(more, NULL, 10) : 8;
    if (glob(CASES, 0, NULL, &files) != 0) cr_skip_test("no backend cases");
    for (size_t i = 0; i < files.gl_pathc; i++)
        for (uint64_t k = 0; k < n; k++) run_mutant(files.gl_pathv[i], i * 1000003 + k);
    globfree(&files);
}
