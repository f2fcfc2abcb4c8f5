/* The fuzz target over its corpus, in every run of the tests. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>

#include "fuzz/fuzz_read.c"

#define CORPUS SOURCE_DIR "/tests/fuzz/corpus/read"

static void replay(const char *path) {
    FILE *stream = fopen(path, "rb");
    cr_assert_not_null(stream, "%s", path);
    fseek(stream, 0, SEEK_END);
    size_t length = (size_t)ftell(stream);
    rewind(stream);
    uint8_t *bytes = malloc(length + 1);
    cr_assert_eq(fread(bytes, 1, length, stream), length);
    fclose(stream);
    LLVMFuzzerTestOneInput(bytes, length);
    free(bytes);
}

Test(corpus, replay) {
    size_t n = 0;
    DIR *dir = opendir(CORPUS);
    cr_assert_not_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, CORPUS "/%s", e->d_name);
        replay(path);
        n++;
    }
    closedir(dir);
    cr_assert_geq(n, 15);
}
