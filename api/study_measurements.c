/* Files of measurements: which networks, and how long they took. */
#include "study.h"

#include <math.h>
#include <string.h>

#define LEAST_MS 1e-6
#define MOST_MS  1e9

static const char *beside(const char *csv, const char *model, struct arena *arena) {
    const char *slash = strrchr(csv, '/');
    if (model[0] == '/' || !slash) return model;
    return arena_printf(arena, "%.*s%s", (int)(slash - csv + 1), csv, model);
}

struct columns {
    uint32_t model, latency, space, batch;
};

static const char *cell(const struct csv *csv, size_t row, uint32_t column) {
    return column == NONE ? "" : csv->cells[row * csv->n_columns + column];
}

static enum status read_network(const ol_adaptation *spec, const struct csv *csv, const struct columns *c, size_t row,
                                struct network *out, struct diag *diag) {
    const char *path = spec->measurements, *space = cell(csv, row, c->space), *batch = cell(csv, row, c->batch);
    size_t line = csv->lines[row];
    *out = (struct network){.text = cell(csv, row, c->model), .batch = spec->batch ? spec->batch : 1, .line = line};
    if (!*out->text) return diag_fail(diag, ST_DATA, "%s: line %zu: no model", path, line);
    if (!num_parse_f64(cell(csv, row, c->latency), &out->ms))
        return diag_fail(diag, ST_DATA, "%s: line %zu: latency \"%s\" is not a number", path, line,
                         cell(csv, row, c->latency));
    if (!(out->ms > 0))
        return diag_fail(diag, ST_DATA, "%s: line %zu: latency %s is not above 0", path, line,
                         cell(csv, row, c->latency));
    if (out->ms < LEAST_MS || out->ms > MOST_MS)
        return diag_fail(diag, ST_DATA, "%s: line %zu: latency %s is no number of milliseconds that could be measured",
                         path, line, cell(csv, row, c->latency));
    out->batch_is_stated = *batch || spec->batch;
    if (*batch && (!num_parse_i64(batch, &out->batch) || out->batch < 1))
        return diag_fail(diag, ST_DATA, "%s: line %zu: batch \"%s\" is not a whole number above 0", path, line, batch);
    if (!*space && spec->space) space = spec->space;
    if (*space) {
        struct diag own;
        diag_init(&own, diag->arena);
        return space_named(space, &out->space, &own) == ST_OK ? ST_OK : diag_fail_at(diag, &own, path, line);
    }
    out->text = beside(path, out->text, diag->arena);
    return ST_OK;
}

/* The same network measured twice counts once, at the geometric mean. */
static enum status merge_repeated(const char *path, struct networks *list, struct diag *diag) {
    struct map seen;
    size_t n = 0;
    uint32_t *times = arena_array(diag->arena, list->n + 1, sizeof *times);
    map_init(&seen, diag->arena);
    for (size_t i = 0; i < list->n; i++) {
        struct network *network = &list->at[i];
        const char *key = network_key(network, diag->arena);
        uint32_t at;
        if (!map_get(&seen, key, strlen(key), &at)) {
            map_put(&seen, key, strlen(key), (uint32_t)n);
            times[n] = 1;
            list->at[n++] = *network;
            continue;
        }
        double share = 1.0 / ++times[at];
        list->at[at].ms = exp((1 - share) * log(list->at[at].ms) + share * log(network->ms));
        diag_warn(diag, "%s: line %zu: %s was measured before; its latencies are averaged", path, network->line,
                  network->text);
    }
    list->n = n;
    if (n >= 3) return ST_OK;
    return diag_fail(diag, ST_DATA, "%s: %zu networks measured; at least 3 are needed", path, n);
}

enum status study_measurements(ol_study *s, const ol_adaptation *spec, struct networks *list) {
    struct diag *diag = &s->base.diag;
    struct csv csv;
    const struct space *space;
    if (!spec->measurements) return diag_fail(diag, ST_USAGE, "name a file of measurements");
    if (spec->space) TRY(space_named(spec->space, &space, diag));
    TRY(csv_read(&csv, spec->measurements, &s->base.arena, diag));
    struct columns c = {csv_column(&csv, "model"), csv_column(&csv, "latency_ms"), csv_column(&csv, "space"),
                        csv_column(&csv, "batch")};
    if (c.model == NONE || c.latency == NONE)
        return diag_fail(diag, ST_DATA, "%s: the header must name the columns model and latency_ms",
                         spec->measurements);
    list->path = spec->measurements;
    list->dims = spec->dims, list->n_dims = spec->n_dims;
    list->at = arena_array(&s->base.arena, csv.n_rows + 1, sizeof *list->at);
    for (; list->n < csv.n_rows; list->n++) TRY(read_network(spec, &csv, &c, list->n, &list->at[list->n], diag));
    return merge_repeated(spec->measurements, list, diag);
}
