/* features: the workload as the numbers a linear predictor reads.
 * needs: workload   gives: features   breaks: nothing
 *
 * Sums over the kernels (ir/kernel_features.c), a constant, and the critical path twice: the longest chain of dependent
 * kernels, counted in launches and in MACs, which is what a runtime that runs branches in parallel cannot hide. */
#include "passes.h"

enum status pass_features(struct run *run) {
    const struct workload *w = run->workload;
    struct path *paths = arena_array(run->scratch, w->n_kernels, sizeof *paths);
    run->features = (struct features){.x = {[FT_CONST] = 1}};
    kernels_features(w, 0, w->n_kernels, paths, &run->features);
    return ST_OK;
}
