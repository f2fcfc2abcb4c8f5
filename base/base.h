/* base: what every layer stands on. Depends on nothing of ours.
 *
 * Memory has a lifetime, not an owner per object: everything is allocated from an arena and dies with it.
 * Out of memory is the only non-local exit: the arena jumps to the jmp_buf its creator (an API entry) set.
 * Bad input returns a status and leaves a located message in a struct diag; our own bugs assert. */
#ifndef BASE_H
#define BASE_H

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK             __attribute__((warn_unused_result))
#else
#define PRINTF_LIKE(fmt, args)
#define MUST_CHECK
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NONE            UINT32_MAX /* the id of nothing, in every table */

enum status {
#define STATUS(id, text) ST_##id,
#include "status.def"
#undef STATUS
    ST_COUNT
};

const char *status_text(enum status);

/* Forwards a failure; the message was recorded where it happened. */
#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        enum status try_status_ = (expr);                                                                              \
        if (try_status_ != ST_OK) return try_status_;                                                                  \
    } while (0)

/* arena.c */

struct allocator {
    void *(*alloc)(void *user, size_t bytes); /* NULL when out of memory */
    void (*free)(void *user, void *block);
    void *user;
};

extern const struct allocator system_allocator; /* malloc and free; large blocks on huge pages */

struct arena_block;

struct arena {
    struct arena_block *head;
    const struct allocator *allocator; /* borrowed */
    jmp_buf *on_oom;                   /* jumped to when memory runs out; NULL aborts */
    size_t used_bytes;
    struct arena *inside, *next; /* the first of those that go with it; the next of the same */
};

void arena_init(struct arena *, const struct allocator *, jmp_buf *on_oom); /* NULL: the system's */
void *arena_alloc(struct arena *, size_t bytes);                            /* zeroed, aligned to 16; never NULL */
void *arena_array(struct arena *, size_t count, size_t size); /* as arena_alloc, overflow counts as out of memory */
/* A vector's storage with room for `want` elements: `old` itself or a larger copy. `*cap` is updated. */
void *arena_grow(struct arena *, const void *old, size_t count, size_t *cap, size_t want, size_t size);
void *arena_copy(struct arena *, const void *from, size_t bytes);
char *arena_strndup(struct arena *, const char *text, size_t length); /* adds the NUL */
char *arena_printf(struct arena *, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *, const char *fmt, va_list);
/* The texts in a row: where formatting would cost too much, as in messages made before anything failed. */
char *arena_join(struct arena *, const char *const *parts, size_t n);
void arena_reset(struct arena *); /* keeps one block */
/* An arena that goes with this one at the latest, so that a jump out of memory leaves nothing behind. */
struct arena *arena_inside(struct arena *);
void arena_free(struct arena *);

/* Appends to `items` (fields: items, n_items, cap_items of struct `s`). */
#define PUSH(arena, s, items, value)                                                                                   \
    ((s)->items =                                                                                                      \
         arena_grow((arena), (s)->items, (s)->n_##items, &(s)->cap_##items, (s)->n_##items + 1, sizeof *(s)->items),   \
     (s)->items[(s)->n_##items] = (value), (s)->n_##items++)

/* map.c: insertion-only hash map from bytes to uint32_t; keys are borrowed and must outlive the map. */

struct map {
    struct arena *arena;
    struct map_slot *slots;
    uint32_t n, cap;
};

void map_init(struct map *, struct arena *);
void map_clone(struct map *, const struct map *of, struct arena *); /* the keys stay shared */
bool map_get(const struct map *, const void *key, size_t length, uint32_t *value);
void map_put(struct map *, const void *key, size_t length, uint32_t value); /* replaces */

/* str.c: interned names; equal text is the same pointer. */

struct strtab {
    struct map map;
    const char **strings;
    size_t n_strings, cap_strings;
};

void strtab_init(struct strtab *, struct arena *);
const char *intern(struct strtab *, const char *text, size_t length); /* NUL bytes inside become '?' */
/* Control characters become "?". */
void str_plain(char *text);
const char *intern_str(struct strtab *, const char *text);

/* diag.c: the first failure of a run, with its place, and the warnings. Nothing here prints. */

struct diag {
    struct arena *arena;
    enum status status;  /* of the first failure */
    const char *message; /* complete, ready to print: "net.onnx: node \"c1\" (Conv): ..." */
    const char **warnings;
    size_t n_warnings, cap_warnings;
};

void diag_init(struct diag *, struct arena *);
enum status diag_fail(struct diag *, enum status, const char *fmt, ...) PRINTF_LIKE(3, 4); /* returns the status */
/* The failure of another diag, as one of a line of a file; NULL: as it is. */
enum status diag_fail_at(struct diag *, const struct diag *of, const char *path, size_t line);
void diag_warn(struct diag *, const char *fmt, ...) PRINTF_LIKE(2, 3); /* equal warnings once, the first 200 */

/* num.c: arithmetic that says when it overflowed (true = fine), and saturating sums for counters. */

bool num_add(int64_t a, int64_t b, int64_t *out) MUST_CHECK;
bool num_sub(int64_t a, int64_t b, int64_t *out) MUST_CHECK;
bool num_mul(int64_t a, int64_t b, int64_t *out) MUST_CHECK;
int64_t num_add_sat(int64_t a, int64_t b);
int64_t num_mul_sat(int64_t a, int64_t b);
int64_t num_gcd(int64_t a, int64_t b);
int64_t num_floordiv(int64_t a, int64_t b); /* b != 0; rounds towards minus infinity */
int64_t num_ceildiv(int64_t a, int64_t b);
bool num_parse_i64(const char *text, int64_t *out) MUST_CHECK; /* the whole text, or false */
locale_t num_locale(void);                         /* C: "." is the point; 0 only when there was no memory for it */
double num_read_f64(const char *text, char **end); /* strtod in it */
bool num_parse_f64(const char *text, double *out) MUST_CHECK; /* finite, the whole text, "." as point in any locale */

/* rng.c: the one random generator (splitmix64 seeding xoshiro256**); a seed gives the same numbers everywhere. */

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *, uint64_t seed);
uint64_t rng_next(struct rng *);
uint64_t rng_below(struct rng *, uint64_t n); /* uniform in 0..n-1 */
double rng_unit(struct rng *);                /* uniform in [0, 1) */
double rng_normal(struct rng *);

/* file.c: whole files, and files that appear complete or not at all. */

struct file_map {
    const uint8_t *bytes; /* NULL for an empty file */
    size_t length;
    int file; /* the descriptor; -1 once it is shut */
};

enum status file_map_open(struct file_map *, const char *path, struct diag *) MUST_CHECK; /* regular files only */
void file_map_shut(struct file_map *);                                                    /* the mapping stays */
void file_map_close(struct file_map *);

/* The whole of a small file, with a NUL behind it; the caller frees. Quicker than to map it. */
enum status file_read(char **text, size_t *length, const char *path, struct diag *) MUST_CHECK;

struct file_out { /* written beside `path`, then renamed over it */
    FILE *stream;
    char *path, *temporary; /* in the diag's arena; temporary NULL: not a regular file, written in place */
};

enum status file_out_open(struct file_out *, const char *path, struct diag *) MUST_CHECK;
enum status file_out_commit(struct file_out *, struct diag *) MUST_CHECK; /* flush, fsync, rename */
void file_out_abandon(struct file_out *);                                 /* removes the temporary */
/* Whether file_out_open would: for what takes long before it writes. */
enum status file_can_write(const char *path, struct diag *) MUST_CHECK;
bool file_same(const char *a, const char *b); /* both there, and one file */

/* json.c: helpers over cJSON; messages name the file and the key. */

struct cJSON;
enum status json_read_file(struct cJSON **, const char *path, struct diag *) MUST_CHECK; /* caller cJSON_Delete()s */
/* The same with the arrays and objects of these names empty, whatever they hold: numbers that nobody asks for take most
 * of the time. They must hold neither arrays nor objects, and no text with a bracket. */
enum status json_read_file_without(struct cJSON **, const char *path, const char *const *keys, size_t n,
                                   struct diag *) MUST_CHECK;
enum status json_number(const struct cJSON *object, const char *key, double *out, const char *where,
                        struct diag *) MUST_CHECK; /* required and finite */
double json_number_or(const struct cJSON *object, const char *key, double otherwise);
const char *json_string_or(const struct cJSON *object, const char *key, const char *otherwise);
/* Returns how many elements the array holds; those that are no numbers are NaN. */
size_t json_numbers(const struct cJSON *object, const char *key, double *out, size_t max);

/* csv.c: a small table with a header; blank lines and lines starting with '#' are skipped; quoted fields allowed. */

struct csv {
    size_t n_columns, n_rows;
    const char **header; /* n_columns */
    const char **cells;  /* n_rows * n_columns, row-major */
    size_t *lines;       /* n_rows: line number in the file, for messages */
};

enum status csv_read(struct csv *, const char *path, struct arena *, struct diag *) MUST_CHECK;
uint32_t csv_column(const struct csv *, const char *name); /* NONE when absent */

/* threads.c */

/* Calls fn(user, i, worker) for i in 0..count-1 on `jobs` threads (worker in 0..jobs-1; 1 runs here). Order is free:
 * results must go to slot i. */
void parallel_for(unsigned jobs, size_t count, void (*fn)(void *user, size_t i, unsigned worker), void *user);
/* The same for what may fail: `scratch` is emptied after each i, and jumps to the end of the i it ran out in. Once one
 * fails no later one begins; the status and message are those of the first i that failed, whatever the threads do. */
enum status parallel_try(unsigned jobs, size_t count,
                         enum status (*fn)(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *),
                         void *user, struct arena *, struct diag *) MUST_CHECK;
unsigned cpu_count(void);

#endif
