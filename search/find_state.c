/* The state of a search: enough to go on after a kill at any moment. */
#include "find.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE_SCHEMA "onnx-latency/search-state/1"

/* Numbers of 64 bits do not fit a JSON number: the generator's state is text. */
static cJSON *rng_json(const struct rng *rng) {
    cJSON *json = cJSON_CreateArray();
    char text[24];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "%016llx", (unsigned long long)rng->s[i]);
        cJSON_AddItemToArray(json, cJSON_CreateString(text));
    }
    return json;
}

static cJSON *candidate_json(const struct evolve *e, const struct candidate *c) {
    cJSON *json = cJSON_CreateObject(), *genes = cJSON_AddArrayToObject(json, "genes");
    for (size_t i = 0; i < e->n_genes; i++) cJSON_AddItemToArray(genes, cJSON_CreateNumber(c->genes[i]));
    cJSON_AddItemToObject(json, "cost", cJSON_CreateDoubleArray(c->cost, (int)e->n_costs));
    return json;
}

static cJSON *candidates_json(const struct evolve *e, const struct candidate *list, size_t n) {
    cJSON *json = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        if (isfinite(list[i].cost[0])) cJSON_AddItemToArray(json, candidate_json(e, &list[i]));
    return json;
}

enum status state_save(const struct find *f, const struct evolve *e, struct diag *diag) {
    cJSON *json = cJSON_CreateObject();
    struct file_out out;
    cJSON_AddStringToObject(json, "schema", STATE_SCHEMA);
    cJSON_AddStringToObject(json, "problem", f->state_id);
    cJSON_AddNumberToObject(json, "evaluated", (double)e->evaluated);
    cJSON_AddItemToObject(json, "rng", rng_json(&e->rng));
    cJSON_AddItemToObject(json, "population", candidates_json(e, e->population, e->n_population));
    cJSON_AddItemToObject(json, "frontier", candidates_json(e, e->frontier, e->n_frontier));
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text) return diag_fail(diag, ST_MEMORY, "%s: out of memory", f->state_path);
    enum status status = file_out_open(&out, f->state_path, diag);
    if (status == ST_OK) {
        fputs(text, out.stream);
        status = file_out_commit(&out, diag);
    }
    cJSON_free(text);
    return status;
}

static bool read_rng(const cJSON *json, struct rng *rng) {
    for (int i = 0; i < 4; i++) {
        const cJSON *item = cJSON_GetArrayItem(json, i);
        if (!cJSON_IsString(item)) return false;
        rng->s[i] = strtoull(item->valuestring, NULL, 16);
    }
    return true;
}

static bool read_candidates(const struct find *f, struct evolve *e, const cJSON *list, bool in_population) {
    const cJSON *item;
    double cost[OBJECTIVES_MAX];
    cJSON_ArrayForEach(item, list) {
        const cJSON *genes = cJSON_GetObjectItemCaseSensitive(item, "genes"), *gene;
        uint16_t *read = arena_array(f->arena, f->n_genes + 1, sizeof *read);
        size_t n = 0;
        if ((size_t)cJSON_GetArraySize(genes) != f->n_genes ||
            json_numbers(item, "cost", cost, e->n_costs) != e->n_costs)
            return false;
        cJSON_ArrayForEach(gene, genes) {
            if (!cJSON_IsNumber(gene) || gene->valuedouble < 0 || gene->valuedouble > f->max[n]) return false;
            read[n++] = (uint16_t)gene->valuedouble;
        }
        evolve_restore(e, read, cost, in_population);
    }
    return cJSON_IsArray(list);
}

static enum status restore(const struct find *f, struct evolve *e, const cJSON *json, struct diag *diag) {
    if (strcmp(json_string_or(json, "schema", ""), STATE_SCHEMA) != 0)
        return diag_fail(diag, ST_FORMAT, "%s: is not the state of a search", f->state_path);
    if (strcmp(json_string_or(json, "problem", ""), f->state_id) != 0)
        return diag_fail(diag, ST_USAGE, "%s: is the state of another search (%s)", f->state_path,
                         json_string_or(json, "problem", "?"));
    bool whole = read_candidates(f, e, cJSON_GetObjectItemCaseSensitive(json, "frontier"), false) &&
                 read_candidates(f, e, cJSON_GetObjectItemCaseSensitive(json, "population"), true) &&
                 read_rng(cJSON_GetObjectItemCaseSensitive(json, "rng"), &e->rng) && e->n_population;
    double evaluated = json_number_or(json, "evaluated", -1);
    whole = whole && evaluated >= 0 && evaluated < 1e15;
    if (whole) e->evaluated = (size_t)evaluated;
    return whole ? ST_OK : diag_fail(diag, ST_FORMAT, "%s: is damaged", f->state_path);
}

enum status state_load(const struct find *f, struct evolve *e, bool *was_there, struct diag *diag) {
    cJSON *json;
    FILE *there = fopen(f->state_path, "rb");
    *was_there = there != NULL;
    if (!there) return ST_OK;
    fclose(there);
    TRY(json_read_file(&json, f->state_path, diag));
    enum status status = restore(f, e, json, diag);
    cJSON_Delete(json);
    return status;
}
