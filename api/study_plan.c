/* Which networks to measure, for callers of the library. */
#include "study.h"

static enum status plan(ol_study *s, const ol_planning *spec, ol_plan *out) {
    struct object *o = &s->base;
    struct networks list = {0};
    struct samples rows, reference;
    struct proxy *proxies;
    struct bank bank;
    size_t n_proxies;
    if (spec->count < 1 || spec->count > spec->n_candidates)
        return diag_fail(&o->diag, ST_USAGE, "%zu of %zu candidates cannot be chosen", spec->count, spec->n_candidates);
    TRY(study_proxies(s, spec->proxies, spec->n_proxies, &proxies, &n_proxies));
    list.at = arena_array(&o->arena, spec->n_candidates, sizeof *list.at);
    for (; list.n < spec->n_candidates; list.n++) {
        struct network *network = &list.at[list.n];
        *network = (struct network){.text = spec->candidates[list.n], .batch = spec->batch ? spec->batch : 1};
        if (spec->space) TRY(study_space(spec->space, &network->space, &o->diag));
    }
    TRY(study_rows(s, &list, &rows));
    TRY(study_reference(s, &list, &rows, &reference));
    bank_init(&bank, &reference, proxies, n_proxies, &o->arena);
    uint32_t *chosen = arena_array(&o->arena, spec->count, sizeof *chosen);
    size_t *indices = arena_array(&o->arena, spec->count, sizeof *indices);
    design_choose(&bank, &rows, spec->count, chosen, &o->arena);
    for (size_t i = 0; i < spec->count; i++) indices[i] = chosen[i];
    *out = (ol_plan){spec->count, indices};
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
