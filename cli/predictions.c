/* Every model on every target: models in parallel, each by one thread; results and messages in the models' order. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

struct work {
    const struct options *options;
    struct predictions *predictions;
    struct targets targets;
    struct buffer *logs; /* by model */
    int *exits;
    struct progress *progress;
};

static void keep(struct work *w, size_t model, size_t target, const ol_estimate *e) {
    struct predictions *all = w->predictions;
    bool wants_kernels = w->options->per_kernel || w->options->format == FORMAT_JSON;
    all->at[model * all->n_targets + target] =
        (struct prediction){.model = all->inputs.at[model],
                            .model_index = model,
                            .target_index = target,
                            .is_valid = true,
                            .target = xstrdup(e->target),
                            .latency_ms = e->latency_ms,
                            .lo_ms = e->lo_ms,
                            .hi_ms = e->hi_ms,
                            .confidence = e->confidence,
                            .coverage = e->coverage,
                            .macs = e->macs,
                            .n_kernels = e->n_kernels,
                            .extrapolated = e->extrapolated,
                            .data_dependent_nodes = e->data_dependent_nodes,
                            .kernels = wants_kernels ? render_kernels(w->options, e) : NULL,
                            .unresolved = render_unresolved(w->options, e)};
}

/* What fails on one target may well do on another. */
static ol_status predict_model(struct work *w, size_t i, ol_model *m, FILE *errors) {
    ol_status first = OL_OK;
    for (size_t t = 0; t < w->targets.n; t++) {
        const ol_estimate *estimate;
        ol_status status = ol_model_predict(m, w->targets.at[t], &estimate);
        if (status == OL_OK)
            keep(w, i, t, estimate);
        else if (first == OL_OK)
            log_error(m, first = status, errors);
    }
    return first;
}

static void one_model(void *user, size_t i, unsigned worker) {
    struct work *w = user;
    struct buffer *log = &w->logs[i], errors;
    ol_model *m;
    (void)worker;
    buffer_open(log);
    buffer_open(&errors);
    const struct texts *inputs = &w->predictions->inputs;
    ol_status status = model_open(w->targets.context, w->options, inputs->at[i], inputs->n > 1, &m, log->stream);
    if (status == OL_OK)
        status = predict_model(w, i, m, errors.stream);
    else
        log_error(m, status, errors.stream);
    log_rest(m, w->options, log->stream);
    ol_model_free(m);
    buffer_close(&errors);
    fwrite(errors.bytes, 1, errors.length, log->stream); /* last: the reason nothing follows */
    buffer_free(&errors);
    buffer_close(log);
    w->exits[i] = exit_code_of(status);
    progress_step(w->progress);
}

static void run_all(struct work *w) {
    struct predictions *all = w->predictions;
    size_t n = all->n_models;
    unsigned jobs = w->options->jobs ? (unsigned)w->options->jobs : ol_cpu_count();
    w->logs = xrealloc(NULL, n * sizeof *w->logs);
    w->exits = xrealloc(NULL, n * sizeof *w->exits);
    w->progress = progress_start(n, w->options->quiet);
    ol_parallel_for(jobs, n, one_model, w);
    progress_end(w->progress);
    for (size_t i = 0; i < n; i++) {
        fwrite(w->logs[i].bytes, 1, w->logs[i].length, stderr);
        buffer_free(&w->logs[i]);
        all->exit_code = worse_exit(all->exit_code, w->exits[i]);
    }
    if (n > 1) warn_unused_sizes(w->options);
    free(w->logs);
    free(w->exits);
}

static void run_on_targets(struct predictions *p, const struct options *o, struct targets *targets) {
    struct work w = {.options = o, .predictions = p, .targets = *targets};
    p->n_models = p->inputs.n;
    p->n_targets = targets->n;
    p->at = xrealloc(NULL, p->n_models * p->n_targets * sizeof *p->at);
    memset(p->at, 0, p->n_models * p->n_targets * sizeof *p->at);
    run_all(&w);
}

void predictions_run(struct predictions *p, const struct options *o, bool walk) {
    struct targets targets = {0};
    *p = (struct predictions){0};
    if (!o->files.n) {
        p->exit_code = usage_error(o->command, "name a model");
        return;
    }
    ol_context *context = ol_context_new(NULL);
    if (!context) out_of_memory();
    int code = targets_open(&targets, context, o);
    if (code == EXIT_DONE) {
        p->exit_code = inputs_list(&p->inputs, o, walk);
        run_on_targets(p, o, &targets);
    } else {
        p->exit_code = code;
    }
    targets_close(&targets);
    ol_context_free(context);
}

void predictions_free(struct predictions *p) {
    for (size_t i = 0; i < p->n_models * p->n_targets; i++) {
        free(p->at[i].target);
        free(p->at[i].kernels);
        free(p->at[i].unresolved);
    }
    free(p->at);
    inputs_free(&p->inputs);
}
