/* Models, for callers of the library. */
#include "api.h"

#include <string.h>
#include <time.h>

double monotonic_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static ol_model *model_new(ol_context *context) {
    ol_model *m = object_new(context, sizeof *m);
    if (!m) return NULL;
    m->passes = PASSES_ALL;
    return m;
}

ol_status ol_model_open(ol_context *context, const char *path, ol_model **out) {
    ol_model *m = *out = model_new(context);
    if (!m) return OL_EMEMORY;
    if (setjmp(m->base.oom)) return object_opened(&(*out)->base, (enum status)object_out_of_memory(&(*out)->base));
    double start = monotonic_ms();
    enum status status = onnx_read(&m->graph, path, false, &m->base.arena, &m->base.diag);
    m->read_ms = monotonic_ms() - start;
    return object_opened(&m->base, status);
}

ol_status ol_model_open_bytes(ol_context *context, const void *bytes, size_t length, const char *name, ol_model **out) {
    ol_model *m = *out = model_new(context);
    if (!m) return OL_EMEMORY;
    if (setjmp(m->base.oom)) return object_opened(&(*out)->base, (enum status)object_out_of_memory(&(*out)->base));
    double start = monotonic_ms();
    enum status status = onnx_read_bytes(&m->graph, bytes, length, name, &m->base.arena, &m->base.diag);
    m->read_ms = monotonic_ms() - start;
    return object_opened(&m->base, status);
}

void ol_model_free(ol_model *m) {
    if (!m) return;
    if (m->graph) graph_close(m->graph);
    object_free(&m->base);
}

const char *ol_model_error(const ol_model *m) {
    return object_error(m ? &m->base : NULL);
}

const char *const *ol_model_warnings(const ol_model *m, size_t *count) {
    *count = m ? m->base.diag.n_warnings : 0;
    return m ? m->base.diag.warnings : NULL;
}

/* ---- What the file leaves open ---- */

static enum status check_unused(ol_model *m) {
    if (!m->binding.is_known) return ST_OK;
    return diag_fail(&m->base.diag, ST_USAGE,
                     "%s: sizes must be set before the first profile, prediction or measurement", m->graph->path);
}

static enum status set_dim(ol_model *m, const char *symbol, int64_t size) {
    struct dim_binding binding = {.value = size};
    struct { /* the bindings, growing */
        struct dim_binding *dims;
        size_t n_dims, cap_dims;
    } list = {(struct dim_binding *)(uintptr_t)m->bind.dims, m->bind.n_dims, m->cap_dims};
    TRY(check_unused(m));
    binding.symbol = arena_strndup(&m->base.arena, symbol, strlen(symbol));
    PUSH(&m->base.arena, &list, dims, binding);
    m->bind.dims = list.dims, m->bind.n_dims = list.n_dims, m->cap_dims = list.cap_dims;
    return ST_OK;
}

ol_status ol_model_set_dim(ol_model *m, const char *symbol, int64_t size) {
    OBJECT_BEGIN(&m->base);
    return object_end(&m->base, set_dim(m, symbol, size));
}

static enum status set_shape(ol_model *m, const char *input, const int64_t *dims, size_t rank) {
    struct shape_binding binding = {.rank = (int32_t)rank};
    struct {
        struct shape_binding *shapes;
        size_t n_shapes, cap_shapes;
    } list = {(struct shape_binding *)(uintptr_t)m->bind.shapes, m->bind.n_shapes, m->cap_shapes};
    TRY(check_unused(m));
    if (rank > RANK_MAX)
        return diag_fail(&m->base.diag, ST_USAGE, "%s: a shape of %zu dimensions; at most %d are possible",
                         m->graph->path, rank, RANK_MAX);
    binding.input = arena_strndup(&m->base.arena, input, strlen(input));
    binding.dims = arena_copy(&m->base.arena, dims, rank * sizeof *dims);
    PUSH(&m->base.arena, &list, shapes, binding);
    m->bind.shapes = list.shapes, m->bind.n_shapes = list.n_shapes, m->cap_shapes = list.cap_shapes;
    return ST_OK;
}

ol_status ol_model_set_shape(ol_model *m, const char *input, const int64_t *dims, size_t rank) {
    OBJECT_BEGIN(&m->base);
    return object_end(&m->base, set_shape(m, input, dims, rank));
}

static enum status set_batch(ol_model *m, int64_t size) {
    TRY(check_unused(m));
    if (size < 1)
        return diag_fail(&m->base.diag, ST_USAGE, "%s: a batch cannot be %lld", m->graph->path, (long long)size);
    m->bind.batch = size;
    return ST_OK;
}

ol_status ol_model_set_batch(ol_model *m, int64_t size) {
    OBJECT_BEGIN(&m->base);
    return object_end(&m->base, set_batch(m, size));
}

int ol_model_leaves_open(ol_model *m, const char *symbol) {
    const char *names[64];
    if (m->base.unusable != ST_OK) return 0;
    if (setjmp(m->base.oom)) return 0;
    size_t n = open_symbols(m->graph, names, COUNT_OF(names));
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], symbol) == 0) return 1;
    return 0;
}

int ol_model_has_input(const ol_model *m, const char *name) {
    if (m->base.unusable != ST_OK) return 0;
    const struct body *main = &m->graph->bodies[0];
    for (uint32_t i = 0; i < main->n_inputs; i++)
        if (strcmp(m->graph->tensors[main->inputs[i]].name, name) == 0) return 1;
    return 0;
}

/* ---- Looking inside ---- */

ol_status ol_model_set_passes(ol_model *m, const char *list) {
    OBJECT_BEGIN(&m->base);
    return object_end(&m->base, pass_list(m, list, &m->passes));
}

ol_status ol_model_print_after(ol_model *m, const char *list,
                               void (*print)(void *user, const char *pass, const char *text, size_t length),
                               void *user) {
    OBJECT_BEGIN(&m->base);
    m->print = print;
    m->print_user = user;
    return object_end(&m->base, pass_list(m, list, &m->print_after));
}

const ol_timing *ol_model_timings(ol_model *m, size_t *count) {
    *count = 0;
    if (setjmp(m->base.oom)) return NULL;
    ol_timing *list = arena_array(&m->base.arena, PASS_COUNT + 1, sizeof *list);
    size_t n = 0;
    list[n++] = (ol_timing){"read", m->read_ms};
    for (int i = 0; i < PASS_COUNT; i++)
        if (m->ran & 1u << i) list[n++] = (ol_timing){pass_name((enum pass)i), m->pass_ms[i]};
    *count = n;
    return list;
}

/* ---- Answers ---- */

ol_status ol_model_profile(ol_model *m, const ol_profile **out) {
    *out = NULL;
    OBJECT_BEGIN(&m->base);
    enum status status = model_profile(m);
    if (status == ST_OK) *out = m->profile;
    return object_end(&m->base, status);
}

ol_status ol_model_predict(ol_model *m, const ol_target *target, const ol_estimate **out) {
    *out = NULL;
    OBJECT_BEGIN(&m->base);
    enum status status = object_check(&target->base, &m->base.diag);
    return object_end(&m->base, status == ST_OK ? model_predict(m, target->target, out) : status);
}
