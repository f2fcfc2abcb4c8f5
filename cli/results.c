/* Predictions as they are printed by predict, rank and check: the same columns, with a rank or a verdict. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum verdict { WITHIN, OVER, UNKNOWN };

/* Of what could not be priced at all nothing is known. */
static enum verdict verdict_of(const struct results *r, const struct prediction *p) {
    return p->coverage > 0 ? p->latency_ms <= r->budget_ms ? WITHIN : OVER : UNKNOWN;
}

static void json_verdict(struct json *j, enum verdict verdict) {
    json_key(j, "within_budget");
    if (verdict == UNKNOWN)
        json_raw(j, NULL);
    else
        json_bool(j, verdict == WITHIN);
}

/* ---- JSON ---- */

static void json_result(struct json *j, const struct results *r, size_t i) {
    const struct prediction *p = r->at[i];
    json_open(j, '{');
    if (r->ranks) json_key(j, "rank"), json_int(j, (int64_t)r->ranks[i]);
    json_key(j, "model"), json_text(j, p->model);
    json_key(j, "target"), json_text(j, p->target);
    json_key(j, "latency_ms"), json_double(j, p->latency_ms);
    json_key(j, "interval_ms"), json_open(j, '['), json_double(j, p->lo_ms), json_double(j, p->hi_ms);
    json_close(j, ']');
    json_key(j, "confidence"), json_double(j, p->confidence);
    json_key(j, "kernels"), json_raw(j, p->kernels);
    json_key(j, "coverage"), json_double(j, p->coverage);
    json_key(j, "extrapolated"), json_bool(j, p->extrapolated);
    if (p->data_dependent_nodes) json_key(j, "data_dependent_nodes"), json_int(j, p->data_dependent_nodes);
    json_key(j, "unresolved"), json_raw(j, p->unresolved);
    if (r->budget_ms > 0) json_verdict(j, verdict_of(r, p));
    json_close(j, '}');
}

static void print_json(const struct results *r, FILE *out) {
    struct json j;
    json_start(&j, out);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, r->schema);
    if (r->budget_ms > 0) json_key(&j, "budget_ms"), json_double(&j, r->budget_ms);
    json_key(&j, "results"), json_open(&j, '[');
    for (size_t i = 0; i < r->n; i++) json_result(&j, r, i);
    json_close(&j, ']');
    json_close(&j, '}');
}

/* ---- CSV ---- */

enum { MOST_CELLS = 10 };

static void csv_header(const struct results *r, FILE *out) {
    const char *cells[MOST_CELLS] = {"rank",  "model",      "target",   "latency_ms", "lo_ms",
                                     "hi_ms", "confidence", "coverage", "budget_ms",  "within_budget"};
    size_t first = r->ranks ? 0 : 1, end = r->budget_ms > 0 ? MOST_CELLS : MOST_CELLS - 2;
    csv_row(out, end - first, cells + first);
}

static void csv_result(const struct results *r, size_t i, FILE *out) {
    const struct prediction *p = r->at[i];
    static const char *const csv_verdicts[] = {[WITHIN] = "true", [OVER] = "false", [UNKNOWN] = ""};
    char rank[NUMBER_SIZE] = "", number[6][NUMBER_SIZE];
    if (r->ranks) snprintf(rank, sizeof rank, "%zu", r->ranks[i]);
    const char *cells[MOST_CELLS] = {rank,
                                     p->model,
                                     p->target,
                                     format_double(number[0], p->latency_ms),
                                     format_double(number[1], p->lo_ms),
                                     format_double(number[2], p->hi_ms),
                                     format_double(number[3], p->confidence),
                                     format_double(number[4], p->coverage),
                                     format_double(number[5], r->budget_ms),
                                     csv_verdicts[verdict_of(r, p)]};
    size_t first = r->ranks ? 0 : 1, end = r->budget_ms > 0 ? MOST_CELLS : MOST_CELLS - 2;
    csv_row(out, end - first, cells + first);
}

static void print_csv(const struct results *r, const struct options *o, FILE *out) {
    if (o->per_kernel)
        kernels_csv_header(out);
    else
        csv_header(r, out);
    for (size_t i = 0; i < r->n; i++) {
        if (o->per_kernel)
            fputs(r->at[i]->kernels, out);
        else
            csv_result(r, i, out);
    }
}

/* ---- Tables ---- */

static struct table *new_table(const struct results *r) {
    char columns[160];
    snprintf(columns, sizeof columns, "%s<model<target>latency>90 %% interval%s>MACs>kernels>coverage",
             r->ranks ? ">rank" : "", r->budget_ms > 0 ? ">budget<verdict" : "");
    return table_new(columns);
}

static void table_result(struct table *t, const struct results *r, size_t i) {
    static const char *const verdicts[] = {[WITHIN] = "within", [OVER] = "over", [UNKNOWN] = "unknown"};
    const struct prediction *p = r->at[i];
    char a[NUMBER_SIZE], b[NUMBER_SIZE];
    if (r->ranks) table_cell(t, "%zu", r->ranks[i]);
    table_text(t, p->model);
    table_text(t, p->target);
    table_cell(t, "%s ms", format_ms(a, p->latency_ms));
    table_cell(t, "%s .. %s ms%s", format_ms(a, p->lo_ms), format_ms(b, p->hi_ms), p->extrapolated ? " (far)" : "");
    if (r->budget_ms > 0) {
        table_cell(t, "%s ms", format_ms(a, r->budget_ms));
        table_text(t, verdicts[verdict_of(r, p)]);
    }
    table_text(t, format_count(a, p->macs));
    table_cell(t, "%zu", p->n_kernels);
    table_text(t, format_percent(b, p->coverage));
}

static void print_tables(const struct results *r, const struct options *o, FILE *out) {
    struct table *t = new_table(r);
    for (size_t i = 0; i < r->n; i++) {
        if (r->ranks && i > 0 && r->ranks[i] == 1) table_rule(t);
        table_result(t, r, i);
    }
    table_print(t, out, "");
    for (size_t i = 0; i < r->n && o->per_kernel; i++)
        fprintf(out, "\n%s on %s\n%s", r->at[i]->model, r->at[i]->target, r->at[i]->kernels);
    for (size_t i = 0; i < r->n; i++)
        if (r->at[i]->target_index == 0) fputs(r->at[i]->unresolved, out); /* alike on every target */
}

/* Wrong usage prints no result; an input that failed still leaves a result without it. */
int results_print(const struct results *r, const struct options *o, int code) {
    struct output output;
    if (!r->n && (code == EXIT_USAGE || o->format != FORMAT_JSON)) return code;
    output_open(&output, o);
    if (o->format == FORMAT_JSON)
        print_json(r, output.stream);
    else if (o->format == FORMAT_CSV)
        print_csv(r, o, output.stream);
    else
        print_tables(r, o, output.stream);
    return output_close(&output) ? code : worse_exit(code, EXIT_INPUT);
}
