/* measure: real latency on this machine, through ONNX Runtime. */
#include "cli.h"

#include <stdlib.h>

/* One model at a time: measurements side by side would disturb each other. */
struct session {
    const struct options *options;
    struct json json;
    struct table *table;
    FILE *out;
};

static void json_measurement(struct json *j, const ol_measurement *m) {
    json_open(j, '{');
    json_key(j, "model"), json_text(j, m->model);
    json_key(j, "runtime"), json_text(j, m->runtime);
    json_key(j, "threads"), json_int(j, m->threads);
    json_key(j, "runs"), json_int(j, m->runs);
    json_key(j, "min_ms"), json_double(j, m->min_ms);
    json_key(j, "median_ms"), json_double(j, m->median_ms);
    json_key(j, "p90_ms"), json_double(j, m->p90_ms);
    if (m->n_nodes) {
        json_key(j, "nodes"), json_open(j, '[');
        for (size_t i = 0; i < m->n_nodes; i++) {
            json_open(j, '{');
            json_key(j, "name"), json_text(j, m->nodes[i].name);
            json_key(j, "op"), json_text(j, m->nodes[i].op);
            json_key(j, "ms"), json_double(j, m->nodes[i].ms);
            json_close(j, '}');
        }
        json_close(j, ']');
    }
    json_close(j, '}');
}

static void csv_nodes(FILE *out, const ol_measurement *m) {
    char number[NUMBER_SIZE];
    for (size_t i = 0; i < m->n_nodes; i++)
        csv_row(
            out, 4,
            (const char *const[]){m->model, m->nodes[i].name, m->nodes[i].op, format_double(number, m->nodes[i].ms)});
}

static void csv_measurement(FILE *out, const ol_measurement *m) {
    char number[5][NUMBER_SIZE];
    const char *cells[] = {m->model,
                           m->runtime,
                           format_double(number[0], m->threads),
                           format_double(number[1], m->runs),
                           format_double(number[2], m->min_ms),
                           format_double(number[3], m->median_ms),
                           format_double(number[4], m->p90_ms)};
    csv_row(out, sizeof cells / sizeof *cells, cells);
}

static void table_measurement(struct table *t, const ol_measurement *m) {
    char number[NUMBER_SIZE];
    table_text(t, m->model);
    table_text(t, m->runtime);
    table_cell(t, "%d", m->threads);
    table_cell(t, "%d", m->runs);
    table_cell(t, "%s ms", format_ms(number, m->min_ms));
    table_cell(t, "%s ms", format_ms(number, m->median_ms));
    table_cell(t, "%s ms", format_ms(number, m->p90_ms));
}

static void print_nodes(FILE *out, const ol_measurement *m) {
    struct table *t = table_new("<node<operator>time");
    char number[NUMBER_SIZE];
    fprintf(out, "%s\n", m->model);
    for (size_t i = 0; i < m->n_nodes; i++) {
        table_text(t, m->nodes[i].name);
        table_text(t, m->nodes[i].op);
        table_cell(t, "%s ms", format_ms(number, m->nodes[i].ms));
    }
    table_print(t, out, "  ");
}

static void show(struct session *s, const ol_measurement *m) {
    if (s->options->format == FORMAT_JSON)
        json_measurement(&s->json, m);
    else if (s->options->format == FORMAT_CSV && s->options->per_kernel)
        csv_nodes(s->out, m);
    else if (s->options->format == FORMAT_CSV)
        csv_measurement(s->out, m);
    else {
        table_measurement(s->table, m);
        if (m->n_nodes) print_nodes(s->out, m);
    }
}

static int measure_one(struct session *s, ol_context *context, const char *path, bool several) {
    const struct options *o = s->options;
    ol_measuring how = {.threads = (int)o->threads,
                        .runs = (int)o->runs,
                        .per_node = o->per_kernel,
                        .provider = o->provider,
                        .seed = (uint64_t)o->seed};
    ol_model *model;
    const ol_measurement *measured;
    ol_status status = model_open(context, o, path, several, &model, stderr);
    if (status == OL_OK) status = ol_model_measure(model, &how, &measured);
    if (status == OL_OK)
        show(s, measured);
    else
        log_error(model, status, stderr);
    log_rest(model, o, stderr);
    ol_model_free(model);
    return exit_code_of(status);
}

static void start(struct session *s) {
    static const char *const columns[] = {"model", "runtime", "threads", "runs", "min_ms", "median_ms", "p90_ms"};
    static const char *const node_columns[] = {"model", "node", "op", "ms"};
    if (s->options->format == FORMAT_JSON) {
        json_start(&s->json, s->out);
        json_open(&s->json, '{');
        json_key(&s->json, "schema"), json_text(&s->json, "onnx-latency/measure/1");
        json_key(&s->json, "results"), json_open(&s->json, '[');
    } else if (s->options->format == FORMAT_CSV && s->options->per_kernel)
        csv_row(s->out, sizeof node_columns / sizeof *node_columns, node_columns);
    else if (s->options->format == FORMAT_CSV)
        csv_row(s->out, sizeof columns / sizeof *columns, columns);
    else
        s->table = table_new("<model<runtime>threads>runs>min>median>p90");
}

static void end(struct session *s) {
    if (s->options->format == FORMAT_JSON) {
        json_close(&s->json, ']');
        json_close(&s->json, '}');
    } else if (s->table)
        table_print(s->table, s->out, "");
}

int command_measure(const struct options *o) {
    struct session s = {.options = o};
    struct texts inputs;
    struct output output;
    if (!o->files.n) return usage_error(o->command, "name a model");
    int code = inputs_list(&inputs, o, false);
    if (code != EXIT_DONE) return code;
    ol_context *context = ol_context_new(NULL);
    if (!context) out_of_memory();
    output_open(&output, o);
    s.out = output.stream;
    start(&s);
    struct progress *progress = progress_start(inputs.n, o->quiet);
    for (size_t i = 0; i < inputs.n; i++) {
        code = worse_exit(code, measure_one(&s, context, inputs.at[i], inputs.n > 1));
        progress_step(progress);
    }
    progress_end(progress);
    if (inputs.n > 1) warn_unused_sizes(o);
    end(&s);
    if (!output_close(&output)) code = worse_exit(code, EXIT_INPUT);
    ol_context_free(context);
    inputs_free(&inputs);
    return code;
}
