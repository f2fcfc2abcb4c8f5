/* rank: models, fastest first, target by target. */
#include "cli.h"

#include <stdlib.h>

/* By target, then latency; ties keep the order of the inputs. */
static int by_latency(const void *pa, const void *pb) {
    const struct prediction *a = *(const struct prediction *const *)pa, *b = *(const struct prediction *const *)pb;
    if (a->target_index != b->target_index) return a->target_index < b->target_index ? -1 : 1;
    if (a->latency_ms != b->latency_ms) return a->latency_ms < b->latency_ms ? -1 : 1;
    return a->model_index < b->model_index ? -1 : a->model_index > b->model_index;
}

static void rank(struct results *r, size_t top) {
    size_t kept = 0, place = 0, target = SIZE_MAX;
    if (r->n) qsort(r->at, r->n, sizeof *r->at, by_latency);
    for (size_t i = 0; i < r->n; i++) {
        const struct prediction *p = r->at[i];
        place = p->target_index == target ? place + 1 : 1;
        target = p->target_index;
        if (top && place > top) continue;
        r->ranks[kept] = place;
        r->at[kept++] = p;
    }
    r->n = kept;
}

int command_rank(const struct options *o) {
    struct predictions p;
    predictions_run(&p, o, true);
    size_t most = p.n_models * p.n_targets;
    struct results r = {.schema = "onnx-latency/rank/1",
                        .at = xrealloc(NULL, most * sizeof *r.at),
                        .ranks = xrealloc(NULL, most * sizeof *r.ranks)};
    for (size_t i = 0; i < most; i++)
        if (p.at[i].is_valid) r.at[r.n++] = &p.at[i];
    rank(&r, (size_t)o->top);
    int code = results_print(&r, o, p.exit_code);
    free(r.at);
    free(r.ranks);
    predictions_free(&p);
    return code;
}
