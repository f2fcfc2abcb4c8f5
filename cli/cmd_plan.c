/* plan: which candidates to measure next. */
#include "cli.h"

#include <stdlib.h>

static int print_plan(const struct options *o, const struct texts *candidates, const ol_plan *plan) {
    struct output out;
    output_open(&out, o);
    if (o->format == FORMAT_JSON) {
        struct json j;
        json_start(&j, out.stream);
        json_open(&j, '{');
        json_key(&j, "schema"), json_text(&j, "onnx-latency/plan/1");
        json_key(&j, "models"), json_open(&j, '[');
        for (size_t i = 0; i < plan->count; i++) json_text(&j, candidates->at[plan->chosen[i]]);
        json_close(&j, ']');
        json_close(&j, '}');
    } else {
        const char *header = "model";
        if (o->format == FORMAT_CSV) csv_row(out.stream, 1, &header);
        for (size_t i = 0; i < plan->count; i++) {
            const char *model = candidates->at[plan->chosen[i]];
            if (o->format == FORMAT_CSV)
                csv_row(out.stream, 1, &model);
            else
                fprintf(out.stream, "%s\n", model);
        }
    }
    return output_close(&out) ? EXIT_DONE : EXIT_INPUT;
}

int command_plan(const struct options *o) {
    struct texts proxies, candidates;
    char *storage;
    ol_study *study;
    const ol_plan *plan;
    if (!o->files.n) return usage_error(o->command, "give the candidates, or - to read them from standard input");
    if (!o->proxies) return usage_error(o->command, "name proxies with --proxy, or --proxy auto");
    int listed = inputs_list(&candidates, o, !o->space);
    if (listed != EXIT_DONE) return listed;
    split_list(&proxies, o->proxies, &storage);
    ol_binding *dims = dims_of(o);
    ol_planning spec = {.candidates = candidates.at,
                        .n_candidates = candidates.n,
                        .count = o->count ? (size_t)o->count : 10,
                        .space = o->space,
                        .batch = o->batch,
                        .dims = dims,
                        .n_dims = o->dims.n,
                        .proxies = proxies.at,
                        .n_proxies = proxies.n};
    ol_context *context = study_context(o);
    ol_status status = ol_plan_measurements(context, &spec, &plan, &study);
    int written = status == OL_OK ? print_plan(o, &candidates, plan) : EXIT_DONE;
    for (size_t i = 0; status == OL_OK && i < plan->n_failures; i++) {
        fprintf(stderr, PROGRAM_NAME ": %s\n", plan->failures[i]);
        written = EXIT_INPUT;
    }
    int code = worse_exit(study_end(study, status), written);
    ol_context_free(context);
    inputs_free(&candidates);
    free(dims);
    free(proxies.at);
    free(storage);
    return code;
}
