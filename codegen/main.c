/* onnx-latency-codegen: `cpu NAME...`, `all`, `host`, `list`. JSON on standard output; 1 on failure, 2 on wrong usage.
 */
#include "codegen.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *to) {
    fprintf(to, "usage: onnx-latency-codegen COMMAND\n"
                "  cpu NAME...  what these CPUs can do an operation class and cycle, by simulation (llvm-mca)\n"
                "  all          the same for every CPU there is a row for: models/cpus.json\n"
                "  host         the same for this machine, timed, with its bandwidths\n"
                "  list         names of CPUs\n");
    return to == stdout ? 0 : 2;
}

static int fail(const struct diag *diag) {
    fprintf(stderr, "onnx-latency-codegen: %s\n", diag->message);
    return 1;
}

static int print(cJSON *answer) {
    char *text = cJSON_Print(answer);
    cJSON_Delete(answer);
    if (!text || puts(text) < 0 || fflush(stdout)) return fprintf(stderr, "onnx-latency-codegen: no output\n"), 1;
    cJSON_free(text);
    return 0;
}

static cJSON *table_start(cJSON **rows) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    char version[48];
    snprintf(version, sizeof version, "%u.%u.%u", major, minor, patch);
    cJSON *table = cJSON_CreateObject();
    cJSON_AddStringToObject(table, "schema", "onnx-latency/cpus/1");
    cJSON_AddStringToObject(table, "llvm", version);
    *rows = cJSON_AddArrayToObject(table, "cpus");
    return table;
}

static int price(const struct cpu *const *cpus, size_t n, struct arena *arena, struct diag *diag) {
    cJSON *rows, *table = table_start(&rows);
    for (size_t i = 0; i < n; i++) {
        cJSON *row = price_cpu(cpus[i], arena, diag);
        if (!row) return cJSON_Delete(table), fail(diag);
        cJSON_AddItemToArray(rows, row);
    }
    return print(table);
}

static int command_cpu(int argc, char **argv, struct arena *arena, struct diag *diag) {
    if (argc == 0) return usage(stderr);
    const struct cpu **cpus = arena_array(arena, (size_t)argc, sizeof *cpus);
    for (int i = 0; i < argc; i++) {
        cpus[i] = cpu_find(argv[i]);
        if (!cpus[i]) {
            diag_fail(diag, ST_USAGE, "%s: no such CPU; `onnx-latency-codegen list` names them", argv[i]);
            return fail(diag), 2;
        }
    }
    return price(cpus, (size_t)argc, arena, diag);
}

static int command_all(struct arena *arena, struct diag *diag) {
    const struct cpu **cpus = arena_array(arena, n_cpus, sizeof *cpus);
    for (size_t i = 0; i < n_cpus; i++) cpus[i] = &cpu_table[i];
    return price(cpus, n_cpus, arena, diag);
}

static int command_host(struct arena *arena, struct diag *diag) {
    cJSON *row = measure_host(arena, diag), *rows;
    if (!row) return fail(diag);
    cJSON *table = table_start(&rows);
    cJSON_AddItemToArray(rows, row);
    return print(table);
}

static int command_list(void) {
    for (size_t i = 0; i < n_cpus; i++) printf("%-20s %s\n", cpu_table[i].name, cpu_table[i].about);
    return fflush(stdout) ? 1 : 0;
}

static int run(int argc, char **argv, struct arena *arena, struct diag *diag) {
    const char *command = argc > 1 ? argv[1] : "";
    machine_init();
    if (strcmp(command, "cpu") == 0) return command_cpu(argc - 2, argv + 2, arena, diag);
    if (argc != 2) return usage(stderr);
    if (strcmp(command, "all") == 0) return command_all(arena, diag);
    if (strcmp(command, "host") == 0) return command_host(arena, diag);
    if (strcmp(command, "list") == 0) return command_list();
    return usage(strcmp(command, "--help") == 0 ? stdout : stderr);
}

int main(int argc, char **argv) {
    struct arena arena;
    struct diag diag;
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    signal(SIGPIPE, SIG_IGN); /* a simulator that ends early is told by its exit status */
    int code = run(argc, argv, &arena, &diag);
    arena_free(&arena);
    return code;
}
