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

static enum status open_regular(int *fd, size_t *length, const char *path, struct diag *diag) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
    if (*fd < 0 || fstat(*fd, &st)) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return diag_fail(diag, ST_IO, "%s: is a directory", path);
    if (!S_ISREG(st.st_mode)) return diag_fail(diag, ST_IO, "%s: is not a regular file", path);
    *length = (size_t)st.st_size;
    return ST_OK;
}

static enum status map_descriptor(struct file_map *map, const char *path, struct diag *diag) {
    TRY(open_regular(&map->file, &map->length, path, diag));
    if (!map->length) return ST_OK;
    void *bytes = mmap(NULL, map->length, PROT_READ, MAP_PRIVATE, map->file, 0);
    if (bytes == MAP_FAILED) return diag_fail(diag, ST_IO, "%s: %s", path, strerror(errno));
    map->bytes = bytes;
    return ST_OK;
}

enum status file_map_open(struct file_map *map, const char *path, struct diag *diag) {
    *map = (struct file_map){.file = -1};
    enum status status = map_descriptor(map, path, diag);
    if (map->bytes) return ST_OK;
    if (map->file >= 0) close(map->file);
    *map = (struct file_map){.file = -1};
    return status;
}

static enum status read_descriptor(char **text, int fd, size_t length, const char *path, struct diag *diag) {
    *text = malloc(length + 1);
    if (!*text) return diag_fail(diag, ST_MEMORY, "%s", status_text(ST_MEMORY));
    for (size_t have = 0; have < length;) {
        ssize_t got = read(fd, *text + have, length - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return diag_fail(diag, ST_IO, "%s: %s", path, got ? strerror(errno) : "became shorter");
        have += (size_t)got;
    }
    (*text)[length] = 0;
    return ST_OK;
}

enum status file_read(char **text, size_t *length, const char *path, struct diag *diag) {
    int fd;
    *text = NULL;
    enum status status = open_regular(&fd, length, path, diag);
    if (status == ST_OK) status = read_descriptor(text, fd, *length, path, diag);
    if (fd >= 0) close(fd);
    if (status == ST_OK) return ST_OK;
    free(*text);
    *text = NULL;
    return status;
}

void file_map_shut(struct file_map *map) {
    if (map->bytes && map->file >= 0) close(map->file);
    map->file = -1;
}

void file_map_close(struct file_map *map) {
    file_map_shut(map);
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->length);
    *map = (struct file_map){.file = -1};
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

bool file_same(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum status file_can_write(const char *path, struct diag *diag) {
    struct file_out out;
    struct stat st;
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode)) return cannot_write(path, EISDIR, diag);
    if (exists && !S_ISREG(st.st_mode)) /* opening a pipe and leaving it again would end its reader */
        return access(path, W_OK) ? cannot_write(path, errno, diag) : ST_OK;
    TRY(file_out_open(&out, path, diag));
    file_out_abandon(&out);
    return ST_OK;
}
