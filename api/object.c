/* Contexts, and what every object of the library does: memory, the message of its last failure, warnings. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)OL_EUSAGE == ST_USAGE && (int)OL_EIO == ST_IO && (int)OL_EFORMAT == ST_FORMAT &&
                   (int)OL_ELIMIT == ST_LIMIT && (int)OL_EMODEL == ST_MODEL && (int)OL_ESHAPE == ST_SHAPE &&
                   (int)OL_ETARGET == ST_TARGET && (int)OL_EDATA == ST_DATA && (int)OL_EMISSING == ST_MISSING &&
                   (int)OL_EMEMORY == ST_MEMORY && ST_MEMORY + 1 == ST_COUNT,
               "the public status codes are those of status.def");

#define TEXT(x)   #x
#define NUMBER(x) TEXT(x)

const char *ol_version(void) {
    return NUMBER(OL_VERSION_MAJOR) "." NUMBER(OL_VERSION_MINOR) "." NUMBER(OL_VERSION_PATCH);
}

const char *ol_status_text(ol_status status) {
    return status_text((enum status)status);
}

ol_context *ol_context_new(const ol_settings *settings) {
    static const ol_settings defaults;
    if (!settings) settings = &defaults;
    struct allocator allocator = system_allocator;
    if (settings->allocator.alloc)
        allocator = (struct allocator){settings->allocator.alloc, settings->allocator.free, settings->allocator.user};
    size_t path_size = settings->target_path ? strlen(settings->target_path) + 1 : 0;
    ol_context *c = allocator.alloc(allocator.user, sizeof *c + path_size);
    if (!c) return NULL;
    *c = (ol_context){.allocator = allocator, .log = settings->log, .log_user = settings->log_user};
    if (path_size) c->target_path = memcpy(c + 1, settings->target_path, path_size);
    return c;
}

void ol_context_free(ol_context *c) {
    if (!c) return;
    struct allocator allocator = c->allocator;
    allocator.free(allocator.user, c);
}

void *object_new(ol_context *context, size_t size) {
    struct object *o = context->allocator.alloc(context->allocator.user, size);
    if (!o) return NULL;
    memset(o, 0, size);
    o->context = context;
    arena_init(&o->arena, &context->allocator, &o->oom);
    diag_init(&o->diag, &o->arena);
    return o;
}

void object_free(struct object *o) {
    const struct allocator *allocator = &o->context->allocator;
    arena_free(&o->arena);
    allocator->free(allocator->user, o);
}

enum status object_begin(struct object *o) {
    o->diag.status = o->unusable;
    o->diag.message = o->why;
    return o->unusable;
}

ol_status object_opened(struct object *o, enum status status) {
    o->unusable = status;
    o->why = status == ST_OK ? NULL : o->diag.message;
    return object_end(o, status);
}

enum status object_check(const struct object *o, struct diag *diag) {
    return o->unusable == ST_OK ? ST_OK : diag_fail(diag, o->unusable, "%s", o->why);
}

ol_status object_end(struct object *o, enum status status) {
    for (; o->n_logged < o->diag.n_warnings; o->n_logged++)
        if (o->context->log) o->context->log(o->context->log_user, o->diag.warnings[o->n_logged]);
    return (ol_status)status;
}

ol_status object_out_of_memory(struct object *o) {
    o->diag.status = ST_MEMORY;
    o->diag.message = status_text(ST_MEMORY);
    return OL_EMEMORY;
}

const char *object_error(const struct object *o) {
    if (!o) return status_text(ST_MEMORY);
    return o->diag.message ? o->diag.message : "";
}

/* ---- Helpers that the header offers ---- */

void ol_parallel_for(unsigned jobs, size_t count, void (*fn)(void *user, size_t i, unsigned worker), void *user) {
    parallel_for(jobs, count, fn, user);
}

unsigned ol_cpu_count(void) {
    return cpu_count();
}

struct writing { /* bytes == NULL: only whether it could be done */
    const char *path;
    const void *bytes;
    size_t length;
};

static enum status write_file(const struct writing *w, struct diag *diag) {
    struct file_out out;
    if (!w->bytes) return file_can_write(w->path, diag);
    TRY(file_out_open(&out, w->path, diag));
    fwrite(w->bytes, 1, w->length, out.stream); /* the commit looks at the stream's error flag */
    return file_out_commit(&out, diag);
}

static ol_status write_guarded(const struct writing *w, char *message, size_t message_size) {
    struct arena arena;
    struct diag diag;
    jmp_buf oom;
    arena_init(&arena, NULL, &oom);
    diag_init(&diag, &arena);
    if (setjmp(oom)) {
        snprintf(message, message_size, "%s", status_text(ST_MEMORY));
        arena_free(&arena);
        return OL_EMEMORY;
    }
    enum status status = write_file(w, &diag);
    if (status != ST_OK) snprintf(message, message_size, "%s", diag.message);
    arena_free(&arena);
    return (ol_status)status;
}

ol_status ol_write_file(const char *path, const void *bytes, size_t length, char *message, size_t message_size) {
    return write_guarded(&(struct writing){path, bytes ? bytes : "", length}, message, message_size);
}

ol_status ol_can_write_file(const char *path, char *message, size_t message_size) {
    return write_guarded(&(struct writing){.path = path}, message, message_size);
}
