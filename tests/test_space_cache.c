/* Features from cached parts against those of the whole graph, to the last bit, in every view. */
#include "space_piece.h"

#include <criterion/criterion.h>

struct roads {
    struct arena memory;
    struct diag messages;
    struct space_cache cache;
};

static void start(struct roads *r) {
    arena_init(&r->memory, NULL, NULL);
    space_cache_init(&r->cache, NULL, NULL);
}

static void finish(struct roads *r) {
    space_cache_free(&r->cache);
    arena_free(&r->memory);
}

static void compare(struct roads *r, const struct space *s, const struct arch *a, int64_t batch) {
    struct features whole[VIEW_COUNT], parts;
    arena_reset(&r->memory);
    diag_init(&r->messages, &r->memory);
    cr_assert_eq(space_features(s, a, batch, whole, &r->memory, &r->messages), ST_OK, "%s", r->messages.message);
    for (enum view v = VIEW_KEPT; v < space_views(s); v++) {
        cr_assert_eq(space_features_cached(&r->cache, s, a, batch, v, &parts, &r->memory, &r->messages), ST_OK);
        for (int f = 0; f < FT_COUNT; f++)
            cr_assert(whole[v].x[f] == parts.x[f], "%s %s, view %s: %s is %.17g, of parts %.17g", s->name,
                      space_print(s, a, &r->memory), view_name(v), feature_name((enum feature)f), whole[v].x[f],
                      parts.x[f]);
    }
}

Test(space_cache, random_architectures) {
    static const int64_t batches[] = {1, 32, 64, 256};
    struct roads r;
    struct rng rng;
    rng_seed(&rng, 11);
    start(&r);
    for (size_t s = 0; s < space_count(); s++)
        for (size_t i = 0; i < 400; i++) {
            struct arch a;
            space_random(space_at(s), &rng, &a);
            compare(&r, space_at(s), &a, batches[i % COUNT_OF(batches)]);
        }
    finish(&r);
}

/* What is fused and pruned in a cell hangs on its edges alone: all cells of NAS-Bench-201. */
Test(space_cache, every_cell, .timeout = 240) {
    const struct space *s = &space_nasbench201;
    struct roads r;
    size_t n = 1;
    start(&r);
    for (size_t g = 0; g < space_genes(s); g++) n *= space_options(s, g);
    cr_assert_eq(n, 15625);
    for (size_t i = 0; i < n; i++) {
        struct arch a = {{0}};
        for (size_t g = 0, rest = i; g < space_genes(s); g++) {
            a.gene[g] = (uint8_t)(rest % space_options(s, g));
            rest /= space_options(s, g);
        }
        compare(&r, s, &a, 1);
    }
    finish(&r);
}
