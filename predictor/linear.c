/* Measured and adapted targets: latency as a linear function of the features, in a mixture over graph views. */
#include "adapt.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define SMALLEST_MS  1e-6
#define WIDEST       10   /* an interval reaches so many times the latency either way at most */
#define CORRECTION   2    /* signed weights change what the non-negative ones say by this factor at most */
#define UNCERTAIN    0.15 /* relative deviation of the weights from which a model counts as extrapolated */
#define BEYOND       3.0  /* times the range of the fitted latencies, likewise */
#define PER_DOUBLING 0.1  /* relative deviation added for each doubling outside that range */
#define UNLIKE       0.55 /* relative deviation of the prediction for networks of another kind than those measured */
#define FAMILIAR     0.99 /* of the networks measured are counted as of their own kind */

static const struct kin { /* features no table exercises, and the one whose weight prices them */
    enum feature feature, kin;
} kin[] = {
    {FT_N_PRODUCT, FT_N_POINTWISE}, /* a product is a pointwise convolution over its rows */
    {FT_MAC_PRODUCT, FT_MAC_POINTWISE},
    {FT_BYTES_PRODUCT, FT_BYTES_DENSE},
    {FT_N_RECURRENT, FT_N_POINTWISE}, /* a recurrent layer is one such product a step */
    {FT_MAC_RECURRENT, FT_MAC_POINTWISE},
    {FT_N_REDUCE, FT_N_ELEMENTWISE},
    {FT_BYTES_REDUCE, FT_BYTES_ELEMENTWISE},
    {FT_N_QUANTIZE, FT_N_ELEMENTWISE},
    {FT_BYTES_QUANTIZE, FT_BYTES_ELEMENTWISE},
};

void features_fold(const struct features *features, double row[FT_LEARNED]) {
    memcpy(row, features->x, FT_LEARNED * sizeof *row);
    for (size_t i = 0; i < COUNT_OF(kin); i++) row[kin[i].kin] += features->x[kin[i].feature];
}

/* ---- JSON ---- */

/* Looked for from `near` on: they mostly stand in order. */
static enum feature feature_parse(const char *name, int near) {
    for (int i = 0; i < FT_LEARNED; i++) {
        int at = (near + i) % FT_LEARNED;
        if (strcmp(feature_name((enum feature)at), name) == 0) return (enum feature)at;
    }
    return FT_LEARNED;
}

static enum status read_weights(const cJSON *object, const char *where, double *weight, struct diag *diag) {
    const cJSON *item;
    int near = 0;
    if (object && !cJSON_IsObject(object))
        return diag_fail(diag, ST_TARGET, "%s: linear: weights are an object of numbers by feature", where);
    cJSON_ArrayForEach(item, object) {
        enum feature f = feature_parse(item->string, near);
        if (f == FT_LEARNED)
            return diag_fail(diag, ST_TARGET, "%s: linear: unknown feature \"%s\"", where, item->string);
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
            return diag_fail(diag, ST_TARGET, "%s: linear: weight of \"%s\" is not a number", where, item->string);
        weight[f] = item->valuedouble;
        near = (int)f + 1;
    }
    return ST_OK;
}

static enum status read_views(struct linear *l, const cJSON *views, const char *where, struct diag *diag) {
    double total = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, views) {
        enum view view;
        if (!view_parse(json_string_or(item, "view", ""), &view))
            return diag_fail(diag, ST_TARGET, "%s: linear: a view is \"kept\", \"prune\" or \"full\"", where);
        if (l->share[view] > 0) return diag_fail(diag, ST_TARGET, "%s: linear: a view stands twice", where);
        TRY(json_number(item, "share", &l->share[view], where, diag));
        if (l->share[view] < 0) return diag_fail(diag, ST_TARGET, "%s: linear: a view's share is negative", where);
        total += l->share[view];
        TRY(read_weights(cJSON_GetObjectItemCaseSensitive(item, "weights"), where, l->weight[view], diag));
        TRY(read_weights(cJSON_GetObjectItemCaseSensitive(item, "safe"), where, l->safe[view], diag));
        for (size_t j = 0; j < FT_LEARNED; j++)
            if (l->safe[view][j] < 0) return diag_fail(diag, ST_TARGET, "%s: linear: a safe weight is negative", where);
    }
    if (!(total > 0)) return diag_fail(diag, ST_TARGET, "%s: linear: no view has a share", where);
    for (size_t v = 0; v < VIEW_COUNT; v++) l->share[v] /= total;
    return ST_OK;
}

/* The lower triangle, row by row, over the features in the order they are listed. */
static enum status read_covariance(struct linear *l, const cJSON *object, const char *where, struct arena *arena,
                                   struct diag *diag) {
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(object, "features"), *item;
    if (!names) return ST_OK;
    size_t n = 0;
    enum feature order[FT_LEARNED];
    cJSON_ArrayForEach(item, names) {
        enum feature f = cJSON_IsString(item) && n < FT_LEARNED ? feature_parse(item->valuestring, (int)n) : FT_LEARNED;
        if (f == FT_LEARNED) return diag_fail(diag, ST_TARGET, "%s: linear: bad list of features", where);
        order[n++] = f;
    }
    double *triangle = arena_array(arena, n * (n + 1) / 2 + 1, sizeof *triangle);
    if (json_numbers(object, "covariance", triangle, n * (n + 1) / 2 + 1) != n * (n + 1) / 2)
        return diag_fail(diag, ST_TARGET, "%s: linear: covariance of %zu features needs %zu numbers", where, n,
                         n * (n + 1) / 2);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++, triangle++) {
            if (!isfinite(*triangle))
                return diag_fail(diag, ST_TARGET, "%s: linear: a covariance is not a number", where);
            l->covariance[order[i] * FT_LEARNED + order[j]] = l->covariance[order[j] * FT_LEARNED + order[i]] =
                *triangle;
        }
    return ST_OK;
}

static enum status read_partial(struct linear *l, const cJSON *list, const char *where, struct arena *arena,
                                struct diag *diag) {
    const cJSON *item;
    l->partial = arena_array(arena, (size_t)cJSON_GetArraySize(list) + 1, sizeof *l->partial);
    cJSON_ArrayForEach(item, list) {
        struct partial *part = &l->partial[l->n_partial++];
        const char *without = json_string_or(item, "without", "");
        part->without = arena_strndup(arena, without, strlen(without));
        if (!view_parse(json_string_or(item, "view", ""), &part->view))
            return diag_fail(diag, ST_TARGET, "%s: linear: a view is \"kept\", \"prune\" or \"full\"", where);
        TRY(json_number(item, "noise", &part->noise, where, diag));
        if (part->noise < 0) return diag_fail(diag, ST_TARGET, "%s: linear: negative noise", where);
        TRY(read_weights(cJSON_GetObjectItemCaseSensitive(item, "safe"), where, part->weight, diag));
        for (size_t j = 0; j < FT_LEARNED; j++)
            if (part->weight[j] < 0)
                return diag_fail(diag, ST_TARGET, "%s: linear: a partial weight is negative", where);
    }
    return ST_OK;
}

enum status linear_read(struct linear **out, const cJSON *object, const char *where, struct arena *arena,
                        struct diag *diag) {
    struct linear *l = arena_alloc(arena, sizeof *l);
    TRY(read_views(l, cJSON_GetObjectItemCaseSensitive(object, "views"), where, diag));
    TRY(read_covariance(l, object, where, arena, diag));
    TRY(read_partial(l, cJSON_GetObjectItemCaseSensitive(object, "partial"), where, arena, diag));
    TRY(json_number(object, "noise", &l->noise, where, diag));
    l->quantile = json_number_or(object, "quantile", Z90);
    l->familiar = json_number_or(object, "familiar", 0);
    l->lowest_ms = json_number_or(object, "lowest_ms", 0);
    l->highest_ms = json_number_or(object, "highest_ms", 0);
    l->samples = (size_t)fmax(json_number_or(object, "samples", 0), 0);
    if (l->noise < 0 || l->quantile <= 0) return diag_fail(diag, ST_TARGET, "%s: linear: negative noise", where);
    *out = l;
    return ST_OK;
}

bool linear_is_finite(const struct linear *l) {
    double sum = l->noise + l->quantile;
    for (size_t v = 0; v < VIEW_COUNT; v++) {
        sum += l->share[v];
        for (size_t j = 0; j < FT_LEARNED; j++) sum += fabs(l->weight[v][j]) + fabs(l->safe[v][j]);
    }
    for (size_t i = 0; i < FT_LEARNED * FT_LEARNED; i++) sum += fabs(l->covariance[i]);
    for (size_t i = 0; i < l->n_partial; i++)
        for (size_t j = 0; j < FT_LEARNED; j++) sum += l->partial[i].weight[j];
    return isfinite(sum);
}

static bool is_used(const struct linear *l, size_t j) {
    for (size_t v = 0; v < VIEW_COUNT; v++)
        if (l->share[v] > 0 && (l->weight[v][j] != 0 || l->safe[v][j] != 0)) return true;
    return l->covariance[j * FT_LEARNED + j] > 0;
}

static void write_weights(cJSON *view, const char *name, const double *weight) {
    cJSON *weights = cJSON_AddObjectToObject(view, name);
    for (size_t j = 0; j < FT_LEARNED; j++)
        if (weight[j] != 0) cJSON_AddNumberToObject(weights, feature_name((enum feature)j), weight[j]);
}

static void write_partial(cJSON *object, const struct linear *l) {
    cJSON *list = cJSON_AddArrayToObject(object, "partial");
    for (size_t i = 0; i < l->n_partial; i++) {
        cJSON *part = cJSON_CreateObject();
        cJSON_AddItemToArray(list, part);
        cJSON_AddStringToObject(part, "without", l->partial[i].without);
        cJSON_AddStringToObject(part, "view", view_name(l->partial[i].view));
        cJSON_AddNumberToObject(part, "noise", l->partial[i].noise);
        write_weights(part, "safe", l->partial[i].weight);
    }
}

void linear_write(cJSON *object, const struct linear *l) {
    cJSON *views = cJSON_AddArrayToObject(object, "views");
    for (size_t v = 0; v < VIEW_COUNT; v++) {
        if (l->share[v] <= 0) continue;
        cJSON *view = cJSON_CreateObject();
        cJSON_AddItemToArray(views, view);
        cJSON_AddStringToObject(view, "view", view_name((enum view)v));
        cJSON_AddNumberToObject(view, "share", l->share[v]);
        write_weights(view, "weights", l->weight[v]);
        write_weights(view, "safe", l->safe[v]);
    }
    cJSON_AddNumberToObject(object, "noise", l->noise);
    cJSON_AddNumberToObject(object, "quantile", l->quantile);
    if (l->familiar > 0) cJSON_AddNumberToObject(object, "familiar", l->familiar);
    cJSON_AddNumberToObject(object, "lowest_ms", l->lowest_ms);
    cJSON_AddNumberToObject(object, "highest_ms", l->highest_ms);
    cJSON_AddNumberToObject(object, "samples", (double)l->samples);
    if (l->n_partial) write_partial(object, l);
    cJSON *names = cJSON_AddArrayToObject(object, "features"), *triangle = cJSON_AddArrayToObject(object, "covariance");
    for (size_t i = 0; i < FT_LEARNED; i++) {
        if (!is_used(l, i)) continue;
        cJSON_AddItemToArray(names, cJSON_CreateString(feature_name((enum feature)i)));
        for (size_t j = 0; j <= i; j++)
            if (is_used(l, j)) cJSON_AddItemToArray(triangle, cJSON_CreateNumber(l->covariance[i * FT_LEARNED + j]));
    }
}

/* ---- Prediction ---- */

static double dot(const double *a, const double *b) {
    double sum = 0;
    for (size_t j = 0; j < FT_LEARNED; j++) sum += a[j] * b[j];
    return sum;
}

static double weight_variance(const struct linear *l, const double *row) {
    double sum = 0;
    for (size_t j = 0; j < FT_LEARNED; j++) sum += row[j] * dot(l->covariance + j * FT_LEARNED, row);
    return fmax(sum, 0);
}

/* How many doublings a latency lies outside the fitted range. */
static double doublings_outside(const struct linear *l, double ms) {
    if (l->highest_ms <= 0 || ms <= 0) return 0;
    if (ms > l->highest_ms) return log2(ms / l->highest_ms);
    return ms < l->lowest_ms ? log2(l->lowest_ms / ms) : 0;
}

/* How sure it is that a network is of another kind than those measured, 0 to 1: their spaces all err in their own way,
 * which no covariance of rows knows of, so it only tells where that begins. */
static double strangeness(const struct linear *l, double weights) {
    return l->familiar > 0 && weights > l->familiar ? 1 - pow(l->familiar / weights, 2) : 0;
}

/* Signed weights fit best where the network is like those measured; far from them they can leave nothing, or less. What
 * they change of the non-negative prediction therefore fades with the distance, and is nothing for another kind. */
static double blend(const struct linear *l, double safe, double any, double weights, double outside) {
    double change = log(fmin(fmax(any / safe, 1.0 / CORRECTION), CORRECTION)) * (1 - strangeness(l, weights));
    return safe * exp(change / (1 + weights * weights / (UNCERTAIN * UNCERTAIN) + outside * outside));
}

struct linear_estimate linear_predict_row(const struct linear *l, const double *const rows[VIEW_COUNT]) {
    struct linear_estimate e = {0};
    double mean = 0, square = 0, variance = 0, safe = 0;
    for (size_t v = 0; v < VIEW_COUNT; v++) {
        if (l->share[v] <= 0) continue;
        double ms = dot(l->weight[v], rows[v]);
        safe += l->share[v] * dot(l->safe[v], rows[v]);
        mean += l->share[v] * ms;
        square += l->share[v] * ms * ms;
        variance += l->share[v] * weight_variance(l, rows[v]);
    }
    safe = fmax(safe, SMALLEST_MS);
    double between = fmax(square - mean * mean, 0), outside = doublings_outside(l, safe);
    e.ms = blend(l, safe, mean, sqrt(variance) / safe, outside);
    double weights = sqrt(variance) / e.ms, strange = strangeness(l, weights), beyond = PER_DOUBLING * outside;
    double known = strange > 0 ? fmin(weights, UNLIKE) : weights;
    double near = known * known + between / (e.ms * e.ms) + l->noise * l->noise;
    double far = strange * UNLIKE * UNLIKE + beyond * beyond;
    e.deviation = sqrt(near + far);
    e.extrapolated = weights > fmax(UNCERTAIN, 3 * l->noise) || strange > 0.5 || outside > log2(BEYOND);
    double factor = exp(fmin(sqrt(l->quantile * l->quantile * near + Z90 * Z90 * far), log(WIDEST)));
    e.lo_ms = e.ms / factor;
    e.hi_ms = e.ms * factor;
    return e;
}

struct linear_estimate linear_predict(const struct linear *l, const struct features features[VIEW_COUNT]) {
    double folded[VIEW_COUNT][FT_LEARNED];
    const double *rows[VIEW_COUNT];
    for (size_t v = 0; v < VIEW_COUNT; v++) {
        features_fold(&features[v], folded[v]);
        rows[v] = folded[v];
    }
    return linear_predict_row(l, rows);
}

void linear_weights(const struct linear *l, double weight[FT_COUNT]) {
    memset(weight, 0, FT_COUNT * sizeof *weight);
    for (size_t v = 0; v < VIEW_COUNT; v++)
        for (size_t j = 0; j < FT_LEARNED; j++) weight[j] += l->share[v] * l->safe[v][j];
    for (size_t i = 0; i < COUNT_OF(kin); i++) weight[kin[i].feature] = weight[kin[i].kin];
}

struct partial linear_partial(const struct linear *l, const char *without) {
    struct partial part = {.without = without, .noise = l->noise};
    double weight[FT_COUNT];
    linear_weights(l, weight);
    memcpy(part.weight, weight, sizeof part.weight);
    for (size_t v = 1; v < VIEW_COUNT; v++)
        if (l->share[v] > l->share[part.view]) part.view = (enum view)v;
    return part;
}

/* ---- From what was learned ---- */

static void set_range(struct linear *l, const struct samples *s) {
    l->samples = s->n;
    l->lowest_ms = l->highest_ms = s->y[0];
    for (size_t i = 1; i < s->n; i++) {
        l->lowest_ms = fmin(l->lowest_ms, s->y[i]);
        l->highest_ms = fmax(l->highest_ms, s->y[i]);
    }
}

/* What a feature costs that no sample holds is known from its kind alone. */
static void fill_absent(struct linear *l, const struct samples *s, size_t view, const double *coarse) {
    for (size_t j = 0; j < FT_LEARNED; j++) {
        bool present = false;
        for (size_t i = 0; i < s->n && !present; i++) present = s->x[view][i * s->p + j] > 0;
        if (present) continue;
        l->weight[view][j] = coarse[j];
        l->covariance[j * FT_LEARNED + j] += l->share[view] * coarse[j] * coarse[j];
    }
}

static double familiar_deviation(const struct linear *l, const struct samples *s, size_t view, struct arena *scratch) {
    double *deviation = arena_array(scratch, s->n, sizeof *deviation);
    for (size_t i = 0; i < s->n; i++) deviation[i] = sqrt(weight_variance(l, s->x[view] + i * s->p)) / s->y[i];
    return order_statistic(deviation, s->n, FAMILIAR);
}

void linear_from_weights(struct linear *l, const struct samples *s, enum view view, const double *weight,
                         const double *covariance, double noise, struct arena *scratch) {
    double coarse[FT_LEARNED];
    *l = (struct linear){.noise = noise, .quantile = Z90};
    l->share[view] = 1;
    memcpy(l->weight[view], weight, sizeof l->weight[view]);
    if (covariance) memcpy(l->covariance, covariance, sizeof l->covariance);
    coarse_fit(s, view, coarse, scratch);
    if (covariance) l->familiar = familiar_deviation(l, s, view, scratch);
    fill_absent(l, s, view, coarse);
    safe_fit(s, view, coarse, noise, l->safe[view], scratch);
    set_range(l, s);
}

void posterior_linear(const struct posterior *post, const struct samples *s, struct linear *l, struct arena *scratch) {
    *l = (struct linear){.noise = post->noise, .quantile = Z90};
    for (size_t v = 0; v < post->n_views; v++) {
        double coarse[FT_LEARNED], prior[FT_LEARNED];
        l->share[v] = post->share[v];
        if (l->share[v] <= 0) continue;
        memcpy(l->weight[v], post->weight[v], sizeof l->weight[v]);
        for (size_t j = 0; post->covariance[v] && j < FT_LEARNED * FT_LEARNED; j++)
            l->covariance[j] += post->share[v] * post->covariance[v][j];
        coarse_fit(s, (enum view)v, coarse, scratch);
        fill_absent(l, s, v, coarse);
        for (size_t j = 0; j < FT_LEARNED; j++) prior[j] = fmax(l->weight[v][j], 0);
        safe_fit(s, (enum view)v, prior, l->noise, l->safe[v], scratch);
    }
    set_range(l, s);
}
