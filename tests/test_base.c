/* What every layer stands on: memory, maps, names, messages, numbers, files, tables, threads. */
#include "base.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static struct diag diag;
static char folder[512];

static void setup(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
}

static void teardown(void) {
    arena_free(&arena);
}

TestSuite(base, .init = setup, .fini = teardown);

/* ---- Memory ---- */

struct counted {
    size_t live, left; /* blocks; how many more may be had */
};

static void *counted_alloc(void *user, size_t bytes) {
    struct counted *counted = user;
    if (!counted->left) return NULL;
    counted->left--;
    counted->live++;
    return malloc(bytes);
}

static void counted_free(void *user, void *block) {
    ((struct counted *)user)->live--;
    free(block);
}

Test(base, arena_gives_zeroed_aligned_memory) {
    for (size_t bytes = 0; bytes < 200; bytes++) {
        unsigned char *block = arena_alloc(&arena, bytes);
        cr_assert_eq((uintptr_t)block % 16, 0);
        for (size_t i = 0; i < bytes; i++) cr_assert_eq(block[i], 0);
        if (bytes) memset(block, 0xaa, bytes);
    }
    cr_assert_geq(arena.used_bytes, 199 * 200 / 2);
    arena_reset(&arena);
    cr_assert_eq(arena.used_bytes, 0);
    const unsigned char *again = arena_alloc(&arena, 1000);
    for (size_t i = 0; i < 1000; i++) cr_assert_eq(again[i], 0);
}

Test(base, arena_uses_the_allocator_it_was_given) {
    struct counted counted = {.left = SIZE_MAX};
    struct allocator hooks = {counted_alloc, counted_free, &counted};
    struct arena own;
    arena_init(&own, &hooks, NULL);
    for (int i = 0; i < 1000; i++) arena_alloc(&own, 1000);
    cr_assert_gt(counted.live, 1);
    arena_reset(&own);
    cr_assert_eq(counted.live, 1);
    arena_free(&own);
    cr_assert_eq(counted.live, 0);
}

Test(base, arena_jumps_when_memory_runs_out) {
    struct counted counted = {.left = 2};
    struct allocator hooks = {counted_alloc, counted_free, &counted};
    struct arena own;
    jmp_buf on_oom;
    volatile int rounds = 0;
    arena_init(&own, &hooks, &on_oom);
    if (!setjmp(on_oom))
        for (;; rounds++) arena_alloc(&own, 1 << 20);
    cr_assert_geq(rounds, 2);
    if (!setjmp(on_oom)) {
        arena_array(&own, SIZE_MAX / 2, 4);
        cr_assert_fail("an overflow is out of memory");
    }
    arena_free(&own);
    cr_assert_eq(counted.live, 0);
}

/* What is inside goes with it, by a reset, at the end and where memory runs out half way. */
Test(base, arenas_inside_others) {
    struct counted counted = {.left = 12};
    struct allocator hooks = {counted_alloc, counted_free, &counted};
    struct arena own;
    jmp_buf on_oom;
    arena_init(&own, &hooks, &on_oom);
    if (!setjmp(on_oom)) {
        struct arena *inner = arena_inside(&own), *innermost = arena_inside(inner);
        arena_alloc(innermost, 1 << 20);
        arena_free(innermost); /* early, too */
        arena_reset(&own);
        cr_assert_eq(counted.live, 1);
        inner = arena_inside(&own), innermost = arena_inside(inner);
        for (;;) arena_alloc(innermost, 1 << 20);
    }
    cr_assert_gt(counted.live, 3);
    arena_free(&own);
    cr_assert_eq(counted.live, 0);
}

Test(base, vectors_grow) {
    struct list {
        size_t n_items, cap_items;
        int *items;
    } list = {0};
    for (int i = 0; i < 1000; i++) PUSH(&arena, &list, items, i * i);
    cr_assert_eq(list.n_items, 1000);
    for (int i = 0; i < 1000; i++) cr_assert_eq(list.items[i], i * i);
}

Test(base, texts) {
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_str_eq(arena_printf(&arena, "%d-%s", 7, "up"), "7-up");
    cr_assert_str_eq(arena_printf(&arena, "%s", longer), longer);
    cr_assert_str_eq(arena_strndup(&arena, "abcdef", 3), "abc");
    cr_assert_str_eq(arena_join(&arena, (const char *[]){"a", "", "bc"}, 3), "abc");
}

/* ---- Maps and names ---- */

Test(base, map_finds_what_was_put) {
    struct map map;
    uint32_t value, *keys = arena_array(&arena, 5000, sizeof *keys);
    map_init(&map, &arena);
    cr_assert_not(map_get(&map, "a", 1, &value));
    for (uint32_t i = 0; i < 5000; i++) {
        keys[i] = i * 2654435761u;
        map_put(&map, &keys[i], sizeof keys[i], i);
    }
    map_put(&map, &keys[7], sizeof keys[7], 77);
    cr_assert_eq(map.n, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        cr_assert(map_get(&map, &keys[i], sizeof keys[i], &value));
        cr_assert_eq(value, i == 7 ? 77 : i);
    }
    cr_assert_not(map_get(&map, &keys[0], 3, &value));
    map_put(&map, NULL, 0, 5);
    cr_assert(map_get(&map, NULL, 0, &value));
    cr_assert_eq(value, 5);
}

Test(base, a_cloned_map_grows_on_its_own) {
    struct map map, clone;
    uint32_t value;
    map_init(&map, &arena);
    map_put(&map, "a", 1, 1);
    map_clone(&clone, &map, &arena);
    map_put(&clone, "b", 1, 2);
    cr_assert_not(map_get(&map, "b", 1, &value));
    cr_assert(map_get(&clone, "a", 1, &value));
}

Test(base, equal_names_are_the_same) {
    struct strtab names;
    strtab_init(&names, &arena);
    const char *conv = intern(&names, "Convolution", 4);
    cr_assert_str_eq(conv, "Conv");
    cr_assert_eq(intern_str(&names, "Conv"), conv);
    cr_assert_neq(intern_str(&names, "conv"), conv);
    cr_assert_eq(intern(&names, NULL, 0), intern_str(&names, ""));
    cr_assert_eq(intern(&names, "a\0b", 3), intern_str(&names, "a?b"));
    cr_assert_eq(intern(&names, "a\0b", 3), intern_str(&names, "a?b"));
}

/* ---- Messages ---- */

Test(base, the_first_failure_stands) {
    cr_assert_eq(diag_fail(&diag, ST_IO, "%s: gone", "a"), ST_IO);
    cr_assert_eq(diag_fail(&diag, ST_MODEL, "later"), ST_MODEL);
    cr_assert_eq(diag.status, ST_IO);
    cr_assert_str_eq(diag.message, "a: gone");
    for (int i = 0; i < ST_COUNT; i++) cr_assert_gt(strlen(status_text(i)), 0);
}

Test(base, warnings_come_once_and_not_without_end) {
    diag_warn(&diag, "odd %d", 1);
    diag_warn(&diag, "odd %d", 1);
    cr_assert_eq(diag.n_warnings, 1);
    for (int i = 0; i < 100000; i++) diag_warn(&diag, "odd %d", i);
    cr_assert_eq(diag.n_warnings, 201);
    cr_assert_str_eq(diag.warnings[199], "odd 199");
    cr_assert_str_eq(diag.warnings[200], "further warnings are left out");
}

/* ---- Numbers ---- */

Test(base, checked_and_saturating_arithmetic) {
    int64_t out;
    cr_assert(num_add(INT64_MAX, -1, &out) && out == INT64_MAX - 1);
    cr_assert_not(num_add(INT64_MAX, 1, &out));
    cr_assert_not(num_sub(INT64_MIN, 1, &out));
    cr_assert_not(num_mul(INT64_C(1) << 32, INT64_C(1) << 31, &out));
    cr_assert_eq(num_add_sat(INT64_MIN, -1), INT64_MIN);
    cr_assert_eq(num_mul_sat(INT64_MIN, 2), INT64_MIN);
    cr_assert_eq(num_mul_sat(INT64_MIN, -2), INT64_MAX);
    for (int64_t a = -12; a <= 12; a++)
        for (int64_t b = -5; b <= 5; b++) {
            if (!b) continue;
            cr_assert_eq(num_floordiv(a, b), (int64_t)floor((double)a / (double)b));
            cr_assert_eq(num_ceildiv(a, b), (int64_t)ceil((double)a / (double)b));
        }
    cr_assert_eq(num_floordiv(INT64_MIN, -1), INT64_MAX);
}

Test(base, numbers_from_text) {
    int64_t i;
    double f;
    cr_assert(num_parse_i64("-12", &i) && i == -12);
    const char *const no_integers[] = {"", " 1", "1 ", "1.5", "9223372036854775808", "x"};
    for (size_t k = 0; k < COUNT_OF(no_integers); k++) cr_assert_not(num_parse_i64(no_integers[k], &i));
    cr_assert(num_parse_f64("1.5e3", &f) && f == 1500);
    const char *const no_floats[] = {"", " 1", "1,5", "nan", "inf", "1e999", "1.5x"};
    for (size_t k = 0; k < COUNT_OF(no_floats); k++) cr_assert_not(num_parse_f64(no_floats[k], &f));
}

/* The first outputs of xoshiro256** for the state splitmix64 makes of seed 0 (the authors' public code). */
Test(base, random_numbers_are_the_same_everywhere) {
    struct rng rng, other;
    rng_seed(&rng, 0);
    cr_assert_eq(rng_next(&rng), UINT64_C(0x99ec5f36cb75f2b4));
    cr_assert_eq(rng_next(&rng), UINT64_C(0xbf6e1f784956452a));
    rng_seed(&rng, 1);
    rng_seed(&other, 2);
    cr_assert_neq(rng_next(&rng), rng_next(&other));
}

Test(base, random_numbers_are_spread_as_promised) {
    enum { DRAWS = 60000 };
    struct rng rng;
    double sum = 0, squares = 0;
    int faces[6] = {0};
    rng_seed(&rng, 5);
    for (int i = 0; i < DRAWS; i++) {
        double unit = rng_unit(&rng), normal = rng_normal(&rng);
        cr_assert(unit >= 0 && unit < 1 && isfinite(normal));
        sum += normal;
        squares += normal * normal;
        faces[rng_below(&rng, 6)]++;
    }
    cr_assert_float_eq(sum / DRAWS, 0, 0.02);
    cr_assert_float_eq(squares / DRAWS, 1, 0.03);
    for (int i = 0; i < 6; i++) cr_assert(faces[i] > 9600 && faces[i] < 10400, "%d", faces[i]);
}

/* ---- Files ---- */

static void setup_folder(void) {
    setup();
    snprintf(folder, sizeof folder, "%s/test_base_XXXXXX", BINARY_DIR);
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void teardown_folder(void) {
    const char *const files[] = {"a", "link", "pipe", "t"};
    for (size_t i = 0; i < COUNT_OF(files); i++) unlink(files[i]);
    rmdir("folder");
    cr_assert_eq(chdir(".."), 0);
    cr_assert_eq(rmdir(folder), 0, "something was left behind");
    teardown();
}

TestSuite(files, .init = setup_folder, .fini = teardown_folder);

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    cr_assert(file && fputs(text, file) >= 0 && !fclose(file));
}

static bool holds(const char *path, const char *text) {
    struct file_map map;
    if (file_map_open(&map, path, &diag) != ST_OK) return false;
    bool same = map.length == strlen(text) && (!map.length || !memcmp(map.bytes, text, map.length));
    file_map_close(&map);
    return same;
}

static void write_through(const char *path, const char *text) {
    struct file_out out;
    cr_assert_eq(file_out_open(&out, path, &diag), ST_OK, "%s", diag.message);
    fputs(text, out.stream);
    cr_assert_eq(file_out_commit(&out, &diag), ST_OK, "%s", diag.message);
}

static void expect_message(enum status found, enum status status, const char *message) {
    cr_assert_eq(found, status);
    cr_assert_str_eq(diag.message, message);
    diag_init(&diag, &arena);
}

Test(files, maps_regular_files_only) {
    struct file_map map;
    put("a", "text");
    cr_assert(holds("a", "text"));
    put("a", "");
    cr_assert(holds("a", ""));
    cr_assert_eq(mkdir("folder", 0700), 0);
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    expect_message(file_map_open(&map, "none", &diag), ST_IO, "none: No such file or directory");
    expect_message(file_map_open(&map, "folder", &diag), ST_IO, "folder: is a directory");
    expect_message(file_map_open(&map, "pipe", &diag), ST_IO, "pipe: is not a regular file");
}

Test(files, appear_complete_or_not_at_all) {
    struct file_out out;
    put("a", "old");
    cr_assert_eq(file_out_open(&out, "a", &diag), ST_OK);
    fputs("new", out.stream);
    cr_assert(holds("a", "old"));
    file_out_abandon(&out);
    file_out_abandon(&out);
    cr_assert(holds("a", "old"));
    write_through("a", "new");
    cr_assert(holds("a", "new"));
    expect_message(file_out_open(&out, "none/a", &diag), ST_IO, "none/a: cannot be written: No such file or directory");
}

Test(files, keep_links_permissions_and_devices) {
    struct stat st;
    struct file_out out;
    put("a", "old");
    cr_assert(!chmod("a", 0640) && !symlink("a", "link"));
    write_through("link", "new");
    cr_assert(holds("a", "new"));
    cr_assert(!lstat("link", &st) && S_ISLNK(st.st_mode));
    cr_assert(!stat("a", &st) && (st.st_mode & 0777) == 0640);
    write_through("/dev/null", "nothing");
    cr_assert(!stat("/dev/null", &st) && S_ISCHR(st.st_mode));
    cr_assert_eq(mkdir("folder", 0700), 0);
    expect_message(file_out_open(&out, "folder", &diag), ST_IO, "folder: cannot be written: Is a directory");
    cr_assert_eq(file_out_open(&out, "/dev/full", &diag), ST_OK);
    fputs("too much", out.stream);
    expect_message(file_out_commit(&out, &diag), ST_IO, "/dev/full: cannot be written: No space left on device");
}

static struct cJSON *json(const char *text) {
    struct cJSON *object = NULL;
    put("t", text);
    cr_assert_eq(json_read_file(&object, "t", &diag), ST_OK, "%s", diag.message);
    return object;
}

Test(files, json_values) {
    struct cJSON *object = json("{\"x\": 2.5, \"name\": \"n\", \"list\": [1, \"two\", 3]}\n");
    double x, list[2];
    cr_assert_eq(json_number(object, "x", &x, "t", &diag), ST_OK);
    cr_assert_eq(x, 2.5);
    cr_assert_eq(json_number_or(object, "y", 7), 7);
    cr_assert_str_eq(json_string_or(object, "name", ""), "n");
    cr_assert_str_eq(json_string_or(object, "x", "none"), "none");
    cr_assert_eq(json_numbers(object, "list", list, 2), 3);
    cr_assert(list[0] == 1 && isnan(list[1]));
    cr_assert_eq(json_numbers(object, "x", list, 2), 0);
    expect_message(json_number(object, "y", &x, "t", &diag), ST_FORMAT, "t: \"y\" is missing");
    expect_message(json_number(object, "name", &x, "t", &diag), ST_FORMAT, "t: \"name\" is not a number");
    cJSON_Delete(object);
}

Test(files, json_without_some_arrays) {
    static const char *const unread[] = {"list", "text", "flat"};
    struct cJSON *object;
    double list[4], number = -1;
    put("t", "{\"x\": \"list\", \"list\": [1,\n2], \"\\\"list\": [3], \"lists\": [4, 5], \"text\": \"[6]\","
             "\"flat\": {\"a\": 1}, \"a\": 7}");
    cr_assert_eq(json_read_file_without(&object, "t", unread, 3, &diag), ST_OK, "%s", diag.message);
    cr_expect_eq(json_numbers(object, "list", list, 4), 0);
    cr_expect_eq(json_numbers(object, "\"list", list, 4), 1);
    cr_expect_eq(json_numbers(object, "lists", list, 4), 2);
    cr_expect_str_eq(json_string_or(object, "x", ""), "list");
    cr_expect_str_eq(json_string_or(object, "text", ""), "[6]");
    expect_message(json_number(cJSON_GetObjectItem(object, "flat"), "a", &number, "t", &diag), ST_FORMAT,
                   "t: \"a\" is missing");
    cr_expect_eq(json_number_or(object, "a", 0), 7);
    cJSON_Delete(object);
    put("t", "{\"list\": [1,\n2],\n}");
    expect_message(json_read_file_without(&object, "t", unread, 1, &diag), ST_FORMAT, "t:3: is not JSON");
    put("t", "{\"list\": [1, 2");
    expect_message(json_read_file_without(&object, "t", unread, 1, &diag), ST_FORMAT, "t:1: is not JSON");
    put("t", "{\"list");
    expect_message(json_read_file_without(&object, "t", unread, 1, &diag), ST_FORMAT, "t:1: is not JSON");
    put("t", "");
    expect_message(json_read_file_without(&object, "t", unread, 1, &diag), ST_FORMAT, "t: is empty");
}

Test(files, json_that_is_none) {
    struct cJSON *object;
    put("t", "");
    expect_message(json_read_file(&object, "t", &diag), ST_FORMAT, "t: is empty");
    put("t", "{\"x\":\n1,\n}");
    expect_message(json_read_file(&object, "t", &diag), ST_FORMAT, "t:3: is not JSON");
    put("t", "{}\n{}");
    expect_message(json_read_file(&object, "t", &diag), ST_FORMAT, "t:2: is not JSON");
    cr_assert_null(object);
}

Test(files, tables) {
    struct csv csv;
    put("t", "# measured\r\nname,ms,note\r\n\r\na,1.5,\r\n# more\n\"b,\"\"c\"\"\",2,last");
    cr_assert_eq(csv_read(&csv, "t", &arena, &diag), ST_OK, "%s", diag.message);
    cr_assert(csv.n_columns == 3 && csv.n_rows == 2);
    cr_assert_str_eq(csv.header[2], "note");
    cr_assert_str_eq(csv.cells[1], "1.5");
    cr_assert_str_eq(csv.cells[2], "");
    cr_assert_str_eq(csv.cells[3], "b,\"c\"");
    cr_assert_str_eq(csv.cells[5], "last");
    cr_assert_eq(csv.lines[1], 6);
    cr_assert_eq(csv_column(&csv, "ms"), 1);
    cr_assert_eq(csv_column(&csv, "absent"), NONE);
    put("t", "\xEF\xBB\xBFname,ms\na,1\n"); /* as spreadsheets mark UTF-8 */
    cr_assert_eq(csv_read(&csv, "t", &arena, &diag), ST_OK, "%s", diag.message);
    cr_assert_eq(csv_column(&csv, "name"), 0);
}

Test(files, tables_that_are_none) {
    struct csv csv;
    put("t", "");
    expect_message(csv_read(&csv, "t", &arena, &diag), ST_DATA, "t: has no header line");
    put("t", "a,b\n1,2\n1,2,3\n");
    expect_message(csv_read(&csv, "t", &arena, &diag), ST_DATA, "t:3: has 3 fields, the header 2");
    put("t", "a,b\n1,\"2\n");
    expect_message(csv_read(&csv, "t", &arena, &diag), ST_DATA, "t:2: has a quote that is not closed");
}

/* ---- Threads ---- */

enum { TASKS = 1000 };

struct tally {
    unsigned char done[TASKS];
    unsigned jobs;
};

static void mark(void *user, size_t i, unsigned worker) {
    struct tally *tally = user;
    if (worker < tally->jobs) tally->done[i]++;
}

Test(base, every_index_is_done_once) {
    for (unsigned jobs = 1; jobs <= 8; jobs++) {
        struct tally tally = {.jobs = jobs};
        parallel_for(jobs, TASKS, mark, &tally);
        for (int i = 0; i < TASKS; i++) cr_assert_eq(tally.done[i], 1);
    }
    parallel_for(4, 0, mark, NULL);
    cr_assert_geq(cpu_count(), 1);
}

/* ---- Work that may fail ---- */

static enum status fail_from(void *user, size_t i, unsigned worker, struct arena *scratch, struct diag *diag) {
    size_t first = *(const size_t *)user;
    (void)worker;
    memset(arena_alloc(scratch, 1000), 1, 1000);
    if (i == 2 * first) longjmp(*scratch->on_oom, 1);
    return i >= first && i % first == 0 ? diag_fail(diag, ST_DATA, "item %zu", i) : ST_OK;
}

/* The same item is named however many threads there are; running out of memory ends one item, not the program. */
Test(base, the_first_failure_counts) {
    struct arena own;
    arena_init(&own, NULL, NULL);
    for (unsigned jobs = 1; jobs <= 8; jobs++)
        for (size_t first = 1; first < 100; first += 7) {
            struct diag diag;
            diag_init(&diag, &own);
            cr_expect_eq(parallel_try(jobs, 100, fail_from, &first, &own, &diag), ST_DATA);
            cr_expect_str_eq(diag.message, arena_printf(&own, "item %zu", first));
        }
    size_t never = 1000;
    struct diag diag;
    diag_init(&diag, &own);
    cr_expect_eq(parallel_try(4, 100, fail_from, &never, &own, &diag), ST_OK);
    arena_free(&own);
}
