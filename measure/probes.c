/* Which family a probe is of, and how large it gets. */
#include "probes.h"

#include <math.h>

/* One round: every family once within the first sixteen, the frequent ones again. */
static probe_family *const schedule[] = {
    family_chain,     family_inverted,    family_transformer, family_vectors,     family_stem,    family_elementwise,
    family_grouped,   family_decoder,     family_inception,   family_head,        family_shuffle, family_windows,
    family_dense,     family_recurrent,   family_convnext,    family_movement,    family_chain,   family_inverted,
    family_chain,     family_transformer, family_stem,        family_inverted,    family_decoder, family_grouped,
    family_grouped,   family_vectors,     family_inverted,    family_elementwise, family_grouped, family_inception,
    family_recurrent, family_windows,     family_inverted,    family_stem,        family_chain,   family_head,
    family_convnext,  family_decoder,     family_shuffle,     family_dense};

/* Families that came later. Numbers from LATER on are theirs, so that journals of before go on to mean the same. */
enum { LATER = 1000000, LATER_EVERY = 12 };
static probe_family *const later[] = {family_suppression, family_best, family_regions};

static probe_family *family_of(uint32_t number) {
    return number < LATER ? schedule[number % COUNT_OF(schedule)] : later[(number - LATER) % COUNT_OF(later)];
}

uint32_t probe_number(uint32_t place) {
    uint32_t rounds = place / LATER_EVERY;
    return place % LATER_EVERY == LATER_EVERY - 1 ? LATER + rounds : place - rounds;
}

bool probe_exists(uint32_t number) {
    enum { MOST = 4000 };
    return number % LATER < MOST && number < 2 * LATER;
}

static void finish(struct probe *p) {
    build_output(&p->b, p->x, "output");
}

struct graph *probe_build(uint64_t seed, uint32_t number, bool weightless, struct arena *arena) {
    struct probe p = {.c = 0};
    enum { OPSET = 17 };
    uint64_t own = seed * UINT64_C(1000003) + number;
    build_start(&p.b, arena, arena_printf(arena, "probe %u", number), OPSET, own, weightless);
    rng_seed(&p.rng, own ^ UINT64_C(0x9e3779b97f4a7c15));
    p.limit = exp(log(3e7) + rng_unit(&p.rng) * (log(1e9) - log(3e7)));
    p.most_weights = 3.5e7;
    family_of(number)(&p);
    finish(&p);
    return p.b.graph;
}

struct graph *probe_canary(struct arena *arena) {
    struct probe p = {.c = 0};
    build_start(&p.b, arena, "canary", 17, 1, false);
    rng_seed(&p.rng, 1);
    probe_image(&p, 64, 28);
    for (int i = 0; i < 2; i++) {
        probe_conv_square(&p, 64, 3, 1, 1);
        probe_activation(&p, 1);
    }
    probe_conv_square(&p, 1, 1, 1, 1); /* its padding to a block tells the block's size */
    finish(&p);
    return p.b.graph;
}
