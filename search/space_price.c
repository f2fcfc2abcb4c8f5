/* From an architecture to features: the road of a file, without the file. */
#include "passes.h"
#include "space.h"

static const struct fuse_rule fusions[] = {{KC_CONV, KC_NORM}, {KC_CONV, KC_ACTIVATION}};

const struct runtime space_runtime = {
    .lowering = "plain", .view = VIEW_KEPT, .threads = 1, .n_fuse = COUNT_OF(fusions), .fuse = fusions};

#define SHARED  ((1u << PASS_bind) | (1u << PASS_topo) | (1u << PASS_shape) | (1u << PASS_fold) | (1u << PASS_cost))
#define OF_VIEW ((1u << PASS_dead) | (1u << PASS_lower) | (1u << PASS_features))

enum status space_features(const struct space *s, const struct arch *a, int64_t batch,
                           struct features features[VIEW_COUNT], struct arena *scratch, struct diag *diag) {
    struct graph *graph = space_graph(s, a, batch, 0, true, scratch);
    struct run shared = {.graph = graph, .scratch = scratch, .diag = diag};
    TRY(passes_run(&shared, SHARED));
    for (size_t v = 0; v < space_views(s); v++) {
        struct runtime runtime = space_runtime;
        struct run run = shared;
        runtime.view = (enum view)v;
        run.runtime = &runtime;
        if (v + 1 < space_views(s)) run.graph = graph_clone(graph, scratch);
        TRY(passes_run(&run, OF_VIEW));
        features[v] = run.features;
    }
    return ST_OK;
}
