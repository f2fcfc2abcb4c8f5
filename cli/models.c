/* Models with the command line's options applied, and what is said about them. */
#include "cli.h"

int exit_code_of(ol_status status) {
    if (status == OL_OK) return EXIT_DONE;
    return status == OL_EUSAGE ? EXIT_USAGE : EXIT_INPUT;
}

/* An input that could not be handled outweighs a no, and that outweighs a wrong option. */
int worse_exit(int a, int b) {
    static const int order[] = {EXIT_INPUT, EXIT_USAGE, EXIT_NO};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i]) return order[i];
    return EXIT_DONE;
}

static void print_graph(void *user, const char *pass, const char *text, size_t length) {
    FILE *log = user;
    fprintf(log, "# after %s\n", pass);
    fwrite(text, 1, length, log);
}

static bool is_wanted(struct size_binding *b, bool has, bool several) {
    if (has) atomic_store(&b->is_used, true);
    return has || !several;
}

static ol_status bind_sizes(ol_model *m, const struct options *o, bool several) {
    ol_status status = OL_OK;
    for (size_t i = 0; i < o->dims.n && status == OL_OK; i++) {
        struct size_binding *b = &o->dims.at[i];
        if (is_wanted(b, ol_model_leaves_open(m, b->name), several)) status = ol_model_set_dim(m, b->name, b->sizes[0]);
    }
    for (size_t i = 0; i < o->shapes.n && status == OL_OK; i++) {
        struct size_binding *b = &o->shapes.at[i];
        if (is_wanted(b, ol_model_has_input(m, b->name), several))
            status = ol_model_set_shape(m, b->name, b->sizes, b->rank);
    }
    if (o->batch && status == OL_OK) status = ol_model_set_batch(m, o->batch);
    return status;
}

void warn_unused_sizes(const struct options *o) {
    for (size_t i = 0; i < o->dims.n && !o->quiet; i++)
        if (!atomic_load(&o->dims.at[i].is_used))
            fprintf(stderr, "warning: --dim %s: no model leaves a dimension of that name open\n", o->dims.at[i].name);
    for (size_t i = 0; i < o->shapes.n && !o->quiet; i++)
        if (!atomic_load(&o->shapes.at[i].is_used))
            fprintf(stderr, "warning: --shape %s: no model has an input of that name\n", o->shapes.at[i].name);
}

ol_status model_open(ol_context *context, const struct options *o, const char *path, bool several, ol_model **m,
                     FILE *log) {
    ol_status status = ol_model_open(context, path, m);
    if (status == OL_OK) status = bind_sizes(*m, o, several);
    if (o->passes && status == OL_OK) status = ol_model_set_passes(*m, o->passes);
    if (o->print_after && status == OL_OK) status = ol_model_print_after(*m, o->print_after, print_graph, log);
    return status;
}

void log_error(ol_model *m, ol_status status, FILE *log) {
    if (status != OL_OK) fprintf(log, "%s\n", ol_model_error(m));
}

void log_rest(ol_model *m, const struct options *o, FILE *log) {
    size_t n;
    const char *const *warnings = ol_model_warnings(m, &n);
    for (size_t i = 0; i < n && !o->quiet; i++) fprintf(log, "warning: %s\n", warnings[i]);
    if (!o->time_passes || !m) return;
    const ol_timing *timings = ol_model_timings(m, &n);
    for (size_t i = 0; i < n; i++) fprintf(log, "%10.3f ms  %s\n", timings[i].ms, timings[i].pass);
}
