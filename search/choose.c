/* Choosing from a list. What a point of the score is worth differs from list to list, so it is measured against how far
 * the best stands out. */
#include "choose.h"

#include <math.h>
#include <stdlib.h>

#define OTHERS 10 /* of the best that fit, or a tenth if that is more: what the best one is compared with */

static int by_worth(const void *a, const void *b) {
    const struct chance *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->holds != y->holds) return x->holds > y->holds ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static double lead(const struct chance *best, size_t n) {
    size_t others = n / 10 > OTHERS ? n / 10 : OTHERS;
    return best->score - best[others < n ? others : n - 1].score;
}

size_t choose(struct chance *at, size_t n) {
    size_t best = 0;
    qsort(at, n, sizeof *at, by_worth);
    double halving = 0.5 * lead(at, n), most = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double worth = at[i].score + halving * log2(at[i].holds);
        if (worth > most) most = worth, best = i;
    }
    return at[best].index;
}
