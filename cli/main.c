/* onnx-latency COMMAND [options] FILE... */
#include "cli.h"

#include <errno.h>
#include <string.h>

const struct command commands[] = {
    {"predict", "MODEL|-... -t TARGET [-t ...]", "latency of models on targets",
     G_COMMON | G_MODEL | G_PASSES | G_TARGET | G_KERNELS,
     "Every latency comes with the interval that holds the truth with the confidence stated; - reads paths of models\n"
     "from standard input, a line each.",
     command_predict},
    {"profile", "MODEL|-...", "what models cost on no device in particular", G_COMMON | G_MODEL | G_PASSES,
     "Shapes, multiply-accumulates, parameters, bytes, arithmetic intensity and peak memory, a row a node.",
     command_profile},
    {"rank", "MODEL|DIR|-... -t TARGET", "orders models, fastest first",
     G_COMMON | G_MODEL | G_PASSES | G_TARGET | G_KERNELS | G_TOP,
     "Folders stand for the *.onnx files below them; - reads paths from standard input, a line each.", command_rank},
    {"check", "MODEL|-... -t TARGET --budget MS", "exit status 3 when a model is over budget",
     G_COMMON | G_MODEL | G_PASSES | G_TARGET | G_KERNELS | G_BUDGET, NULL, command_check},
    {"targets", "[NAME...]", "lists targets, or shows some whole", G_COMMON, NULL, command_targets},
    {"adapt", "--proxy P[,P...]|auto -m M.csv -o T.json", "a new target from a few measurements",
     G_COMMON | G_STUDY | G_METHOD | G_ADAPT | G_BATCH | G_DIM,
     "Proxies are targets fitted on measurements. With --proxy none hundreds of measurements stand alone.",
     command_adapt},
    {"plan", "--proxy P[,P...]|auto --count N CANDIDATE...", "which of the candidates to measure next",
     G_COMMON | G_STUDY | G_COUNT | G_BATCH | G_DIM,
     "Candidates are models, or architectures of --space; - reads them from "
     "standard input.",
     command_plan},
    {"evaluate", "--table T.csv --space S", "repeats few-shot experiments on a measured table",
     G_COMMON | G_STUDY | G_METHOD | G_TABLE, NULL, command_evaluate},
    {"build", "SPACE ARCH -o M.onnx", "an ONNX model from a search-space architecture", G_COMMON | G_BATCH, NULL,
     command_build},
    {"calibrate", "-o T.json", "a target for this machine, measured here", G_COMMON | G_CALIBRATE,
     "ONNX Runtime is profiled on random networks for --minutes (default 5), which are kept beside the target: "
     "an\ninterrupted calibration goes on, another one adds to it. Leave the machine alone meanwhile.",
     command_calibrate},
    {"measure", "MODEL|-...", "real latency on this machine, through ONNX Runtime", G_COMMON | G_MODEL | G_MEASURE,
     "Inputs are made up. The library is found through ORT_DYLIB_PATH, the loader, or node_modules.", command_measure},
    {"search", "MODEL|--space S -t TARGET --budget MS -o OUT", "rewrites a model, or finds an architecture, that fits",
     G_COMMON | G_MODEL | G_TARGET | G_SEARCH,
     "Channels, heads and residual blocks go, least important first, and large kernels shrink, until the predicted "
     "latency meets the budget.",
     command_search},
    {NULL, NULL, NULL, 0, NULL, NULL},
};

static const struct command *find_command(const char *name) {
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static void print_help(FILE *out) {
    fprintf(out, "usage: " PROGRAM_NAME " COMMAND [options] FILE...\n\n"
                 "How long ONNX models take on a device, before they are deployed there.\n\n");
    for (const struct command *c = commands; c->name; c++) fprintf(out, "  %-10s %s\n", c->name, c->summary);
    fprintf(out, "\n  help COMMAND, COMMAND --help   what a command takes\n"
                 "  --version                      the program's version\n\n"
                 "Exit status: 0 done, 1 an input could not be read or analysed, 2 wrong usage, 3 the answer is no.\n");
}

static int unknown_command(const char *name) {
    fprintf(stderr, PROGRAM_NAME ": no command is called \"%s\"; \"" PROGRAM_NAME " help\" lists them\n", name);
    return EXIT_USAGE;
}

/* What could not be said on standard output is no success. */
static int said(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_DONE;
    fprintf(stderr, PROGRAM_NAME ": standard output: %s\n", strerror(errno));
    return EXIT_INPUT;
}

static int help(int argc, char **argv) {
    const struct command *command = argc > 0 ? find_command(argv[0]) : NULL;
    if (argc > 0 && !command) return unknown_command(argv[0]);
    if (command)
        print_command_help(command, stdout);
    else
        print_help(stdout);
    return said();
}

static bool can_write(const char *path) {
    char message[512];
    bool can = !path || ol_can_write_file(path, message, sizeof message) == OL_OK;
    if (!can) fprintf(stderr, "%s\n", message);
    return can;
}

/* Said before the work, not after it. */
static bool can_write_results(const struct options *o) {
    return can_write(o->plan ? NULL : o->output) && can_write(o->frontier);
}

static int run_with(const struct command *command, const struct options *o) {
    if (o->help) print_command_help(command, stdout);
    if (o->help) return said();
    return can_write_results(o) ? command->run(o) : EXIT_INPUT;
}

static int run(const struct command *command, int argc, char **argv) {
    struct options options;
    int code = options_parse(&options, command, argc, argv) ? run_with(command, &options) : EXIT_USAGE;
    options_free(&options);
    return code;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0) {
        printf(PROGRAM_NAME " %s\n", ol_version());
        return said();
    }
    const struct command *command = find_command(name);
    return command ? run(command, argc - 1, argv + 1) : unknown_command(name);
}
