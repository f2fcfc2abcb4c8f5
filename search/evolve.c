/* The evolutionary loop itself; it knows neither models nor latencies. */
#include "evolve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRONTIER_MAX = 512 };

static struct candidate new_candidate(struct evolve *e, const uint16_t *genes) {
    return (struct candidate){.genes = arena_copy(e->arena, genes, e->n_genes * sizeof *genes)};
}

static bool dominates(const struct evolve *e, const struct candidate *a, const struct candidate *b) {
    bool better = false;
    for (size_t i = 0; i < e->n_costs; i++) {
        if (a->cost[i] > b->cost[i]) return false;
        better = better || a->cost[i] < b->cost[i];
    }
    return better;
}

static bool equal_costs(const struct evolve *e, const struct candidate *a, const struct candidate *b) {
    return !memcmp(a->cost, b->cost, e->n_costs * sizeof *a->cost);
}

/* ---- Ranks and crowding ---- */

static void rank_fronts(struct evolve *e, struct candidate *all, size_t n) {
    size_t left = n;
    for (size_t i = 0; i < n; i++) all[i].rank = NONE;
    for (uint32_t front = 0; left; front++)
        for (size_t i = 0; i < n; i++) {
            bool beaten = false;
            if (all[i].rank != NONE) continue;
            for (size_t k = 0; k < n && !beaten; k++)
                beaten = (all[k].rank == NONE || all[k].rank == front) && dominates(e, &all[k], &all[i]);
            if (!beaten) all[i].rank = front, left--;
        }
}

struct keyed {
    double key;
    size_t at;
};

static int by_key(const void *a, const void *b) {
    const struct keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static void crowd_cost(struct candidate *all, struct keyed *order, size_t n, size_t cost) {
    for (size_t i = 0; i < n; i++) order[i].key = all[order[i].at].cost[cost];
    qsort(order, n, sizeof *order, by_key);
    double span = order[n - 1].key - order[0].key;
    all[order[0].at].crowding = all[order[n - 1].at].crowding = INFINITY;
    for (size_t i = 1; i + 1 < n && span > 0 && isfinite(span); i++)
        all[order[i].at].crowding += (order[i + 1].key - order[i - 1].key) / span;
}

static void crowd(struct evolve *e, struct candidate *all, size_t n, struct keyed *order) {
    for (uint32_t front = 0;; front++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (all[i].rank == front) order[count++].at = i, all[i].crowding = 0;
        if (!count) return;
        for (size_t cost = 0; cost < e->n_costs; cost++) crowd_cost(all, order, count, cost);
    }
}

static int by_fitness(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->crowding != y->crowding) return x->crowding > y->crowding ? -1 : 1;
    return 0;
}

/* Ties are broken by genes: qsort keeps no order of its own. */
static int by_fitness_then_genes(const void *a, const void *b, void *user) {
    const struct evolve *e = user;
    const struct candidate *x = a, *y = b;
    int order = by_fitness(a, b);
    for (size_t i = 0; !order && i < e->n_genes; i++) order = (x->genes[i] > y->genes[i]) - (x->genes[i] < y->genes[i]);
    return order;
}

static void survive(struct evolve *e, struct candidate *all, size_t n) {
    struct keyed *order = arena_array(e->arena, n + 1, sizeof *order);
    rank_fronts(e, all, n);
    crowd(e, all, n, order);
    qsort_r(all, n, sizeof *all, by_fitness_then_genes, e);
    e->n_population = n < EVOLVE_POPULATION ? n : EVOLVE_POPULATION;
    e->population = all;
}

/* ---- The frontier ---- */

static void thin(struct evolve *e) { /* the one in the most crowded place goes, never an end */
    size_t worst = 0;
    double least = INFINITY;
    for (size_t i = 1; i + 1 < e->n_frontier; i++) {
        double gap = 0;
        for (size_t c = 0; c < e->n_costs; c++) {
            double span = fabs(e->frontier[e->n_frontier - 1].cost[c] - e->frontier[0].cost[c]);
            if (span > 0) gap += fabs(e->frontier[i + 1].cost[c] - e->frontier[i - 1].cost[c]) / span;
        }
        if (gap < least) least = gap, worst = i;
    }
    if (!worst) return;
    memmove(&e->frontier[worst], &e->frontier[worst + 1], (--e->n_frontier - worst) * sizeof *e->frontier);
}

static void consider(struct evolve *e, const struct candidate *c) {
    size_t kept = 0, at = 0;
    if (!isfinite(c->cost[0])) return;
    for (size_t i = 0; i < e->n_frontier; i++)
        if (dominates(e, &e->frontier[i], c) || equal_costs(e, &e->frontier[i], c)) return;
    for (size_t i = 0; i < e->n_frontier; i++)
        if (!dominates(e, c, &e->frontier[i])) e->frontier[kept++] = e->frontier[i];
    e->n_frontier = kept;
    PUSH(e->arena, e, frontier, *c);
    while (at < kept && e->frontier[at].cost[0] < c->cost[0]) at++;
    struct candidate added = e->frontier[kept];
    memmove(&e->frontier[at + 1], &e->frontier[at], (kept - at) * sizeof *e->frontier);
    e->frontier[at] = added;
    if (e->n_frontier > FRONTIER_MAX) thin(e);
}

/* ---- Children ---- */

static void price_one(void *user, size_t i, unsigned worker) {
    struct evolve *e = ((void **)user)[0];
    struct candidate *all = ((void **)user)[1];
    e->price(e->user, all[i].genes, all[i].cost, worker);
}

static void price_all(struct evolve *e, struct candidate *all, size_t n) {
    void *both[] = {e, all};
    parallel_for(e->jobs, n, price_one, both);
    e->evaluated += n;
    for (size_t i = 0; i < n; i++) consider(e, &all[i]);
}

static const struct candidate *tournament(struct evolve *e) {
    const struct candidate *a = &e->population[rng_below(&e->rng, e->n_population)];
    const struct candidate *b = &e->population[rng_below(&e->rng, e->n_population)];
    return by_fitness(a, b) <= 0 ? a : b;
}

/* A step of a random size, mostly small; sometimes anywhere. */
static uint16_t mutate_gene(struct evolve *e, uint16_t value, uint16_t max) {
    if (!max) return 0;
    if (rng_unit(&e->rng) < 0.1) return (uint16_t)rng_below(&e->rng, (uint64_t)max + 1);
    int step = 1;
    while (step < max && rng_unit(&e->rng) < 0.5) step *= 2;
    int moved = rng_unit(&e->rng) < 0.5 ? value - step : value + step;
    return (uint16_t)(moved < 0 ? 0 : moved > max ? max : moved);
}

static void mutate(struct evolve *e, uint16_t *genes) {
    double rate = 1.5 / (double)e->n_genes;
    for (size_t i = 0; i < e->n_genes; i++)
        if (rng_unit(&e->rng) < rate) genes[i] = mutate_gene(e, genes[i], e->max[i]);
}

static struct candidate child_of(struct evolve *e, const struct candidate *a, const struct candidate *b) {
    struct candidate child = new_candidate(e, a->genes);
    for (size_t i = 0; i < e->n_genes; i++)
        if (rng_next(&e->rng) & 1) child.genes[i] = b->genes[i];
    mutate(e, child.genes);
    return child;
}

static void merge(struct evolve *e, const struct candidate *added, size_t n) {
    struct candidate *all = arena_array(e->arena, e->n_population + n + 1, sizeof *all);
    if (e->n_population) memcpy(all, e->population, e->n_population * sizeof *all);
    memcpy(all + e->n_population, added, n * sizeof *all);
    survive(e, all, e->n_population + n);
}

void evolve_price(struct evolve *e, const uint16_t *const *genomes, size_t n, struct candidate *out) {
    for (size_t i = 0; i < n; i++) out[i] = new_candidate(e, genomes[i]);
    price_all(e, out, n);
}

void evolve_offer(struct evolve *e, const uint16_t *const *genomes, size_t n) {
    if (!n) return;
    struct candidate *added = arena_array(e->arena, n, sizeof *added);
    evolve_price(e, genomes, n, added);
    merge(e, added, n);
}

static size_t population(size_t most) {
    return most < EVOLVE_POPULATION ? most : EVOLVE_POPULATION;
}

void evolve_start(struct evolve *e, const uint16_t *const *seeds, size_t n_seeds, size_t most) {
    size_t n = population(most);
    const uint16_t **genomes = arena_array(e->arena, n, sizeof *genomes);
    for (size_t i = 0; i < n; i++) {
        uint16_t *genes = arena_copy(e->arena, seeds[i % n_seeds], e->n_genes * sizeof *genes);
        if (i >= n_seeds) mutate(e, genes);
        genomes[i] = genes;
    }
    evolve_offer(e, genomes, n);
}

void evolve_generation(struct evolve *e, size_t most) {
    size_t n = population(most);
    struct candidate *children = arena_array(e->arena, n, sizeof *children);
    for (size_t i = 0; i < n; i++) {
        const struct candidate *a = tournament(e), *b = tournament(e);
        children[i] = child_of(e, a, b);
    }
    price_all(e, children, n);
    merge(e, children, n);
}

static struct candidate *copied(const struct evolve *e, const struct candidate *from, size_t n) {
    struct candidate *to = arena_array(e->arena, n + 1, sizeof *to);
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        to[i].genes = arena_copy(e->arena, from[i].genes, e->n_genes * sizeof *to[i].genes);
    }
    return to;
}

void evolve_move(struct evolve *e, struct arena *to) {
    e->arena = to;
    e->population = copied(e, e->population, e->n_population);
    e->frontier = copied(e, e->frontier, e->n_frontier);
    e->cap_frontier = e->n_frontier;
}

void evolve_restore(struct evolve *e, const uint16_t *genes, const double *cost, bool in_population) {
    struct candidate c = new_candidate(e, genes);
    memcpy(c.cost, cost, e->n_costs * sizeof *cost);
    if (in_population)
        merge(e, &c, 1);
    else
        consider(e, &c);
}
