/* The runner: passes.def in order, each checked against what it needs, timed, verified and shown. */
#include "passes.h"

#include <assert.h>
#include <string.h>
#include <time.h>

struct pass_row {
    const char *name;
    char letter;
    uint32_t needs, gives, breaks;
    enum status (*run)(struct run *);
};

static const struct pass_row rows[PASS_COUNT] = {
#define PASS(id, name, letter, needs, gives, breaks) {name, letter, needs, gives, breaks, pass_##id},
#include "passes.def"
#undef PASS
};

const char *pass_name(enum pass pass) {
    assert(pass < PASS_COUNT);
    return rows[pass].name;
}

enum pass pass_parse(const char *text) {
    for (int i = 0; i < PASS_COUNT; i++) {
        bool is_letter = text[0] == rows[i].letter && text[1] == '\0';
        if (is_letter || strcmp(text, rows[i].name) == 0) return (enum pass)i;
    }
    return PASS_COUNT;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static enum status run_one(struct run *run, enum pass pass) {
    const struct pass_row *row = &rows[pass];
    assert((run->facts & row->needs) == row->needs);
    double start = now_ms();
    TRY(row->run(run));
    run->pass_ms[pass] += now_ms() - start;
    run->facts = (run->facts & ~row->breaks) | row->gives;
#ifndef NDEBUG
    TRY(graph_check(run->graph, run->diag));
#endif
    if (run->after) run->after(run->user, pass, run->graph);
    return ST_OK;
}

enum status passes_run(struct run *run, uint32_t mask) {
    for (int i = 0; i < PASS_COUNT; i++)
        if (mask & (1u << i)) TRY(run_one(run, (enum pass)i));
    return ST_OK;
}
