/* From an architecture to features: the road of a file, without the file. */
#include "passes.h"
#include "space_piece.h"

#include <assert.h>

static const struct fuse_rule fusions[] = {{KC_CONV, KC_NORM}, {KC_CONV, KC_ACTIVATION}};

const struct runtime space_runtime = {
    .lowering = "plain", .view = VIEW_KEPT, .threads = 1, .n_fuse = COUNT_OF(fusions), .fuse = fusions};

#define SHARED  ((1u << PASS_bind) | (1u << PASS_topo) | (1u << PASS_shape) | (1u << PASS_fold) | (1u << PASS_cost))
#define OF_VIEW ((1u << PASS_dead) | (1u << PASS_lower) | (1u << PASS_features))

/* The graph's workload and features in each of the first views; the graph is used up. */
static enum status run_views(struct graph *graph, size_t n_views, struct run runs[VIEW_COUNT], struct arena *scratch,
                             struct diag *diag) {
    struct run shared = {.graph = graph, .scratch = scratch, .diag = diag};
    TRY(passes_run(&shared, SHARED));
    for (size_t v = 0; v < n_views; v++) {
        struct runtime runtime = space_runtime;
        runtime.view = (enum view)v;
        runs[v] = shared;
        runs[v].runtime = &runtime;
        if (v + 1 < n_views) runs[v].graph = graph_clone(graph, scratch);
        TRY(passes_run(&runs[v], OF_VIEW));
    }
    return ST_OK;
}

enum status space_features(const struct space *s, const struct arch *a, int64_t batch,
                           struct features features[VIEW_COUNT], struct arena *scratch, struct diag *diag) {
    struct run runs[VIEW_COUNT];
    TRY(run_views(space_graph(s, a, batch, 0, true, scratch), space_views(s), runs, scratch, diag));
    for (size_t v = 0; v < space_views(s); v++) features[v] = runs[v].features;
    return ST_OK;
}

/* ---- From parts ----
 * A part is lowered between guards, kernels that it does not fuse with unless it joins them: what reads the first ones
 * reads the part's input, and what the last one reads makes its output. */

#define CACHE_BYTES ((size_t)16 << 20) /* what may be kept; spaces whose parts seldom recur would fill the memory */

struct piece {
    size_t n_inputs, n_kernels; /* the guards of its inputs first, and the last one */
    struct piece_kernel {
        struct features adds;
        struct path path;
        enum sum_kind sum;
        uint32_t first_pred, n_preds;
    } * kernels;
    uint32_t *preds;
};

void space_cache_init(struct space_cache *c, const struct allocator *allocator, jmp_buf *on_oom) {
    *c = (struct space_cache){0};
    arena_init(&c->arena, allocator, on_oom);
    map_init(&c->index, &c->arena);
}

void space_cache_free(struct space_cache *c) {
    arena_free(&c->arena);
}

static void make_room(struct space_cache *c) {
    if (c->arena.used_bytes < CACHE_BYTES && !c->busy) return;
    arena_reset(&c->arena);
    map_init(&c->index, &c->arena);
    c->pieces = NULL;
    c->n_pieces = c->cap_pieces = 0;
}

static uint32_t guard(struct builder *b, const struct block *block) {
    const int64_t image[] = {block->batch, block->c_in, block->side, block->side};
    uint32_t x = build_input(b, "", DT_FLOAT, image, 4);
    return block->joins ? build_conv(b, x, block->c_in, block->c_in, 1, 1, 1, false) : build_unary(b, "Sqrt", x);
}

static struct graph *block_graph(const struct block *block, struct arena *scratch) {
    struct builder b;
    uint32_t x[2];
    build_start(&b, scratch, "", SPACE_OPSET, 0, true);
    for (size_t i = 0; i <= block->two; i++) x[i] = guard(&b, block);
    build_output(&b, build_unary(&b, "Sqrt", block->build(&b, x, block)), "");
    return b.graph;
}

static struct piece *new_piece(const struct block *block, const struct workload *w, struct arena *arena) {
    struct piece *piece = arena_alloc(arena, sizeof *piece);
    piece->n_inputs = block->two + 1u;
    piece->n_kernels = w->n_kernels;
    piece->kernels = arena_array(arena, w->n_kernels, sizeof *piece->kernels);
    piece->preds = arena_copy(arena, w->preds, w->n_preds * sizeof *w->preds);
    for (size_t i = 0; i < w->n_kernels; i++) {
        const struct kernel *k = &w->kernels[i];
        piece->kernels[i] = (struct piece_kernel){
            .path = kernel_path(k), .sum = kernel_sum(k), .first_pred = k->first_pred, .n_preds = k->n_preds};
        kernel_features(k, &piece->kernels[i].adds);
    }
    return piece;
}

static enum status find_piece(struct space_cache *c, const struct block *block, const struct piece **found,
                              struct arena *scratch, struct diag *diag) {
    uint32_t at;
    struct run run[VIEW_COUNT];
    if (map_get(&c->index, block, sizeof *block, &at)) {
        *found = c->pieces[at];
        return ST_OK;
    }
    TRY(run_views(block_graph(block, scratch), 1, run, scratch, diag));
    struct piece *piece = new_piece(block, run[VIEW_KEPT].workload, &c->arena);
    PUSH(&c->arena, c, pieces, piece);
    map_put(&c->index, arena_copy(&c->arena, block, sizeof *block), sizeof *block, (uint32_t)c->n_pieces - 1);
    *found = piece;
    return ST_OK;
}

#define KERNELS_MAX 32 /* of a part, guards included */

static void add_features(struct features *restrict sum, const struct features *restrict more) {
    for (size_t f = 0; f < FT_COUNT; f++) sum->x[f] += more->x[f];
}

/* Returns the path to the part's output. */
static struct path add_piece(const struct piece *piece, const struct path *before, const struct part *part,
                             struct launches *launches, struct features *features) {
    struct path paths[KERNELS_MAX];
    assert(piece->n_kernels <= KERNELS_MAX);
    for (size_t i = 0; i < piece->n_inputs; i++)
        paths[i] = part->x[i] == NO_PART ? (struct path){0, 0} : before[part->x[i]];
    for (size_t i = piece->n_inputs;; i++) {
        const struct piece_kernel *k = &piece->kernels[i];
        struct path reached = path_before(piece->preds + k->first_pred, k->n_preds, paths);
        if (i + 1 == piece->n_kernels) return reached;
        add_features(features, &k->adds);
        launch_next(launches, k->sum, features);
        paths[i] = path_through(reached, k->path, features);
    }
}

enum status space_features_cached(struct space_cache *c, const struct space *s, const struct arch *a, int64_t batch,
                                  enum view view, struct features *features, struct arena *scratch, struct diag *diag) {
    struct parts parts;
    const struct piece *pieces[BLOCKS_MAX];
    struct path paths[PARTS_MAX];
    struct launches launches = {0};
    make_room(c);
    c->busy = true;
    space_parts(s, a, batch, view, &parts);
    for (size_t i = 0; i < parts.n_blocks; i++) TRY(find_piece(c, &parts.block[i], &pieces[i], scratch, diag));
    *features = (struct features){.x = {[FT_CONST] = 1}};
    for (size_t i = 0; i < parts.n_parts; i++)
        paths[i] = add_piece(pieces[parts.part[i].block], paths, &parts.part[i], &launches, features);
    c->busy = false;
    return ST_OK;
}
