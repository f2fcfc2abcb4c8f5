/* Where targets are found: the user's folders, the installation of the program that runs, the source tree this was
 * built from, the installation this was built for. */
#include "api.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".json"

struct texts {
    size_t n_at, cap_at;
    const char **at;
};

static void add(struct arena *arena, struct texts *f, const char *text) {
    PUSH(arena, f, at, text);
}

/* An installation that was moved takes its files along. */
static const char *beside_program(struct arena *arena) {
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    while (length > 0 && length < PATH_MAX && program[length - 1] != '/') length--;
    return length > 0 && length < PATH_MAX ? arena_printf(arena, "%.*s" DATA_FROM_PROGRAM, (int)length, program) : NULL;
}

/* What comes with the program, in the order in which it is looked through. */
static void list_data_folders(struct arena *arena, struct texts *f) {
    const char *beside = beside_program(arena);
    if (beside) add(arena, f, beside);
    add(arena, f, DATA_DIR);
    add(arena, f, INSTALL_DATA_DIR);
}

static void list_folders(const ol_context *context, struct arena *arena, struct texts *f) {
    *f = (struct texts){0};
    const char *path = context->target_path ? context->target_path : getenv("ONNX_LATENCY_TARGETS");
    for (const char *p = path; p && *p;) {
        size_t length = strcspn(p, ":");
        if (length) add(arena, f, arena_strndup(arena, p, length));
        p += length + (p[length] == ':');
    }
    struct texts data = {0};
    list_data_folders(arena, &data);
    for (size_t i = 0; i < data.n_at; i++) add(arena, f, arena_printf(arena, "%s/targets", data.at[i]));
}

static bool ends_in_suffix(const char *name) {
    size_t length = strlen(name), suffix = strlen(SUFFIX);
    return length > suffix && strcmp(name + length - suffix, SUFFIX) == 0;
}

/* ---- All names ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void scan_entries(DIR *dir, struct arena *arena, struct texts *names) {
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (!ends_in_suffix(entry->d_name) || entry->d_name[0] == '.') continue;
        add(arena, names, arena_strndup(arena, entry->d_name, strlen(entry->d_name) - strlen(SUFFIX)));
    }
}

/* The folder is closed before a jump out of memory goes on. */
static void scan_folder(const char *folder, struct arena *arena, struct texts *names) {
    jmp_buf *outer = arena->on_oom, here;
    DIR *dir = opendir(folder);
    if (!dir) return;
    if (setjmp(here)) {
        arena->on_oom = outer;
        closedir(dir);
        longjmp(*outer, 1);
    }
    arena->on_oom = &here;
    scan_entries(dir, arena, names);
    arena->on_oom = outer;
    closedir(dir);
}

const char *const *target_list(const ol_context *context, struct arena *arena, size_t *n) {
    struct texts folders, names = {0};
    size_t kept = 0;
    list_folders(context, arena, &folders);
    for (size_t i = 0; i < folders.n_at; i++) scan_folder(folders.at[i], arena, &names);
    if (names.n_at) qsort(names.at, names.n_at, sizeof *names.at, by_name);
    for (size_t i = 0; i < names.n_at; i++)
        if (!kept || strcmp(names.at[kept - 1], names.at[i]) != 0) names.at[kept++] = names.at[i];
    *n = kept;
    return names.at;
}

/* ---- One name ---- */

/* Levenshtein's distance, for the hint. */
static size_t distance(const char *a, const char *b) {
    enum { MOST = 64 };
    size_t row[MOST + 1], m = strlen(b);
    if (m > MOST) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < m; j++) {
            size_t change = diagonal + (a[i] != b[j]), gap = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < gap ? change : gap;
        }
    }
    return row[m];
}

static enum status not_found(const ol_context *context, const char *name, struct arena *arena, struct diag *diag) {
    const char *nearest = NULL;
    size_t n, least = strlen(name) / 2 + 1;
    const char *const *names = target_list(context, arena, &n);
    for (size_t i = 0; i < n; i++) {
        size_t d = strstr(names[i], name) ? 0 : distance(name, names[i]);
        bool is_shorter = nearest && d == least && strlen(names[i]) < strlen(nearest);
        if (d < least || is_shorter) nearest = names[i], least = d;
    }
    if (nearest)
        return diag_fail(diag, ST_TARGET,
                         "target \"%s\" is not known; did you mean %s? \"onnx-latency targets\" lists all", name,
                         nearest);
    return diag_fail(diag, ST_TARGET, "target \"%s\" is not known; \"onnx-latency targets\" lists all", name);
}

enum status target_find(const ol_context *context, const char *name, const char **path, struct arena *arena,
                        struct diag *diag) {
    struct texts folders;
    *path = name;
    if (ends_in_suffix(name)) return ST_OK;
    list_folders(context, arena, &folders);
    for (size_t i = 0; i < folders.n_at && !strchr(name, '/'); i++) {
        *path = arena_printf(arena, "%s/%s" SUFFIX, folders.at[i], name);
        if (access(*path, F_OK) == 0) return ST_OK;
    }
    return not_found(context, name, arena, diag);
}

const char *cpu_table_path(struct arena *arena) {
    struct texts data = {0};
    const char *path = NULL;
    list_data_folders(arena, &data);
    for (size_t i = 0; i < data.n_at && !(path && access(path, R_OK) == 0); i++)
        path = arena_printf(arena, "%s/cpus.json", data.at[i]);
    return path;
}

/* ---- The list, for the caller ---- */

struct list {
    ol_names names; /* first: the caller's pointer is ours */
    const struct allocator *allocator;
    struct arena arena;
    jmp_buf oom;
};

ol_status ol_target_names(ol_context *context, ol_names **out) {
    struct list *list = context->allocator.alloc(context->allocator.user, sizeof *list);
    *out = NULL;
    if (!list) return OL_EMEMORY;
    *list = (struct list){.allocator = &context->allocator};
    arena_init(&list->arena, &context->allocator, &list->oom);
    if (setjmp(list->oom)) {
        ol_names_free(&list->names);
        return OL_EMEMORY;
    }
    list->names.at = target_list(context, &list->arena, &list->names.count);
    *out = &list->names;
    return OL_OK;
}

void ol_names_free(ol_names *names) {
    struct list *list = (struct list *)names;
    if (!list) return;
    const struct allocator *allocator = list->allocator;
    arena_free(&list->arena);
    allocator->free(allocator->user, list);
}
