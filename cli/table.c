/* Tables for people: columns as wide as their widest cell, in characters, nothing cut. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define RULE SIZE_MAX /* a cell of a row that is a rule */

struct table {
    size_t n_columns, n_cells, cap_cells, length, cap_text;
    bool *is_left;
    size_t *cells; /* row-major, the header first: where in `text` each begins */
    char *text;    /* of all cells, each with its NUL */
};

static void add_cell(struct table *t, size_t at) {
    if (t->n_cells == t->cap_cells) {
        t->cap_cells = t->cap_cells ? 2 * t->cap_cells : 64;
        t->cells = xrealloc(t->cells, t->cap_cells * sizeof *t->cells);
    }
    t->cells[t->n_cells++] = at;
}

/* Where the next cell's text goes, with room for `bytes`. */
static char *room_for(struct table *t, size_t bytes) {
    if (t->cap_text - t->length < bytes) {
        t->cap_text = 2 * t->cap_text + bytes;
        t->text = xrealloc(t->text, t->cap_text);
    }
    return t->text + t->length;
}

static void add_text(struct table *t, const char *text, size_t length) {
    char *to = room_for(t, length + 1);
    for (size_t i = 0; i < length; i++) /* names from files must not steer a terminal */
        to[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    to[length] = '\0';
    add_cell(t, t->length);
    t->length += length + 1;
}

struct table *table_new(const char *columns) {
    struct table *t = xrealloc(NULL, sizeof *t);
    *t = (struct table){0};
    for (const char *p = columns; *p;) {
        size_t length = strcspn(p + 1, "<>");
        t->is_left = xrealloc(t->is_left, (t->n_columns + 1) * sizeof *t->is_left);
        t->is_left[t->n_columns++] = *p == '<';
        add_text(t, p + 1, length);
        p += 1 + length;
    }
    return t;
}

void table_text(struct table *t, const char *text) {
    add_text(t, text, strlen(text));
}

void table_cell(struct table *t, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t size = 64;
    size_t length = (size_t)vsnprintf(room_for(t, size), size, fmt, args);
    if (length >= size) vsnprintf(room_for(t, length + 1), length + 1, fmt, again);
    va_end(again);
    va_end(args);
    add_cell(t, t->length);
    t->length += length + 1;
}

void table_rule(struct table *t) {
    for (size_t i = 0; i < t->n_columns; i++) add_cell(t, RULE);
}

/* Characters of UTF-8 text, not bytes. */
static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

static void put_many(const char *of_64, size_t n, FILE *out) {
    for (; n > 64; n -= 64) fwrite(of_64, 1, 64, out);
    fwrite(of_64, 1, n, out);
}

static void put_blanks(size_t n, FILE *out) {
    put_many("                                                                ", n, out);
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
    put_many("----------------------------------------------------------------", total, out);
}

static void free_table(struct table *t) {
    free(t->cells);
    free(t->text);
    free(t->is_left);
    free(t);
}

/* A header without rows is not printed. */
void table_print(struct table *t, FILE *out, const char *indent) {
    size_t *widths = xrealloc(NULL, t->n_columns * sizeof *widths);
    memset(widths, 0, t->n_columns * sizeof *widths);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t width = t->cells[i] == RULE ? 0 : width_of(t->text + t->cells[i]);
        if (width > widths[i % t->n_columns]) widths[i % t->n_columns] = width;
    }
    bool has_rows = t->n_cells > t->n_columns;
    for (size_t row = 0; has_rows && row < t->n_cells; row += t->n_columns) {
        bool is_rule = t->cells[row] == RULE;
        fputs(indent, out);
        if (is_rule) print_rule(t, widths, out);
        for (size_t c = 0; !is_rule && c < t->n_columns; c++)
            print_cell(t, c, t->text + t->cells[row + c], widths[c], out);
        fputc('\n', out);
    }
    free(widths);
    free_table(t);
}
