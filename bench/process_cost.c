/* What a whole process costs: process_cost RUNS COMMAND [ARGUMENT...]
 *
 * Runs the command RUNS times after one run to warm up, its output thrown away, and prints the medians:
 * wall milliseconds, processor milliseconds (user and system), and the peak of resident memory in MB. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

struct cost {
    double wall_ms, cpu_ms, peak_mb;
};

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static double ms(struct timeval t) {
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec * 1e-3;
}

static int run_once(char **command, const posix_spawn_file_actions_t *quiet, struct cost *cost) {
    double start = now_ms();
    pid_t child;
    int error = posix_spawnp(&child, command[0], quiet, NULL, command, environ);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", command[0], strerror(error));
        return 1;
    }
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0) {
        if (errno != EINTR) return 1;
    }
    cost->wall_ms = now_ms() - start;
    cost->cpu_ms = ms(usage.ru_utime) + ms(usage.ru_stime);
    cost->peak_mb = (double)usage.ru_maxrss * 1024.0 / 1e6;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "%s failed\n", command[0]);
        return 1;
    }
    return 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of one field; `field` is its offset in doubles. */
static double median(const struct cost *costs, size_t n, size_t field, double *scratch) {
    for (size_t i = 0; i < n; i++) scratch[i] = ((const double *)&costs[i])[field];
    qsort(scratch, n, sizeof *scratch, ascending);
    return n % 2 ? scratch[n / 2] : (scratch[n / 2 - 1] + scratch[n / 2]) / 2;
}

int main(int argc, char **argv) {
    long runs = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (runs < 1 || runs > 1000000) {
        fprintf(stderr, "usage: process_cost RUNS COMMAND [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);

    size_t n = (size_t)runs;
    struct cost warm, *costs = calloc(n, sizeof *costs);
    double *scratch = calloc(n, sizeof *scratch);
    int failed = !costs || !scratch || run_once(argv + 2, &quiet, &warm);
    for (size_t i = 0; i < n && !failed; i++) failed = run_once(argv + 2, &quiet, &costs[i]);
    if (!failed) {
        printf("%.3f %.3f %.2f\n", median(costs, n, 0, scratch), median(costs, n, 1, scratch),
               median(costs, n, 2, scratch));
    }
    free(costs);
    free(scratch);
    posix_spawn_file_actions_destroy(&quiet);
    return failed;
}
