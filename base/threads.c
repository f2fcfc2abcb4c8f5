/* A loop over several threads. */
#include "base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

struct loop {
    atomic_size_t next;
    size_t count;
    void (*fn)(void *user, size_t i, unsigned worker);
    void *user;
};

struct worker {
    struct loop *loop;
    unsigned index;
    pthread_t thread;
};

static void *work(void *argument) {
    const struct worker *worker = argument;
    struct loop *loop = worker->loop;
    for (size_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->count;) loop->fn(loop->user, i, worker->index);
    return NULL;
}

void parallel_for(unsigned jobs, size_t count, void (*fn)(void *user, size_t i, unsigned worker), void *user) {
    struct loop loop = {.count = count, .fn = fn, .user = user};
    struct worker workers[MAX_THREADS];
    if (jobs > MAX_THREADS) jobs = MAX_THREADS;
    if (jobs > count) jobs = (unsigned)count;
    unsigned started = 1;
    workers[0] = (struct worker){.loop = &loop};
    for (unsigned i = 1; i < jobs; i++) {
        workers[i] = (struct worker){.loop = &loop, .index = i};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) break;
        started++;
    }
    work(&workers[0]);
    for (unsigned i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
}

unsigned cpu_count(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
