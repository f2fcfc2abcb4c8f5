/* cli: the program. One verb a job, one file a verb (cmd_*.c), one row in main.c. Sees the public header only. */
#ifndef CLI_H
#define CLI_H

#include "onnx_latency.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#define PROGRAM_NAME "onnx-latency"

#if defined(__GNUC__)
#define PRINTF_ARGS(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PRINTF_ARGS(fmt, args)
#endif

enum exit_code { EXIT_DONE, EXIT_INPUT, EXIT_USAGE, EXIT_NO };

/* ---- main.c ---- */

struct options;

struct command {
    const char *name, *arguments, *summary;
    unsigned groups;                    /* of the options it takes */
    const char *details;                /* more for its help; NULL: none */
    int (*run)(const struct options *); /* returns the exit code */
};

extern const struct command commands[]; /* ends with a row without a name */

/* ---- options.c ---- */

enum option_group {
    G_COMMON = 1,       /* --output --format --jobs --quiet --seed --help */
    G_MODEL = 2,        /* --dim --shape --batch */
    G_TARGET = 4,       /* --target --precision */
    G_KERNELS = 8,      /* --per-kernel */
    G_TOP = 16,         /* --top */
    G_BUDGET = 32,      /* --budget */
    G_STUDY = 64,       /* --space --proxy */
    G_TABLE = 128,      /* --table --protocol --targets --samples --trials --planned */
    G_ADAPT = 256,      /* --measurements --name and what describes a device */
    G_COUNT = 512,      /* --count */
    G_BATCH = 1024,     /* --batch alone */
    G_MEASURE = 2048,   /* --threads --runs --per-node --provider */
    G_SEARCH = 4096,    /* --budget and what steers a search */
    G_CALIBRATE = 8192, /* --minutes --threads --name */
    G_PASSES = 16384,   /* --passes --print-after --time-passes */
    G_METHOD = 32768,   /* --method */
    G_DIM = 65536       /* --dim alone */
};

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV };

struct texts {
    size_t n;
    const char **at;
};

struct size_binding { /* --dim NAME=N, --shape INPUT=AxBxC */
    char *name;
    atomic_bool is_used; /* by a model */
    size_t rank;
    int64_t *sizes;
};

struct size_bindings {
    size_t n;
    struct size_binding *at;
};

struct options {
    const struct command *command;
    struct texts files, targets;
    struct size_bindings dims, shapes;
    const char *format_name, *output, *precision, *passes, *print_after;
    enum format format;
    int64_t batch, jobs, top, seed;                                    /* 0: not given */
    double budget_ms;                                                  /* 0: not given */
    const char *space, *method, *table, *protocol, *proxies, *columns; /* lists: ',' between */
    const char *measurements, *name, *description, *vendor, *device, *source;
    int64_t samples, trials, count;            /* 0: not given */
    int64_t threads, runs, evaluations, align; /* 0: not given */
    double risk, minutes, score_seconds;       /* 0: not given */
    const char *provider, *budgets, *score_table, *score_cmd, *strategy, *importance, *resume, *frontier;
    bool list_knobs, plan, resolution;
    bool planned;
    bool quiet, per_kernel, time_passes, help;
};

/* Parses argv[1..]; prints what is wrong to stderr and returns false. */
bool same_file(const char *, const char *); /* that exist and are regular; NULL is none */
bool options_parse(struct options *, const struct command *, int argc, char **argv);
void options_free(struct options *);
void print_command_help(const struct command *, FILE *);
int usage_error(const struct command *, const char *fmt, ...) PRINTF_ARGS(2, 3); /* prints; returns EXIT_USAGE */

/* ---- text.c: strings, memory, numbers for people ---- */

_Noreturn void out_of_memory(void); /* says so and exits */
void *xrealloc(void *, size_t bytes);
char *xstrdup(const char *);
void texts_add(struct texts *, const char *); /* keeps the pointer */

struct buffer { /* a stream into memory */
    FILE *stream;
    char *bytes; /* valid after buffer_close */
    size_t length;
};

void buffer_open(struct buffer *);
void buffer_close(struct buffer *);
void buffer_free(struct buffer *);

enum { NUMBER_SIZE = 32 };
const char *format_ms(char out[NUMBER_SIZE], double ms);         /* "1.234" */
const char *format_count(char out[NUMBER_SIZE], int64_t n);      /* "300.8 M"; "?" below 0 */
const char *format_bytes(char out[NUMBER_SIZE], int64_t n);      /* "13.6 MB" */
const char *format_percent(char out[NUMBER_SIZE], double share); /* "99.8 %" */
const char *format_double(char out[NUMBER_SIZE], double);        /* the shortest that reads back the same */

/* ---- output.c ---- */

struct output {
    FILE *stream;
    const char *path; /* NULL: stdout */
    struct buffer buffer;
};

void output_open(struct output *, const struct options *);
bool output_close(struct output *); /* false when it could not be written: said on stderr */

/* ---- table.c: columns as wide as what is in them ---- */

struct table;
struct table *table_new(const char *columns);      /* "<model >latency": a column each, left or right aligned */
void table_text(struct table *, const char *text); /* a cell; row by row */
void table_cell(struct table *, const char *fmt, ...) PRINTF_ARGS(2, 3); /* the same, formatted */
void table_rule(struct table *);                                         /* a line between rows */
void table_print(struct table *, FILE *, const char *indent);            /* and frees it */

/* ---- json_out.c ---- */

struct json {
    FILE *stream;
    int depth;
    bool is_first; /* nothing written yet in the innermost object or array */
    bool has_key;  /* a key waits for its value */
};

void json_start(struct json *, FILE *);
void json_open(struct json *, char bracket); /* '{' or '[' */
void json_close(struct json *, char bracket);
void json_key(struct json *, const char *);
void json_text(struct json *, const char *); /* NULL: null; bytes that are not UTF-8 become U+FFFD */
void json_int(struct json *, int64_t);       /* exact */
void json_count(struct json *, int64_t);     /* below 0: null */
void json_double(struct json *, double);     /* round-trips; null when not finite */
void json_bool(struct json *, bool);
void json_raw(struct json *, const char *);               /* JSON text already made; NULL: null */
void csv_row(FILE *, size_t n, const char *const *cells); /* quotes where needed */

/* ---- inputs.c ---- */

/* Model paths as given; `-` reads them from stdin, a line each. With `walk`, folders stand for the *.onnx files below
 * them, sorted. The exit code so far: not EXIT_DONE when one could not be listed, or none is because the output would
 * replace one, which is said on stderr. The caller frees. */
int inputs_list(struct texts *, const struct options *, bool walk);
void inputs_free(struct texts *);

/* ---- progress.c: a bar on a terminal, for work over a second ---- */

struct progress;
struct progress *progress_start(size_t total, bool quiet);
void progress_step(struct progress *); /* from any thread */
void progress_end(struct progress *);

/* ---- models.c: models with the options applied ---- */

/* Opens the model, to be freed even when that fails. Graphs printed after passes go to `log`. With `several` models,
 * --dim and --shape are for those that have such a dimension or input. */
/* Of several models some may not have a size that was named; says which no model had. */
void warn_unused_sizes(const struct options *);
ol_status model_open(ol_context *, const struct options *, const char *path, bool several, ol_model **, FILE *log);
void log_error(ol_model *, ol_status, FILE *log);
/* Warnings and pass times, once all questions are asked. */
void log_rest(ol_model *, const struct options *, FILE *log);
int exit_code_of(ol_status);
int worse_exit(int a, int b);

/* ---- targets.c ---- */

struct targets {
    ol_context *context;
    size_t n;
    ol_target **at;
};

/* The targets of the command line; returns the exit code, said on stderr when not EXIT_DONE. */
int targets_open(struct targets *, ol_context *, const struct options *);
void targets_close(struct targets *);

/* ---- predictions.c: every model on every target, in parallel ---- */

struct prediction {
    const char *model; /* the inputs' string */
    size_t model_index, target_index;
    bool is_valid;
    char *target;
    double latency_ms, lo_ms, hi_ms, confidence, coverage;
    int64_t macs;
    size_t n_kernels;
    int extrapolated;
    int64_t data_dependent_nodes;
    char *kernels;    /* in the output's format; NULL when not asked for */
    char *unresolved; /* as JSON; else as text */
};

struct predictions {
    size_t n_models, n_targets;
    struct prediction *at; /* [model * n_targets + target] */
    struct texts inputs;
    int exit_code;
};

/* Predicts and prints what is to be said about single models to stderr, in the order of the models. */
void predictions_run(struct predictions *, const struct options *, bool walk);
void predictions_free(struct predictions *);
char *render_kernels(const struct options *, const ol_estimate *); /* breakdown.c */
void kernels_csv_header(FILE *);

/* ---- unresolved.c: nodes that an answer leaves out ---- */

void json_unresolved(struct json *, const ol_unresolved *, size_t n);
void print_unresolved(FILE *, const ol_unresolved *, size_t n);
char *render_unresolved(const struct options *, const ol_estimate *);

/* ---- results.c ---- */

struct results { /* predictions in the order they are printed */
    const char *schema;
    size_t n;
    const struct prediction **at;
    size_t *ranks;    /* NULL: not ranked */
    double budget_ms; /* 0: none */
};

/* Prints what succeeded where the options say; returns the exit code, no worse than `code`. */
int results_print(const struct results *, const struct options *, int code);

/* ---- studies.c: what adapt, plan, evaluate and build share ---- */

ol_context *study_context(const struct options *);                 /* logs warnings unless quiet */
void split_list(struct texts *, const char *list, char **storage); /* at ','; free both; NULL: nothing */
char *base_name(const char *path);           /* "phones/pixel9.json" is called pixel9; the caller frees it */
ol_binding *dims_of(const struct options *); /* --dim; the caller frees it */
/* Says what went wrong, frees the study and gives the exit code. */
int study_end(ol_study *, ol_status);

/* ---- cmd_*.c ---- */

int command_predict(const struct options *);
int command_profile(const struct options *);
int command_rank(const struct options *);
int command_check(const struct options *);
int command_targets(const struct options *);
int command_adapt(const struct options *);
int command_plan(const struct options *);
int command_evaluate(const struct options *);
int command_build(const struct options *);
int command_calibrate(const struct options *);
int command_measure(const struct options *);
int command_search(const struct options *);

#endif
