/* Calibrated machines to JSON and back; the residuals as rows of numbers, three decimals each. */
#include "calibrated.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define NEAR_COLUMNS (FORM_SIGNS + 2) /* signs, residual, network */

static void add_class(cJSON *list, const struct calibrated_class *class) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    cJSON_AddStringToObject(object, "name", class->name);
    cJSON_AddNumberToObject(object, "kernels", (double)class->n_rows);
    cJSON_AddNumberToObject(object, "error", class->error);
    cJSON_AddItemToObject(object, "coefficients",
                          cJSON_CreateDoubleArray(class->coefficients, (int)class->n_terms + 1));
    cJSON_AddItemToObject(object, "centre", cJSON_CreateDoubleArray(class->centre, FORM_SIGNS));
    cJSON_AddItemToObject(object, "spread", cJSON_CreateDoubleArray(class->spread, FORM_SIGNS));
    cJSON *near = cJSON_AddArrayToObject(object, "near");
    for (size_t i = 0; i < class->n_near; i++) {
        double row[NEAR_COLUMNS];
        for (int j = 0; j <= FORM_SIGNS; j++) row[j] = round((double)class->near[i][j] * 1000) / 1000;
        row[NEAR_COLUMNS - 1] = class->net[i];
        cJSON_AddItemToArray(near, cJSON_CreateDoubleArray(row, NEAR_COLUMNS));
    }
}

void calibrated_write(cJSON *object, const struct calibrated *c) {
    cJSON_AddNumberToObject(object, "forms", FORMS_VERSION);
    cJSON_AddNumberToObject(object, "block", (double)c->block);
    cJSON_AddNumberToObject(object, "networks", (double)c->networks);
    cJSON_AddNumberToObject(object, "kernels", (double)c->kernels);
    cJSON_AddNumberToObject(object, "error", c->error);
    cJSON_AddNumberToObject(object, "widening", c->widening);
    cJSON_AddNumberToObject(object, "scale", c->scale);
    cJSON_AddNumberToObject(object, "run_us", c->run_us);
    cJSON_AddItemToObject(object, "weight_us_mb", cJSON_CreateDoubleArray(c->weight_us_mb, WEIGHT_KNOTS));
    cJSON *list = cJSON_AddArrayToObject(object, "classes");
    for (size_t i = 0; i < c->n_classes; i++) add_class(list, &c->classes[i]);
}

static enum status wrong(const char *where, const char *name, struct diag *diag) {
    return diag_fail(diag, ST_TARGET, "%s: \"calibrated\": class \"%s\" is malformed", where, name);
}

static bool all_finite(const double *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

static bool read_near(const cJSON *list, struct calibrated_class *class, struct arena *arena) {
    size_t n = (size_t)cJSON_GetArraySize(list);
    const cJSON *row;
    class->near = arena_array(arena, n + 1, sizeof *class->near);
    class->net = arena_array(arena, n + 1, sizeof *class->net);
    cJSON_ArrayForEach(row, list) {
        size_t j = 0;
        const cJSON *cell;
        cJSON_ArrayForEach(cell, row) {
            if (!cJSON_IsNumber(cell) || !isfinite(cell->valuedouble) || j == NEAR_COLUMNS) return false;
            if (j <= FORM_SIGNS)
                class->near[class->n_near][j] = (float)cell->valuedouble;
            else if (cell->valuedouble < 0 || cell->valuedouble > UINT32_MAX)
                return false;
            else
                class->net[class->n_near] = (uint32_t)cell->valuedouble;
            j++;
        }
        if (j != NEAR_COLUMNS) return false;
        class->n_near++;
    }
    return true;
}

static enum status read_class(const cJSON *object, struct calibrated_class *class, const char *where,
                              struct arena *arena, struct diag *diag) {
    double numbers[FORM_TERMS + 1];
    const char *name = json_string_or(object, "name", "?");
    size_t n = json_numbers(object, "coefficients", numbers, FORM_TERMS + 1);
    if (n < 1 || n > FORM_TERMS || !all_finite(numbers, n)) return wrong(where, name, diag);
    class->name = arena_printf(arena, "%s", name);
    class->n_terms = n - 1;
    memcpy(class->coefficients, numbers, n * sizeof *numbers);
    class->n_rows = (size_t)fmax(0, json_number_or(object, "kernels", 0));
    class->error = json_number_or(object, "error", 0.3);
    bool signs = json_numbers(object, "centre", class->centre, FORM_SIGNS) == FORM_SIGNS &&
                 json_numbers(object, "spread", class->spread, FORM_SIGNS) == FORM_SIGNS &&
                 all_finite(class->centre, FORM_SIGNS) && all_finite(class->spread, FORM_SIGNS);
    for (int j = 0; signs && j < FORM_SIGNS; j++) signs = class->spread[j] > 0;
    if (!signs || !read_near(cJSON_GetObjectItemCaseSensitive(object, "near"), class, arena))
        return wrong(where, name, diag);
    return ST_OK;
}

enum status calibrated_read(struct calibrated **out, const cJSON *object, const char *where, struct arena *arena,
                            struct diag *diag) {
    struct calibrated *c = arena_alloc(arena, sizeof *c);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "classes"), *item;
    double block;
    if (json_number_or(object, "forms", 1) != FORMS_VERSION)
        return diag_fail(diag, ST_TARGET, "%s: calibrated by another version of this program: calibrate again", where);
    TRY(json_number(object, "block", &block, where, diag));
    TRY(json_number(object, "error", &c->error, where, diag));
    TRY(json_number(object, "scale", &c->scale, where, diag));
    c->widening = json_number_or(object, "widening", 1);
    if (block < 0 || block > 1024 || c->error < 0 || c->widening < 0 || c->scale <= 0 || !cJSON_IsArray(list) ||
        cJSON_GetArraySize(list) > MOST_CLASSES)
        return diag_fail(diag, ST_TARGET, "%s: \"calibrated\" is malformed", where);
    if (json_numbers(object, "weight_us_mb", c->weight_us_mb, WEIGHT_KNOTS) != WEIGHT_KNOTS ||
        !all_finite(c->weight_us_mb, WEIGHT_KNOTS))
        return diag_fail(diag, ST_TARGET, "%s: \"weight_us_mb\" must be %d numbers", where, WEIGHT_KNOTS);
    c->block = (int64_t)block;
    c->run_us = json_number_or(object, "run_us", 0);
    c->networks = (size_t)fmax(0, json_number_or(object, "networks", 0));
    c->kernels = (size_t)fmax(0, json_number_or(object, "kernels", 0));
    c->classes = arena_array(arena, (size_t)cJSON_GetArraySize(list) + 1, sizeof *c->classes);
    cJSON_ArrayForEach(item, list) TRY(read_class(item, &c->classes[c->n_classes++], where, arena, diag));
    *out = c;
    return ST_OK;
}
