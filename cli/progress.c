/* A progress bar: on a terminal, on stderr, once the work has taken a second. */
#include "cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 40 };

struct progress {
    pthread_mutex_t lock;
    size_t total, done;
    double started, drawn; /* seconds; 0: not drawn yet */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct progress *progress_start(size_t total, bool quiet) {
    if (quiet || total < 2 || !isatty(STDERR_FILENO)) return NULL;
    struct progress *p = xrealloc(NULL, sizeof *p);
    *p = (struct progress){.total = total, .started = now()};
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

static void draw(struct progress *p, double time) {
    size_t filled = WIDTH * p->done / p->total;
    double left = (time - p->started) / (double)p->done * (double)(p->total - p->done);
    fprintf(stderr, "\r[");
    for (size_t i = 0; i < WIDTH; i++) fputc(i < filled ? '=' : ' ', stderr);
    fprintf(stderr, "] %zu of %zu, %.0f s left \033[K", p->done, p->total, left);
    p->drawn = time;
}

void progress_step(struct progress *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    double time = now();
    p->done++;
    if (time - p->started > 1 && time - p->drawn > 0.1) draw(p, time);
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p) {
    if (!p) return;
    if (p->drawn > 0) fprintf(stderr, "\r\033[K");
    pthread_mutex_destroy(&p->lock);
    free(p);
}
