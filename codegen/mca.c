/* Cycles of inner loops by llvm-mca. The program is called, not linked: LLVM's C API has no entry to it, and a loop its
 * models cannot take must not end this process. */
#include "codegen.h"
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MCA        LLVM_BIN_DIR "/llvm-mca" /* of the LLVM this is linked to: a plain llvm-mca may be an older one */
#define ITERATIONS 120                      /* fewer under-read short loops: filling the pipeline shows */

extern char **environ;

static const char *line_end(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end : line + strlen(line);
}

static bool contains(const char *from, const char *to, const char *word) {
    const char *at = strstr(from, word);
    return at && at < to;
}

/* The loop begins at the label whose comment carries the block's name, and ends at the branch back to that label. */
static const char *find_loop(const char *function, char *label, size_t size) {
    const char *comment = strstr(function, "kernel.loop");
    if (!comment) return NULL;
    const char *line = comment;
    while (line > function && line[-1] != '\n') line--;
    size_t length = strcspn(line, ":");
    if (length >= size || line + length > comment) return NULL;
    memcpy(label, line, length);
    label[length] = '\0';
    return line_end(comment);
}

static bool is_instruction(const char *line, const char *end) {
    while (line < end && (*line == ' ' || *line == '\t')) line++;
    return line < end && *line != '.' && *line != '#' && *line != '/' && !memchr(line, ':', strcspn(line, " \t\n"));
}

bool region_cut(struct region *region, const char *assembly, const char *name, struct arena *arena) {
    char label[64];
    const char *start = strstr(assembly, arena_printf(arena, "\n%s:", name));
    const char *line = start ? find_loop(start + 1, label, sizeof label) : NULL;
    if (!line) return false;
    char *text = arena_alloc(arena, strlen(line) + 1), *out = text;
    *region = (struct region){.name = name, .text = text};
    for (bool closed = false; !closed && *line; line = line_end(line)) {
        const char *end = line_end(++line);
        region->spills |= contains(line, end, "Spill") || contains(line, end, "Reload");
        if (!is_instruction(line, end)) continue;
        size_t length = (size_t)(end - line);
        memcpy(out, line, length);
        out += length;
        *out++ = '\n';
        size_t code = strcspn(line, "#\n");
        const char *target = strstr(line, label);
        closed = target && target < line + code;
    }
    *out = '\0';
    return out > text;
}

static char *mca_input(const struct cpu *cpu, const struct region *regions, size_t n, size_t *length) {
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out) return NULL;
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "# LLVM-MCA-BEGIN %s\n", regions[i].name);
        /* The length multiplier is set before the loop, out of sight of the region. */
        if (cpu->arch == RISCV) fprintf(out, "# LLVM-MCA-RISCV-LMUL M1\n# LLVM-MCA-RISCV-SEW E32\n");
        fprintf(out, "%s# LLVM-MCA-END\n", regions[i].text);
    }
    return fclose(out) == 0 ? text : (free(text), NULL);
}

static void write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* the child is gone; its answer will say so */
        bytes += n;
        length -= (size_t)n;
    }
}

static char *read_all(int fd) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    char chunk[4096];
    for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) != 0;) {
        if (n < 0 && errno != EINTR) break;
        if (n > 0 && out) fwrite(chunk, 1, (size_t)n, out);
    }
    if (out) fclose(out);
    return text;
}

/* Runs a program with `input` on its standard input; what it prints, or NULL. It reads all before it writes. */
static char *run_filter(char *const argv[], const char *input, size_t length, int *exit_code) {
    int in[2], out[2];
    if (pipe(in)) return NULL;
    if (pipe(out)) return close(in[0]), close(in[1]), NULL;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    for (int i = 0; i < 2; i++) {
        posix_spawn_file_actions_addclose(&actions, in[i]);
        posix_spawn_file_actions_addclose(&actions, out[i]);
    }
    pid_t pid;
    int failure = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    char *answer = NULL;
    if (!failure) write_all(in[1], input, length);
    close(in[1]);
    if (!failure) answer = read_all(out[0]);
    close(out[0]);
    int status = 0;
    *exit_code = failure || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ? 127 : WEXITSTATUS(status);
    return answer;
}

static struct region *region_named(struct region *regions, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (name && strcmp(regions[i].name, name) == 0) return &regions[i];
    return NULL;
}

static enum status read_answer(const char *text, struct region *regions, size_t n, struct diag *diag) {
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    if (!root) return diag_fail(diag, ST_MISSING, "%s: its answer is no JSON", MCA);
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "CodeRegions")) {
        struct region *region = region_named(regions, n, json_string_or(item, "Name", NULL));
        const cJSON *view = cJSON_GetObjectItem(item, "SummaryView");
        double iterations = json_number_or(view, "Iterations", 0);
        if (!region || iterations <= 0) continue;
        region->cycles = json_number_or(view, "TotalCycles", 0) / iterations;
        region->least_cycles = json_number_or(view, "BlockRThroughput", 0);
    }
    cJSON_Delete(root);
    return ST_OK;
}

enum status mca_run(const struct cpu *cpu, struct region *regions, size_t n, struct arena *arena, struct diag *diag) {
    /* A stand-in's model must accept what the real CPU's instructions need; x86's parser never asks. */
    const char *features =
        cpu->arch != X86 && cpu->model ? "-mattr=+all" : arena_printf(arena, "-mattr=%s", cpu->features);
    char *argv[] = {MCA,
                    "--json",
                    arena_printf(arena, "--iterations=%d", ITERATIONS),
                    "--instruction-info=0",
                    "--resource-pressure=0",
                    "--skip-unsupported-instructions=lack-sched",
                    arena_printf(arena, "-mtriple=%s", arch_triple(cpu->arch)),
                    arena_printf(arena, "-mcpu=%s", cpu->model ? cpu->model : cpu->llvm_name),
                    (char *)features,
                    NULL};
    size_t length = 0;
    char *input = mca_input(cpu, regions, n, &length);
    if (!input) return diag_fail(diag, ST_MEMORY, "out of memory");
    int code = 127;
    char *answer = run_filter(argv, input, length, &code);
    free(input);
    enum status status = code == 127 ? diag_fail(diag, ST_MISSING, "%s did not start: install llvm-19", MCA)
                         : code      ? diag_fail(diag, ST_MISSING, "%s: failed on the kernels of %s", MCA, cpu->name)
                                     : read_answer(answer, regions, n, diag);
    free(answer);
    return status;
}
