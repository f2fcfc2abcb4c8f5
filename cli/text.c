/* Memory and strings of the program, and numbers as people read them. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void out_of_memory(void) {
    fprintf(stderr, PROGRAM_NAME ": out of memory\n");
    exit(EXIT_INPUT);
}

void *xrealloc(void *old, size_t bytes) {
    void *block = realloc(old, bytes ? bytes : 1);
    if (!block) out_of_memory();
    return block;
}

char *xstrdup(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(xrealloc(NULL, size), text, size);
}

void texts_add(struct texts *list, const char *text) {
    /* grows by doubling: at powers of two */
    if ((list->n & (list->n - 1)) == 0) list->at = xrealloc(list->at, (list->n ? 2 * list->n : 1) * sizeof *list->at);
    list->at[list->n++] = text;
}

void buffer_open(struct buffer *b) {
    *b = (struct buffer){0};
    b->stream = open_memstream(&b->bytes, &b->length);
    if (!b->stream) out_of_memory();
}

void buffer_close(struct buffer *b) {
    if (fclose(b->stream)) out_of_memory();
    b->stream = NULL;
}

void buffer_free(struct buffer *b) {
    free(b->bytes);
}

/* Four digits; an exponent only where nobody would count the zeros. */
static void four_digits(char out[NUMBER_SIZE], double value) {
    double size = fabs(value);
    int digits = size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : size >= 0.099995 || size == 0 ? 3 : 4;
    if (size >= 1e6 || (size > 0 && size < 1e-4))
        snprintf(out, NUMBER_SIZE, "%.1e", value);
    else
        snprintf(out, NUMBER_SIZE, "%.*f", digits, value);
}

const char *format_ms(char out[NUMBER_SIZE], double ms) {
    four_digits(out, ms);
    return out;
}

static const char *with_prefix(char out[NUMBER_SIZE], int64_t n, const char *const units[7]) {
    double value = (double)n;
    int i = 0;
    if (n < 0) return "?";
    for (; value >= 999.95 && i < 6; i++) value /= 1000;
    if (i == 0)
        snprintf(out, NUMBER_SIZE, "%lld%s", (long long)n, units[0]);
    else
        snprintf(out, NUMBER_SIZE, "%.*f%s", value >= 99.95 ? 1 : 2, value, units[i]);
    return out;
}

const char *format_count(char out[NUMBER_SIZE], int64_t n) {
    static const char *const units[7] = {"", " k", " M", " G", " T", " P", " E"};
    return with_prefix(out, n, units);
}

const char *format_bytes(char out[NUMBER_SIZE], int64_t n) {
    static const char *const units[7] = {" B", " kB", " MB", " GB", " TB", " PB", " EB"};
    return with_prefix(out, n, units);
}

const char *format_percent(char out[NUMBER_SIZE], double share) {
    snprintf(out, NUMBER_SIZE, "%.1f %%", 100 * share);
    return out;
}

const char *format_double(char out[NUMBER_SIZE], double value) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, NUMBER_SIZE, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    return out;
}
