/* xoshiro256** (Blackman and Vigna), seeded by splitmix64. */
#include "base.h"

#include <math.h>

void rng_seed(struct rng *rng, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ z >> 31;
    }
}

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

uint64_t rng_next(struct rng *rng) {
    uint64_t *s = rng->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t n) {
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, draw; /* rejects the uneven tail */
    while ((draw = rng_next(rng)) >= limit) {
    }
    return draw % n;
}

double rng_unit(struct rng *rng) {
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *rng) { /* Box and Muller, one of the pair */
    double u = 1 - rng_unit(rng), angle = 6.283185307179586 * rng_unit(rng);
    return sqrt(-2 * log(u)) * cos(angle);
}
