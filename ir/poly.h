/* poly: polynomials with whole coefficients over atoms that are only numbers here: a constant and terms, each a
 * coefficient times a sorted product of atoms, higher degrees first, then by atoms. Private to dim.c. */
#ifndef POLY_H
#define POLY_H

#include <stdbool.h>
#include <stdint.h>

enum { POLY_TERMS = 16, POLY_DEGREE = 6 };

struct term {
    int64_t factor;
    uint32_t degree, atoms[POLY_DEGREE];
};

struct poly {
    int64_t constant;
    uint32_t n;
    struct term terms[POLY_TERMS];
    bool failed; /* too large, or an overflow */
};

void poly_add_term(struct poly *, const struct term *);
void poly_add(struct poly *, const struct poly *other, int64_t factor); /* factor times the other */
struct poly poly_multiply(const struct poly *, const struct poly *);
/* p = q * quotient? */
bool poly_divide(const struct poly *p, const struct poly *q, struct poly *quotient);
bool term_divides(const struct term *by, const struct term *, struct term *quotient);
bool factor_divides(int64_t by, int64_t x, int64_t *quotient); /* x / by, if it is whole */

#endif
