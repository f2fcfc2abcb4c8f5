/* evolve: NSGA-II (Deb et al., 2002) over lists of small integers. Deterministic by seed whatever the number of
 * threads: children are drawn by one thread and priced by many. */
#ifndef EVOLVE_H
#define EVOLVE_H

#include "base.h"

#define OBJECTIVES_MAX 8

struct candidate {
    uint16_t *genes;
    double cost[OBJECTIVES_MAX]; /* all minimised; an infinite first cost is no candidate */
    uint32_t rank;               /* front, 0 is best */
    double crowding;
};

struct evolve {
    size_t n_genes, n_costs;
    const uint16_t *max; /* by gene: its largest value; the smallest is 0 */
    /* Prices a candidate: fills cost. Runs on several threads; `worker` tells them apart. */
    void (*price)(void *user, const uint16_t *genes, double *cost, unsigned worker);
    void *user;
    unsigned jobs;
    struct arena *arena;
    struct rng rng;
    size_t n_population; /* the survivors */
    struct candidate *population;
    size_t evaluated;
    size_t n_frontier, cap_frontier;
    struct candidate *frontier; /* every candidate that no other one beats in all costs, cheapest first cost first */
};

enum { EVOLVE_POPULATION = 64 };

/* Starts with the given genomes (prices them) and fills up with mutations of them, up to EVOLVE_POPULATION, or `most`
 * if that is less. */
void evolve_start(struct evolve *, const uint16_t *const *seeds, size_t n_seeds, size_t most);
void evolve_generation(struct evolve *, size_t most); /* as many children */
/* Prices and considers genomes from elsewhere (local search, a resumed run). */
void evolve_offer(struct evolve *, const uint16_t *const *genomes, size_t n);
/* Prices genomes into `out`; they reach the frontier but not the population. */
void evolve_price(struct evolve *, const uint16_t *const *genomes, size_t n, struct candidate *out);
/* Copies the survivors and the frontier into another arena, where all that follows is kept. What was allocated before,
 * candidates in hand too, may then go: a search without end would else need memory without end. */
void evolve_move(struct evolve *, struct arena *to);
/* Takes a genome as priced already. */
void evolve_restore(struct evolve *, const uint16_t *genes, const double *cost, bool in_population);

#endif
