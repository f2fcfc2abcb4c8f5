/* From an architecture to features: the road of a file, without the file. */
#include "passes.h"
#include "space_piece.h"

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
 * A part is lowered between two guards, kernels that fuse with nothing: what reads the first one reads the part's
 * input, and what the last one reads makes its output. */

#define CACHE_BYTES ((size_t)16 << 20) /* what may be kept; spaces whose parts seldom recur would fill the memory */

struct piece {
    struct workload workload[VIEW_COUNT]; /* the guards first and last */
    bool whole[VIEW_COUNT];               /* false: the part gives zeros, and what comes after depends on it */
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

static struct graph *block_graph(const struct block *block, struct arena *scratch) {
    struct builder b;
    const int64_t image[] = {block->batch, block->c_in, block->side, block->side};
    build_start(&b, scratch, "", SPACE_OPSET, 0, true);
    uint32_t x = build_unary(&b, "Sqrt", build_input(&b, "", DT_FLOAT, image, 4));
    x = build_unary(&b, "Sqrt", block->build(&b, x, block));
    build_output(&b, x, "");
    return b.graph;
}

/* Only what kernels_features reads. */
static void keep(struct piece *piece, size_t view, const struct workload *w, struct arena *arena) {
    struct workload *kept = &piece->workload[view];
    piece->whole[view] = w->n_kernels >= 2 && w->kernels[w->n_kernels - 1].n_preds > 0;
    kept->n_kernels = w->n_kernels;
    kept->kernels = arena_copy(arena, w->kernels, w->n_kernels * sizeof *w->kernels);
    kept->preds = arena_copy(arena, w->preds, w->n_preds * sizeof *w->preds);
}

static enum status find_piece(struct space_cache *c, const struct block *block, size_t n_views,
                              const struct piece **found, struct arena *scratch, struct diag *diag) {
    uint32_t at;
    struct run runs[VIEW_COUNT];
    if (map_get(&c->index, block, sizeof *block, &at)) {
        *found = c->pieces[at];
        return ST_OK;
    }
    TRY(run_views(block_graph(block, scratch), n_views, runs, scratch, diag));
    struct piece *piece = arena_alloc(&c->arena, sizeof *piece);
    for (size_t v = 0; v < n_views; v++) keep(piece, v, runs[v].workload, &c->arena);
    PUSH(&c->arena, c, pieces, piece);
    map_put(&c->index, arena_copy(&c->arena, block, sizeof *block), sizeof *block, (uint32_t)c->n_pieces - 1);
    *found = piece;
    return ST_OK;
}

/* Returns the path to the part's output. */
static struct path add_piece(const struct workload *w, struct path input, struct path *paths,
                             struct features *features) {
    paths[0] = input;
    kernels_features(w, 1, w->n_kernels - 1, paths, features);
    return path_before(w, paths, &w->kernels[w->n_kernels - 1]);
}

static bool add_pieces(const struct piece *const *pieces, size_t n, size_t view, struct features *features,
                       struct arena *scratch) {
    struct path path = {0, 0}, *paths;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!pieces[i]->whole[view]) return false;
        if (pieces[i]->workload[view].n_kernels > longest) longest = pieces[i]->workload[view].n_kernels;
    }
    paths = arena_array(scratch, longest, sizeof *paths);
    *features = (struct features){.x = {[FT_CONST] = 1}};
    for (size_t i = 0; i < n; i++) path = add_piece(&pieces[i]->workload[view], path, paths, features);
    return true;
}

enum status space_features_cached(struct space_cache *c, const struct space *s, const struct arch *a, int64_t batch,
                                  struct features features[VIEW_COUNT], struct arena *scratch, struct diag *diag) {
    struct blocks blocks;
    const struct piece *pieces[BLOCKS_MAX];
    bool whole = true;
    make_room(c);
    c->busy = true;
    space_blocks(s, a, batch, &blocks);
    for (size_t i = 0; i < blocks.n; i++) TRY(find_piece(c, &blocks.at[i], space_views(s), &pieces[i], scratch, diag));
    for (size_t v = 0; v < space_views(s) && whole; v++) whole = add_pieces(pieces, blocks.n, v, &features[v], scratch);
    c->busy = false;
    return whole ? ST_OK : space_features(s, a, batch, features, scratch, diag);
}
