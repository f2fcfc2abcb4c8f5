#include "interval.h"
#include "base.h"

bool bound_is_infinite(int64_t bound) {
    return bound == INT64_MIN || bound == INT64_MAX;
}

static int64_t times(int64_t a, int64_t b) { /* infinity times zero is zero */
    if (!a || !b) return 0;
    if (bound_is_infinite(a) || bound_is_infinite(b)) return (a > 0) == (b > 0) ? INT64_MAX : INT64_MIN;
    return num_mul_sat(a, b);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t greatest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

struct interval interval_add(struct interval x, struct interval y) {
    bool below = x.lo != INT64_MIN && y.lo != INT64_MIN, above = x.hi != INT64_MAX && y.hi != INT64_MAX;
    return (struct interval){below ? num_add_sat(x.lo, y.lo) : INT64_MIN, above ? num_add_sat(x.hi, y.hi) : INT64_MAX};
}

struct interval interval_mul(struct interval x, struct interval y) {
    int64_t a = times(x.lo, y.lo), b = times(x.lo, y.hi), c = times(x.hi, y.lo), d = times(x.hi, y.hi);
    return (struct interval){least(least(a, b), least(c, d)), greatest(greatest(a, b), greatest(c, d))};
}

int64_t bound_div(int64_t a, int64_t b) {
    if (bound_is_infinite(a)) return a;
    return b == INT64_MAX ? (a < 0 ? -1 : 0) : num_floordiv(a, b);
}

struct interval interval_div(struct interval a, struct interval b) {
    if (b.lo < 1) return INTERVAL_ANY;
    return (struct interval){bound_div(a.lo, a.lo >= 0 ? b.hi : b.lo), bound_div(a.hi, a.hi >= 0 ? b.lo : b.hi)};
}

struct interval interval_pick(bool smaller, struct interval a, struct interval b) {
    if (smaller) return (struct interval){least(a.lo, b.lo), least(a.hi, b.hi)};
    return (struct interval){greatest(a.lo, b.lo), greatest(a.hi, b.hi)};
}

struct interval interval_common(struct interval a, struct interval b) {
    return (struct interval){greatest(a.lo, b.lo), least(a.hi, b.hi)};
}
