/* What the commands that learn from measurements share. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void print_warning(void *user, const char *message) {
    (void)user;
    fprintf(stderr, PROGRAM_NAME ": warning: %s\n", message);
}

ol_context *study_context(const struct options *o) {
    ol_settings settings = {.log = o->quiet ? NULL : print_warning};
    ol_context *context = ol_context_new(&settings);
    if (!context) out_of_memory();
    return context;
}

void split_list(struct texts *list, const char *text, char **storage) {
    *list = (struct texts){0};
    *storage = text ? xstrdup(text) : NULL;
    for (char *at = *storage; at;) {
        char *comma = strchr(at, ',');
        if (comma) *comma++ = '\0';
        if (*at) texts_add(list, at);
        at = comma;
    }
}

char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = xstrdup(slash ? slash + 1 : path), *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = '\0';
    return name;
}

ol_binding *dims_of(const struct options *o) {
    ol_binding *dims = xrealloc(NULL, (o->dims.n + 1) * sizeof *dims);
    for (size_t i = 0; i < o->dims.n; i++) dims[i] = (ol_binding){o->dims.at[i].name, o->dims.at[i].sizes[0]};
    return dims;
}

int study_end(ol_study *study, ol_status status) {
    if (status != OL_OK) fprintf(stderr, PROGRAM_NAME ": %s\n", ol_study_error(study));
    ol_study_free(study);
    return exit_code_of(status);
}
