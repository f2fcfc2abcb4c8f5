/* choose: of a list of candidates, the one worth its risk. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include "base.h"

struct chance {   /* a candidate whose latency may be within the budget */
    size_t index; /* in the list */
    double score; /* higher is better */
    double holds; /* the probability that its real latency is, above 0 */
};

/* A better score against a budget that holds more surely: each halving of the probability costs half of the best
 * score's lead over the upper tenth. Of equal scores the surer one is taken, else the first in the list. Returns the
 * index; sorts the candidates, of which there is at least one. */
size_t choose(struct chance *, size_t n);

#endif
