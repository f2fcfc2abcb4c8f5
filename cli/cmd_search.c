/* search: a model rewritten, or an architecture found, that meets a latency budget. */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct query {
    const struct options *options;
    struct targets targets;
    ol_model *model;
    double *budgets; /* by target */
    struct progress *progress;
    size_t shown; /* percent */
};

static bool parse_budgets(struct query *q) {
    const char *at = q->options->budgets;
    q->budgets = xrealloc(NULL, q->targets.n * sizeof *q->budgets);
    for (size_t i = 0; i < q->targets.n; i++) {
        char *end;
        q->budgets[i] = strtod(at, &end);
        if (end == at || !(q->budgets[i] > 0) || isinf(q->budgets[i])) return false;
        bool last = i + 1 == q->targets.n;
        if (last) return !*end;
        if (*end == ',')
            at = end + 1;
        else if (*end)
            return false; /* one budget serves all that follow */
    }
    return true;
}

static void advance(void *user, size_t evaluated, double share) {
    struct query *q = user;
    (void)evaluated;
    for (size_t percent = share >= 1 ? 100 : (size_t)(share * 100); q->shown < percent; q->shown++)
        progress_step(q->progress);
}

static const char *target_name(const struct query *q, size_t i) {
    return ol_target_describe(q->targets.at[i])->name;
}

/* ---- JSON ---- */

static void json_config(struct json *j, const struct options *o, const ol_setting *s) {
    json_open(j, '{');
    if (s->arch) {
        json_key(j, "space"), json_text(j, o->space);
        json_key(j, "arch"), json_text(j, s->arch);
    }
    for (size_t i = 0; i < s->n_knobs; i++) {
        json_key(j, s->knobs[i].name);
        if (!strcmp(s->knobs[i].kind, "block"))
            json_text(j, "bypassed");
        else
            json_int(j, (int64_t)s->knobs[i].kept);
    }
    json_close(j, '}');
}

static void json_setting(struct json *j, const struct options *o, const ol_setting *s, const char *output) {
    json_open(j, '{');
    json_key(j, "latency_ms"), json_double(j, s->latency_ms);
    json_key(j, "score"), json_double(j, s->score);
    json_key(j, "config"), json_config(j, o, s);
    if (output) json_key(j, "output"), json_text(j, output);
    json_close(j, '}');
}

static void json_targets(struct json *j, const struct query *q, const ol_search_result *r) {
    json_key(j, "targets"), json_open(j, '[');
    for (size_t i = 0; i < q->targets.n; i++) {
        json_open(j, '{');
        json_key(j, "target"), json_text(j, target_name(q, i));
        json_key(j, "budget_ms"), json_double(j, q->budgets[i]);
        json_key(j, "latency_ms"), json_double(j, r->chosen.latencies_ms[i]);
        json_key(j, "bound_ms"), json_double(j, r->chosen.bounds_ms[i]);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_frontier(struct json *j, const struct options *o, const ol_search_result *r) {
    json_key(j, "frontier"), json_open(j, '[');
    for (size_t i = 0; i < r->n_frontier; i++) json_setting(j, o, &r->frontier[i], NULL);
    json_close(j, ']');
}

static void print_json(const struct query *q, const ol_search_result *r, FILE *out) {
    const struct options *o = q->options;
    struct json j;
    json_start(&j, out);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/search/1");
    json_key(&j, "target"), json_text(&j, target_name(q, 0));
    json_key(&j, "budget_ms"), json_double(&j, q->budgets[0]);
    json_key(&j, "met"), json_bool(&j, r->met);
    json_key(&j, "chosen");
    json_setting(&j, o, &r->chosen, r->written ? o->output : NULL);
    json_targets(&j, q, r);
    json_frontier(&j, o, r);
    json_key(&j, "evaluated"), json_int(&j, (int64_t)r->evaluated);
    json_key(&j, "seconds"), json_double(&j, r->seconds);
    json_close(&j, '}');
}

/* ---- Text ---- */

static void print_change(FILE *out, const ol_search_result *r) {
    char a[NUMBER_SIZE], b[NUMBER_SIZE], c[NUMBER_SIZE];
    fprintf(out, "  latency     %s ms (%s .. %s)", format_ms(a, r->before_ms), format_ms(b, r->before_lo_ms),
            format_ms(c, r->before_hi_ms));
    fprintf(out, " -> %s ms (%s .. %s)\n", format_ms(a, r->chosen.latency_ms), format_ms(b, r->after_lo_ms),
            format_ms(c, r->after_hi_ms));
    fprintf(out, "  MACs        %s -> %s\n", format_count(a, r->macs_before), format_count(b, r->macs_after));
    fprintf(out, "  parameters  %s -> %s\n", format_count(a, r->params_before), format_count(b, r->params_after));
    fprintf(out, "  score       %.4g\n", r->chosen.score);
}

static void print_knobs(FILE *out, const ol_setting *s) {
    struct table *t = table_new("<knob<kind>units>kept");
    for (size_t i = 0; i < s->n_knobs; i++) {
        table_cell(t, "%s%s", s->knobs[i].name, s->knobs[i].changes_statistics ? " *" : "");
        table_text(t, s->knobs[i].kind);
        table_cell(t, "%zu", s->knobs[i].units);
        table_cell(t, "%zu", s->knobs[i].kept);
    }
    table_print(t, out, "  ");
}

/* The target whose budget is missed by the largest factor. */
static size_t worst_target(const struct query *q, const double *ms) {
    size_t worst = 0;
    for (size_t i = 1; i < q->targets.n; i++)
        if (ms[i] / q->budgets[i] > ms[worst] / q->budgets[worst]) worst = i;
    return worst;
}

static void print_miss(const struct query *q, const ol_search_result *r, const char *what, FILE *out) {
    const ol_setting *s = &r->chosen;
    size_t at = worst_target(q, s->bounds_ms);
    char a[NUMBER_SIZE], b[NUMBER_SIZE];
    size_t predicted = worst_target(q, s->latencies_ms);
    bool for_its_margin = s->latencies_ms[predicted] <= q->budgets[predicted];
    fprintf(out, "%s: nothing meets %s ms on %s; the fastest found takes %s ms (score %.4g)%s\n", what,
            format_ms(a, q->budgets[at]), target_name(q, at), format_ms(b, s->latencies_ms[at]), s->score,
            for_its_margin ? ", more with its margin; --risk 0.5 asks for none" : "");
}

static void print_verdict(const struct query *q, const ol_search_result *r, const char *what, FILE *out) {
    char number[NUMBER_SIZE];
    size_t at = worst_target(q, r->chosen.latencies_ms); /* of a list what is a little slower is considered, too */
    fprintf(out, "%s: %s ", what, r->chosen.latencies_ms[at] <= q->budgets[at] ? "meets" : "may meet");
    for (size_t i = 0; i < q->targets.n; i++)
        fprintf(out, "%s%s ms on %s", i ? ", " : "", format_ms(number, q->budgets[i]), target_name(q, i));
    fprintf(out, "%s\n", r->unchanged ? " as it is" : "");
}

static void print_text(const struct query *q, const ol_search_result *r, FILE *out) {
    const struct options *o = q->options;
    const char *what = o->space ? o->space : o->files.at[0];
    char a[NUMBER_SIZE], b[NUMBER_SIZE], c[NUMBER_SIZE];
    if (!r->met) {
        print_miss(q, r, what, out);
        return;
    }
    print_verdict(q, r, what, out);
    if (r->chosen.arch)
        fprintf(out, "  %s\n  latency %s ms (%s .. %s), score %.4g\n", r->chosen.arch,
                format_ms(a, r->chosen.latency_ms), format_ms(b, r->after_lo_ms), format_ms(c, r->after_hi_ms),
                r->chosen.score);
    else
        print_change(out, r);
    for (size_t i = 1; i < q->targets.n; i++)
        fprintf(out, "  on %s %s ms\n", target_name(q, i), format_ms(a, r->chosen.latencies_ms[i]));
    if (r->chosen.n_knobs) print_knobs(out, &r->chosen);
    fprintf(out, "  %zu candidates priced, %zu on the frontier\n", r->evaluated, r->n_frontier);
    if (r->unchanged && o->output && !o->plan && !r->written) fprintf(out, "  %s is left as it is\n", o->output);
}

static bool write_frontier(const struct query *q, const ol_search_result *r) {
    struct options to_file = *q->options;
    struct output output;
    struct json j;
    to_file.output = q->options->frontier;
    output_open(&output, &to_file);
    json_start(&j, output.stream);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/search-frontier/1");
    json_frontier(&j, q->options, r);
    json_close(&j, '}');
    return output_close(&output);
}

static int print_result(const struct query *q, const ol_search_result *r) {
    struct options to_stdout = *q->options;
    struct output output;
    to_stdout.output = NULL; /* -o names the model */
    bool frontier_is_written = !q->options->frontier || write_frontier(q, r);
    output_open(&output, &to_stdout);
    if (q->options->format == FORMAT_JSON)
        print_json(q, r, output.stream);
    else
        print_text(q, r, output.stream);
    if (!output_close(&output) || !frontier_is_written) return EXIT_INPUT;
    return r->met ? EXIT_DONE : EXIT_NO;
}

static void knobs_json(const struct query *q, const ol_knob *knobs, size_t n, FILE *out) {
    struct json j;
    json_start(&j, out);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/search-knobs/1");
    json_key(&j, "target"), json_text(&j, target_name(q, 0));
    json_key(&j, "knobs"), json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(&j, '{');
        json_key(&j, "name"), json_text(&j, knobs[i].name);
        json_key(&j, "kind"), json_text(&j, knobs[i].kind);
        json_key(&j, "units"), json_int(&j, (int64_t)knobs[i].units);
        json_key(&j, "at_least"), json_int(&j, (int64_t)knobs[i].kept);
        json_key(&j, "step"), json_int(&j, knobs[i].step);
        json_key(&j, "saves_ms"), json_double(&j, knobs[i].saves_ms);
        json_key(&j, "changes_statistics"), json_bool(&j, knobs[i].changes_statistics);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
}

static void knobs_text(const ol_knob *knobs, size_t n, FILE *out) {
    if (!n) fprintf(out, "nothing in it can be cut safely\n");
    if (!n) return;
    struct table *t = table_new("<knob<kind>units>at least>step>saves");
    char number[NUMBER_SIZE];
    for (size_t i = 0; i < n; i++) {
        table_cell(t, "%s%s", knobs[i].name, knobs[i].changes_statistics ? " *" : "");
        table_text(t, knobs[i].kind);
        table_cell(t, "%zu", knobs[i].units);
        table_cell(t, "%zu", knobs[i].kept);
        table_cell(t, "%lld", (long long)knobs[i].step);
        table_cell(t, "%s ms", format_ms(number, knobs[i].saves_ms));
    }
    table_print(t, out, "");
    fprintf(out, "* a mean or variance is taken over it: cutting it changes what that is taken of\n");
}

static int print_knob_list(const struct query *q, const ol_knob *knobs, size_t n) {
    struct options to_stdout = *q->options;
    struct output output;
    to_stdout.output = NULL;
    output_open(&output, &to_stdout);
    if (q->options->format == FORMAT_JSON)
        knobs_json(q, knobs, n, output.stream);
    else
        knobs_text(knobs, n, output.stream);
    return output_close(&output) ? EXIT_DONE : EXIT_INPUT;
}

/* ---- The search ---- */

static ol_search_request request_of(struct query *q) {
    const struct options *o = q->options;
    return (ol_search_request){.model = q->model,
                               .space = o->space,
                               .targets = (const ol_target *const *)q->targets.at,
                               .budgets_ms = o->budgets ? q->budgets : NULL,
                               .n_targets = q->targets.n,
                               .risk = o->risk,
                               .importance = o->importance,
                               .align = o->align,
                               .score_table = o->score_table,
                               .strategy = o->strategy,
                               .resolution = o->resolution,
                               .score_cmd = o->score_cmd,
                               .score_seconds = o->score_seconds,
                               .evaluations = (size_t)o->evaluations,
                               .minutes = o->minutes,
                               .jobs = (unsigned)o->jobs,
                               .seed = (uint64_t)o->seed,
                               .state = o->resume,
                               .output = o->output,
                               .plan = o->plan,
                               .progress = advance,
                               .user = q};
}

static int run(struct query *q) {
    ol_search_request request = request_of(q);
    const ol_search_result *result;
    const ol_knob *knobs;
    ol_search *search;
    size_t n = 0, n_warnings;
    int code;
    q->progress = progress_start(100, q->options->quiet);
    ol_status status = q->options->list_knobs ? ol_search_knobs(q->targets.context, &request, &knobs, &n, &search)
                                              : ol_search_run(q->targets.context, &request, &result, &search);
    progress_end(q->progress);
    const char *const *warnings = ol_search_warnings(search, &n_warnings);
    for (size_t i = 0; i < n_warnings && !q->options->quiet; i++) fprintf(stderr, "warning: %s\n", warnings[i]);
    if (status != OL_OK) {
        fprintf(stderr, PROGRAM_NAME ": %s\n", ol_search_error(search));
        code = exit_code_of(status);
    } else
        code = q->options->list_knobs ? print_knob_list(q, knobs, n) : print_result(q, result);
    ol_search_free(search);
    return code;
}

static int open_and_run(struct query *q) {
    const struct options *o = q->options;
    if (o->space) return run(q);
    ol_status status = model_open(q->targets.context, o, o->files.at[0], false, &q->model, stderr);
    int code = exit_code_of(status);
    if (status == OL_OK)
        code = run(q);
    else
        log_error(q->model, status, stderr);
    log_rest(q->model, o, stderr);
    ol_model_free(q->model);
    return code;
}

/* Ended from outside, a search takes along what it started. */
static void on_signal(int number) {
    ol_search_abandon();
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (signal(ends[i], on_signal) == SIG_IGN) signal(ends[i], SIG_IGN); /* as nohup wants it */
}

int command_search(const struct options *o) {
    struct query q = {.options = o};
    if (o->space ? o->files.n != 0 : o->files.n != 1) return usage_error(o->command, "name one model, or --space");
    if (o->format == FORMAT_CSV) return usage_error(o->command, "--format csv: only table or json here");
    if (!o->budgets && !o->list_knobs) return usage_error(o->command, "give --budget in milliseconds");
    if (!o->output && !o->plan && !o->list_knobs)
        return usage_error(o->command, "name the result with -o, or give --plan");
    ol_context *context = ol_context_new(NULL);
    if (!context) out_of_memory();
    int code = targets_open(&q.targets, context, o);
    if (code == EXIT_DONE && o->space &&
        (o->batch || o->dims.n || o->shapes.n || o->resolution || o->align || o->importance))
        code =
            usage_error(o->command, "--batch, --dim, --shape, --resolution, --align and --importance are about models, "
                                    "not --space");
    if (code == EXIT_DONE && o->budgets && !parse_budgets(&q))
        code = usage_error(o->command, "--budget %s: one number above 0 for each target", o->budgets);
    if (code == EXIT_DONE && o->score_cmd) catch_signals();
    if (code == EXIT_DONE) code = open_and_run(&q);
    free(q.budgets);
    targets_close(&q.targets);
    ol_context_free(context);
    return code;
}
