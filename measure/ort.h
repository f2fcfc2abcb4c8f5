/* ort: ONNX Runtime's C API by slot number; private to measure/. Calls keep the types opaque. */
#ifndef ORT_H
#define ORT_H

#include "measure.h"

struct ort_status;
struct ort_env;
struct ort_options;
struct ort_session;
struct ort_value;
struct ort_memory;
struct ort_allocator;
struct ort_type;
struct ort_shape;

struct ort {
    void *library;
    const char *version; /* "1.23.2" */
#define SLOT(number, name, result, arguments) result(*name) arguments;
#include "ort_slots.def"
#undef SLOT
};

enum status ort_open(struct ort *, struct arena *, struct diag *) MUST_CHECK;
/* Records the runtime's message and frees the status; ST_OK for NULL. */
enum status ort_check(const struct ort *, struct ort_status *, const char *name, struct diag *) MUST_CHECK;

/* A session's inputs, synthesised (ort_inputs.c). */
struct ort_inputs {
    size_t n;
    const char **names;
    struct ort_value **values;
};
enum status ort_make_inputs(const struct ort *, const struct ort_session *, const struct measure_options *,
                            const char *model, struct arena *, struct ort_inputs *, struct diag *) MUST_CHECK;

/* The runtime's profile, parsed (ort_profile.c): means over the runs after the first `skip`. */
enum status ort_read_profile(const char *path, int skip, const char *model, struct arena *, struct measurement *,
                             struct diag *) MUST_CHECK;

/* One measurement in this process (ort_run.c). `bytes` NULL: read `path`. */
enum status ort_measure(const struct ort *, const char *path, const uint8_t *bytes, size_t length,
                        const struct measure_options *, struct arena *, struct measurement *, struct diag *) MUST_CHECK;

#endif
