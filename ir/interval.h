/* interval: arithmetic over what lies between two bounds; INT64_MIN below and INT64_MAX above stand for no bound.
 * Private to dim.c. */
#ifndef INTERVAL_H
#define INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

struct interval {
    int64_t lo, hi;
};

#define INTERVAL_ANY ((struct interval){INT64_MIN, INT64_MAX})

bool bound_is_infinite(int64_t bound);
int64_t bound_div(int64_t bound, int64_t by); /* floor; by >= 1 */
struct interval interval_add(struct interval, struct interval);
struct interval interval_mul(struct interval, struct interval);
struct interval interval_div(struct interval, struct interval);                /* floor */
struct interval interval_pick(bool smaller, struct interval, struct interval); /* min or max */
struct interval interval_common(struct interval, struct interval);

#endif
