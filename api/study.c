/* Studies, for callers of the library: their life, the names they take, architectures as ONNX files. */
#include "study.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

void ol_study_free(ol_study *s) {
    if (s && s->has_cache) space_cache_free(&s->cache);
    if (s) object_free(&s->base);
}

const char *ol_study_error(const ol_study *s) {
    return object_error(s ? &s->base : NULL);
}

const char *const *ol_study_warnings(const ol_study *s, size_t *count) {
    *count = s ? s->base.diag.n_warnings : 0;
    return s ? s->base.diag.warnings : NULL;
}

enum { MOST_SPACES = 16 };
static struct ol_space list[MOST_SPACES];
static ol_spaces spaces = {0, list};
static pthread_once_t spaces_once = PTHREAD_ONCE_INIT;

static void list_spaces(void) {
    assert(space_count() <= MOST_SPACES);
    spaces.count = space_count();
    for (size_t i = 0; i < spaces.count; i++) list[i] = (struct ol_space){space_at(i)->name, space_at(i)->description};
}

const ol_spaces *ol_search_spaces(void) {
    pthread_once(&spaces_once, list_spaces);
    return &spaces;
}

struct arena *study_scratch(ol_study *s) {
    if (!s->scratch) s->scratch = arena_inside(&s->base.arena);
    return s->scratch;
}

enum status study_method(const char *name, enum method *method, struct diag *diag) {
    *method = METHOD_BANK;
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (name && strcmp(name, method_name((enum method)i)) != 0) continue;
        *method = (enum method)i;
        return ST_OK;
    }
    return diag_fail(diag, ST_USAGE, "method \"%s\" is not bank or adaproxy", name);
}

static enum status build(ol_study *s, const char *space_name, const char *text, int64_t batch, uint64_t seed,
                         const char *path) {
    const struct space *space;
    struct arch arch;
    TRY(space_named(space_name, &space, &s->base.diag));
    TRY(space_parse(space, text, &arch, &s->base.diag));
    if (batch < 1) return diag_fail(&s->base.diag, ST_USAGE, "a batch cannot be %lld", (long long)batch);
    struct graph *graph = space_graph(space, &arch, batch, seed, false, &s->base.arena);
    return onnx_write(graph, path, false, &s->base.diag);
}

ol_status ol_build(ol_context *context, const char *space, const char *arch, int64_t batch, uint64_t seed,
                   const char *path, ol_study **out) {
    ol_study *s = *out = object_new(context, sizeof *s);
    if (!s) return OL_EMEMORY;
    if (setjmp(s->base.oom)) return object_out_of_memory(&(*out)->base);
    return object_end(&s->base, build(s, space, arch, batch, seed, path));
}
