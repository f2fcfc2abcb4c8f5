/* Which networks to measure, for callers of the library. */
#include "study.h"

#include <string.h>

/* Each network once; `line` is its place among the candidates. */
static enum status list_candidates(ol_study *s, const ol_planning *spec, struct networks *list) {
    struct arena *arena = &s->base.arena;
    struct map seen;
    map_init(&seen, arena);
    *list = (struct networks){.dims = spec->dims, .n_dims = spec->n_dims, .may_fail = true};
    list->at = arena_array(arena, spec->n_candidates, sizeof *list->at);
    for (size_t i = 0; i < spec->n_candidates; i++) {
        struct network network = {.text = spec->candidates[i],
                                  .batch = spec->batch ? spec->batch : 1,
                                  .batch_is_stated = spec->batch > 0,
                                  .line = i};
        uint32_t first;
        if (spec->space) TRY(space_named(spec->space, &network.space, &s->base.diag));
        const char *key = network_key(&network, arena);
        if (map_get(&seen, key, strlen(key), &first)) continue;
        map_put(&seen, key, strlen(key), (uint32_t)i);
        list->at[list->n++] = network;
    }
    return ST_OK;
}

static enum status plan(ol_study *s, const ol_planning *spec, ol_plan *out) {
    struct object *o = &s->base;
    struct networks list;
    struct samples rows, reference;
    struct proxy *proxies;
    struct bank bank;
    size_t n_proxies;
    if (spec->count < 1 || spec->count > spec->n_candidates)
        return diag_fail(&o->diag, ST_USAGE, "%zu of %zu candidates cannot be chosen", spec->count, spec->n_candidates);
    TRY(study_proxies(s, spec->proxies, spec->n_proxies, true, &proxies, &n_proxies));
    TRY(list_candidates(s, spec, &list));
    TRY(study_rows(s, &list, &rows));
    if (list.n < spec->count)
        return diag_fail(&o->diag, ST_DATA, "%s%s%zu of %zu different candidates cannot be chosen",
                         list.n_failures ? list.failures[0] : "", list.n_failures ? "; " : "", spec->count, list.n);
    TRY(study_reference(s, &list, &rows, &reference));
    bank_init(&bank, &reference, proxies, n_proxies, &o->arena);
    uint32_t *chosen = arena_array(&o->arena, spec->count, sizeof *chosen);
    size_t *indices = arena_array(&o->arena, spec->count, sizeof *indices);
    design_choose(&bank, &rows, spec->count, chosen, &o->arena);
    for (size_t i = 0; i < spec->count; i++) indices[i] = list.at[chosen[i]].line;
    *out = (ol_plan){spec->count, indices, list.n_failures, list.failures};
    return ST_OK;
}

ol_status ol_plan_measurements(ol_context *context, const ol_planning *spec, const ol_plan **chosen, ol_study **out) {
    ol_study *s = *out = object_new(context, sizeof *s);
    *chosen = NULL;
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) return object_out_of_memory(&(*out)->base);
    ol_plan *answer = arena_alloc(&s->base.arena, sizeof *answer);
    enum status status = plan(s, spec, answer);
    if (status == ST_OK) *chosen = answer;
    return object_end(&s->base, status);
}
