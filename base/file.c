/* Mapped input files; output files that appear complete or not at all. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
    *map = (struct file_map){bytes, (size_t)st.st_size, fd};
    return ST_OK;
}

enum status file_map_open(struct file_map *map, const char *path, struct diag *diag) {
    *map = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
    if (fd < 0) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    enum status status = map_descriptor(map, fd, path, diag);
    if (!map->bytes) close(fd);
    return status;
}

void file_map_shut(struct file_map *map) {
    if (map->bytes && map->file >= 0) close(map->file);
    map->file = -1;
}

void file_map_close(struct file_map *map) {
    file_map_shut(map);
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->length);
    *map = (struct file_map){0};
}

static enum status cannot_write(const char *path, int error, struct diag *diag) {
    return diag_fail(diag, ST_IO, "%s: cannot be written: %s", path, strerror(error));
}

/* A new file beside `path` with the permissions a new file has here, or those of the file it will replace. */
static int open_beside(struct file_out *out, const struct stat *old, struct diag *diag) {
    enum { TRIES = 1000 };
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; fd < 0 && errno == EEXIST && i < TRIES; i++) {
        out->temporary = arena_printf(diag->arena, "%s.%ld-%d.tmp", out->path, (long)getpid(), i);
        fd = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd >= 0 && old) (void)!fchmod(fd, old->st_mode & 0777); /* not ours to insist */
    return fd;
}

/* A link stays a link: the file it leads to is the one replaced. */
static char *followed(const char *path, struct diag *diag) {
    char real[PATH_MAX];
    return arena_printf(diag->arena, "%s", realpath(path, real) ? real : path);
}

enum status file_out_open(struct file_out *out, const char *path, struct diag *diag) {
    struct stat st;
    bool exists = !stat(path, &st), in_place = exists && !S_ISREG(st.st_mode); /* a pipe, a terminal, /dev/null */
    *out = (struct file_out){.path = followed(path, diag)};
    int fd = in_place ? open(path, O_WRONLY | O_CLOEXEC) : open_beside(out, exists ? &st : NULL, diag);
    if (fd < 0) return cannot_write(path, errno, diag);
    out->stream = fdopen(fd, "wb");
    if (out->stream) return ST_OK;
    int error = errno;
    close(fd);
    if (out->temporary) unlink(out->temporary);
    return cannot_write(path, error, diag);
}

static int finish(struct file_out *out) {
    errno = 0;
    bool written = !ferror(out->stream) && !fflush(out->stream) && (!out->temporary || !fsync(fileno(out->stream)));
    int error = errno;
    bool closed = !fclose(out->stream);
    out->stream = NULL;
    if (!written || !closed) return error ? error : closed ? EIO : errno;
    return out->temporary && rename(out->temporary, out->path) ? errno : 0;
}

enum status file_out_commit(struct file_out *out, struct diag *diag) {
    int error = finish(out);
    if (!error) return ST_OK;
    if (out->temporary) unlink(out->temporary);
    return cannot_write(out->path, error, diag);
}

void file_out_abandon(struct file_out *out) {
    if (!out->stream) return;
    fclose(out->stream);
    out->stream = NULL;
    if (out->temporary) unlink(out->temporary);
}
