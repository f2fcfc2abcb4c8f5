/* score: how much of a model's importance a setting keeps, between 0 and 1.
 *
 * Every weight of a convolution, product or recurrent cell counts by its squared norm; of that, each axis keeps the
 * share of importance of its remaining units, a kernel that shrinks what lies in its middle, and a weight that falls
 * away with a bypassed block nothing. */
#ifndef SCORE_H
#define SCORE_H

#include "rewrite.h"

struct score {
    const struct knobs *knobs;
    size_t n_weights;
    struct weight_score {
        uint32_t tensor;
        double energy; /* share of the model's squared weight norm */
        uint32_t node; /* that reads it */
        uint32_t crop; /* that shrinks it, or NONE */
        size_t n_parts;
        const struct axis_part { /* ordered by axis */
            int32_t axis;
            uint32_t group;
            double share; /* of the axis that the group's units make up */
        } * parts;
    } * weights;
    const double *const *kept; /* by group, by steps removed: share of importance that stays */
    const double *const *core; /* by crop, by steps: share of the squared norm that stays */
};

void score_start(struct score *, const struct knobs *, struct arena *);
/* `g` is the cut graph: weights whose node died keep nothing. */
double score_of(const struct score *, const struct config *, const struct graph *g);

#endif
