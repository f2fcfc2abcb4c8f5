/* The road from a graph as read to kernels: what depends on no target runs once, the rest once for each runtime. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

#define SHARED_PASSES  PASSES_PROFILE
#define RUNTIME_PASSES (PASSES_ALL & ~SHARED_PASSES)

/* ---- Lists of passes ---- */

static const char *all_passes(struct arena *arena) {
    const char *text = "";
    for (int i = 0; i < PASS_COUNT; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? ", " : "", pass_name((enum pass)i));
    return text;
}

enum status pass_list(ol_model *m, const char *list, uint32_t *mask) {
    uint32_t found = 0;
    for (const char *p = list; *p;) {
        size_t length = strcspn(p, ",");
        const char *name = arena_strndup(&m->base.arena, p, length);
        enum pass pass = pass_parse(name);
        if (pass == PASS_COUNT)
            return diag_fail(&m->base.diag, ST_USAGE, "%s: no pass is called \"%s\"; there are: %s", m->graph->path,
                             name, all_passes(&m->base.arena));
        found |= 1u << pass;
        p += length + (p[length] == ',');
    }
    *mask = found;
    return ST_OK;
}

static const struct {
    uint32_t needs, gives, breaks;
} pass_facts[PASS_COUNT] = {
#define PASS(id, name, letter, needs, gives, breaks) {needs, gives, breaks},
#include "passes.def"
#undef PASS
};

static const char *giver_of(uint32_t facts) {
    for (int i = 0; i < PASS_COUNT; i++)
        if (pass_facts[i].gives & facts) return pass_name((enum pass)i);
    return "";
}

/* A list the user wrote may leave out what a later pass stands on. */
static enum status check_passes(ol_model *m, uint32_t facts, uint32_t mask) {
    for (int i = 0; i < PASS_COUNT; i++) {
        if (!(mask & 1u << i)) continue;
        uint32_t missing = pass_facts[i].needs & ~facts;
        if (missing)
            return diag_fail(&m->base.diag, ST_USAGE, "%s: pass %s needs what pass %s gives: add it to the list",
                             m->graph->path, pass_name((enum pass)i), giver_of(missing));
        facts = (facts & ~pass_facts[i].breaks) | pass_facts[i].gives;
    }
    return ST_OK;
}

/* ---- Running them ---- */

static void after_pass(void *user, enum pass pass, const struct graph *graph) {
    ol_model *m = user;
    char *text = NULL;
    size_t length = 0;
    if (!(m->print_after & 1u << pass)) return;
    FILE *stream = open_memstream(&text, &length);
    if (!stream) return;
    graph_print(graph, stream);
    if (!fclose(stream)) m->print(m->print_user, pass_name(pass), text, length);
    free(text);
}

static enum status run_passes(ol_model *m, struct run *run, uint32_t mask) {
    mask &= m->passes;
    TRY(check_passes(m, run->facts, mask));
    if (m->print_after) run->after = after_pass, run->user = m;
    memset(run->pass_ms, 0, sizeof run->pass_ms);
    enum status status = passes_run(run, mask);
    for (int i = 0; i < PASS_COUNT; i++) m->pass_ms[i] += run->pass_ms[i];
    m->ran |= mask;
    return status;
}

/* ---- Open sizes ---- */

const char *dim_text(const struct graph *g, dim d, struct arena *arena) {
    size_t length = dim_print(g, d, NULL, 0);
    char *text = arena_alloc(arena, length + 1);
    dim_print(g, d, text, length + 1);
    return text;
}

static void warn_batch(ol_model *m) {
    const struct graph *g = m->graph;
    struct diag *diag = &m->base.diag;
    for (uint32_t i = 0; i < g->bodies[0].n_inputs; i++) {
        const struct tensor *t = &g->tensors[g->bodies[0].inputs[i]];
        if (t->kind != TY_TENSOR || t->rank < 1) continue;
        if (!dim_is_number(t->dims[0]) && !m->bind.batch)
            diag_warn(diag,
                      "%s: the leading dimension %s of its inputs counts as batch and is taken as 1; give --batch N",
                      g->path, dim_text(g, t->dims[0], &m->base.arena));
        if (dim_is_number(t->dims[0]) && m->bind.batch && t->dims[0].value != m->bind.batch)
            diag_warn(
                diag,
                "%s: input \"%s\" has a fixed leading dimension of %lld, which --batch leaves; --shape changes it",
                g->path, t->name, (long long)t->dims[0].value);
    }
}

/* Sizes by name come first, so that what then is still open at the front of an input is a batch nobody named. */
static enum status bind_sizes(ol_model *m) {
    struct bindings named = m->bind, rest = {.batch = m->bind.batch ? m->bind.batch : 1};
    struct run *run = &m->run;
    named.batch = 0;
    run->bind = &named;
    TRY(pass_bind(run));
    warn_batch(m);
    run->bind = &rest;
    TRY(pass_bind(run));
    run->bind = NULL;
    return ST_OK;
}

/* What a failure left behind cannot be treated again: later calls hear of it. */
static enum status say_again(ol_model *m, const struct once *o) {
    if (o->status != ST_OK && m->base.diag.status == ST_OK) {
        m->base.diag.status = o->status;
        m->base.diag.message = o->message ? o->message : status_text(o->status);
    }
    return o->status;
}

static enum status do_once(ol_model *m, struct once *o, enum status (*fn)(ol_model *)) {
    if (!o->is_known) {
        *o = (struct once){.is_known = true, .status = ST_MEMORY}; /* unless it comes back */
        o->status = fn(m);
        o->message = m->base.diag.message;
    }
    return say_again(m, o);
}

static enum status bind(ol_model *m) {
    m->run = (struct run){.graph = m->graph, .scratch = &m->base.arena, .diag = &m->base.diag, .peak_memory_bytes = -1};
    return m->passes & 1u << PASS_bind ? bind_sizes(m) : ST_OK;
}

enum status model_bind(ol_model *m) {
    return do_once(m, &m->binding, bind);
}

static enum status analyse(ol_model *m) {
    TRY(model_bind(m));
    return run_passes(m, &m->run, SHARED_PASSES);
}

enum status model_analyse(ol_model *m) {
    return do_once(m, &m->analysis, analyse);
}

static enum status fail_unnamed(const struct graph *g, const struct tensor *t, struct diag *diag) {
    const char *shape = "";
    for (int32_t i = 0; i < t->rank; i++)
        shape = dim_is_number(t->dims[i])
                    ? arena_printf(diag->arena, "%s%s%lld", shape, i ? "x" : "", (long long)t->dims[i].value)
                    : arena_printf(diag->arena, "%s%sN", shape, i ? "x" : "");
    return diag_fail(diag, ST_SHAPE, "%s: input \"%s\" has %s; give --shape %s=%s", g->path, t->name,
                     t->rank < 0 ? "unknown rank" : "open dimensions without a name", t->name,
                     t->rank < 0 ? "1x3x224x224, say" : shape);
}

static enum status fail_symbols(const struct graph *g, const char *const *symbols, size_t n, struct diag *diag) {
    const char *names = "", *options = "";
    for (size_t i = 0; i < n; i++) {
        names = arena_printf(diag->arena, "%s%s%s", names, i ? ", " : "", symbols[i]);
        options = arena_printf(diag->arena, "%s --dim %s=N", options, symbols[i]);
    }
    return diag_fail(diag, ST_SHAPE, "%s: the inputs leave %s open; give%s", g->path, names, options);
}

enum status check_closed(const struct graph *g, struct diag *diag) {
    const char *symbols[64];
    size_t n = open_symbols(g, symbols, COUNT_OF(symbols));
    if (n) return fail_symbols(g, symbols, n, diag);
    for (uint32_t i = 0; i < g->bodies[0].n_inputs; i++) {
        const struct tensor *t = &g->tensors[g->bodies[0].inputs[i]];
        bool is_open = t->kind == TY_TENSOR && t->rank == RANK_UNKNOWN;
        for (int32_t k = 0; k < t->rank && t->kind == TY_TENSOR; k++) is_open |= !dim_is_number(t->dims[k]);
        if (is_open) return fail_unnamed(g, t, diag);
    }
    return ST_OK;
}

/* ---- Kernels ---- */

static bool same_runtime(const struct runtime *a, const struct runtime *b) {
    return strcmp(a->lowering, b->lowering) == 0 && a->view == b->view && a->precision == b->precision &&
           a->block == b->block && a->threads == b->threads && a->n_fuse == b->n_fuse &&
           (!a->n_fuse || memcmp(a->fuse, b->fuse, a->n_fuse * sizeof *a->fuse) == 0);
}

/* The runtime is copied whole: targets may be freed before the model. */
static struct runtime *keep_runtime(const struct runtime *runtime, struct arena *arena) {
    struct runtime *kept = arena_copy(arena, runtime, sizeof *runtime);
    kept->lowering = arena_strndup(arena, runtime->lowering, strlen(runtime->lowering));
    kept->fuse = arena_copy(arena, runtime->fuse, runtime->n_fuse * sizeof *runtime->fuse);
    return kept;
}

enum status model_lower(ol_model *m, const struct runtime *runtime, const struct lowered **out) {
    for (const struct lowered *l = m->lowered; l; l = l->next) {
        if (!same_runtime(&l->runtime, runtime)) continue;
        *out = l;
        return ST_OK;
    }
    struct arena *arena = &m->base.arena;
    struct run run = m->run;
    run.graph = graph_clone(m->graph, arena);
    run.runtime = keep_runtime(runtime, arena);
    TRY(run_passes(m, &run, RUNTIME_PASSES));
    if (!run.workload)
        return diag_fail(&m->base.diag, ST_USAGE, "%s: a prediction needs the pass %s", m->graph->path,
                         pass_name(PASS_lower));
    struct lowered *l = arena_alloc(arena, sizeof *l);
    *l = (struct lowered){*run.runtime, run.graph, run.workload, run.features, m->lowered};
    m->lowered = l;
    *out = l;
    return ST_OK;
}
