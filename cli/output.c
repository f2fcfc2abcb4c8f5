/* Where results go: stdout, or a file that appears complete or not at all. */
#include "cli.h"

#include <errno.h>
#include <string.h>

void output_open(struct output *o, const struct options *options) {
    *o = (struct output){.stream = stdout, .path = options->output};
    if (!o->path) return;
    buffer_open(&o->buffer);
    o->stream = o->buffer.stream;
}

static bool flush_stdout(void) {
    if (!fflush(stdout) && !ferror(stdout)) return true;
    fprintf(stderr, PROGRAM_NAME ": standard output: %s\n", strerror(errno));
    return false;
}

bool output_close(struct output *o) {
    char message[512];
    if (!o->path) return flush_stdout();
    buffer_close(&o->buffer);
    bool is_written = ol_write_file(o->path, o->buffer.bytes, o->buffer.length, message, sizeof message) == OL_OK;
    if (!is_written) fprintf(stderr, "%s\n", message);
    buffer_free(&o->buffer);
    return is_written;
}
