/* The bind pass: what the user said about open sizes, written into the graph's inputs.
 *
 * A symbol bound by --dim, or by --shape or --batch where an input names it, is bound wherever it occurs. A --shape
 * that overrides a size the file fixes makes the other declared shapes stale: they are forgotten.
 *
 * Needs: nothing. Gives: bound inputs. Breaks: shapes. */
#include "passes.h"

#include <string.h>

/* ---- Symbols ---- */

size_t open_symbols(const struct graph *g, const char **names, size_t max) {
    size_t n = 0;
    const struct body *main = &g->bodies[0];
    for (uint32_t i = 0; i < main->n_inputs; i++) {
        const struct tensor *t = &g->tensors[main->inputs[i]];
        for (int32_t k = 0; k < t->rank; k++) {
            const char *found[16];
            size_t m = dim_symbols(g, t->dims[k], found, COUNT_OF(found));
            for (size_t j = 0; j < m && j < COUNT_OF(found); j++) {
                bool seen = false;
                for (size_t s = 0; s < n && s < max; s++) seen |= strcmp(names[s], found[j]) == 0;
                if (!seen && n < max) names[n++] = found[j];
            }
        }
    }
    return n;
}

static void substitute(struct graph *g, const char *symbol, int64_t number) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        dim *dims = NULL;
        for (int32_t k = 0; k < t->rank; k++) {
            if (!dim_is_symbolic(t->dims[k])) continue;
            dim bound = dim_substitute(g, t->dims[k], symbol, number);
            if (dim_same(bound, t->dims[k])) continue;
            if (!dims) dims = arena_copy(g->arena, t->dims, (size_t)t->rank * sizeof *dims);
            dims[k] = bound;
        }
        if (dims) t->dims = dims;
    }
}

static bool occurs(const struct graph *g, const char *symbol) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tensor *t = &g->tensors[i];
        for (int32_t k = 0; k < t->rank; k++) {
            const char *found[16];
            if (!dim_is_symbolic(t->dims[k])) continue;
            size_t m = dim_symbols(g, t->dims[k], found, COUNT_OF(found));
            for (size_t j = 0; j < m && j < COUNT_OF(found); j++)
                if (strcmp(found[j], symbol) == 0) return true;
        }
    }
    return false;
}

static const char *list_open_symbols(const struct graph *g, struct arena *arena) {
    const char *names[64];
    size_t n = open_symbols(g, names, COUNT_OF(names));
    const char *text = n ? "" : " (the inputs have none)";
    for (size_t i = 0; i < n; i++) text = arena_printf(arena, "%s%s %s", text, i ? "," : " (open:", names[i]);
    return n ? arena_printf(arena, "%s)", text) : text;
}

static enum status bind_dim(struct run *run, const char *symbol, int64_t value) {
    struct graph *g = run->graph;
    if (value < 1)
        return diag_fail(run->diag, ST_USAGE, "%s: dimension %s cannot be %lld", g->path, symbol, (long long)value);
    if (!occurs(g, symbol))
        return diag_fail(run->diag, ST_USAGE, "%s: no dimension is called %s%s", g->path, symbol,
                         list_open_symbols(g, run->diag->arena));
    substitute(g, symbol, value);
    return ST_OK;
}

/* ---- Inputs ---- */

static const char *sole_symbol(const struct graph *g, dim d, struct arena *arena) {
    const char *name;
    char text[256];
    if (!dim_is_symbolic(d) || dim_symbols(g, d, &name, 1) != 1) return NULL;
    if (dim_print(g, d, text, sizeof text) >= sizeof text || strcmp(text, name) != 0) return NULL;
    return arena_strndup(arena, name, strlen(name));
}

static uint32_t find_input(const struct graph *g, const char *name) {
    const struct body *main = &g->bodies[0];
    for (uint32_t i = 0; i < main->n_inputs; i++)
        if (strcmp(g->tensors[main->inputs[i]].name, name) == 0) return main->inputs[i];
    return NONE;
}

static void forget_declared(struct graph *g) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        if (t->producer == NONE || !(t->flags & TF_DECLARED)) continue;
        t->flags &= ~(uint32_t)TF_DECLARED;
        t->rank = RANK_UNKNOWN;
        t->dims = NULL;
    }
}

static enum status check_shape(struct run *run, uint32_t input, const struct shape_binding *b) {
    struct graph *g = run->graph;
    if (input == NONE) return diag_fail(run->diag, ST_USAGE, "%s: no input is called \"%s\"", g->path, b->input);
    const struct tensor *t = &g->tensors[input];
    if (t->kind != TY_TENSOR)
        return diag_fail(run->diag, ST_USAGE, "%s: input \"%s\" is not a tensor", g->path, b->input);
    if (t->rank != RANK_UNKNOWN && t->rank != b->rank)
        return diag_fail(run->diag, ST_USAGE, "%s: input \"%s\" has rank %d, the shape given for it has %d", g->path,
                         b->input, t->rank, b->rank);
    for (int32_t i = 0; i < b->rank; i++)
        if (b->dims[i] < 0)
            return diag_fail(run->diag, ST_USAGE, "%s: input \"%s\" cannot have a dimension of %lld", g->path, b->input,
                             (long long)b->dims[i]);
    return ST_OK;
}

static enum status bind_shape(struct run *run, const struct shape_binding *b) {
    struct graph *g = run->graph;
    uint32_t input = find_input(g, b->input);
    TRY(check_shape(run, input, b));
    struct tensor *t = &g->tensors[input];
    bool overrides = false;
    for (int32_t i = 0; i < t->rank; i++) { /* t->dims changes as its symbols are bound */
        const char *symbol = sole_symbol(g, t->dims[i], run->scratch);
        if (symbol)
            substitute(g, symbol, b->dims[i]);
        else
            overrides |= dim_is_number(t->dims[i]) && t->dims[i].value != b->dims[i];
    }
    dim *dims = arena_array(g->arena, (size_t)b->rank, sizeof *dims);
    for (int32_t i = 0; i < b->rank; i++) dims[i] = DIM(b->dims[i]);
    tensor_set_shape(g, input, t->dtype, dims, b->rank);
    if (overrides) forget_declared(g);
    return ST_OK;
}

static enum status bind_batch(struct run *run, int64_t batch) {
    struct graph *g = run->graph;
    const struct body *main = &g->bodies[0];
    if (batch < 1) return diag_fail(run->diag, ST_USAGE, "%s: a batch cannot be %lld", g->path, (long long)batch);
    for (uint32_t i = 0; i < main->n_inputs; i++) {
        struct tensor *t = &g->tensors[main->inputs[i]];
        if (t->rank < 1 || dim_is_number(t->dims[0])) continue;
        const char *symbol = sole_symbol(g, t->dims[0], run->scratch);
        if (symbol) substitute(g, symbol, batch);
        dim *dims = arena_copy(g->arena, t->dims, (size_t)t->rank * sizeof *dims);
        dims[0] = DIM(batch);
        t->dims = dims;
    }
    return ST_OK;
}

enum status pass_bind(struct run *run) {
    const struct bindings *b = run->bind;
    if (!b) return ST_OK;
    for (size_t i = 0; i < b->n_dims; i++) TRY(bind_dim(run, b->dims[i].symbol, b->dims[i].value));
    for (size_t i = 0; i < b->n_shapes; i++) TRY(bind_shape(run, &b->shapes[i]));
    if (b->batch != 0) TRY(bind_batch(run, b->batch));
    return ST_OK;
}
