/* Messages: the first failure stands, equal warnings are kept once. */
#include "base.h"

#include <string.h>

enum { MAX_WARNINGS = 200 };

const char *status_text(enum status status) {
    static const char *const texts[] = {
#define STATUS(id, text) text,
#include "status.def"
#undef STATUS
    };
    return (unsigned)status < ST_COUNT ? texts[status] : "unknown status";
}

void diag_init(struct diag *diag, struct arena *arena) {
    *diag = (struct diag){.arena = arena};
}

enum status diag_fail_at(struct diag *diag, const struct diag *of, const char *path, size_t line) {
    if (!path) return diag_fail(diag, of->status, "%s", of->message);
    return diag_fail(diag, of->status, "%s: line %zu: %s", path, line, of->message);
}

/* One line, whatever names the files hold: control characters would end it, or steer a terminal. */
static const char *one_line(struct arena *arena, const char *fmt, va_list args) {
    char *text = arena_vprintf(arena, fmt, args);
    str_plain(text);
    return text;
}

enum status diag_fail(struct diag *diag, enum status status, const char *fmt, ...) {
    if (diag->status != ST_OK) return status;
    va_list args;
    va_start(args, fmt);
    diag->message = one_line(diag->arena, fmt, args);
    va_end(args);
    return diag->status = status;
}

void diag_warn(struct diag *diag, const char *fmt, ...) {
    va_list args;
    if (diag->n_warnings > MAX_WARNINGS) return;
    va_start(args, fmt);
    const char *text = one_line(diag->arena, fmt, args);
    va_end(args);
    if (diag->n_warnings == MAX_WARNINGS) text = "further warnings are left out";
    for (size_t i = 0; i < diag->n_warnings; i++)
        if (!strcmp(diag->warnings[i], text)) return;
    PUSH(diag->arena, diag, warnings, text);
}
