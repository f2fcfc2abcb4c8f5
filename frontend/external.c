#include "reader.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct reference { /* the entries of external_data */
    const char *location;
    int64_t offset, length; /* length -1: not given */
};

static enum status parse_number(struct reader *r, const char *what, const Onnx__StringStringEntryProto *e,
                                int64_t *out) {
    if (e->value && num_parse_i64(e->value, out) && *out >= 0) return ST_OK;
    return read_fail(r, ST_MODEL, "%s: external data: %s is \"%s\", which is no size", what, e->key,
                     text_or(e->value, ""));
}

static enum status parse_reference(struct reader *r, const Onnx__TensorProto *t, const char *what,
                                   struct reference *out) {
    *out = (struct reference){.length = -1};
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = t->external_data[i];
        const char *key = text_or(e->key, "");
        if (strcmp(key, "location") == 0) out->location = text_or(e->value, "");
        if (strcmp(key, "offset") == 0) TRY(parse_number(r, what, e, &out->offset));
        if (strcmp(key, "length") == 0) TRY(parse_number(r, what, e, &out->length));
    }
    if (!out->location || !*out->location) return read_fail(r, ST_MODEL, "%s: external data without a location", what);
    return ST_OK;
}

static bool has_parent_step(const char *path) {
    for (const char *at = path; at; at = strchr(at, '/'), at = at ? at + 1 : NULL)
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == 0)) return true;
    return false;
}

/* realpath() into the arena; NULL with errno. */
static const char *resolve(struct reader *r, const char *path) {
    char buffer[PATH_MAX];
    const char *found = realpath(path, buffer);
    return found ? arena_strndup(r->arena, found, strlen(found)) : NULL;
}

static enum status find_folder(struct reader *r) {
    if (r->folder) return ST_OK;
    const char *slash = strrchr(r->graph->path, '/');
    const char *folder = slash ? arena_strndup(r->arena, r->graph->path, (size_t)(slash - r->graph->path + 1)) : ".";
    r->folder = resolve(r, folder);
    return r->folder ? ST_OK : read_fail(r, ST_IO, "its folder: %s", strerror(errno));
}

/* Links are followed, and must end below the model's folder. */
static bool is_inside(const char *folder, const char *path) {
    size_t n = strlen(folder);
    if (strcmp(folder, "/") == 0) return true;
    return strncmp(folder, path, n) == 0 && path[n] == '/';
}

/* A model in memory has no folder: its shapes are read, these weights are not. */
static enum status skip(struct reader *r, const char *location) {
    read_warn(r, "external data \"%s\" is left out: a model in memory has no folder", location);
    map_put(&r->external, location, strlen(location), NONE);
    return ST_OK;
}

static enum status open_file(struct reader *r, const char *what, const char *location, uint32_t *file) {
    *file = NONE;
    if (location[0] == '/' || has_parent_step(location))
        return read_fail(r, ST_MODEL, "%s: external data \"%s\" leads out of the model's folder", what, location);
    if (!r->from_file) return skip(r, location);
    TRY(find_folder(r));
    const char *path = resolve(r, arena_printf(r->arena, "%s/%s", r->folder, location));
    if (!path) return read_fail(r, ST_IO, "%s: external data \"%s\": %s", what, location, strerror(errno));
    if (!is_inside(r->folder, path))
        return read_fail(r, ST_MODEL, "%s: external data \"%s\" leads out of the model's folder", what, location);
    struct source_file source = {.path = path, .location = location};
    PUSH(r->arena, r->graph, files, source); /* first, so that the map is closed whatever happens */
    *file = (uint32_t)(r->graph->n_files - 1);
    struct diag own;
    diag_init(&own, r->arena);
    enum status status = file_map_open(&r->graph->files[*file].map, path, &own);
    if (status != ST_OK) return read_fail(r, status, "%s: external data \"%s\": %s", what, location, own.message);
    file_map_shut(&r->graph->files[*file].map); /* a model may have a file for each of its weights */
    map_put(&r->external, location, strlen(location), *file);
    return ST_OK;
}

enum status read_external(struct reader *r, const Onnx__TensorProto *t, const char *what, int64_t bytes,
                          struct data *out) {
    struct reference ref;
    TRY(parse_reference(r, t, what, &ref));
    if (bytes >= 0 && ref.length >= 0 && ref.length != bytes)
        return read_fail(r, ST_MODEL, "%s: its shape needs %" PRId64 " bytes, external data \"%s\" gives %" PRId64,
                         what, bytes, ref.location, ref.length);
    uint32_t file;
    if (!map_get(&r->external, ref.location, strlen(ref.location), &file)) TRY(open_file(r, what, ref.location, &file));
    int64_t length = ref.length >= 0 ? ref.length : bytes >= 0 ? bytes : 0;
    *out = (struct data){.encoding = ENC_RAW, .file = file, .offset = (uint64_t)ref.offset, .length = (uint64_t)length};
    if (file == NONE) return ST_OK;
    const struct file_map *map = &r->graph->files[file].map;
    int64_t end;
    if (!num_add(ref.offset, length, &end) || (uint64_t)end > map->length)
        return read_fail(r, ST_MODEL,
                         "%s: external data \"%s\" has %zu bytes, %" PRId64 " from byte %" PRId64 " are wanted", what,
                         ref.location, map->length, length, ref.offset);
    if (map->bytes) out->bytes = map->bytes + ref.offset;
    return ST_OK;
}
