/* This machine as a target without ONNX Runtime: onnx-latency-codegen times its kernels here, in a process of its own
 * since LLVM may end it, and the answer is a table of one CPU, "host". */
#include "measure.h"
#include "predictor.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_NAME "onnx-latency-codegen"

extern char **environ;

/* Where the environment says, beside this program, or somewhere in the PATH. */
static const char *find_program(struct arena *arena) {
    const char *said = getenv("ONNX_LATENCY_CODEGEN");
    if (said && *said) return said;
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash) return PROGRAM_NAME;
    *slash = '\0';
    const char *beside = arena_printf(arena, "%s/" PROGRAM_NAME, self);
    return access(beside, X_OK) == 0 ? beside : PROGRAM_NAME;
}

/* Runs `program host` with its answer in the file; its exit code, 127 when it did not start. */
static int run_host(const char *program, int answer) {
    char *argv[] = {PROGRAM_NAME, "host", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, answer, STDOUT_FILENO);
    int failure = posix_spawnp(&child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure || waitpid(child, &status, 0) < 0) return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static enum status read_host(struct target **target, int threads, const char *program, int answer, struct arena *arena,
                             struct diag *diag) {
    const char *spec = arena_printf(arena, "llvm:host,cores=%d,runtime=ort", threads > 0 ? threads : 1);
    struct diag own;
    diag_init(&own, arena);
    if (llvm_target(target, spec, arena_printf(arena, "/proc/self/fd/%d", answer), arena, &own) != ST_OK)
        return diag_fail(diag, ST_MISSING, "%s: its answer is no table of this machine", program);
    (*target)->name = "host";
    (*target)->source = "kernels and bandwidths timed on this machine by " PROGRAM_NAME "; no model was run";
    return ST_OK;
}

enum status measure_host_cpu(struct target **target, int threads, struct arena *arena, struct diag *diag) {
    const char *folder = getenv("TMPDIR"), *program = find_program(arena);
    char *path = arena_printf(arena, "%s/onnx-latency-host-XXXXXX", folder && *folder ? folder : P_tmpdir);
    int answer = mkstemp(path);
    if (answer < 0) return diag_fail(diag, ST_IO, "%s: no temporary file", path);
    unlink(path); /* whatever ends this process leaves nothing behind */
    int code = run_host(program, answer);
    enum status status;
    if (code == 127)
        status = diag_fail(diag, ST_MISSING,
                           "%s did not start: build with LLVM 19 (llvm-19-dev), or set ONNX_LATENCY_CODEGEN", program);
    else if (code)
        status = diag_fail(diag, ST_MISSING, "%s could not time this machine", program);
    else
        status = read_host(target, threads, program, answer, arena, diag);
    close(answer);
    return status;
}
