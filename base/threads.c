/* Loops over several threads, of work that cannot fail and of work that may. */
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

/* ---- Work that may fail ---- */

struct attempt { /* of a worker: all it did until something failed */
    struct arena scratch;
    struct diag diag;
    jmp_buf oom;
    size_t failed_at;
    enum status status;
};

struct attempts {
    enum status (*fn)(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *);
    void *user;
    struct attempt *workers;
    atomic_size_t first; /* that failed so far */
};

static void note_failure(struct attempts *all, struct attempt *a, size_t i) {
    size_t first = atomic_load(&all->first);
    a->failed_at = i;
    while (i < first && !atomic_compare_exchange_weak(&all->first, &first, i)) {
    }
}

/* All before the first that failed are tried, so that it is the first whatever the threads do. */
static void attempt_one(void *user, size_t i, unsigned worker) {
    struct attempts *all = user;
    struct attempt *a = &all->workers[worker];
    if (i > atomic_load(&all->first)) return;
    if (setjmp(a->oom)) {
        a->status = a->diag.status = ST_MEMORY;
        a->diag.message = status_text(ST_MEMORY);
    } else {
        a->status = all->fn(all->user, i, worker, &a->scratch, &a->diag);
    }
    if (a->status == ST_OK)
        arena_reset(&a->scratch);
    else
        note_failure(all, a, i);
}

enum status parallel_try(unsigned jobs, size_t count,
                         enum status (*fn)(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *),
                         void *user, struct arena *arena, struct diag *diag) {
    if (jobs > MAX_THREADS) jobs = MAX_THREADS;
    struct attempts all = {.fn = fn, .user = user, .workers = arena_array(arena, jobs, sizeof *all.workers)};
    atomic_init(&all.first, SIZE_MAX);
    for (unsigned i = 0; i < jobs; i++) {
        arena_init(&all.workers[i].scratch, arena->allocator, &all.workers[i].oom);
        diag_init(&all.workers[i].diag, &all.workers[i].scratch);
        all.workers[i].failed_at = SIZE_MAX;
    }
    parallel_for(jobs, count, attempt_one, &all);
    const struct attempt *first = &all.workers[0];
    for (unsigned i = 1; i < jobs; i++)
        if (all.workers[i].failed_at < first->failed_at) first = &all.workers[i];
    enum status status = first->status;
    if (status != ST_OK) diag_fail(diag, status, "%s", first->diag.message);
    for (unsigned i = 0; i < jobs; i++) arena_free(&all.workers[i].scratch);
    return status;
}

unsigned cpu_count(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
