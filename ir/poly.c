#include "poly.h"
#include "base.h"

#include <stdlib.h>
#include <string.h>

/* Higher degrees first, then by atoms. */
static int compare_products(const struct term *a, const struct term *b) {
    if (a->degree != b->degree) return a->degree > b->degree ? -1 : 1;
    for (uint32_t i = 0; i < a->degree; i++)
        if (a->atoms[i] != b->atoms[i]) return a->atoms[i] < b->atoms[i] ? -1 : 1;
    return 0;
}

void poly_add_term(struct poly *p, const struct term *term) {
    uint32_t at = 0;
    if (!term->factor) return;
    if (!term->degree) {
        p->failed = !num_add(p->constant, term->factor, &p->constant) || p->failed;
        return;
    }
    while (at < p->n && compare_products(&p->terms[at], term) < 0) at++;
    if (at < p->n && !compare_products(&p->terms[at], term)) {
        p->failed = !num_add(p->terms[at].factor, term->factor, &p->terms[at].factor) || p->failed;
        if (p->terms[at].factor) return;
        memmove(&p->terms[at], &p->terms[at + 1], (--p->n - at) * sizeof *p->terms);
        return;
    }
    if (p->n == POLY_TERMS) {
        p->failed = true;
        return;
    }
    memmove(&p->terms[at + 1], &p->terms[at], (p->n++ - at) * sizeof *p->terms);
    p->terms[at] = *term;
}

void poly_add(struct poly *p, const struct poly *other, int64_t factor) {
    int64_t constant;
    p->failed = p->failed || other->failed || !num_mul(other->constant, factor, &constant) ||
                !num_add(p->constant, constant, &p->constant);
    for (uint32_t i = 0; i < other->n; i++) {
        struct term term = other->terms[i];
        p->failed = !num_mul(term.factor, factor, &term.factor) || p->failed;
        poly_add_term(p, &term);
    }
}

static int by_id(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void add_product(struct poly *p, const struct term *a, const struct term *b) {
    struct term term = *a;
    if (a->degree + b->degree > POLY_DEGREE || !num_mul(a->factor, b->factor, &term.factor)) {
        p->failed = true;
        return;
    }
    memcpy(term.atoms + a->degree, b->atoms, b->degree * sizeof *b->atoms);
    term.degree = a->degree + b->degree;
    qsort(term.atoms, term.degree, sizeof *term.atoms, by_id);
    poly_add_term(p, &term);
}

struct poly poly_multiply(const struct poly *a, const struct poly *b) {
    struct poly p = {0};
    poly_add(&p, a, b->constant);
    for (uint32_t i = 0; i < b->n; i++) {
        struct term constant = {.factor = a->constant};
        if (a->constant) add_product(&p, &b->terms[i], &constant);
        for (uint32_t k = 0; k < a->n; k++) add_product(&p, &a->terms[k], &b->terms[i]);
    }
    return p;
}

bool factor_divides(int64_t by, int64_t x, int64_t *quotient) {
    if (by == -1) return num_sub(0, x, quotient);
    *quotient = x / by;
    return x % by == 0;
}

bool term_divides(const struct term *by, const struct term *term, struct term *quotient) {
    uint32_t matched = 0;
    *quotient = (struct term){0};
    if (!factor_divides(by->factor, term->factor, &quotient->factor)) return false;
    for (uint32_t i = 0; i < term->degree; i++)
        if (matched < by->degree && term->atoms[i] == by->atoms[matched])
            matched++;
        else
            quotient->atoms[quotient->degree++] = term->atoms[i];
    return matched == by->degree;
}

/* Long division; the order of terms is the graded lexicographic one, so leading terms divide. */
bool poly_divide(const struct poly *p, const struct poly *q, struct poly *quotient) {
    struct poly rest = *p;
    *quotient = (struct poly){0};
    while (!rest.failed && rest.n) {
        struct poly step = {.n = 1};
        if (!term_divides(&q->terms[0], &rest.terms[0], &step.terms[0])) return false;
        if (!step.terms[0].degree) step = (struct poly){.constant = step.terms[0].factor};
        poly_add(quotient, &step, 1);
        struct poly product = poly_multiply(q, &step);
        poly_add(&rest, &product, -1);
        if (quotient->failed) return false;
    }
    return !rest.failed && !rest.constant;
}
