/* The options: one table for parsing and for help. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum value_kind {
    VALUE_NONE,
    VALUE_TEXT,
    VALUE_TEXTS,
    VALUE_POSITIVE,
    VALUE_INTEGER,
    VALUE_NUMBER,
    VALUE_DIM,
    VALUE_SHAPE
};

static const struct row {
    const char *name, *value;
    char letter;     /* 0: none */
    unsigned groups; /* of enum option_group */
    enum value_kind kind;
    size_t offset; /* of the field of struct options */
    const char *help;
} rows[] = {
#define FIELD(name) offsetof(struct options, name)
    {"target", "TARGET", 't', G_TARGET, VALUE_TEXTS, FIELD(targets),
     "a target's name, FILE.json or llvm:CPU; may be repeated"},
    {"precision", "P", 0, G_TARGET, VALUE_TEXT, FIELD(precision), "arithmetic in fp32, fp16 or int8"},
    {"budget", "MS", 0, G_BUDGET, VALUE_NUMBER, FIELD(budget_ms), "the latency not to exceed, in milliseconds"},
    {"per-kernel", NULL, 0, G_KERNELS, VALUE_NONE, FIELD(per_kernel), "lists the kernels and where the time goes"},
    {"top", "K", 0, G_TOP, VALUE_POSITIVE, FIELD(top), "only the K fastest"},
    {"dim", "NAME=N", 0, G_MODEL | G_DIM, VALUE_DIM, FIELD(dims), "binds a symbolic dimension; may be repeated"},
    {"shape", "INPUT=1x3x224x224", 0, G_MODEL, VALUE_SHAPE, FIELD(shapes), "binds an input's shape; may be repeated"},
    {"batch", "N", 0, G_MODEL | G_BATCH, VALUE_POSITIVE, FIELD(batch),
     "binds the leading dimension of inputs that leave it open"},
    {"passes", "LIST", 0, G_PASSES, VALUE_TEXT, FIELD(passes), "runs only these passes: names or letters, with commas"},
    {"print-after", "LIST", 0, G_PASSES, VALUE_TEXT, FIELD(print_after), "prints the graph after these passes"},
    {"time-passes", NULL, 0, G_PASSES, VALUE_NONE, FIELD(time_passes), "prints how long reading and each pass took"},
    {"space", "SPACE", 0, G_STUDY, VALUE_TEXT, FIELD(space), "models are architectures of this search space"},
    {"proxy", "P[,P...]", 0, G_STUDY, VALUE_TEXT, FIELD(proxies),
     "known devices to learn from: targets (auto: every measured one) or columns of a table"},
    {"proxies", "P[,P...]", 0, G_STUDY, VALUE_TEXT, FIELD(proxies), "the same"},
    {"method", "METHOD", 0, G_METHOD, VALUE_TEXT, FIELD(method), "bank (default) or adaproxy, which takes one proxy"},
    {"table", "CSV", 0, G_TABLE, VALUE_TEXT, FIELD(table), "measured latencies: architectures, then a column a device"},
    {"targets", "X[,Y...]", 0, G_TABLE, VALUE_TEXT, FIELD(columns),
     "columns to predict (default: all but the proxies)"},
    {"protocol", "PROTOCOL", 0, G_TABLE, VALUE_TEXT, FIELD(protocol), "random (default), help or oneproxy"},
    {"samples", "N", 0, G_TABLE, VALUE_POSITIVE, FIELD(samples), "measurements on the target (default 10)"},
    {"trials", "N", 0, G_TABLE, VALUE_POSITIVE, FIELD(trials), "repetitions with other samples (default 20)"},
    {"planned", NULL, 0, G_TABLE, VALUE_NONE, FIELD(planned), "samples chosen as plan does, not at random"},
    {"measurements", "CSV", 'm', G_ADAPT, VALUE_TEXT, FIELD(measurements),
     "columns model,latency_ms; also space, batch"},
    {"name", "NAME", 0, G_ADAPT | G_CALIBRATE, VALUE_TEXT, FIELD(name), "of the new target (default: its file's)"},
    {"description", "TEXT", 0, G_ADAPT, VALUE_TEXT, FIELD(description), "kept in the new target"},
    {"vendor", "TEXT", 0, G_ADAPT, VALUE_TEXT, FIELD(vendor), "kept in the new target"},
    {"device", "TEXT", 0, G_ADAPT, VALUE_TEXT, FIELD(device), "kept in the new target"},
    {"source", "TEXT", 0, G_ADAPT, VALUE_TEXT, FIELD(source), "where the measurements come from"},
    {"count", "N", 0, G_COUNT, VALUE_POSITIVE, FIELD(count), "how many to choose (default 10)"},
    {"threads", "N", 0, G_MEASURE | G_CALIBRATE, VALUE_POSITIVE, FIELD(threads),
     "that one operator may use (default 1)"},
    {"runs", "N", 0, G_MEASURE, VALUE_POSITIVE, FIELD(runs),
     "timed runs (default: at least 10 and half a second, at most 200)"},
    {"per-node", NULL, 0, G_MEASURE, VALUE_NONE, FIELD(per_kernel), "also the time of every node"},
    {"provider", "P", 0, G_MEASURE, VALUE_TEXT, FIELD(provider),
     "where it runs, as the library names it (default cpu)"},
    {"budget", "MS[,MS...]", 0, G_SEARCH, VALUE_TEXT, FIELD(budgets), "the latency to meet, one for each target"},
    {"space", "SPACE", 0, G_SEARCH, VALUE_TEXT, FIELD(space), "searches this space instead of rewriting a model"},
    {"knobs", NULL, 0, G_SEARCH, VALUE_NONE, FIELD(list_knobs), "only lists what can be turned and what that saves"},
    {"plan", NULL, 0, G_SEARCH, VALUE_NONE, FIELD(plan), "searches, says what would be changed, writes nothing"},
    {"risk", "P", 0, G_SEARCH, VALUE_NUMBER, FIELD(risk),
     "probability with which the budget may be missed (default 0.05; weighed with a table; 0.5: no margin)"},
    {"resolution", NULL, 0, G_SEARCH, VALUE_NONE, FIELD(resolution), "the images that the model takes may shrink too"},
    {"importance", "NORM", 0, G_SEARCH, VALUE_TEXT, FIELD(importance), "of channels: l2 (default), l1 or random"},
    {"align", "N", 0, G_SEARCH, VALUE_POSITIVE, FIELD(align),
     "channel counts stay multiples of N (default: the target's)"},
    {"strategy", "S", 0, G_SEARCH, VALUE_TEXT, FIELD(strategy),
     "evolution (default), or random or uniform cuts to compare it with"},
    {"score-table", "CSV", 0, G_SEARCH, VALUE_TEXT, FIELD(score_table), "architectures with their accuracy"},
    {"score-cmd", "CMD", 0, G_SEARCH, VALUE_TEXT, FIELD(score_cmd),
     "prints the score of the model file that {} stands for"},
    {"score-seconds", "N", 0, G_SEARCH, VALUE_NUMBER, FIELD(score_seconds), "that one such run may take (default 60)"},
    {"evaluations", "N", 0, G_SEARCH, VALUE_POSITIVE, FIELD(evaluations),
     "candidates to price (default 20000, or 200 with a command)"},
    {"minutes", "N", 0, G_SEARCH | G_CALIBRATE, VALUE_NUMBER, FIELD(minutes), "stops after so long"},
    {"resume", "STATE", 0, G_SEARCH, VALUE_TEXT, FIELD(resume), "keeps the search in this file, and goes on from it"},
    {"frontier", "FILE", 0, G_SEARCH, VALUE_TEXT, FIELD(frontier), "writes the frontier of latency and score as JSON"},
    {"format", "FORMAT", 'f', G_COMMON, VALUE_TEXT, FIELD(format_name),
     "table (default) or json; csv where results are rows"},
    {"output", "FILE", 'o', G_COMMON, VALUE_TEXT, FIELD(output), "writes the result to FILE, complete or not at all"},
    {"jobs", "N", 'j', G_COMMON, VALUE_POSITIVE, FIELD(jobs), "models treated at once (default: one a processor)"},
    {"quiet", NULL, 'q', G_COMMON, VALUE_NONE, FIELD(quiet), "no warnings, no progress"},
    {"seed", "N", 0, G_COMMON, VALUE_INTEGER, FIELD(seed), "seed of what is drawn at random (default 0)"},
    {"help", NULL, 'h', G_COMMON, VALUE_NONE, FIELD(help), "this text"},
#undef FIELD
};

enum { N_ROWS = sizeof rows / sizeof *rows, FIRST_ID = 256 };

int usage_error(const struct command *command, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, PROGRAM_NAME " %s: ", command->name);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n\"" PROGRAM_NAME " help %s\" says what it takes\n", command->name);
    va_end(args);
    return EXIT_USAGE;
}

void print_command_help(const struct command *command, FILE *out) {
    fprintf(out, "usage: " PROGRAM_NAME " %s [options] %s\n\n%s.\n", command->name, command->arguments,
            command->summary);
    if (command->details) fprintf(out, "%s\n", command->details);
    fprintf(out, "\n");
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *r = &rows[i];
        char text[64], letter[8] = "    ";
        if (!(command->groups & r->groups)) continue;
        if (r->letter) snprintf(letter, sizeof letter, "-%c, ", r->letter);
        snprintf(text, sizeof text, "%s--%s%s%s", letter, r->name, r->value ? " " : "", r->value ? r->value : "");
        fprintf(out, "  %-31s %s\n", text, r->help);
    }
}

/* ---- Values ---- */

static bool parse_int(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return *text && !*end && !errno;
}

/* "1x3x224x224"; nothing for a scalar. */
static bool parse_sizes(const char *text, struct size_binding *b) {
    while (*text) {
        char *end;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (end == text || errno || value < 0 || (*end && *end != 'x') || (*end && !end[1])) return false;
        b->sizes = xrealloc(b->sizes, (b->rank + 1) * sizeof *b->sizes);
        b->sizes[b->rank++] = value;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* Names may hold '=' themselves: the last one counts. */
static bool parse_binding(struct size_bindings *list, const char *text, bool is_dim) {
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text) return false;
    struct size_binding b = {.name = xstrdup(text)};
    b.name[equals - text] = '\0';
    bool is_good = parse_sizes(equals + 1, &b) && (!is_dim || b.rank == 1);
    list->at = xrealloc(list->at, (list->n + 1) * sizeof *list->at);
    list->at[list->n++] = b;
    return is_good;
}

static bool parse_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return *text && !*end && isfinite(*out) && *out > 0;
}

/* NULL when the value was taken, else what it has to be. */
static const char *set_value(const struct row *r, void *field, const char *text) {
    switch (r->kind) {
    case VALUE_NONE:
        *(bool *)field = true;
        return NULL;
    case VALUE_TEXT:
        *(const char **)field = text;
        return NULL;
    case VALUE_TEXTS:
        texts_add(field, text);
        return NULL;
    case VALUE_POSITIVE:
        if (!parse_int(text, field) || *(int64_t *)field < 1) return "a whole number above 0";
        return *(int64_t *)field <= INT32_MAX ? NULL : "at most 2147483647";
    case VALUE_INTEGER:
        return parse_int(text, field) && *(int64_t *)field >= 0 ? NULL : "a whole number";
    case VALUE_NUMBER:
        return parse_number(text, field) ? NULL : "a number above 0";
    case VALUE_DIM:
        return parse_binding(field, text, true) ? NULL : "of the form NAME=N";
    case VALUE_SHAPE:
        return parse_binding(field, text, false) ? NULL : "of the form INPUT=1x3x224x224";
    }
    return NULL;
}

/* ---- Parsing ---- */

struct parser {
    const struct command *command;
    struct option longs[N_ROWS + 1];
    char shorts[2 + 2 * N_ROWS + 1];
};

static void prepare(struct parser *p, const struct command *command) {
    size_t n = 0, s = 0;
    *p = (struct parser){.command = command};
    p->shorts[s++] = ':'; /* a missing value is told apart from an unknown option */
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!(command->groups & rows[i].groups)) continue;
        p->longs[n++] =
            (struct option){rows[i].name, rows[i].value ? required_argument : no_argument, NULL, FIRST_ID + (int)i};
        if (rows[i].letter) p->shorts[s++] = rows[i].letter;
        if (rows[i].letter && rows[i].value) p->shorts[s++] = ':';
    }
}

static const struct row *row_of(const struct command *command, int id) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (command->groups & rows[i].groups && (id == FIRST_ID + (int)i || (rows[i].letter && id == rows[i].letter)))
            return &rows[i];
    return NULL;
}

/* optind is past the argument at fault, save inside a cluster of letters. */
static bool refuse(const struct parser *p, int answer, char **argv) {
    const struct row *r = optopt ? row_of(p->command, optopt) : NULL;
    if (answer == ':' && r)
        usage_error(p->command, "--%s needs a value", r->name);
    else if (optopt && !r)
        usage_error(p->command, "there is no option -%c here", optopt);
    else if (optopt)
        usage_error(p->command, "--%s takes no value", r->name);
    else
        usage_error(p->command, "there is no option %s here, or it could be several", argv[optind - 1]);
    return false;
}

static bool check_format(struct options *o) {
    static const char *const names[] = {"table", "json", "csv"};
    for (int i = 0; i < 3; i++) {
        if (o->format_name && strcmp(o->format_name, names[i]) != 0) continue;
        o->format = (enum format)i;
        return true;
    }
    usage_error(o->command, "--format %s: must be table, json or csv", o->format_name);
    return false;
}

bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && !stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_among(const char *path, const struct texts *list) {
    for (size_t i = 0; i < list->n; i++)
        if (same_file(path, list->at[i])) return true;
    return false;
}

/* A result would take the place of what it is made from. A model rewritten in place is meant so. */
static bool check_written(const struct options *o, const char *option, const char *path, bool may_be_model) {
    bool read = same_file(path, o->measurements) || same_file(path, o->table) || same_file(path, o->score_table) ||
                same_file(path, o->resume) || is_among(path, &o->targets) ||
                (!may_be_model && is_among(path, &o->files));
    if (read) usage_error(o->command, "%s %s: would replace what is read", option, path);
    return !read;
}

static bool check_outputs(const struct options *o) {
    bool twice = o->output && o->frontier && (!strcmp(o->output, o->frontier) || same_file(o->output, o->frontier));
    if (twice) usage_error(o->command, "--frontier %s: would replace what -o writes", o->frontier);
    return !twice && check_written(o, "-o", o->output, o->command->groups & G_SEARCH) &&
           check_written(o, "--frontier", o->frontier, false);
}

bool options_parse(struct options *o, const struct command *command, int argc, char **argv) {
    struct parser parser;
    int id;
    *o = (struct options){.command = command};
    prepare(&parser, command);
    opterr = 0;
    while ((id = getopt_long(argc, argv, parser.shorts, parser.longs, NULL)) != -1) {
        const struct row *r = id == '?' || id == ':' ? NULL : row_of(command, id);
        if (!r) return refuse(&parser, id, argv);
        const char *wanted = set_value(r, (char *)o + r->offset, optarg);
        if (!wanted) continue;
        usage_error(command, "--%s %s: must be %s", r->name, optarg, wanted);
        return false;
    }
    for (; optind < argc; optind++) texts_add(&o->files, argv[optind]);
    return check_format(o) && check_outputs(o);
}

static void free_bindings(struct size_bindings *list) {
    for (size_t i = 0; i < list->n; i++) free(list->at[i].name), free(list->at[i].sizes);
    free(list->at);
}

void options_free(struct options *o) {
    free(o->files.at);
    free(o->targets.at);
    free_bindings(&o->dims);
    free_bindings(&o->shapes);
}
