/* The program as its users see it: transcripts in tests/cli/, commands and exactly what they print.
 *
 * A transcript is prose; what is indented by two spaces is a session: a command after "$ ", what it writes to both
 * streams, and its exit status in brackets when that is not 0. Commands run in the source tree with the program first
 * in PATH. UPDATE_TRANSCRIPTS=1 writes what the commands print now; the difference is to be reviewed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *read_all(FILE *in) {
    char *text = NULL, chunk[4096];
    size_t length = 0, n;
    FILE *out = open_memstream(&text, &length);
    cr_assert(in && out);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) fwrite(chunk, 1, n, out);
    fclose(out);
    return text;
}

static char *read_path(const char *path) {
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in, "%s: %s", path, strerror(errno));
    char *text = read_all(in);
    fclose(in);
    return text;
}

/* Lines of `text`, indented; a last line without an end gets one. */
static void put_indented(FILE *out, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        fprintf(out, n ? "  %.*s\n" : "\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void run_command(FILE *out, const char *command, size_t length) {
    char *line = malloc(length + 32);
    sprintf(line, "exec 2>&1; %.*s", (int)length, command);
    FILE *process = popen(line, "r");
    char *text = read_all(process);
    int status = pclose(process);
    put_indented(out, text);
    if (!WIFEXITED(status))
        fprintf(out, "  [signal]\n");
    else if (WEXITSTATUS(status))
        fprintf(out, "  [%d]\n", WEXITSTATUS(status));
    free(text);
    free(line);
}

/* An empty line inside of output is no prose: it ends at the next line that is neither empty nor indented. */
static bool is_output(const char *line, bool in_session) {
    if (strncmp(line, "  ", 2) == 0) return true;
    if (!in_session || *line != '\n') return false;
    line += strspn(line, "\n");
    return strncmp(line, "  ", 2) == 0 && strncmp(line, "  $ ", 4) != 0;
}

static char *replay(const char *transcript) {
    char *text = NULL;
    size_t length = 0;
    bool in_session = false;
    FILE *out = open_memstream(&text, &length);
    for (const char *line = transcript; *line;) {
        size_t n = strcspn(line, "\n");
        n += line[n] == '\n';
        bool is_command = strncmp(line, "  $ ", 4) == 0;
        if (is_command || !is_output(line, in_session)) fwrite(line, 1, n, out);
        if (is_command) run_command(out, line + 4, strcspn(line + 4, "\n"));
        in_session = is_command || (in_session && is_output(line, in_session));
        line += n;
    }
    fclose(out);
    return text;
}

static void check_transcript(const char *path) {
    char *expected = read_path(path), *actual = replay(expected);
    if (strcmp(expected, actual) != 0 && getenv("UPDATE_TRANSCRIPTS")) {
        FILE *out = fopen(path, "wb");
        fputs(actual, out);
        fclose(out);
    } else if (strcmp(expected, actual) != 0) {
        size_t same = 0, line = 1;
        for (size_t i = 0; expected[i] && expected[i] == actual[i]; i++)
            if (expected[i] == '\n') same = i + 1, line++;
        cr_expect(false, "%s:%zu:\nexpected: %.*s\nactual:   %.*s", path, line, (int)strcspn(expected + same, "\n"),
                  expected + same, (int)strcspn(actual + same, "\n"), actual + same);
    }
    free(expected);
    free(actual);
}

Test(cli, transcripts, .timeout = 240) {
    glob_t found;
    char path[4096];
    snprintf(path, sizeof path, "%.*s:%s", (int)(strrchr(PROGRAM, '/') - PROGRAM), PROGRAM, getenv("PATH"));
    setenv("PATH", path, 1);
    unsetenv("ONNX_LATENCY_TARGETS");
    cr_assert_eq(chdir(SOURCE_DIR), 0);
    cr_assert_eq(glob("tests/cli/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) check_transcript(found.gl_pathv[i]);
    globfree(&found);
}
