/* Helpers over cJSON. */
#include "base.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* cJSON stops where the value ends; nothing but white space may follow. */
static bool is_rest_blank(const struct file_map *map, const char *end) {
    const char *stop = (const char *)map->bytes + map->length;
    while (end < stop && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n')) end++;
    return end == stop;
}

static size_t line_of(const char *text, const char *at) {
    size_t line = 1;
    for (; text < at; text++) line += *text == '\n';
    return line;
}

enum status json_read_file(struct cJSON **json, const char *path, struct diag *diag) {
    struct file_map map;
    const char *end = NULL;
    *json = NULL;
    TRY(file_map_open(&map, path, diag));
    if (map.bytes) *json = cJSON_ParseWithLengthOpts((const char *)map.bytes, map.length, &end, false);
    enum status status = ST_OK;
    if (!map.bytes)
        status = diag_fail(diag, ST_FORMAT, "%s: is empty", path);
    else if (!*json || !is_rest_blank(&map, end))
        status = diag_fail(diag, ST_FORMAT, "%s:%zu: is not JSON", path, line_of((const char *)map.bytes, end));
    if (status != ST_OK) {
        cJSON_Delete(*json);
        *json = NULL;
    }
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
