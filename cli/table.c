/* Tables for people: columns as wide as their widest cell, in characters, nothing cut. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct table {
    size_t n_columns, n_cells, cap_cells;
    bool *is_left;
    char **cells; /* row-major, the header first; NULL cells of a row that is a rule */
};

static void add_cell(struct table *t, char *text) {
    if (t->n_cells == t->cap_cells) {
        t->cap_cells = t->cap_cells ? 2 * t->cap_cells : 64;
        t->cells = xrealloc(t->cells, t->cap_cells * sizeof *t->cells);
    }
    t->cells[t->n_cells++] = text;
}

struct table *table_new(const char *columns) {
    struct table *t = xrealloc(NULL, sizeof *t);
    *t = (struct table){0};
    for (const char *p = columns; *p;) {
        size_t length = 1 + strcspn(p + 1, "<>");
        char *title = xstrdup(p + 1);
        title[length - 1] = '\0';
        t->is_left = xrealloc(t->is_left, (t->n_columns + 1) * sizeof *t->is_left);
        t->is_left[t->n_columns++] = *p == '<';
        add_cell(t, title);
        p += length;
    }
    return t;
}

void table_cell(struct table *t, const char *fmt, ...) {
    char start[128]; /* most cells fit, and are formatted once */
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t length = (size_t)vsnprintf(start, sizeof start, fmt, args);
    char *text = xrealloc(NULL, length + 1);
    if (length < sizeof start)
        memcpy(text, start, length + 1);
    else
        vsnprintf(text, length + 1, fmt, again);
    va_end(again);
    va_end(args);
    add_cell(t, text);
}

void table_rule(struct table *t) {
    for (size_t i = 0; i < t->n_columns; i++) add_cell(t, NULL);
}

/* Characters of UTF-8 text, not bytes. */
static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

static void put_blanks(size_t n, FILE *out) {
    while (n--) putc(' ', out);
}

static void print_cell(const struct table *t, size_t column, const char *text, size_t width, FILE *out) {
    bool is_last = column + 1 == t->n_columns, is_left = t->is_left[column];
    size_t pad = width - width_of(text);
    if (!is_left) put_blanks(pad, out);
    fputs(text, out);
    if (!is_last) put_blanks((is_left ? pad : 0) + 2, out);
}

static void print_rule(const struct table *t, const size_t *widths, FILE *out) {
    size_t total = 2 * (t->n_columns - 1);
    for (size_t c = 0; c < t->n_columns; c++) total += widths[c];
    while (total--) fputc('-', out);
}

static void free_table(struct table *t) {
    for (size_t i = 0; i < t->n_cells; i++) free(t->cells[i]);
    free(t->cells);
    free(t->is_left);
    free(t);
}

void table_print(struct table *t, FILE *out, const char *indent) {
    size_t *widths = xrealloc(NULL, t->n_columns * sizeof *widths);
    memset(widths, 0, t->n_columns * sizeof *widths);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t width = t->cells[i] ? width_of(t->cells[i]) : 0;
        if (width > widths[i % t->n_columns]) widths[i % t->n_columns] = width;
    }
    for (size_t row = 0; row < t->n_cells; row += t->n_columns) {
        fputs(indent, out);
        if (!t->cells[row]) print_rule(t, widths, out);
        for (size_t c = 0; t->cells[row] && c < t->n_columns; c++) print_cell(t, c, t->cells[row + c], widths[c], out);
        fputc('\n', out);
    }
    free(widths);
    free_table(t);
}
