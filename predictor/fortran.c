/* What the LAPACK routines in use ask of others, in our words: their error handlers, which print, and of which the
 * Fortran one stops the program (the reference implementation asks installers to replace XERBLA), and the one function
 * of the Fortran runtime. With these no other part of that runtime is linked: its start-up code, its input and output,
 * and its printf hooks, which make every number printed twice as slow. */
#include "predictor.h"

#include <assert.h>
#include <lapacke.h>
#include <string.h>

void xerbla_(const char *routine, const lapack_int *argument, size_t length);
void _gfortran_concat_string(size_t size, char *out, size_t n_a, const char *a, size_t n_b, const char *b);

/* A wrong argument is a bug of the caller here. */
void xerbla_(const char *routine, const lapack_int *argument, size_t length) {
    (void)routine, (void)argument, (void)length;
    assert(!"wrong argument to LAPACK");
}

/* Memory that ran out and arguments that are not numbers come back as the call's result. */
void LAPACKE_xerbla(const char *routine, lapack_int info) {
    (void)routine, (void)info;
}

/* a // b, cut or padded with blanks to the size of the result. */
void _gfortran_concat_string(size_t size, char *out, size_t n_a, const char *a, size_t n_b, const char *b) {
    if (n_a > size) n_a = size;
    if (n_b > size - n_a) n_b = size - n_a;
    memcpy(out, a, n_a);
    memcpy(out + n_a, b, n_b);
    memset(out + n_a + n_b, ' ', size - n_a - n_b);
}
