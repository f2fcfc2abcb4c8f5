/* lower: the graph as the kernels that the target's runtime launches.
 * needs: costs, folded constants   gives: run->workload   breaks: nothing
 *
 * Which lowering runs is the runtime's choice, by name (lowerings.def). */
#include "lower_internal.h"

#include <string.h>

static const struct {
    const char *name;
    lower_fn *lower;
} lowerings[] = {
#define LOWERING(id, name) {name, lower_##id},
#include "lowerings.def"
#undef LOWERING
};

static lower_fn *find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(lowerings); i++)
        if (strcmp(lowerings[i].name, name) == 0) return lowerings[i].lower;
    return NULL;
}

bool lowering_known(const char *name) {
    return find(name);
}

enum status pass_lower(struct run *run) {
    const char *name = run->runtime && run->runtime->lowering ? run->runtime->lowering : lowerings[0].name;
    lower_fn *lower = find(name);
    if (lower) return lower(run);
    return diag_fail(run->diag, ST_TARGET, "%s: the runtime asks for lowering \"%s\", which is not known",
                     run->graph->path, name);
}
