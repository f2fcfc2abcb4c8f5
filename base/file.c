/* Mapped input files; output files that appear complete or not at all. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status map_descriptor(struct file_map *map, int fd, const char *path, struct diag *diag) {
    struct stat st;
    if (fstat(fd, &st)) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return diag_fail(diag, ST_IO, "%s: is a directory", path);
    if (!S_ISREG(st.st_mode)) return diag_fail(diag, ST_IO, "%s: is not a regular file", path);
    if (!st.st_size) return ST_OK;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    *map = (struct file_map){bytes, (size_t)st.st_size};
    return ST_OK;
}

enum status file_map_open(struct file_map *map, const char *path, struct diag *diag) {
    *map = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
    if (fd < 0) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    enum status status = map_descriptor(map, fd, path, diag);
    close(fd);
    return status;
}

void file_map_close(struct file_map *map) {
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->length);
    *map = (struct file_map){0};
}

enum status file_out_open(struct file_out *out, const char *path, struct diag *diag) {
    *out = (struct file_out){.path = arena_printf(diag->arena, "%s", path),
                             .temporary = arena_printf(diag->arena, "%s.XXXXXX", path)};
    int fd = mkstemp(out->temporary);
    if (fd < 0) return diag_fail(diag, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
    mode_t mask = umask(0);
    umask(mask);
    bool ready = !fchmod(fd, 0666 & ~mask) && (out->stream = fdopen(fd, "wb"));
    if (ready) return ST_OK;
    close(fd);
    unlink(out->temporary);
    return diag_fail(diag, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
}

enum status file_out_commit(struct file_out *out, struct diag *diag) {
    bool written = !ferror(out->stream) && !fflush(out->stream) && !fsync(fileno(out->stream));
    int error = errno;
    bool closed = !fclose(out->stream);
    out->stream = NULL;
    if (written && closed && !rename(out->temporary, out->path)) return ST_OK;
    if (written) error = errno;
    unlink(out->temporary);
    return diag_fail(diag, ST_IO, "%s: cannot be written: %s", out->path, strerror(error));
}

void file_out_abandon(struct file_out *out) {
    if (!out->stream) return;
    fclose(out->stream);
    out->stream = NULL;
    unlink(out->temporary);
}
