/* The search loop alone, over settings that are plain numbers: it knows neither models nor latencies. */
#include <criterion/criterion.h>
#include <math.h>

#include "find.h"

enum { GENES = 12, MOST = 15 };

static const double budget_ms[] = {60};

struct state {
    size_t scored, shown;
    double share;
    bool fell_back; /* progress went backwards */
};

/* Every step taken off a gene saves a millisecond and loses as much as its place says. */
static bool judge(void *user, const uint16_t *genes, struct outcome *o, unsigned worker) {
    struct state *s = user;
    double removed = 0, lost = 0;
    (void)worker;
    for (size_t i = 0; i < GENES; i++) removed += genes[i], lost += genes[i] * (double)(i + 1);
    o->ms[0] = o->bound_ms[0] = 1 + GENES * MOST - removed;
    if (!isnan(o->score)) return true;
    o->score = -lost;
    s->scored++;
    return true;
}

static void progress(void *user, size_t evaluated, double share) {
    struct state *s = user;
    s->fell_back = s->fell_back || share < s->share || !evaluated;
    s->share = share;
    s->shown++;
}

static struct findings found;

/* Returns how many bytes it took. The frontier found lies in the arena. */
static size_t search(struct state *s, struct find f, struct arena *arena) {
    struct diag diag;
    uint16_t max[GENES];
    for (size_t i = 0; i < GENES; i++) max[i] = MOST;
    diag_init(&diag, arena);
    f.n_genes = f.n_widths = GENES, f.n_targets = 1, f.max = max, f.budget_ms = budget_ms;
    f.judge = judge, f.user = s, f.jobs = 1, f.uniform = true;
    f.progress = progress, f.progress_user = s;
    f.arena = arena;
    cr_assert_eq(find_best(&f, &found, &diag), ST_OK);
    size_t used = arena->used_bytes;
    for (const struct arena *inner = arena->inside; inner; inner = inner->next) used += inner->used_bytes;
    return used;
}

static size_t search_alone(struct state *s, struct find f) {
    struct arena arena;
    arena_init(&arena, NULL, NULL);
    size_t used = search(s, f, &arena);
    arena_free(&arena);
    return used;
}

/* The cheapest genes go first: 120 of 180 steps, of them 15 at each of the first eight places. */
Test(find, the_least_loss_that_meets_the_budget) {
    struct state s = {0};
    search_alone(&s, (struct find){.evaluations = 6000, .greedy = true});
    cr_expect(found.met);
    cr_expect(found.chosen.outcome.ms[0] <= budget_ms[0]);
    cr_expect_float_eq(found.chosen.outcome.score, -15 * 36 - 9, 1e-9, "%g", found.chosen.outcome.score);
}

Test(find, progress_is_told_and_only_grows) {
    static const enum strategy strategies[] = {STRATEGY_EVOLUTION, STRATEGY_RANDOM, STRATEGY_UNIFORM};
    for (size_t i = 0; i < COUNT_OF(strategies); i++) {
        struct state s = {0};
        search_alone(&s, (struct find){.strategy = strategies[i], .evaluations = 1000});
        cr_expect_gt(s.shown, 10);
        cr_expect_gt(s.share, 0.9);
        cr_expect_not(s.fell_back);
    }
}

/* A score may take minutes: what is shown at the end was scored already. */
Test(find, every_setting_is_scored_once) {
    struct state s = {0};
    struct arena arena;
    arena_init(&arena, NULL, NULL);
    search(&s, (struct find){.evaluations = 500, .greedy = true}, &arena);
    cr_expect_eq(s.scored, 500, "%zu", s.scored);
    cr_expect_eq(found.evaluated, 500);
    cr_expect(isfinite(found.chosen.outcome.score));
    for (size_t i = 0; i < found.n_frontier; i++) cr_expect(isfinite(found.frontier[i].outcome.score));
    arena_free(&arena);
}

/* What is forgotten gives its memory back, or --minutes would need more the longer it lasts. */
Test(find, memory_does_not_grow_with_time) {
    static const enum strategy strategies[] = {STRATEGY_EVOLUTION, STRATEGY_RANDOM};
    for (size_t i = 0; i < COUNT_OF(strategies); i++) {
        struct state s = {0};
        size_t soon = search_alone(&s, (struct find){.strategy = strategies[i], .evaluations = 3000});
        size_t late = search_alone(&s, (struct find){.strategy = strategies[i], .evaluations = 30000});
        cr_expect(late < 2 * soon, "%zu bytes, then %zu", soon, late);
    }
}
