/* Helpers over cJSON. */
#include "base.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
    return at;
}

static size_t line_of(const char *text, const char *at) {
    size_t line = 1;
    for (; text < at; text++) line += *text == '\n';
    return line;
}

/* cJSON stops where the value ends; nothing but white space may follow. */
static enum status parse(struct cJSON **json, const char *text, size_t length, const char *path, struct diag *diag) {
    const char *stop = NULL;
    if (!text) return diag_fail(diag, ST_FORMAT, "%s: is empty", path);
    *json = cJSON_ParseWithLengthOpts(text, length, &stop, false);
    if (*json) stop = skip_blanks(stop, text + length);
    if (*json && stop == text + length) return ST_OK;
    cJSON_Delete(*json);
    *json = NULL;
    return diag_fail(diag, ST_FORMAT, "%s:%zu: is not JSON", path, line_of(text, stop));
}

/* Behind the string that starts at `at`. */
static char *skip_string(char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) at += *at == '\\';
    return at + 1;
}

/* The bracket of the array or object whose name ends at `at`; NULL: no name, or of something else. */
static char *bracket_after(const char *at, const char *end) {
    at = skip_blanks(at, end);
    if (at >= end || *at != ':') return NULL;
    at = skip_blanks(at + 1, end);
    return at < end && (*at == '[' || *at == '{') ? (char *)(uintptr_t)at : NULL;
}

static bool is_one_of(const char *name, size_t length, const char *const *keys, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strlen(keys[i]) == length && memcmp(name, keys[i], length) == 0) return true;
    return false;
}

/* Line ends stay, for the messages. */
static void empty_lists(char *text, const char *end, const char *const *keys, size_t n) {
    for (char *at = text; (at = memchr(at, '"', (size_t)(end - at)));) {
        char *name = at + 1, *open = NULL, *close = NULL;
        at = skip_string(at, end);
        if (at <= end && is_one_of(name, (size_t)(at - name - 1), keys, n)) open = bracket_after(at, end);
        if (open) close = memchr(open, *open == '[' ? ']' : '}', (size_t)(end - open));
        for (at = close ? open + 1 : at; close && at < close; at++)
            if (*at != '\n') *at = ' ';
        if (at >= end) return;
    }
}

enum status json_read_file_without(struct cJSON **json, const char *path, const char *const *keys, size_t n,
                                   struct diag *diag) {
    char *text;
    size_t length;
    *json = NULL;
    TRY(file_read(&text, &length, path, diag));
    if (n) empty_lists(text, text + length, keys, n);
    enum status status = parse(json, length ? text : NULL, length, path, diag);
    free(text);
    return status;
}

enum status json_read_file(struct cJSON **json, const char *path, struct diag *diag) {
    return json_read_file_without(json, path, NULL, 0, diag);
}

enum status json_number(const struct cJSON *object, const char *key, double *out, const char *where,
                        struct diag *diag) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!item) return diag_fail(diag, ST_FORMAT, "%s: \"%s\" is missing", where, key);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        return diag_fail(diag, ST_FORMAT, "%s: \"%s\" is not a number", where, key);
    *out = item->valuedouble;
    return ST_OK;
}

double json_number_or(const struct cJSON *object, const char *key, double otherwise) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

const char *json_string_or(const struct cJSON *object, const char *key, const char *otherwise) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

size_t json_numbers(const struct cJSON *object, const char *key, double *out, size_t max) {
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key), *item;
    size_t n = 0;
    cJSON_ArrayForEach(item, array) {
        if (n < max) out[n] = cJSON_IsNumber(item) ? item->valuedouble : NAN;
        n++;
    }
    return n;
}
