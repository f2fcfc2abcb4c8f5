/* Metrics: how well predicted latencies agree with measured ones. */
#include "predictor.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct keyed {
    double key;
    size_t index;
};

static int by_key(const void *pa, const void *pb) {
    const struct keyed *a = pa, *b = pb;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index; /* a stable order */
}

static struct keyed *sorted(const double *values, size_t n, struct arena *arena) {
    struct keyed *list = arena_array(arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        assert(!isnan(values[i]));
        list[i] = (struct keyed){values[i], i};
    }
    qsort(list, n, sizeof *list, by_key);
    return list;
}

/* Ranks from 1; equal values share the mean of theirs. */
static double *ranks(const double *values, size_t n, struct arena *arena) {
    struct keyed *order = sorted(values, n, arena);
    double *rank = arena_array(arena, n, sizeof *rank);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && order[end].key == order[i].key; end++) {
        }
        for (size_t k = i; k < end; k++) rank[order[k].index] = 0.5 * (double)(i + 1 + end);
    }
    return rank;
}

/* Pearson's coefficient of the ranks: exact with ties, unlike the shortcut over squared differences. NaN when one side
 * is all equal. */
double metric_srcc(const double *a, const double *b, size_t n, struct arena *arena) {
    const double *ra = ranks(a, n, arena), *rb = ranks(b, n, arena);
    double mean = 0.5 * (double)(n + 1), ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        double da = ra[i] - mean, db = rb[i] - mean;
        ab += da * db;
        aa += da * da;
        bb += db * db;
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

/* ---- Kendall's tau-b in n log n (Knight 1966): discordant pairs are the inversions of b once sorted by a ---- */

static double pairs(size_t n) {
    return 0.5 * (double)n * ((double)n - 1);
}

static double merge_inversions(double *v, double *scratch, size_t n) {
    if (n < 2) return 0;
    size_t half = n / 2, i = 0, j = half, k = 0;
    double count = merge_inversions(v, scratch, half) + merge_inversions(v + half, scratch, n - half);
    while (i < half && j < n) {
        if (v[j] < v[i]) {
            count += (double)(half - i);
            scratch[k++] = v[j++];
        } else {
            scratch[k++] = v[i++];
        }
    }
    while (i < half) scratch[k++] = v[i++];
    memcpy(v, scratch, k * sizeof *v); /* what is left of the right half lies in place */
    return count;
}

static double tied_pairs(const double *ascending, size_t n) {
    double sum = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && ascending[end] == ascending[i]; end++) {
        }
        sum += pairs(end - i);
    }
    return sum;
}

struct point {
    double a, b;
};

static int by_a_then_b(const void *pp, const void *pq) {
    const struct point *p = pp, *q = pq;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

double metric_kendall(const double *a, const double *b, size_t n, struct arena *arena) {
    struct point *points = arena_array(arena, n, sizeof *points);
    double *va = arena_array(arena, n, sizeof *va), *vb = arena_array(arena, n, sizeof *vb);
    double *scratch = arena_array(arena, n, sizeof *scratch);
    for (size_t i = 0; i < n; i++) points[i] = (struct point){a[i], b[i]};
    qsort(points, n, sizeof *points, by_a_then_b);
    double both = 0; /* pairs tied in a and b */
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && points[end].a == points[i].a && points[end].b == points[i].b; end++) {
        }
        both += pairs(end - i);
    }
    for (size_t i = 0; i < n; i++) va[i] = points[i].a, vb[i] = points[i].b;
    double discordant = merge_inversions(vb, scratch, n); /* leaves vb ascending */
    double ties_a = tied_pairs(va, n), ties_b = tied_pairs(vb, n), all = pairs(n);
    double untied = sqrt((all - ties_a) * (all - ties_b));
    return untied > 0 ? (all - ties_a - ties_b + both - 2 * discordant) / untied : NAN;
}

double metric_mape(const double *predicted, const double *truth, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs(predicted[i] / truth[i] - 1);
    return n ? sum / (double)n : NAN;
}

double metric_within(const double *predicted, const double *truth, size_t n, double tolerance) {
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) hits += fabs(predicted[i] / truth[i] - 1) <= tolerance;
    return n ? (double)hits / (double)n : NAN;
}
