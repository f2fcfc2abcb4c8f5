/* features: the workload as the numbers a linear predictor reads.
 * needs: workload   gives: features   breaks: nothing
 *
 * Sums over the kernels (ir/kernel_features.c), a constant, and the critical path twice: the longest chain of dependent
 * kernels, counted in launches and in MACs, which is what a runtime that runs branches in parallel cannot hide. */
#include "passes.h"

struct path {
    double kernels, macs;
};

static struct path longest(const struct workload *w, const struct path *paths, const struct kernel *k) {
    struct path longest = {0, 0};
    for (uint32_t i = 0; i < k->n_preds; i++) {
        const struct path *p = &paths[w->preds[k->first_pred + i]];
        if (p->kernels > longest.kernels) longest.kernels = p->kernels;
        if (p->macs > longest.macs) longest.macs = p->macs;
    }
    longest.kernels += (double)k->count;
    longest.macs += (double)k->count * (double)k->macs / 1e6;
    return longest;
}

enum status pass_features(struct run *run) {
    const struct workload *w = run->workload;
    struct path *paths = arena_array(run->scratch, w->n_kernels, sizeof *paths);
    run->features = (struct features){{0}};
    double *x = run->features.x;
    x[FT_CONST] = 1;
    for (size_t i = 0; i < w->n_kernels; i++) {
        kernel_features(&w->kernels[i], &run->features);
        paths[i] = longest(w, paths, &w->kernels[i]);
        if (paths[i].kernels > x[FT_PATH_KERNELS]) x[FT_PATH_KERNELS] = paths[i].kernels;
        if (paths[i].macs > x[FT_PATH_MACS]) x[FT_PATH_MACS] = paths[i].macs;
    }
    return ST_OK;
}
