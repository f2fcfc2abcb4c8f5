/* calibrate: a target for this machine, measured here. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 200 };

struct bar {
    struct progress *progress;
    size_t done;
};

static void advance(void *user, size_t networks, double share) {
    struct bar *bar = user;
    (void)networks;
    for (; bar->done < (size_t)(share * STEPS); bar->done++) progress_step(bar->progress);
}

static void print_json(const ol_calibrated *c, const char *name) {
    struct json j;
    json_start(&j, stdout);
    json_open(&j, '{');
    json_key(&j, "schema"), json_text(&j, "onnx-latency/calibrate/1");
    json_key(&j, "target"), json_text(&j, name);
    json_key(&j, "output"), json_text(&j, c->path);
    json_key(&j, "networks"), json_int(&j, (int64_t)c->networks);
    json_key(&j, "kernels"), json_int(&j, (int64_t)c->kernels);
    json_key(&j, "error"), json_double(&j, c->error);
    json_key(&j, "source"), json_text(&j, c->source);
    json_close(&j, '}');
}

static void say(const ol_calibrated *c) {
    char percent[NUMBER_SIZE];
    printf("%s: %s; typical error %s\n", c->path, c->source, format_percent(percent, c->error));
    if (c->journal) printf("  measurements are kept in %s: more minutes add to them\n", c->journal);
}

int command_calibrate(const struct options *o) {
    ol_study *study;
    const ol_calibrated *calibrated;
    if (o->files.n) return usage_error(o->command, "%s: it takes no models", o->files.at[0]);
    if (o->format == FORMAT_CSV) return usage_error(o->command, "--format csv: only table or json here");
    if (!o->output) return usage_error(o->command, "name the new target's file with -o");
    char *name = o->name ? xstrdup(o->name) : base_name(o->output);
    struct bar bar = {.progress = progress_start(STEPS, o->quiet)};
    ol_calibration spec = {.minutes = o->minutes,
                           .threads = (int)o->threads,
                           .seed = (uint64_t)o->seed,
                           .name = name,
                           .output = o->output,
                           .progress = advance,
                           .user = &bar};
    ol_context *context = study_context(o);
    ol_status status = ol_calibrate(context, &spec, &calibrated, &study);
    progress_end(bar.progress);
    if (status == OL_OK && o->format == FORMAT_JSON)
        print_json(calibrated, name);
    else if (status == OL_OK && !o->quiet)
        say(calibrated);
    int code = study_end(study, status);
    ol_context_free(context);
    free(name);
    return code;
}
