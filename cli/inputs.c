/* Which models a command is about. */
#include "cli.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_model(const char *path) {
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool complain(const char *path, const char *what) {
    fprintf(stderr, "%s: %s\n", path, what);
    return false;
}

/* Links are followed; fts notices when they lead in circles. */
static bool walk_folder(struct texts *list, const char *folder) {
    char *path = xstrdup(folder), *roots[] = {path, NULL};
    bool is_good = true;
    size_t before = list->n;
    FTS *fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *entry; fts && (entry = fts_read(fts));) {
        if (entry->fts_info == FTS_F && is_model(entry->fts_name)) texts_add(list, xstrdup(entry->fts_path));
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            is_good = complain(entry->fts_path, strerror(entry->fts_errno));
    }
    if (fts)
        fts_close(fts);
    else
        is_good = complain(folder, strerror(errno));
    free(path);
    return list->n > before || !is_good ? is_good : complain(folder, "no *.onnx file lies in it");
}

static bool read_paths(struct texts *list, FILE *stream) {
    char *line = NULL;
    size_t size = 0, before = list->n;
    ssize_t length;
    while ((length = getline(&line, &size, stream)) >= 0) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = '\0';
        if (length) texts_add(list, xstrdup(line));
    }
    free(line);
    if (ferror(stream)) return complain("standard input", strerror(errno));
    return list->n > before || complain("standard input", "nothing is named there");
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Folders that stand in the list read from stdin are walked too. */
static bool walk_folders(struct texts *list) {
    struct texts walked = {0};
    bool is_good = true;
    for (size_t i = 0; i < list->n; i++) {
        if (!is_folder(list->at[i])) {
            texts_add(&walked, list->at[i]);
            continue;
        }
        is_good &= walk_folder(&walked, list->at[i]);
        free((void *)(uintptr_t)list->at[i]);
    }
    free(list->at);
    *list = walked;
    return is_good;
}

void inputs_free(struct texts *list) {
    for (size_t i = 0; i < list->n; i++) free((void *)(uintptr_t)list->at[i]);
    free(list->at);
}

int inputs_list(struct texts *list, const struct options *o, bool walk) {
    bool is_good = true;
    *list = (struct texts){0};
    for (size_t i = 0; i < o->files.n; i++) {
        if (strcmp(o->files.at[i], "-") == 0)
            is_good &= read_paths(list, stdin);
        else
            texts_add(list, xstrdup(o->files.at[i]));
    }
    if (walk) is_good &= walk_folders(list);
    for (size_t i = 0; i < list->n; i++) {
        if (!same_file(o->output, list->at[i])) continue;
        inputs_free(list);
        *list = (struct texts){0};
        return usage_error(o->command, "-o %s: would replace what is read", o->output);
    }
    return is_good ? EXIT_DONE : EXIT_INPUT;
}
