/* adapt: a new target from a few measurements. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void say(const ol_adapted *a) {
    char percent[NUMBER_SIZE];
    printf("%s: %zu networks, noise %s", a->path, a->rows, format_percent(percent, a->noise));
    if (!isnan(a->loo_mape)) printf(", error on networks left out %s", format_percent(percent, a->loo_mape));
    printf("\n");
    const char *const views[] = {"as written", "pruned", "reachable nodes only"};
    for (int v = 0; v < 3; v++)
        if (a->view_share[v] > 0.1 && a->view_share[v] < 0.9)
            printf("  which nodes the runtime runs is undecided (%s: %s): measure networks with dead branches\n",
                   views[v], format_percent(percent, a->view_share[v]));
    if (a->rescaling > 0.5) printf("  rescaling a proxy explains the measurements\n");
}

static void print_json(const ol_adapted *a) {
    struct json j;
    json_start(&j, stdout);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/adapt/1");
    json_key(&j, "target"), json_text(&j, a->name);
    json_key(&j, "output"), json_text(&j, a->path);
    json_key(&j, "networks"), json_int(&j, (int64_t)a->rows);
    json_key(&j, "noise"), json_double(&j, a->noise);
    json_key(&j, "left_out_mape"), json_double(&j, a->loo_mape);
    json_key(&j, "rescaling"), json_double(&j, a->rescaling);
    json_close(&j, '}');
}

int command_adapt(const struct options *o) {
    struct texts proxies;
    char *storage, *name;
    ol_study *study;
    const ol_adapted *adapted;
    if (o->files.n) return usage_error(o->command, "%s: measurements come with --measurements", o->files.at[0]);
    if (!o->measurements) return usage_error(o->command, "name a file of measurements with --measurements");
    if (!o->output) return usage_error(o->command, "name the new target's file with -o");
    if (!o->proxies) return usage_error(o->command, "name proxies with --proxy, or --proxy auto");
    if (o->format == FORMAT_CSV) return usage_error(o->command, "--format csv: only table or json here");
    split_list(&proxies, o->proxies, &storage);
    ol_binding *dims = dims_of(o);
    name = o->name ? xstrdup(o->name) : base_name(o->output);
    ol_adaptation spec = {.measurements = o->measurements,
                          .space = o->space,
                          .batch = o->batch,
                          .dims = dims,
                          .n_dims = o->dims.n,
                          .proxies = proxies.at,
                          .n_proxies = proxies.n,
                          .method = o->method,
                          .name = name,
                          .description = o->description,
                          .vendor = o->vendor,
                          .device = o->device,
                          .source = o->source,
                          .seed = (uint64_t)o->seed,
                          .output = o->output,
                          .jobs = (unsigned)o->jobs};
    ol_context *context = study_context(o);
    ol_status status = ol_adapt(context, &spec, &adapted, &study);
    if (status == OL_OK && o->format == FORMAT_JSON)
        print_json(adapted);
    else if (status == OL_OK && !o->quiet)
        say(adapted);
    int code = study_end(study, status);
    ol_context_free(context);
    free(dims);
    free(proxies.at);
    free(storage);
    free(name);
    return code;
}
