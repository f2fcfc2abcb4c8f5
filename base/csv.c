/* Comma-separated tables with a header (RFC 4180 fields, without line breaks inside quotes). */
#include "base.h"

#include <string.h>

struct lines {
    const char *at, *end;
    size_t number;
};

/* The next line that is neither blank nor a comment, without its line end. */
static bool next_line(struct lines *lines, const char **text, size_t *length) {
    while (lines->at < lines->end) {
        const char *start = lines->at, *stop = memchr(start, '\n', (size_t)(lines->end - start));
        lines->at = stop ? stop + 1 : lines->end;
        lines->number++;
        if (!stop) stop = lines->end;
        while (stop > start && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        if (stop == start || *start == '#') continue;
        *text = start;
        *length = (size_t)(stop - start);
        return true;
    }
    return false;
}

/* One field from `at`; returns where the next starts, or past the end. Doubled quotes inside quotes are one. */
static const char *next_field(const char *at, const char *end, struct arena *arena, const char **field) {
    char *out = arena_alloc(arena, (size_t)(end - at) + 1);
    size_t n = 0;
    bool quoted = at < end && *at == '"';
    if (quoted) at++;
    for (; at < end; at++) {
        if (quoted && *at == '"' && at + 1 < end && at[1] == '"')
            at++;
        else if (quoted && *at == '"') {
            quoted = false;
            continue;
        } else if (!quoted && *at == ',')
            break;
        out[n++] = *at;
    }
    *field = out;
    return at + 1;
}

static size_t split(const char *text, size_t length, struct arena *arena, const char **fields, size_t max) {
    const char *at = text, *end = text + length, *field;
    size_t n = 0;
    while (at <= end) {
        at = next_field(at, end, arena, &field);
        if (n < max) fields[n] = field;
        n++;
    }
    return n;
}

static size_t count_commas(const char *text, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += text[i] == ',';
    return n;
}

static enum status parse(struct csv *csv, struct lines lines, const char *path, struct arena *arena,
                         struct diag *diag) {
    const char *text;
    size_t length, cap_cells = 0, cap_lines = 0;
    if (!next_line(&lines, &text, &length)) return diag_fail(diag, ST_DATA, "%s: has no header line", path);
    csv->header = arena_array(arena, count_commas(text, length) + 1, sizeof *csv->header);
    csv->n_columns = split(text, length, arena, csv->header, count_commas(text, length) + 1);
    while (next_line(&lines, &text, &length)) {
        size_t cells = csv->n_rows * csv->n_columns;
        csv->cells = arena_grow(arena, csv->cells, cells, &cap_cells, cells + csv->n_columns, sizeof *csv->cells);
        csv->lines = arena_grow(arena, csv->lines, csv->n_rows, &cap_lines, csv->n_rows + 1, sizeof *csv->lines);
        size_t n = split(text, length, arena, csv->cells + cells, csv->n_columns);
        if (n != csv->n_columns)
            return diag_fail(diag, ST_DATA, "%s:%zu: has %zu fields, the header %zu", path, lines.number, n,
                             csv->n_columns);
        csv->lines[csv->n_rows++] = lines.number;
    }
    return ST_OK;
}

enum status csv_read(struct csv *csv, const char *path, struct arena *arena, struct diag *diag) {
    struct file_map map;
    *csv = (struct csv){0};
    TRY(file_map_open(&map, path, diag));
    const char *text = (const char *)map.bytes;
    enum status status = parse(csv, (struct lines){text, text + map.length, 0}, path, arena, diag);
    file_map_close(&map);
    return status;
}

uint32_t csv_column(const struct csv *csv, const char *name) {
    for (size_t i = 0; i < csv->n_columns; i++)
        if (!strcmp(csv->header[i], name)) return (uint32_t)i;
    return NONE;
}
