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

/* One field from `at`, freed of its quotes in place; returns where the next starts, or NULL for an open quote. Doubled
 * quotes inside quotes are one. */
static char *next_field(char *at, const char *end, const char **field) {
    char *out = at;
    bool quoted = at < end && *at == '"';
    *field = at;
    if (quoted) at++;
    for (; at < end; at++) {
        if (quoted && *at == '"' && at + 1 < end && at[1] == '"')
            at++;
        else if (quoted && *at == '"') {
            quoted = false;
            continue;
        } else if (!quoted && *at == ',')
            break;
        *out++ = *at;
    }
    *out = '\0';
    return quoted ? NULL : at + 1;
}

static bool split(const char *text, size_t length, struct arena *arena, const char **fields, size_t max, size_t *n) {
    char *at = arena_strndup(arena, text, length);
    const char *end = at + length, *field;
    for (*n = 0; at && at <= end; (*n)++) {
        at = next_field(at, end, &field);
        if (*n < max) fields[*n] = field;
    }
    return at != NULL;
}

static size_t count_commas(const char *text, size_t length) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += text[i] == ',';
    return n;
}

static enum status parse_row(struct csv *csv, const char *text, size_t length, size_t line, const char **cells,
                             const char *path, struct arena *arena, struct diag *diag) {
    size_t n;
    if (!split(text, length, arena, cells, csv->n_columns, &n))
        return diag_fail(diag, ST_DATA, "%s:%zu: has a quote that is not closed", path, line);
    if (n != csv->n_columns)
        return diag_fail(diag, ST_DATA, "%s:%zu: has %zu fields, the header %zu", path, line, n, csv->n_columns);
    return ST_OK;
}

static enum status parse(struct csv *csv, struct lines lines, const char *path, struct arena *arena,
                         struct diag *diag) {
    const char *text;
    size_t length, cap_cells = 0, cap_lines = 0, most;
    if (!next_line(&lines, &text, &length)) return diag_fail(diag, ST_DATA, "%s: has no header line", path);
    most = count_commas(text, length) + 1;
    csv->header = arena_array(arena, most, sizeof *csv->header);
    if (!split(text, length, arena, csv->header, most, &csv->n_columns))
        return diag_fail(diag, ST_DATA, "%s:%zu: has a quote that is not closed", path, lines.number);
    while (next_line(&lines, &text, &length)) {
        size_t cells = csv->n_rows * csv->n_columns;
        csv->cells = arena_grow(arena, csv->cells, cells, &cap_cells, cells + csv->n_columns, sizeof *csv->cells);
        csv->lines = arena_grow(arena, csv->lines, csv->n_rows, &cap_lines, csv->n_rows + 1, sizeof *csv->lines);
        TRY(parse_row(csv, text, length, lines.number, csv->cells + cells, path, arena, diag));
        csv->lines[csv->n_rows++] = lines.number;
    }
    return ST_OK;
}

enum status csv_read(struct csv *csv, const char *path, struct arena *arena, struct diag *diag) {
    struct file_map map;
    *csv = (struct csv){0};
    TRY(file_map_open(&map, path, diag));
    const char *text = map.bytes ? (const char *)map.bytes : "", *end = text + map.length;
    if (map.length >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3; /* spreadsheets mark UTF-8 so */
    enum status status = parse(csv, (struct lines){text, end, 0}, path, arena, diag);
    file_map_close(&map);
    return status;
}

uint32_t csv_column(const struct csv *csv, const char *name) {
    for (size_t i = 0; i < csv->n_columns; i++)
        if (!strcmp(csv->header[i], name)) return (uint32_t)i;
    return NONE;
}
