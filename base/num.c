/* Checked and saturating arithmetic, and numbers from text. */
#include "base.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

bool num_add(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
bool num_sub(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_sub_overflow(a, b, out);
}
bool num_mul(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

int64_t num_add_sat(int64_t a, int64_t b) {
    int64_t sum;
    return num_add(a, b, &sum) ? sum : b > 0 ? INT64_MAX : INT64_MIN;
}

int64_t num_mul_sat(int64_t a, int64_t b) {
    int64_t product;
    return num_mul(a, b, &product) ? product : (a > 0) == (b > 0) ? INT64_MAX : INT64_MIN;
}

int64_t num_gcd(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int64_t num_floordiv(int64_t a, int64_t b) {
    if (b == -1) return a == INT64_MIN ? INT64_MAX : -a;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t num_ceildiv(int64_t a, int64_t b) {
    if (b == -1) return a == INT64_MIN ? INT64_MAX : -a;
    return a / b + (a % b != 0 && (a < 0) == (b < 0));
}

bool num_parse_i64(const char *text, int64_t *out) {
    char *end;
    if (isspace((unsigned char)*text)) return false; /* strtoll would skip it */
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno) return false;
    *out = value;
    return true;
}

static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void make_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t num_locale(void) {
    pthread_once(&locale_once, make_locale);
    return c_locale;
}

double num_read_f64(const char *text, char **end) {
    locale_t outer = uselocale(num_locale());
    double value = strtod(text, end);
    uselocale(outer);
    return value;
}

bool num_parse_f64(const char *text, double *out) {
    char *end;
    if (isspace((unsigned char)*text)) return false; /* strtod would skip it */
    double value = num_read_f64(text, &end);
    if (end == text || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}
