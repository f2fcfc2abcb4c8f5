/* The targets a command line names. */
#include "cli.h"

#include <stdlib.h>

static ol_status open_one(struct targets *t, const struct options *o, const char *name) {
    ol_target **target = &t->at[t->n++];
    size_t n_warnings;
    ol_status status = ol_target_open(t->context, name, target);
    if (status == OL_OK && o->precision) status = ol_target_set_precision(*target, o->precision);
    if (status != OL_OK) fprintf(stderr, "%s\n", ol_target_error(*target));
    const char *const *warnings = ol_target_warnings(*target, &n_warnings);
    for (size_t i = 0; i < n_warnings && !o->quiet; i++) fprintf(stderr, "warning: %s\n", warnings[i]);
    return status;
}

int targets_open(struct targets *t, ol_context *context, const struct options *o) {
    *t = (struct targets){.context = context};
    if (!o->targets.n) return usage_error(o->command, "name a target with -t; \"" PROGRAM_NAME " targets\" lists them");
    t->at = xrealloc(NULL, o->targets.n * sizeof *t->at);
    for (size_t i = 0; i < o->targets.n; i++) {
        ol_status status = open_one(t, o, o->targets.at[i]);
        if (status != OL_OK) return exit_code_of(status);
    }
    return EXIT_DONE;
}

void targets_close(struct targets *t) {
    for (size_t i = 0; i < t->n; i++) ol_target_free(t->at[i]);
    free(t->at);
}
