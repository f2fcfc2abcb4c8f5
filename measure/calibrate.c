/* The measuring of a calibration: probes in order until the time is up, then all once more; the lower of two times
 * counts, since disturbances only slow down. */
#include "calibrate.h"
#include "frontend.h"
#include "probes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MOST_PROBES = 400,
    PLAIN_EVERY = 4, /* of so many probes one is also run without the profiler */
    RETRIES = 2      /* when the machine was disturbed */
};

static const double DEFAULT_MINUTES = 5, PROBE_SECONDS = 0.15, CANARY_SECONDS = 0.01;
static const double DISTURBED = 1.04;   /* a canary this much over its best */
static const double FIRST_SHARE = 0.55; /* of the time, for the first pass */
static const double LEAST_US = 0.15, MOST_EXTRA_US = 10;

struct session {
    const struct calibration *spec;
    struct settings settings;
    struct arena *arena;
    struct diag *diag;
    struct arena scratch; /* of one probe */
    struct journal journal;
    size_t n_profiles, cap_profiles;
    struct profile *profiles; /* by number */
    const uint8_t *canary;
    size_t canary_length;
    double best_canary_ms, started;
    size_t n_looks, n_disturbed; /* of the canary */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double share_spent(const struct session *s) {
    double minutes = s->spec->minutes > 0 ? s->spec->minutes : DEFAULT_MINUTES;
    return (now() - s->started) / (60 * minutes);
}

static enum status measure(const struct session *s, const uint8_t *bytes, size_t length, const char *name,
                           const struct measure_options *options, struct measurement *m, struct arena *arena) {
    return (s->spec->measure ? s->spec->measure : measure_bytes)(bytes, length, name, options, arena, m, s->diag);
}

/* ---- The canary ---- */

static enum status start_canary(struct session *s) {
    struct measure_options options = {
        .threads = s->settings.threads, .min_seconds = CANARY_SECONDS, .per_node = true, .seed = 1};
    struct measurement m;
    TRY(onnx_write_bytes(probe_canary(s->arena), s->arena, &s->canary, &s->canary_length, s->diag));
    TRY(measure(s, s->canary, s->canary_length, "canary", &options, &m, s->arena));
    s->settings.runtime = m.runtime;
    s->settings.block = block_of(&m);
    s->best_canary_ms = m.median_ms;
    return ST_OK;
}

static enum status is_disturbed(struct session *s, bool *disturbed) {
    struct measure_options options = {.threads = s->settings.threads, .min_seconds = CANARY_SECONDS, .seed = 1};
    struct measurement m;
    TRY(measure(s, s->canary, s->canary_length, "canary", &options, &m, &s->scratch));
    *disturbed = m.median_ms > DISTURBED * s->best_canary_ms;
    s->n_looks++;
    s->n_disturbed += *disturbed;
    s->best_canary_ms = fmin(s->best_canary_ms, m.median_ms);
    return ST_OK;
}

/* ---- Probes ---- */

static struct profile *profile_of(struct session *s, uint32_t number) {
    for (size_t i = s->n_profiles; i-- > 0;)
        if (s->profiles[i].number == number) return &s->profiles[i];
    return NULL;
}

/* A copy that outlives the probe's graph. */
static struct profile *keep(struct session *s, const struct profile *p) {
    struct profile kept = *p;
    kept.kernels = arena_copy(s->arena, p->kernels, p->n_kernels * sizeof *p->kernels);
    for (size_t i = 0; i < p->n_kernels; i++) kept.kernels[i].op = arena_printf(s->arena, "%s", p->kernels[i].op);
    kept.us = arena_array(s->arena, p->n_kernels + 1, sizeof *kept.us);
    kept.sum_us = kept.plain_us = NAN;
    PUSH(s->arena, s, profiles, kept);
    return &s->profiles[s->n_profiles - 1];
}

static double lower(double a, double b) {
    return a > 0 && (b > a || !(b > 0)) ? a : b;
}

static void merge(struct profile *into, const struct profile *p) {
    for (size_t i = 0; i < into->n_kernels; i++) into->us[i] = lower(into->us[i], p->us[i]);
    into->sum_us = lower(into->sum_us, p->sum_us);
    into->plain_us = lower(into->plain_us, p->plain_us);
    into->n_nodes = p->n_nodes;
    if (p->n_passes > into->n_passes) into->n_passes = p->n_passes;
}

/* A probe's kernels, worked out anew; NULL when it cannot be lowered, which a line of the journal may claim. */
static struct profile *known_profile(struct session *s, uint32_t number) {
    struct profile fresh, *known = profile_of(s, number);
    if (known || !probe_exists(number)) return known;
    arena_reset(&s->scratch);
    enum status status =
        lower_probe(s->settings.seed, number, s->settings.block, s->settings.threads, &fresh, &s->scratch, s->diag);
    return status == ST_OK ? keep(s, &fresh) : NULL;
}

static void take_line(void *user, const struct profile *line) {
    struct session *s = user;
    struct profile *p = known_profile(s, line->number);
    if (p && p->n_kernels == line->n_kernels) merge(p, line);
}

static bool is_plain_too(uint32_t number) {
    return number % PLAIN_EVERY == 0;
}

static double sum_of(const struct measurement *m) {
    double sum = 0;
    for (size_t i = 0; i < m->n_nodes; i++) sum += m->nodes[i].mean_us;
    return sum;
}

static enum status profile_once(struct session *s, struct profile *p, size_t pass, const uint8_t *bytes,
                                size_t length) {
    bool plain = is_plain_too(p->number);
    struct measure_options options = {.threads = s->settings.threads,
                                      .min_seconds = PROBE_SECONDS,
                                      .per_node = true,
                                      .only_profile = !plain,
                                      .seed = p->number};
    struct measurement m;
    TRY(measure(s, bytes, length, s->spec->journal, &options, &m, &s->scratch));
    struct profile line = *p;
    line.us = arena_array(&s->scratch, p->n_kernels + 1, sizeof *line.us);
    match_nodes(&m, p, line.us, &s->scratch);
    line.n_passes = pass;
    line.n_nodes = m.n_nodes;
    line.sum_us = sum_of(&m);
    line.plain_us = plain ? m.median_ms * 1e3 : NAN;
    merge(p, &line);
    return journal_add(&s->journal, &line, s->diag);
}

static enum status profile_probe(struct session *s, uint32_t number) {
    struct profile *p = known_profile(s, number);
    const uint8_t *bytes;
    size_t length, pass = p ? p->n_passes + 1 : 1;
    if (!p) return diag_fail(s->diag, ST_MODEL, "probe %u has no kernels", number);
    arena_reset(&s->scratch);
    struct graph *graph = probe_build(s->settings.seed, number, false, &s->scratch);
    TRY(onnx_write_bytes(graph, &s->scratch, &bytes, &length, s->diag));
    bool disturbed = true;
    /* Where the machine is never at rest, more probes are worth more than more tries. */
    int retries = 2 * s->n_disturbed > s->n_looks ? 0 : RETRIES;
    for (int i = 0; i <= retries && disturbed; i++) {
        TRY(profile_once(s, p, pass, bytes, length));
        TRY(is_disturbed(s, &disturbed));
    }
    return ST_OK;
}

static void say(const struct session *s) {
    if (s->spec->progress) s->spec->progress(s->spec->user, s->n_profiles, fmin(share_spent(s), 1));
}

/* New probes, until that share of the time is spent. */
static enum status pass_first(struct session *s, size_t probes, double until) {
    for (uint32_t place = 0; place < probes && share_spent(s) < until; place++) {
        if (profile_of(s, probe_number(place))) continue;
        TRY(profile_probe(s, probe_number(place)));
        say(s);
    }
    return ST_OK;
}

/* ---- From measurements to a target ---- */

struct extra { /* what the profiler added on one network */
    double us, weight;
};

static int by_extra(const void *a, const void *b) {
    double x = ((const struct extra *)a)->us, y = ((const struct extra *)b)->us;
    return (x > y) - (x < y);
}

/* What profiling adds to every node: the d that makes sum |profiled - plain - d nodes| / plain least, which is a median
 * where networks of many short nodes count most: on others it drowns in noise. */
static double profiler_us(const struct session *s) {
    struct extra *each = arena_array(s->arena, s->n_profiles + 1, sizeof *each);
    size_t n = 0, at = 0;
    double all = 0, below = 0;
    for (size_t i = 0; i < s->n_profiles; i++) {
        const struct profile *p = &s->profiles[i];
        double nodes = (double)p->n_nodes;
        if (!(p->plain_us > 0) || !p->n_nodes) continue;
        each[n] = (struct extra){(p->sum_us - p->plain_us) / nodes, nodes / p->plain_us};
        all += each[n++].weight;
    }
    qsort(each, n, sizeof *each, by_extra);
    while (at < n && (below += each[at].weight) < all / 2) at++;
    return n ? fmin(fmax(each[at].us, 0), MOST_EXTRA_US) : 0;
}

static enum status fit(const struct session *s, struct calibration_net *nets, struct calibrated **out,
                       struct diag *diag) {
    size_t n = 0;
    double extra = profiler_us(s);
    for (size_t i = 0; i < s->n_profiles; i++) n += s->profiles[i].n_kernels;
    struct calibration_row *rows = arena_array(s->arena, n + 1, sizeof *rows);
    n = 0;
    for (size_t i = 0; i < s->n_profiles; i++) {
        const struct profile *p = &s->profiles[i];
        nets[i] = (struct calibration_net){n, p->n_kernels, p->plain_us, 0};
        for (size_t k = 0; k < p->n_kernels; k++) {
            double us = p->us[k] > 0 ? fmax(p->us[k] - extra, LEAST_US) : 0;
            rows[n++] = (struct calibration_row){&p->kernels[k], p->weight_bytes, (uint32_t)i, us};
        }
    }
    return calibrated_fit(out, rows, n, nets, s->n_profiles, s->settings.block, s->arena, diag);
}

static struct calibration_net *new_nets(const struct session *s) {
    return arena_array(s->arena, s->n_profiles + 1, sizeof(struct calibration_net));
}

struct doubt {
    uint32_t place;
    double off;
};

static int by_doubt(const void *a, const void *b) {
    const struct doubt *x = a, *y = b;
    if (x->off != y->off) return x->off < y->off ? 1 : -1;
    return x->place > y->place ? 1 : -(x->place < y->place);
}

/* All a second time while there is time, first those that the others tell apart most: what disturbed one is in there.
 */
static enum status pass_again(struct session *s) {
    struct calibrated *unused;
    struct diag own;
    diag_init(&own, s->arena);
    struct calibration_net *nets = new_nets(s);
    (void)!fit(s, nets, &unused, &own); /* too few: in the order they came */
    struct doubt *doubts = arena_array(s->arena, s->n_profiles + 1, sizeof *doubts);
    for (uint32_t i = 0; i < s->n_profiles; i++) doubts[i] = (struct doubt){i, fabs(nets[i].off)};
    qsort(doubts, s->n_profiles, sizeof *doubts, by_doubt);
    for (size_t i = 0; i < s->n_profiles && share_spent(s) < 1; i++) {
        if (s->profiles[doubts[i].place].n_passes > 1) continue;
        TRY(profile_probe(s, s->profiles[doubts[i].place].number));
        say(s);
    }
    return ST_OK;
}

static const char *cpu_name(struct arena *arena) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];
    const char *name = "";
    while (file && !*name && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        name = arena_printf(arena, "%s", colon + (colon[1] == ' ' ? 2 : 1));
    }
    if (file) fclose(file);
    return name;
}

static struct target *make_target(const struct session *s, struct calibrated *c) {
    struct target *t = arena_alloc(s->arena, sizeof *t);
    t->kind = TARGET_CALIBRATED;
    t->name = t->path = "host";
    t->calibrated = c;
    t->device = cpu_name(s->arena);
    t->description = arena_printf(s->arena, "this machine, %d thread%s, %s", s->settings.threads,
                                  s->settings.threads > 1 ? "s" : "", s->settings.runtime);
    t->source = arena_printf(s->arena, "%zu random networks profiled through %s: %zu different kernels", c->networks,
                             s->settings.runtime, c->kernels);
    t->vendor = "";
    t->runtime = (struct runtime){
        .lowering = "ort", .view = VIEW_KEPT, .block = s->settings.block, .threads = s->settings.threads};
    t->validation =
        arena_printf(s->arena, "{\"method\":\"networks left out, five-fold\",\"networks\":%zu,\"relative_error\":%.3f}",
                     c->networks, c->error);
    return t;
}

static enum status run(struct session *s, struct target **out) {
    struct calibrated *c;
    size_t probes = s->spec->probes ? s->spec->probes : MOST_PROBES;
    TRY(start_canary(s));
    TRY(journal_open(&s->journal, s->spec->journal, &s->settings, take_line, s, s->arena, s->diag));
    s->started = now();
    say(s);
    enum status status = pass_first(s, probes, FIRST_SHARE);
    if (status == ST_OK) status = pass_again(s);
    journal_close(&s->journal);
    TRY(status);
    TRY(fit(s, new_nets(s), &c, s->diag));
    if (s->settings.threads == 1) c->scale = 1; /* once the profiler's share is off, nodes and runs agree */
    *out = make_target(s, c);
    return ST_OK;
}

/* What is not the arena's is released before an arena that ran out of memory jumps on. */
static enum status run_guarded(struct session *s, struct target **out) {
    jmp_buf *outer = s->arena->on_oom, here;
    volatile enum status status = ST_MEMORY;
    volatile bool failed = setjmp(here) != 0;
    s->arena->on_oom = s->scratch.on_oom = &here;
    if (!failed) status = run(s, out);
    s->arena->on_oom = outer;
    journal_close(&s->journal);
    arena_free(&s->scratch);
    if (failed && !outer) abort();
    if (failed) longjmp(*outer, 1);
    return status;
}

enum status calibrate_runtime(const struct calibration *spec, struct target **out, struct arena *arena,
                              struct diag *diag) {
    struct session s = {.spec = spec, .arena = arena, .diag = diag, .started = now()};
    s.settings = (struct settings){.seed = spec->seed, .threads = spec->threads > 0 ? spec->threads : 1};
    arena_init(&s.scratch, arena->allocator, NULL);
    return run_guarded(&s, out);
}
