/* Reading a measured table: architectures to features, at every batch size its devices were measured at. */
#include "space_table.h"
#include "space_piece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t known_batches[] = {1, 32, 64, 256};
static const char *const names_with_number[] = {"essential_ph_1"};

/* The batch size a device's column was measured at: "name_32" at 32, for 1, 32, 64 and 256; else 1. `length` gets that
 * of the device's own name. A number that is part of the name ("essential_ph_1") cannot be told: such names are listed
 * in the source. */
static int64_t column_batch(const char *name, size_t *length) {
    const char *suffix = strrchr(name, '_');
    int64_t number;
    *length = strlen(name);
    for (size_t i = 0; i < COUNT_OF(names_with_number); i++)
        if (strcmp(name, names_with_number[i]) == 0) return 1;
    if (!suffix || !num_parse_i64(suffix + 1, &number)) return 1;
    for (size_t i = 0; i < COUNT_OF(known_batches); i++)
        if (known_batches[i] == number) {
            *length = (size_t)(suffix - name);
            return number;
        }
    return 1;
}

/* ---- Columns ---- */

static bool is_architecture(const struct space *s, const char *column) {
    for (size_t f = 0; f < s->n_fields; f++)
        if (strcmp(s->fields[f].column, column) == 0) return true;
    return false;
}

static size_t batch_index(int64_t *batches, size_t *n, int64_t batch) {
    size_t i = 0;
    while (i < *n && batches[i] != batch) i++;
    if (i == *n) batches[(*n)++] = batch;
    return i;
}

/* NULL: no number at all, the column is of something else. */
static const double *latencies(const struct csv *csv, size_t column, struct arena *arena) {
    double *ms = arena_array(arena, csv->n_rows + 1, sizeof *ms);
    bool any = false;
    for (size_t i = 0; i < csv->n_rows; i++)
        if (num_parse_f64(csv->cells[i * csv->n_columns + column], &ms[i]))
            any = true;
        else
            ms[i] = NAN;
    return any ? ms : NULL;
}

static void read_columns(struct table *t, const struct space *s, const struct csv *csv, int64_t *batches,
                         struct arena *arena) {
    t->columns = arena_array(arena, csv->n_columns, sizeof *t->columns);
    for (size_t c = 0; c < csv->n_columns; c++) {
        size_t length;
        if (is_architecture(s, csv->header[c])) continue;
        const double *ms = latencies(csv, c, arena);
        if (!ms) continue;
        int64_t batch = column_batch(csv->header[c], &length);
        t->columns[t->n_columns++] = (struct column){.name = csv->header[c],
                                                     .family = arena_strndup(arena, csv->header[c], length),
                                                     .batch = batch_index(batches, &t->n_batches, batch),
                                                     .ms = ms};
    }
}

/* ---- Features ---- */

struct extraction {
    const struct space *space;
    const struct arch *archs;
    size_t n, p;
    const int64_t *batches;
    double *(*x)[VIEW_COUNT];
    struct own_cache { /* of a worker */
        bool is_open;
        struct space_cache cache;
    } * caches;
};

static enum status extract(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *diag) {
    struct extraction *e = user;
    struct own_cache *own = &e->caches[worker];
    size_t row = i % e->n, batch = i / e->n;
    struct features features;
    if (!own->is_open) space_cache_init(&own->cache, scratch->allocator, scratch->on_oom);
    own->is_open = true;
    for (size_t v = 0; v < space_views(e->space); v++) {
        TRY(space_features_cached(&own->cache, e->space, &e->archs[row], e->batches[batch], (enum view)v, &features,
                                  scratch, diag));
        features_fold(&features, e->x[batch][v] + row * e->p);
    }
    return ST_OK;
}

static enum status extract_all(struct extraction *e, size_t n_batches, unsigned jobs, struct arena *arena,
                               struct diag *diag) {
    e->caches = arena_array(arena, jobs, sizeof *e->caches);
    enum status status = parallel_try(jobs, e->n * n_batches, extract, e, arena, diag);
    for (unsigned i = 0; i < jobs; i++)
        if (e->caches[i].is_open) space_cache_free(&e->caches[i].cache);
    return status;
}

static void encode_all(struct table *t, const struct space *s, const struct arch *archs, struct arena *arena) {
    t->encoding = space_encoding(s);
    double *onehot = arena_array(arena, t->n * t->encoding, sizeof *onehot);
    for (size_t i = 0; i < t->n; i++) space_encode(s, &archs[i], onehot + i * t->encoding);
    t->onehot = onehot;
}

enum status space_table_read(struct table *t, const struct space *s, const char *path, unsigned jobs,
                             struct arena *arena, struct diag *diag) {
    struct csv csv;
    int64_t *batches;
    TRY(csv_read(&csv, path, arena, diag));
    if (csv.n_rows == 0) return diag_fail(diag, ST_DATA, "%s: the table holds no architectures", path);
    *t = (struct table){.n = csv.n_rows, .p = FT_LEARNED, .n_views = space_views(s)};
    batches = arena_array(arena, csv.n_columns + 1, sizeof *batches);
    read_columns(t, s, &csv, batches, arena);
    struct arch *archs = arena_array(arena, t->n, sizeof *archs);
    TRY(space_read_archs(s, &csv, path, archs, diag));
    struct extraction e = {.space = s, .archs = archs, .n = t->n, .p = t->p, .batches = batches};
    e.x = arena_array(arena, t->n_batches + 1, sizeof *e.x);
    t->x = arena_array(arena, t->n_batches + 1, sizeof *t->x);
    for (size_t b = 0; b < t->n_batches; b++)
        for (size_t v = 0; v < t->n_views; v++)
            t->x[b][v] = e.x[b][v] = arena_array(arena, t->n * t->p, sizeof(double));
    TRY(extract_all(&e, t->n_batches, jobs, arena, diag));
    encode_all(t, s, archs, arena);
    return ST_OK;
}
