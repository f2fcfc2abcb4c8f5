/* What the samples tell apart in one view: the directions of the prior that change them at all. */
#include "bank.h"

#include <assert.h>
#include <lapacke.h>
#include <string.h>

#define SAME 1e-12 /* of the largest d^2: below it is rounding */

/* L z, with L lower triangular; NULL: the identity. */
static void apply_factor(const double *factor, const double *z, size_t p, double *out) {
    for (size_t j = 0; j < p; j++) out[j] = factor ? dot(factor + j * p, z, j + 1) : z[j];
}

/* out (columns * rows) is the transpose of `in`. */
static double *transposed(const double *in, size_t rows, size_t columns, struct arena *arena) {
    double *out = arena_array(arena, rows * columns, sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) out[j * rows + i] = in[i * columns + j];
    return out;
}

/* From the eigenvectors of the smaller Gram matrix. `a` (n * p) is X L. */
static struct spectrum decompose(const double *a, size_t n, size_t p, const double *factor, struct arena *arena) {
    bool wide = n < p;
    size_t m = wide ? n : p, length = wide ? p : n;
    const double *across = transposed(a, n, p, arena), *rows = wide ? a : across, *columns = wide ? across : a;
    double *gram = arena_array(arena, m * m, sizeof *gram), *value = arena_array(arena, m, sizeof *value);
    struct spectrum s = {factor, 0, value, arena_array(arena, m * n, sizeof(double)),
                         arena_array(arena, m * p, sizeof(double))};
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k <= i; k++) gram[i * m + k] = dot(rows + i * length, rows + k * length, length);
    lapack_int info = LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)m, gram, (lapack_int)m, value);
    assert(info == 0);
    (void)info;
    double least = SAME * value[m - 1], v[FT_LEARNED];
    for (size_t k = 0; k < m; k++) {
        const double *own = gram + k * m;
        double *change = s.change + s.rank * n, d = sqrt(fmax(value[k], 0));
        if (!(value[k] > least)) continue;
        if (wide) {
            for (size_t i = 0; i < n; i++) change[i] = d * own[i];
            for (size_t j = 0; j < p; j++) v[j] = dot(columns + j * n, own, n) / d;
        } else {
            for (size_t i = 0; i < n; i++) change[i] = dot(columns + i * p, own, p);
            memcpy(v, own, p * sizeof *v);
        }
        apply_factor(factor, v, p, s.weight + s.rank * p);
        s.square[s.rank++] = value[k];
    }
    return s;
}

struct view_samples see_view(const struct bank *b, const struct samples *s, size_t view, struct arena *arena) {
    size_t n = s->n, p = b->p;
    struct view_samples seen = {.shares = arena_array(arena, n * p, sizeof(double))};
    double *spread = arena_array(arena, n * p, sizeof *spread);
    for (size_t i = 0; i < n; i++) {
        double *row = seen.shares + i * p, weight = row_weight(s, i);
        for (size_t k = 0; k < p; k++) {
            if (b->scale[k] > 0) row[k] = weight * s->x[view][i * p + k] / (b->scale[k] * s->y[i]);
            add_scaled(spread + i * p, b->factor + k * p, row[k], k + 1);
        }
    }
    seen.spectrum[FACTOR_BANK] = decompose(spread, n, p, b->factor, arena);
    seen.spectrum[FACTOR_NONE] = decompose(seen.shares, n, p, NULL, arena);
    return seen;
}
