/* features: the workload as the numbers a linear predictor reads.
 * needs: workload   gives: features   breaks: nothing
 *
 * Sums over the kernels (ir/kernel_features.c), a constant, how far kernels of a kind lie apart, and the critical path
 * twice: the longest chain of dependent kernels, counted in launches and in MACs, which is what a runtime that runs
 * branches in parallel cannot hide. */
#include "passes.h"

enum status pass_features(struct run *run) {
    const struct workload *w = run->workload;
    struct path *paths = arena_array(run->scratch, w->n_kernels, sizeof *paths);
    struct launches launches = {0};
    run->features = (struct features){.x = {[FT_CONST] = 1}};
    for (size_t i = 0; i < w->n_kernels; i++) {
        const struct kernel *k = &w->kernels[i];
        kernel_features(k, &run->features);
        launch_next(&launches, kernel_sum(k), &run->features);
        struct path before = path_before(w->preds + k->first_pred, k->n_preds, paths);
        paths[i] = path_through(before, kernel_path(k), &run->features);
    }
    return ST_OK;
}
