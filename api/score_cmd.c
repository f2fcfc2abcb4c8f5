/* Candidates as files, and a command that scores them: run by the shell, bounded in time, the last number on its output
 * counts. Ended by a signal, neither outlives the search. */
#include "search_api.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 2, OUTPUT_MAX = 64 << 10, LONGEST_WAIT = 3600 /* seconds at a time */ };

extern char **environ;

/* '...' around the path, so that the shell takes it as one word. */
static char *quoted(const char *path) {
    char *out = malloc(strlen(path) * 4 + 3), *at = out;
    if (!out) return NULL;
    *at++ = '\'';
    for (; *path; path++)
        if (*path == '\'')
            memcpy(at, "'\\''", 4), at += 4;
        else
            *at++ = *path;
    *at++ = '\'';
    *at = '\0';
    return out;
}

/* Every {} of the command becomes the path. */
static char *fill_in(const char *command, const char *path) {
    char *word = quoted(path), *out = NULL;
    size_t size = 0;
    FILE *text = word ? open_memstream(&out, &size) : NULL;
    for (const char *c = command; text && *c; c++)
        if (c[0] == '{' && c[1] == '}')
            fputs(word, text), c++;
        else
            fputc(*c, text);
    if (text) fclose(text);
    free(word);
    return out;
}

static bool spawn(const char *command, pid_t *pid, int *output) {
    int fds[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    if (pipe2(fds, O_CLOEXEC)) return false; /* else commands run at once would hold each other's ends open */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP); /* a group of its own, to be ended whole */
    bool started = !posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    *output = fds[0];
    if (!started) close(fds[0]);
    return started;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* False when the time is up. The end of the output counts: of more than fits, the older half is forgotten. */
static bool read_until(int fd, double deadline, char *out) {
    size_t n = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        double left = deadline - now();
        char chunk[4096];
        if (left <= 0) return false;
        if (poll(&wait, 1, (int)ceil(fmin(left, LONGEST_WAIT) * 1e3)) <= 0) continue;
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (n + (size_t)got >= OUTPUT_MAX) {
            memmove(out, out + n - OUTPUT_MAX / 2, OUTPUT_MAX / 2);
            n = OUTPUT_MAX / 2;
        }
        memcpy(out + n, chunk, (size_t)got);
        n += (size_t)got;
    }
    out[n] = '\0';
    return true;
}

/* ---- What a process that is ended would leave behind ---- */

enum { MOST_AT_ONCE = 256, FREE = 0, TAKEN, NOTED };

static struct note { /* of a candidate's file */
    atomic_int state;
    char path[512];
} notes[MOST_AT_ONCE];
static atomic_int groups[MOST_AT_ONCE]; /* of processes that run; 0: free */

static void note_file(const char *path) {
    for (size_t i = 0; i < COUNT_OF(notes) && strlen(path) < sizeof notes[i].path; i++) {
        int expected = FREE;
        if (!atomic_compare_exchange_strong(&notes[i].state, &expected, TAKEN)) continue;
        strcpy(notes[i].path, path);
        atomic_store(&notes[i].state, NOTED);
        return;
    }
}

static void forget_file(const char *path) {
    for (size_t i = 0; i < COUNT_OF(notes); i++)
        if (atomic_load(&notes[i].state) == NOTED && strcmp(notes[i].path, path) == 0)
            atomic_store(&notes[i].state, FREE);
}

/* With the weights beside it, if there are any. */
static void remove_file(const char *path) {
    char data[sizeof notes->path + sizeof ".data"];
    unlink(path);
    if (strlen(path) >= sizeof notes->path) return;
    strcpy(data, path);
    unlink(strcat(data, ".data"));
}

static void replace_group(int was, int now) {
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        int expected = was;
        if (atomic_compare_exchange_strong(&groups[i], &expected, now)) return;
    }
}

void ol_search_abandon(void) {
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        int group = atomic_load(&groups[i]);
        if (group > 0) kill(-group, SIGKILL);
    }
    for (size_t i = 0; i < COUNT_OF(notes); i++)
        if (atomic_load(&notes[i].state) == NOTED) remove_file(notes[i].path);
}

/* ---- Candidates ---- */

const char *score_model_folder(void) {
    const char *base = getenv("TMPDIR");
    return base && *base ? base : P_tmpdir;
}

const char *score_model_path(struct arena *arena) {
    char *path = arena_printf(arena, "%s/onnx-latency-XXXXXX.onnx", score_model_folder());
    int fd = mkstemps(path, 5);
    if (fd < 0) return NULL;
    close(fd);
    note_file(path);
    return path;
}

void score_model_remove(const char *path) {
    remove_file(path);
    forget_file(path);
}

static bool in_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* Words are no numbers, though "resnet50" ends and "info" begins like one. A "nan" by itself is: a score that failed.
 */
static double last_number(const char *text) {
    double found = NAN;
    for (const char *at = text; *at;) {
        char *end;
        double number = num_read_f64(at, &end);
        bool begins = at == text || !in_word(at[-1]), spelt = end > at && isalpha((unsigned char)end[-1]);
        if (end == at || !begins || (spelt && in_word(*end)))
            at++;
        else {
            found = number;
            at = end;
        }
    }
    return isfinite(found) ? found : NAN;
}

static double run_once(const char *command, double seconds, char *output) {
    pid_t pid;
    int fd, status = 0;
    if (!spawn(command, &pid, &fd)) return NAN;
    replace_group(0, pid);
    bool ended = read_until(fd, now() + seconds, output);
    close(fd);
    if (!ended) kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    replace_group(pid, 0);
    bool good = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return good ? last_number(output) : NAN;
}

double score_command(const char *command, const char *model_path, double seconds) {
    char *filled = fill_in(command, model_path), *output = malloc(OUTPUT_MAX);
    double score = NAN;
    for (int i = 0; i < TRIES && filled && output && isnan(score); i++) score = run_once(filled, seconds, output);
    free(output);
    free(filled);
    return score;
}
