/* evaluate: few-shot experiments on a measured table. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>

static void print_json(const ol_scores *s, FILE *out) {
    struct json j;
    json_start(&j, out);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/evaluate/1");
    json_key(&j, "space"), json_text(&j, s->space);
    json_key(&j, "protocol"), json_text(&j, s->protocol);
    json_key(&j, "proxies"), json_open(&j, '[');
    for (size_t i = 0; i < s->n_proxies; i++) json_text(&j, s->proxies[i]);
    json_close(&j, ']');
    json_key(&j, "method"), json_text(&j, s->method);
    json_key(&j, "samples"), json_int(&j, (int64_t)s->samples);
    json_key(&j, "trials"), json_int(&j, (int64_t)s->trials);
    json_key(&j, "results"), json_open(&j, '[');
    for (size_t i = 0; i < s->n_scores; i++) {
        const ol_score *r = &s->scores[i];
        json_open(&j, '{');
        json_key(&j, "target"), json_text(&j, r->target);
        json_key(&j, "srcc"), json_double(&j, r->srcc);
        json_key(&j, "srcc_min"), json_double(&j, r->srcc_min);
        json_key(&j, "srcc_sd"), json_double(&j, r->srcc_sd);
        json_key(&j, "kendall"), json_double(&j, r->kendall);
        json_key(&j, "mape"), json_double(&j, r->mape);
        json_key(&j, "within_10pct"), json_double(&j, r->within_10pct);
        json_key(&j, "covered_90"), json_double(&j, r->covered);
        json_key(&j, "covered_90_pool"), json_double(&j, r->covered_pool);
        json_key(&j, "raw_proxy_srcc"), json_double(&j, r->raw_proxy_srcc);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_key(&j, "mean_srcc"), json_double(&j, s->mean_srcc);
    json_close(&j, '}');
}

static void print_csv(const ol_scores *s, FILE *out) {
    const char *const header[] = {"target", "srcc",         "srcc_min",   "srcc_sd",        "kendall",
                                  "mape",   "within_10pct", "covered_90", "raw_proxy_srcc", "covered_90_pool"};
    enum { N = sizeof header / sizeof *header };
    csv_row(out, N, header);
    for (size_t i = 0; i < s->n_scores; i++) {
        const ol_score *r = &s->scores[i];
        const double values[N - 1] = {r->srcc,         r->srcc_min, r->srcc_sd,        r->kendall,     r->mape,
                                      r->within_10pct, r->covered,  r->raw_proxy_srcc, r->covered_pool};
        char text[N - 1][NUMBER_SIZE];
        const char *cells[N] = {r->target};
        for (int k = 0; k + 1 < N; k++) cells[k + 1] = isnan(values[k]) ? "" : format_double(text[k], values[k]);
        csv_row(out, N, cells);
    }
}

static void print_table(const ol_scores *s, FILE *out) {
    struct table *t = table_new("<target>SRCC>sd>least>Kendall>MAPE>in 10 %>in 90 % interval>raw proxy");
    char text[4][NUMBER_SIZE];
    for (size_t i = 0; i < s->n_scores; i++) {
        const ol_score *r = &s->scores[i];
        table_text(t, r->target);
        table_cell(t, "%.3f", r->srcc);
        table_cell(t, "%.3f", r->srcc_sd);
        table_cell(t, "%.3f", r->srcc_min);
        table_cell(t, "%.3f", r->kendall);
        table_text(t, format_percent(text[0], r->mape));
        table_text(t, format_percent(text[1], r->within_10pct));
        table_text(t, isnan(r->covered) ? "" : format_percent(text[2], r->covered));
        if (isnan(r->raw_proxy_srcc))
            table_text(t, "");
        else
            table_cell(t, "%.3f", r->raw_proxy_srcc);
    }
    table_print(t, out, "");
    fprintf(out, "mean SRCC %.4f (%s, %s protocol, %zu samples, %zu trials)\n", s->mean_srcc, s->method, s->protocol,
            s->samples, s->trials);
}

static int print_scores(const struct options *o, const ol_scores *s) {
    struct output out;
    output_open(&out, o);
    if (o->format == FORMAT_JSON)
        print_json(s, out.stream);
    else if (o->format == FORMAT_CSV)
        print_csv(s, out.stream);
    else
        print_table(s, out.stream);
    return output_close(&out) ? EXIT_DONE : EXIT_INPUT;
}

int command_evaluate(const struct options *o) {
    struct texts proxies, targets;
    char *proxy_storage, *target_storage;
    ol_study *study;
    const ol_scores *scores;
    if (o->files.n) return usage_error(o->command, "%s: a table comes with --table", o->files.at[0]);
    if (!o->table) return usage_error(o->command, "name a table with --table");
    if (!o->space) return usage_error(o->command, "name the search space of its architectures with --space");
    split_list(&proxies, o->proxies, &proxy_storage);
    split_list(&targets, o->columns, &target_storage);
    ol_experiment spec = {.table = o->table,
                          .space = o->space,
                          .proxies = proxies.at,
                          .n_proxies = proxies.n,
                          .targets = targets.at,
                          .n_targets = targets.n,
                          .protocol = o->protocol,
                          .method = o->method,
                          .samples = (size_t)o->samples,
                          .trials = (size_t)o->trials,
                          .planned = o->planned,
                          .seed = (uint64_t)o->seed,
                          .jobs = (unsigned)o->jobs};
    ol_context *context = study_context(o);
    ol_status status = ol_evaluate(context, &spec, &scores, &study);
    int printed = status == OL_OK ? print_scores(o, scores) : EXIT_DONE;
    int code = worse_exit(study_end(study, status), printed);
    ol_context_free(context);
    free(proxies.at), free(targets.at);
    free(proxy_storage), free(target_storage);
    return code;
}
