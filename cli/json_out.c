/* JSON and CSV as they are written: straight to a stream, integers exact, doubles that read back the same. */
#include "cli.h"

#include <math.h>
#include <string.h>

void json_start(struct json *j, FILE *stream) {
    *j = (struct json){.stream = stream, .is_first = true};
}

/* Members of the outer objects and elements of the outer arrays stand on lines of their own: results can be read, and
 * compared line by line. */
static void before_value(struct json *j) {
    if (!j->has_key && j->depth > 0) {
        if (!j->is_first) fputc(',', j->stream);
        if (j->depth <= 2) fputc('\n', j->stream);
    }
    j->is_first = j->has_key = false;
}

void json_open(struct json *j, char bracket) {
    before_value(j);
    fputc(bracket, j->stream);
    j->depth++;
    j->is_first = true;
}

void json_close(struct json *j, char bracket) {
    j->depth--;
    fputc(bracket, j->stream);
    j->is_first = false;
    if (j->depth == 0) fputc('\n', j->stream);
}

/* Length of the UTF-8 sequence at `s` as RFC 3629 allows it; 0 when there is none. */
static size_t utf8_length(const unsigned char *s) {
    static const struct {
        unsigned char first, last, low, high; /* of the lead byte; of the second byte */
        size_t length;
    } forms[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last) continue;
        if (forms[i].length > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)) return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((s[k] & 0xC0) != 0x80) return 0;
        return forms[i].length;
    }
    return 0;
}

static void put_character(FILE *out, const unsigned char *s, size_t length) {
    if (length == 0)
        fputs("\xEF\xBF\xBD", out);
    else if (*s == '"' || *s == '\\')
        fprintf(out, "\\%c", *s);
    else if (*s < 0x20)
        fprintf(out, "\\u%04x", *s);
    else
        fwrite(s, 1, length, out);
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Plain ASCII goes out in one piece: names are nothing else, and are most of what is written. */
static void put_string(FILE *out, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    putc_unlocked('"', out);
    while (*s) {
        size_t run = 0;
        while (is_plain(s[run])) run++;
        if (run) {
            fwrite_unlocked(s, 1, run, out);
            s += run;
            continue;
        }
        size_t length = utf8_length(s);
        put_character(out, s, length);
        s += length ? length : 1;
    }
    putc_unlocked('"', out);
}

void json_key(struct json *j, const char *key) {
    before_value(j);
    put_string(j->stream, key);
    putc_unlocked(':', j->stream);
    j->has_key = true;
}

void json_raw(struct json *j, const char *text) {
    before_value(j);
    fputs(text ? text : "null", j->stream);
}

void json_text(struct json *j, const char *text) {
    if (!text) {
        json_raw(j, NULL);
        return;
    }
    before_value(j);
    put_string(j->stream, text);
}

void json_int(struct json *j, int64_t n) {
    before_value(j);
    fprintf(j->stream, "%lld", (long long)n);
}

void json_count(struct json *j, int64_t n) {
    if (n < 0)
        json_raw(j, NULL);
    else
        json_int(j, n);
}

void json_double(struct json *j, double value) {
    char text[NUMBER_SIZE];
    json_raw(j, isfinite(value) ? format_double(text, value) : NULL);
}

void json_bool(struct json *j, bool value) {
    json_raw(j, value ? "true" : "false");
}

/* ---- CSV (RFC 4180) ---- */

static void put_cell(FILE *out, const char *cell) {
    if (!strpbrk(cell, "\",\r\n")) {
        fputs(cell, out);
        return;
    }
    fputc('"', out);
    for (; *cell; cell++) {
        if (*cell == '"') fputc('"', out);
        fputc(*cell, out);
    }
    fputc('"', out);
}

void csv_row(FILE *out, size_t n, const char *const *cells) {
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(',', out);
        put_cell(out, cells[i]);
    }
    fputc('\n', out);
}
