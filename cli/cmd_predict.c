/* predict: latency of each model on each target. */
#include "cli.h"

#include <stdlib.h>

int command_predict(const struct options *o) {
    struct predictions p;
    predictions_run(&p, o, false);
    size_t most = p.n_models * p.n_targets;
    struct results r = {.schema = "onnx-latency/predict/1", .at = xrealloc(NULL, most * sizeof *r.at)};
    for (size_t i = 0; i < most; i++)
        if (p.at[i].is_valid) r.at[r.n++] = &p.at[i];
    int code = results_print(&r, o, p.exit_code);
    free(r.at);
    predictions_free(&p);
    return code;
}
