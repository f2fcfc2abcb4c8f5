/* profile: what models cost on no device in particular. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

static void json_tensor(struct json *j, const ol_tensor *t) {
    json_open(j, '{');
    json_key(j, "name"), json_text(j, t->name);
    json_key(j, "dtype"), json_text(j, t->dtype);
    json_key(j, "shape");
    if (t->rank < 0) {
        json_raw(j, NULL);
    } else {
        json_open(j, '[');
        for (int i = 0; i < t->rank; i++) {
            if (t->dims[i].value >= 0)
                json_int(j, t->dims[i].value);
            else
                json_text(j, t->dims[i].symbol);
        }
        json_close(j, ']');
    }
    json_close(j, '}');
}

static void json_tensors(struct json *j, const char *key, const ol_tensor *list, size_t n) {
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) json_tensor(j, &list[i]);
    json_close(j, ']');
}

static void json_node(struct json *j, const ol_node *n) {
    json_open(j, '{');
    json_key(j, "name"), json_text(j, n->name);
    json_key(j, "op"), json_text(j, n->op);
    json_tensors(j, "inputs", n->inputs, n->n_inputs);
    json_tensors(j, "outputs", n->outputs, n->n_outputs);
    json_key(j, "macs"), json_count(j, n->macs);
    json_key(j, "flops"), json_count(j, n->flops);
    json_key(j, "params"), json_count(j, n->params);
    json_key(j, "read_bytes"), json_count(j, n->read_bytes);
    json_key(j, "write_bytes"), json_count(j, n->write_bytes);
    json_close(j, '}');
}

static void json_totals(struct json *j, const ol_profile *p) {
    json_key(j, "totals");
    json_open(j, '{');
    json_key(j, "nodes"), json_int(j, p->totals.nodes);
    json_key(j, "macs"), json_count(j, p->totals.macs);
    json_key(j, "flops"), json_count(j, p->totals.flops);
    json_key(j, "params"), json_count(j, p->totals.params);
    json_key(j, "weight_bytes"), json_count(j, p->totals.weight_bytes);
    json_key(j, "read_bytes"), json_count(j, p->totals.read_bytes);
    json_key(j, "write_bytes"), json_count(j, p->totals.write_bytes);
    json_key(j, "peak_memory_bytes"), json_count(j, p->totals.peak_memory_bytes);
    json_key(j, "uncounted_nodes"), json_int(j, p->totals.uncounted_nodes);
    json_close(j, '}');
}

static void profile_json(const ol_profile *p, FILE *out) {
    struct json j;
    json_start(&j, out);
    j.depth = 1; /* inside the list of models */
    json_open(&j, '{');
    json_key(&j, "model"), json_text(&j, p->model);
    json_key(&j, "ir_version"), json_int(&j, p->ir_version);
    json_key(&j, "opset"), json_int(&j, p->opset);
    json_key(&j, "producer"), json_text(&j, p->producer);
    json_totals(&j, p);
    json_tensors(&j, "inputs", p->inputs, p->n_inputs);
    json_tensors(&j, "outputs", p->outputs, p->n_outputs);
    json_key(&j, "nodes"), json_open(&j, '[');
    for (size_t i = 0; i < p->n_nodes; i++) json_node(&j, &p->nodes[i]);
    json_close(&j, ']');
    json_key(&j, "unresolved"), json_unresolved(&j, p->unresolved, p->n_unresolved);
    json_close(&j, '}');
}

/* ---- Shapes as text ---- */

static void put_shape(FILE *out, const ol_tensor *t) {
    if (t->rank < 0) fputs("?", out);
    for (int i = 0; i < t->rank; i++) {
        if (i) fputc('x', out);
        if (t->dims[i].value >= 0)
            fprintf(out, "%lld", (long long)t->dims[i].value);
        else
            fputs(t->dims[i].symbol ? t->dims[i].symbol : "?", out);
    }
    if (t->rank == 0) fputs("scalar", out);
}

/* Into an open buffer, over what it held: one serves a whole table. Good until the next call. */
static const char *shapes_text(struct buffer *b, const ol_tensor *list, size_t n) {
    bool is_first = true;
    rewind(b->stream);
    for (size_t i = 0; i < n; i++) {
        if (!list[i].name[0]) continue; /* an output nobody asked for */
        if (!is_first) fputs(", ", b->stream);
        put_shape(b->stream, &list[i]);
        is_first = false;
    }
    fputc('\0', b->stream);
    if (fflush(b->stream)) out_of_memory();
    return b->bytes;
}

/* ---- CSV ---- */

static void profile_csv_header(FILE *out) {
    csv_row(out, 9,
            (const char *const[]){"model", "node", "op", "output_shapes", "macs", "flops", "params", "read_bytes",
                                  "write_bytes"});
}

static const char *csv_count(char out[NUMBER_SIZE], int64_t n) {
    out[0] = '\0';
    if (n >= 0) snprintf(out, NUMBER_SIZE, "%lld", (long long)n);
    return out;
}

static void profile_csv(const ol_profile *p, FILE *out) {
    struct buffer b;
    buffer_open(&b);
    for (size_t i = 0; i < p->n_nodes; i++) {
        const ol_node *n = &p->nodes[i];
        char number[5][NUMBER_SIZE];
        const char *shapes = shapes_text(&b, n->outputs, n->n_outputs);
        csv_row(out, 9,
                (const char *const[]){p->model, n->name, n->op, shapes, csv_count(number[0], n->macs),
                                      csv_count(number[1], n->flops), csv_count(number[2], n->params),
                                      csv_count(number[3], n->read_bytes), csv_count(number[4], n->write_bytes)});
    }
    buffer_close(&b);
    buffer_free(&b);
}

/* ---- Tables ---- */

static void put_tensors(FILE *out, const char *title, const ol_tensor *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%-9s %s  %s  ", i ? "" : title, list[i].name, list[i].dtype);
        put_shape(out, &list[i]);
        fputc('\n', out);
    }
}

/* FLOPs for each byte moved: what decides between compute-bound and memory-bound. */
static const char *intensity(char out[NUMBER_SIZE], int64_t flops, int64_t read_bytes, int64_t write_bytes) {
    double bytes = (double)read_bytes + (double)write_bytes;
    if (flops < 0 || read_bytes < 0 || write_bytes < 0) return "?";
    if (bytes <= 0) return "-";
    return format_ms(out, (double)flops / bytes);
}

static void node_row(struct table *t, struct buffer *shapes, const ol_node *n) {
    char text[NUMBER_SIZE];
    table_text(t, n->name);
    table_text(t, n->op);
    table_text(t, shapes_text(shapes, n->outputs, n->n_outputs));
    table_text(t, format_count(text, n->macs));
    table_text(t, format_count(text, n->flops));
    table_text(t, format_count(text, n->params));
    table_text(t, format_bytes(text, n->read_bytes));
    table_text(t, format_bytes(text, n->write_bytes));
    table_text(t, intensity(text, n->flops, n->read_bytes, n->write_bytes));
}

static void total_row(struct table *t, struct buffer *shapes, const ol_profile *p) {
    ol_node total = {.name = "total",
                     .op = "",
                     .macs = p->totals.macs,
                     .flops = p->totals.flops,
                     .params = p->totals.params,
                     .read_bytes = p->totals.read_bytes,
                     .write_bytes = p->totals.write_bytes};
    table_rule(t);
    node_row(t, shapes, &total);
}

static void put_unresolved(const ol_profile *p, FILE *out) {
    if (p->totals.uncounted_nodes)
        fprintf(out, "The totals leave out %lld of %lld nodes, whose costs are not known.\n",
                (long long)p->totals.uncounted_nodes, (long long)p->totals.nodes);
    print_unresolved(out, p->unresolved, p->n_unresolved);
}

static void profile_table(const ol_profile *p, FILE *out) {
    struct table *t = table_new("<node<op<output>MACs>FLOPs>params>read>written>FLOP/byte");
    char weights[NUMBER_SIZE], peak[NUMBER_SIZE];
    struct buffer shapes;
    fprintf(out, "%s: ONNX IR version %lld, opset %lld%s%s\n", p->model, (long long)p->ir_version, (long long)p->opset,
            p->producer[0] ? ", by " : "", p->producer);
    put_tensors(out, "inputs", p->inputs, p->n_inputs);
    put_tensors(out, "outputs", p->outputs, p->n_outputs);
    fputc('\n', out);
    buffer_open(&shapes);
    for (size_t i = 0; i < p->n_nodes; i++) node_row(t, &shapes, &p->nodes[i]);
    total_row(t, &shapes, p);
    buffer_close(&shapes);
    buffer_free(&shapes);
    table_print(t, out, "");
    fprintf(out, "\n%lld nodes, %s of weights, %s of activations at the peak\n", (long long)p->totals.nodes,
            format_bytes(weights, p->totals.weight_bytes), format_bytes(peak, p->totals.peak_memory_bytes));
    put_unresolved(p, out);
}

/* ---- The command: models in parallel, results and messages in their order ---- */

struct work {
    const struct options *options;
    ol_context *context;
    struct texts inputs;
    struct buffer *logs, *results; /* by model */
    int *exits;
    struct progress *progress;
};

static void render(const struct options *o, const ol_profile *p, FILE *out) {
    if (o->format == FORMAT_JSON)
        profile_json(p, out);
    else if (o->format == FORMAT_CSV)
        profile_csv(p, out);
    else
        profile_table(p, out);
}

static void one_model(void *user, size_t i, unsigned worker) {
    struct work *w = user;
    const ol_profile *profile;
    ol_model *m;
    (void)worker;
    buffer_open(&w->logs[i]);
    buffer_open(&w->results[i]);
    FILE *log = w->logs[i].stream;
    ol_status status = model_open(w->context, w->options, w->inputs.at[i], w->inputs.n > 1, &m, log);
    if (status == OL_OK) status = ol_model_profile(m, &profile);
    if (status == OL_OK) render(w->options, profile, w->results[i].stream);
    log_rest(m, w->options, log);
    log_error(m, status, log);
    ol_model_free(m);
    w->exits[i] = exit_code_of(status);
    buffer_close(&w->logs[i]);
    buffer_close(&w->results[i]);
    progress_step(w->progress);
}

static void print_results(const struct work *w, FILE *out) {
    enum format format = w->options->format;
    bool is_first = true;
    if (format == FORMAT_JSON) fputs("{\"schema\":\"onnx-latency/profile/1\",\n\"models\":[", out);
    if (format == FORMAT_CSV) profile_csv_header(out);
    for (size_t i = 0; i < w->inputs.n; i++) {
        if (w->exits[i] != EXIT_DONE) continue;
        if (!is_first && format != FORMAT_CSV) fputs(format == FORMAT_JSON ? "," : "\n", out);
        fwrite(w->results[i].bytes, 1, w->results[i].length, out);
        is_first = false;
    }
    if (format == FORMAT_JSON) fputs("]}\n", out);
}

static int finish(struct work *w, int code) {
    struct output output;
    for (size_t i = 0; i < w->inputs.n; i++) {
        fwrite(w->logs[i].bytes, 1, w->logs[i].length, stderr);
        code = worse_exit(code, w->exits[i]);
    }
    if (w->inputs.n > 1) warn_unused_sizes(w->options);
    bool is_empty = true;
    for (size_t i = 0; i < w->inputs.n; i++) is_empty &= w->exits[i] != EXIT_DONE;
    if (is_empty && (code == EXIT_USAGE || w->options->format != FORMAT_JSON)) return code;
    output_open(&output, w->options);
    print_results(w, output.stream);
    return output_close(&output) ? code : worse_exit(code, EXIT_INPUT);
}

static void free_work(struct work *w) {
    for (size_t i = 0; i < w->inputs.n; i++) buffer_free(&w->logs[i]), buffer_free(&w->results[i]);
    free(w->logs);
    free(w->results);
    free(w->exits);
    inputs_free(&w->inputs);
    ol_context_free(w->context);
}

int command_profile(const struct options *o) {
    struct work w = {.options = o};
    if (!o->files.n) return usage_error(o->command, "name a model");
    int code = inputs_list(&w.inputs, o, false);
    w.context = ol_context_new(NULL);
    w.logs = xrealloc(NULL, w.inputs.n * sizeof *w.logs);
    w.results = xrealloc(NULL, w.inputs.n * sizeof *w.results);
    w.exits = xrealloc(NULL, w.inputs.n * sizeof *w.exits);
    if (!w.context) out_of_memory();
    w.progress = progress_start(w.inputs.n, o->quiet);
    ol_parallel_for(o->jobs ? (unsigned)o->jobs : ol_cpu_count(), w.inputs.n, one_model, &w);
    progress_end(w.progress);
    code = finish(&w, code);
    free_work(&w);
    return code;
}
