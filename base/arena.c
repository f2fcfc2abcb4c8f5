/* Arenas: a chain of blocks, each larger than the last. */
#include "base.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Under the address sanitizer every allocation ends in forbidden bytes. */
#if defined(__SANITIZE_ADDRESS__)
#define POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONED 1
#endif
#endif

#ifdef POISONED
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#define POISON(at, bytes)   __asan_poison_memory_region((at), (bytes))
#define UNPOISON(at, bytes) __asan_unpoison_memory_region((at), (bytes))
#else
enum { GAP = 0 };
#define POISON(at, bytes)   ((void)0)
#define UNPOISON(at, bytes) ((void)0)
#endif

enum { ALIGNMENT = 16, FIRST_BLOCK = 16 << 10, MIDDLE_BLOCK = 64 << 10, LARGEST_STEP = 4 << 20, HUGE_PAGE = 2 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t size, used; /* of the bytes behind the header */
};

static size_t round_up(size_t bytes) {
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static unsigned char *block_bytes(struct arena_block *block) {
    return (unsigned char *)block + round_up(sizeof *block);
}

/* Large blocks ask for huge pages: where a fault is dear (virtual machines), one for each small page costs more than
 * reading a model does. */
static void *system_alloc(void *user, size_t bytes) {
    (void)user;
    if (bytes < HUGE_PAGE) return malloc(bytes);
    if (bytes > SIZE_MAX - HUGE_PAGE) return NULL;
    size_t whole = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    void *block = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
    if (block) (void)!madvise(block, whole, MADV_HUGEPAGE); /* not every system has them */
#endif
    return block;
}

static void system_free(void *user, void *block) {
    (void)user;
    free(block);
}

const struct allocator system_allocator = {system_alloc, system_free, NULL};

static void put_block(const struct allocator *allocator, struct arena_block *block) {
    UNPOISON(block_bytes(block), block->size);
    allocator->free(allocator->user, block);
}

_Noreturn static void out_of_memory(struct arena *arena) {
    if (arena->on_oom) longjmp(*arena->on_oom, 1);
    abort();
}

void arena_init(struct arena *arena, const struct allocator *allocator, jmp_buf *on_oom) {
    *arena = (struct arena){.allocator = allocator ? allocator : &system_allocator, .on_oom = on_oom};
}

static size_t next_size(const struct arena_block *head) {
    if (!head) return FIRST_BLOCK;
    if (head->size < MIDDLE_BLOCK) return MIDDLE_BLOCK;
    return head->size < HUGE_PAGE / 2 ? HUGE_PAGE - round_up(sizeof *head) : LARGEST_STEP - round_up(sizeof *head);
}

static struct arena_block *add_block(struct arena *arena, size_t least) {
    size_t size = next_size(arena->head);
    if (size < least) size = least;
    if (size > SIZE_MAX - 64) out_of_memory(arena);
    struct arena_block *block = arena->allocator->alloc(arena->allocator->user, round_up(sizeof *block) + size);
    if (!block) out_of_memory(arena);
    *block = (struct arena_block){.next = arena->head, .size = size};
    POISON(block_bytes(block), size);
    return arena->head = block;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2) out_of_memory(arena);
    size_t rounded = round_up(bytes ? bytes : 1) + GAP;
    struct arena_block *block = arena->head;
    if (!block || block->size - block->used < rounded) block = add_block(arena, rounded);
    void *result = block_bytes(block) + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    UNPOISON(result, bytes);
    return memset(result, 0, bytes);
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(arena);
    return arena_alloc(arena, bytes);
}

void *arena_grow(struct arena *arena, const void *old, size_t count, size_t *cap, size_t want, size_t size) {
    if (want <= *cap && old) return (void *)(uintptr_t)old;
    size_t grown = *cap ? *cap * 2 : 8;
    if (grown < want) grown = want;
    void *result = arena_array(arena, grown, size);
    if (count) memcpy(result, old, count * size);
    *cap = grown;
    return result;
}

void *arena_copy(struct arena *arena, const void *from, size_t bytes) {
    void *copy = arena_alloc(arena, bytes);
    if (bytes) memcpy(copy, from, bytes);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length) {
    char *copy = arena_alloc(arena, length + 1);
    if (length) memcpy(copy, text, length);
    return copy;
}

/* Some of what is written is read again: the point is "." whatever the locale. */
static int format(char *out, size_t size, const char *fmt, va_list args) {
    locale_t outer = uselocale(num_locale());
    int written = vsnprintf(out, size, fmt, args);
    uselocale(outer);
    return written;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list args) {
    char start[256]; /* most texts fit, and are formatted once */
    va_list again;
    va_copy(again, args);
    int written = format(start, sizeof start, fmt, args);
    size_t length = written > 0 ? (size_t)written : 0;
    char *text = arena_alloc(arena, length + 1);
    if (length < sizeof start)
        memcpy(text, start, length);
    else
        format(text, length + 1, fmt, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(arena, fmt, args);
    va_end(args);
    return text;
}

char *arena_join(struct arena *arena, const char *const *parts, size_t n) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++) length += strlen(parts[i]);
    char *text = arena_alloc(arena, length + 1), *at = text;
    for (size_t i = 0; i < n; i++) {
        size_t part = strlen(parts[i]);
        memcpy(at, parts[i], part);
        at += part;
    }
    return text;
}

static void free_from(struct arena *arena, struct arena_block *block) {
    while (block) {
        struct arena_block *next = block->next;
        put_block(arena->allocator, block);
        block = next;
    }
}

struct arena *arena_inside(struct arena *arena) {
    struct arena *inner = arena_alloc(arena, sizeof *inner);
    arena_init(inner, arena->allocator, arena->on_oom);
    inner->next = arena->inside;
    return arena->inside = inner;
}

static void free_inside(struct arena *arena) {
    for (struct arena *inner = arena->inside; inner; inner = inner->next) arena_free(inner);
    arena->inside = NULL;
}

void arena_reset(struct arena *arena) {
    free_inside(arena);
    arena->used_bytes = 0;
    if (!arena->head) return;
    free_from(arena, arena->head->next); /* the newest is the largest */
    arena->head->next = NULL;
    arena->head->used = 0;
    POISON(block_bytes(arena->head), arena->head->size);
}

void arena_free(struct arena *arena) {
    free_inside(arena);
    free_from(arena, arena->head);
    arena->head = NULL;
    arena->used_bytes = 0;
}
