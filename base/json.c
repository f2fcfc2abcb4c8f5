/* Helpers over cJSON. */
#include "base.h"

#include <cjson/cJSON.h>
#include <math.h>
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
static enum status parse(struct cJSON **json, const struct file_map *map, const char *path, struct diag *diag) {
    const char *text = (const char *)map->bytes, *stop = NULL;
    if (!text) return diag_fail(diag, ST_FORMAT, "%s: is empty", path);
    *json = cJSON_ParseWithLengthOpts(text, map->length, &stop, false);
    if (*json) stop = skip_blanks(stop, text + map->length);
    if (*json && stop == text + map->length) return ST_OK;
    cJSON_Delete(*json);
    *json = NULL;
    return diag_fail(diag, ST_FORMAT, "%s:%zu: is not JSON", path, line_of(text, stop));
}

enum status json_read_file(struct cJSON **json, const char *path, struct diag *diag) {
    struct file_map map;
    *json = NULL;
    TRY(file_map_open(&map, path, diag));
    enum status status = parse(json, &map, path, diag);
    file_map_close(&map);
    return status;
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
