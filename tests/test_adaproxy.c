/* AdaProxy against what its definition says. */
#include "learned.h"

TestSuite(adaproxy, .init = learned_setup, .fini = learned_teardown);

enum { N = 40, P = 8 };

static void one_hot(double *x, size_t n, uint64_t seed) {
    struct rng rng;
    rng_seed(&rng, seed);
    memset(x, 0, n * P * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i * P + rng_below(&rng, 4)] = x[i * P + 4 + rng_below(&rng, 4)] = 1;
}

static const double proxy[P] = {1, 2, 3, 4, 1, 1.5, 2, 2.5};

/* y = a x'w + c: no correction is needed, however few the samples. */
Test(adaproxy, scaled_and_shifted_proxy) {
    double x[N * P], y[N];
    struct adaproxy model;
    one_hot(x, N, 1);
    for (size_t i = 0; i < N; i++) {
        y[i] = 5;
        for (size_t j = 0; j < P; j++) y[i] += 3 * x[i * P + j] * proxy[j];
    }
    adaproxy_fit(x, y, 6, P, proxy, -1, &model, &memory);
    for (size_t i = 0; i < N; i++) cr_expect_float_eq(adaproxy_predict(&model, x + i * P, P), y[i], 1e-6);
}

Test(adaproxy, corrects_single_weights) {
    double x[N * P], y[N];
    struct adaproxy model;
    one_hot(x, N, 2);
    for (size_t i = 0; i < N; i++) {
        y[i] = 1;
        for (size_t j = 0; j < P; j++) y[i] += x[i * P + j] * proxy[j] * (j == 2 ? 2.5 : 1);
    }
    adaproxy_fit(x, y, N, P, proxy, -1, &model, &memory);
    for (size_t i = 0; i < N; i++) cr_expect_float_eq(adaproxy_predict(&model, x + i * P, P), y[i], 0.02);
}

/* The leave-one-out error in closed form is that of leaving each out in turn at the chosen lambda. */
Test(adaproxy, leave_one_out_is_exact) {
    enum { M = 12 };
    double x[M * P], y[M], sum = 0;
    struct adaproxy model;
    struct rng rng;
    one_hot(x, M, 3);
    rng_seed(&rng, 4);
    for (size_t i = 0; i < M; i++) {
        y[i] = 10 + rng_normal(&rng);
        for (size_t j = 0; j < P; j++) y[i] += x[i * P + j] * proxy[j];
    }
    adaproxy_fit(x, y, M, P, proxy, -1, &model, &memory);
    for (size_t out = 0; out < M; out++) {
        double x_rest[M * P], y_rest[M];
        size_t n = 0;
        for (size_t i = 0; i < M; i++) {
            if (i == out) continue;
            memcpy(x_rest + n * P, x + i * P, P * sizeof *x);
            y_rest[n++] = y[i];
        }
        struct adaproxy without;
        adaproxy_fit(x_rest, y_rest, n, P, proxy, model.lambda, &without, &memory);
        double e = adaproxy_predict(&without, x + out * P, P) - y[out];
        sum += e * e / M;
    }
    cr_expect_float_eq(sum, model.loo_mse, 1e-6 * sum, "%g, stated %g", sum, model.loo_mse);
}

Test(adaproxy, constant_proxy) {
    double x[N * P], y[N], flat[P] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct adaproxy model;
    one_hot(x, N, 5);
    for (size_t i = 0; i < N; i++) y[i] = 2 + x[i * P];
    adaproxy_fit(x, y, N, P, flat, -1, &model, &memory);
    for (size_t i = 0; i < N; i++) cr_expect_float_eq(adaproxy_predict(&model, x + i * P, P), y[i], 0.05);
}

Test(adaproxy, ridge_recovers_an_additive_table) {
    double x[N * P], y[N], w[P];
    one_hot(x, N, 6);
    for (size_t i = 0; i < N; i++) {
        y[i] = 0;
        for (size_t j = 0; j < P; j++) y[i] += x[i * P + j] * proxy[j];
    }
    ridge_fit(x, y, N, P, 1e-9, w, &memory);
    for (size_t i = 0; i < N; i++) {
        double fitted = 0;
        for (size_t j = 0; j < P; j++) fitted += x[i * P + j] * w[j];
        cr_expect_float_eq(fitted, y[i], 1e-4);
    }
}
