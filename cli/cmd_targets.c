/* targets: what is known, and how well. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const char *validation_of(const ol_target_info *t) {
    if (t->validation) return "validated";
    return strcmp(t->kind, "analytic") == 0 ? "first guess, not validated" : "not validated";
}

/* ---- The list ---- */

static void list_json(struct json *j, const ol_target_info *t) {
    json_open(j, '{');
    json_key(j, "name"), json_text(j, t->name);
    json_key(j, "kind"), json_text(j, t->kind);
    json_key(j, "vendor"), json_text(j, t->vendor);
    json_key(j, "device"), json_text(j, t->device);
    json_key(j, "precision"), json_text(j, t->precision);
    json_key(j, "description"), json_text(j, t->description);
    json_key(j, "source"), json_text(j, t->source);
    json_key(j, "hardware"), json_raw(j, t->hardware);
    json_key(j, "validation"), json_raw(j, t->validation);
    json_close(j, '}');
}

static void print_json(ol_target *const *targets, size_t n, FILE *out) {
    struct json j;
    json_start(&j, out);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/targets/1");
    json_key(&j, "targets"), json_open(&j, '[');
    for (size_t i = 0; i < n; i++) list_json(&j, ol_target_describe(targets[i]));
    json_close(&j, ']');
    json_close(&j, '}');
}

static void print_csv(ol_target *const *targets, size_t n, FILE *out) {
    csv_row(out, 6, (const char *const[]){"name", "kind", "device", "precision", "validation", "source"});
    for (size_t i = 0; i < n; i++) {
        const ol_target_info *t = ol_target_describe(targets[i]);
        csv_row(out, 6, (const char *const[]){t->name, t->kind, t->device, t->precision, validation_of(t), t->source});
    }
}

static void print_list(ol_target *const *targets, size_t n, FILE *out) {
    struct table *table = table_new("<name<kind<device<runs in<validation");
    for (size_t i = 0; i < n; i++) {
        const ol_target_info *t = ol_target_describe(targets[i]);
        table_text(table, t->name);
        table_text(table, t->kind);
        table_text(table, t->device);
        table_text(table, t->precision);
        table_text(table, validation_of(t));
    }
    table_print(table, out, "");
}

/* ---- One, whole ---- */

static void print_member(FILE *out, const char *key, const char *text) {
    if (text && *text) fprintf(out, "%-12s %s\n", key, text);
}

static void print_whole(ol_target *const *targets, size_t n, FILE *out) {
    for (size_t i = 0; i < n; i++) {
        const ol_target_info *t = ol_target_describe(targets[i]);
        if (i) fputc('\n', out);
        print_member(out, "name", t->name);
        print_member(out, "kind", t->kind);
        print_member(out, "vendor", t->vendor);
        print_member(out, "device", t->device);
        print_member(out, "description", t->description);
        print_member(out, "runs in", t->precision);
        print_member(out, "hardware", t->hardware);
        print_member(out, "source", t->source);
        print_member(out, "validation", t->validation ? t->validation : validation_of(t));
        print_member(out, "costs in", t->path);
    }
}

/* ---- The command ---- */

static int print_targets(const struct options *o, ol_target *const *targets, size_t n, int code) {
    struct output output;
    output_open(&output, o);
    if (o->format == FORMAT_JSON)
        print_json(targets, n, output.stream);
    else if (o->format == FORMAT_CSV)
        print_csv(targets, n, output.stream);
    else if (o->files.n)
        print_whole(targets, n, output.stream);
    else
        print_list(targets, n, output.stream);
    return output_close(&output) ? code : worse_exit(code, EXIT_INPUT);
}

static int show(const struct options *o, ol_context *context, size_t n, const char *const *names) {
    ol_target **targets = xrealloc(NULL, n * sizeof *targets);
    size_t opened = 0;
    int code = EXIT_DONE;
    for (size_t i = 0; i < n; i++) {
        ol_status status = ol_target_open(context, names[i], &targets[opened]);
        if (status == OL_OK) {
            opened++;
            continue;
        }
        fprintf(stderr, "%s\n", ol_target_error(targets[opened]));
        ol_target_free(targets[opened]);
        code = worse_exit(code, exit_code_of(status));
    }
    if (opened || !n || !o->files.n) code = print_targets(o, targets, opened, code);
    for (size_t i = 0; i < opened; i++) ol_target_free(targets[i]);
    free(targets);
    return code;
}

int command_targets(const struct options *o) {
    ol_context *context = ol_context_new(NULL);
    ol_names *names = NULL;
    if (!context || (!o->files.n && ol_target_names(context, &names) != OL_OK)) out_of_memory();
    int code = names ? show(o, context, names->count, names->at) : show(o, context, o->files.n, o->files.at);
    ol_names_free(names);
    ol_context_free(context);
    return code;
}
