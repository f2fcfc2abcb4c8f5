/* check: is every model within the budget on every target? */
#include "cli.h"

#include <stdlib.h>

int command_check(const struct options *o) {
    struct predictions p;
    if (o->budget_ms <= 0) return usage_error(o->command, "give --budget in milliseconds");
    predictions_run(&p, o, false);
    int code = p.exit_code;
    size_t most = p.n_models * p.n_targets;
    struct results r = {
        .schema = "onnx-latency/check/1", .at = xrealloc(NULL, most * sizeof *r.at), .budget_ms = o->budget_ms};
    for (size_t i = 0; i < most; i++) {
        if (!p.at[i].is_valid) continue;
        r.at[r.n++] = &p.at[i];
        if (p.at[i].coverage > 0) {
            if (p.at[i].latency_ms > o->budget_ms) code = worse_exit(code, EXIT_NO);
            continue;
        }
        fprintf(stderr, "%s: nothing in it can be priced on %s: no verdict\n", p.at[i].model, p.at[i].target);
        code = worse_exit(code, EXIT_INPUT);
    }
    code = results_print(&r, o, code);
    free(r.at);
    predictions_free(&p);
    return code;
}
