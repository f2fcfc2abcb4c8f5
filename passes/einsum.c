/* The equation of Einsum-12: terms of letters, spaces ignored, "..." for broadcast axes, with or without "->". */
#include "geometry.h"

#include <string.h>

static bool fail(struct why *why, const char *equation, const char *what) {
    snprintf(why->text, sizeof why->text, "equation \"%.100s\" %s", equation, what);
    return false;
}

static int letter_label(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    return c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

static char label_letter(int label) {
    return (char)(label < 26 ? 'A' + label : 'a' + label - 26);
}

/* One term as written, its ellipsis as label 52 alone. Stops at ',' or "->" or the end. */
static bool parse_term(const char **at, const char *equation, struct einsum_term *term, struct why *why) {
    bool ellipsis = false;
    const char *p = *at;
    term->n = 0;
    for (; *p && *p != ',' && *p != '-'; p++) {
        int label = letter_label(*p);
        if (*p == ' ') continue;
        if (strncmp(p, "...", 3) == 0 && !ellipsis) {
            ellipsis = true;
            label = 52;
            p += 2;
        }
        if (label < 0) return fail(why, equation, "holds something else than letters, \",\", \"...\" and \"->\"");
        if (term->n == EINSUM_TERM) return fail(why, equation, "has a term that is too long");
        term->label[term->n++] = (uint8_t)label;
    }
    *at = p;
    return true;
}

/* Replaces label 52 by `width` labels 52 + width-1 .. 52: the rightmost axis is 52. */
static bool expand_ellipsis(struct einsum_term *term, int32_t width) {
    for (int32_t i = 0; i < term->n; i++) {
        if (term->label[i] != 52) continue;
        if (term->n - 1 + width > EINSUM_TERM) return false;
        memmove(&term->label[i + width], &term->label[i + 1], (size_t)(term->n - i - 1));
        for (int32_t k = 0; k < width; k++) term->label[i + k] = (uint8_t)(52 + width - 1 - k);
        term->n += width - 1;
        return true;
    }
    return true;
}

static bool has_ellipsis(const struct einsum_term *term) {
    return memchr(term->label, 52, (size_t)term->n) != NULL;
}

/* Without "->" the result has the ellipsis first, then the letters that occur once, in alphabetical order. */
static void implicit_output(struct einsum *e) {
    int seen[52] = {0};
    bool ellipsis = false;
    for (uint32_t i = 0; i < e->n_inputs; i++)
        for (int32_t k = 0; k < e->in[i].n; k++) {
            if (e->in[i].label[k] == 52)
                ellipsis = true;
            else
                seen[e->in[i].label[k]]++;
        }
    e->out.n = 0;
    if (ellipsis) e->out.label[e->out.n++] = 52;
    for (int label = 0; label < 52; label++)
        if (seen[label] == 1) e->out.label[e->out.n++] = (uint8_t)label;
}

static bool parse_equation(const char *equation, struct einsum *e, struct why *why) {
    const char *at = equation;
    for (e->n_inputs = 0;; at++) {
        if (e->n_inputs == EINSUM_OPERANDS) return fail(why, equation, "has too many terms");
        if (!parse_term(&at, equation, &e->in[e->n_inputs++], why)) return false;
        if (*at != ',') break;
    }
    if (*at == '\0') {
        implicit_output(e);
        return true;
    }
    if (strncmp(at, "->", 2) != 0) return fail(why, equation, "has a \"-\" without \">\"");
    at += 2;
    if (!parse_term(&at, equation, &e->out, why)) return false;
    return *at == '\0' || fail(why, equation, "has more than one output");
}

static bool check_output_letters(const struct einsum *e, const char *equation, struct why *why) {
    bool seen[53] = {false};
    for (uint32_t i = 0; i < e->n_inputs; i++)
        for (int32_t k = 0; k < e->in[i].n; k++) seen[e->in[i].label[k]] = true;
    for (int32_t k = 0; k < e->out.n; k++) {
        int label = e->out.label[k];
        if (label < 52 && !seen[label]) {
            snprintf(why->text, sizeof why->text, "equation \"%.100s\" has output letter '%c' that no input has",
                     equation, label_letter(label));
            return false;
        }
    }
    return true;
}

bool einsum_read(const struct graph *graph, const struct node *node, struct einsum *e, struct why *why) {
    const char *equation = node_string(node, "equation", "");
    if (!parse_equation(equation, e, why) || !check_output_letters(e, equation, why)) return false;
    if (e->n_inputs != node->n_inputs) {
        snprintf(why->text, sizeof why->text, "equation \"%.100s\" has %u terms for %u inputs", equation, e->n_inputs,
                 node->n_inputs);
        return false;
    }
    int32_t widest = 0;
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        const struct tensor *x = node_tensor(graph, node, i);
        int32_t rank = x ? x->rank : RANK_UNKNOWN, letters = e->in[i].n;
        bool ellipsis = has_ellipsis(&e->in[i]);
        int32_t width = rank - (letters - 1);
        if (rank == RANK_UNKNOWN || (ellipsis ? width < 0 : rank != letters)) {
            snprintf(why->text, sizeof why->text, "equation \"%.100s\": input %u has rank %d, its term %d letters",
                     equation, i, rank, ellipsis ? letters - 1 : letters);
            return false;
        }
        if (ellipsis && width > widest) widest = width;
        if (!expand_ellipsis(&e->in[i], width)) return fail(why, equation, "has a term that is too long");
    }
    return expand_ellipsis(&e->out, widest) || fail(why, equation, "has a term that is too long");
}
