/* build: an ONNX model from a search-space architecture. */
#include "cli.h"

int command_build(const struct options *o) {
    ol_study *study;
    if (o->files.n != 2) return usage_error(o->command, "give a search space and one architecture");
    if (!o->output) return usage_error(o->command, "name the model's file with -o");
    ol_context *context = study_context(o);
    ol_status status = ol_build(context, o->files.at[0], o->files.at[1], o->batch ? o->batch : 1, (uint64_t)o->seed,
                                o->output, &study);
    int code = study_end(study, status);
    ol_context_free(context);
    return code;
}
