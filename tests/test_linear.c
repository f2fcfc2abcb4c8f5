/* Fits on many measurements, and linear targets as files. */
#include "learned.h"
#include "onnx_latency.h"

#include <cjson/cJSON.h>
#include <glob.h>
#include <stdio.h>

TestSuite(linear, .init = learned_setup, .fini = learned_teardown);

Test(linear, nonnegative_least_squares) {
    /* Unconstrained the second weight is negative; the solution of the constrained problem is known. */
    const double gram[] = {2, 1, 1, 2}, rhs[] = {2, 0.5};
    double w[2];
    nnls(gram, rhs, 2, w, &memory);
    cr_expect_float_eq(w[0], 1, 1e-12);
    cr_expect_float_eq(w[1], 0, 1e-12);
    const double free_rhs[] = {3, 3};
    nnls(gram, free_rhs, 2, w, &memory);
    cr_expect_float_eq(w[0], 1, 1e-12);
    cr_expect_float_eq(w[1], 1, 1e-12);
}

static void truth(double *w) {
    for (size_t j = 0; j < FT_LEARNED; j++) w[j] = j % 4 == 0 ? 0.5 : 0.02;
}

Test(linear, fit_finds_weights_and_view) {
    struct samples s = random_networks(2000, VIEW_COUNT, 1);
    double w[FT_LEARNED], fitted[FT_LEARNED], scale[FT_LEARNED], covariance[FT_LEARNED * FT_LEARNED];
    truth(w);
    measure_with(&s, VIEW_PRUNE, w, 0.02, 2);
    for (size_t j = 0; j < FT_LEARNED; j++) scale[j] = 5;
    struct fit fit = fit_source(&s, scale, 0.02, fitted, covariance, &memory);
    /* Views 1 and 2 of the made-up networks are the same. */
    cr_expect_neq(fit.view, VIEW_KEPT);
    cr_expect(fit.rms > 0.015 && fit.rms < 0.025, "%g", fit.rms);
    for (size_t j = 1; j < FT_LEARNED; j++) {
        double sd = sqrt(covariance[j * FT_LEARNED + j]);
        cr_expect(fabs(fitted[j] - w[j]) < 5 * sd + 1e-3, "%s: %g, not %g (sd %g)", feature_name((enum feature)j),
                  fitted[j], w[j], sd);
    }
}

static struct linear some_linear(void) {
    struct samples s = random_networks(10, VIEW_COUNT, 1);
    double w[FT_LEARNED], covariance[FT_LEARNED * FT_LEARNED] = {0};
    struct linear l;
    truth(w);
    measure_with(&s, VIEW_PRUNE, w, 0, 0);
    for (size_t j = 0; j < FT_LEARNED; j++) covariance[j * FT_LEARNED + j] = 1e-6;
    covariance[1] = covariance[FT_LEARNED] = 3e-7;
    linear_from_weights(&l, &s, VIEW_PRUNE, w, covariance, 0.03, &memory);
    return l;
}

Test(linear, survives_its_file) {
    struct linear l = some_linear(), *read;
    struct partial part = linear_partial(&l, "fbnet");
    l.partial = &part;
    l.n_partial = 1;
    cr_expect_eq(part.view, VIEW_PRUNE);
    cJSON *object = cJSON_CreateObject();
    linear_write(object, &l);
    char *text = cJSON_Print(object);
    cJSON *again = cJSON_Parse(text);
    cr_assert_eq(linear_read(&read, again, "t.json", &memory, &messages), ST_OK, "%s", messages.message);
    cr_expect_arr_eq(read->weight, l.weight, sizeof l.weight);
    cr_expect_arr_eq(read->covariance, l.covariance, sizeof l.covariance);
    for (size_t j = 0; j < FT_LEARNED; j++) /* to the digits that JSON keeps */
        cr_expect_float_eq(read->safe[VIEW_PRUNE][j], l.safe[VIEW_PRUNE][j], 1e-14 * l.safe[VIEW_PRUNE][j]);
    cr_expect_eq(read->noise, l.noise);
    cr_expect_eq(read->samples, l.samples);
    cr_assert_eq(read->n_partial, 1);
    cr_expect_str_eq(read->partial[0].without, "fbnet");
    cr_expect_eq(read->partial[0].view, VIEW_PRUNE);
    cr_expect_eq(read->partial[0].noise, l.noise);
    for (size_t j = 0; j < FT_LEARNED; j++)
        cr_expect_float_eq(read->partial[0].weight[j], l.safe[VIEW_PRUNE][j], 1e-14 * l.safe[VIEW_PRUNE][j]);
    cJSON_free(text);
    cJSON_Delete(object);
    cJSON_Delete(again);
}

Test(linear, refuses_bad_files) {
    static const struct {
        const char *json, *message;
    } bad[] = {
        {"{}", "no view has a share"},
        {"{\"views\":[{\"view\":\"half\",\"share\":1}]}", "a view is"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":-1}]}", "negative"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1,\"weights\":{\"speed\":1}}]}", "unknown feature \"speed\""},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1,\"safe\":{\"const\":-1}}]}", "safe weight is negative"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1}],\"features\":[\"const\"],\"covariance\":[1,2]}",
         "needs 1 numbers"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1}],\"features\":[\"const\"],\"covariance\":[\"1\"]}",
         "covariance is not a number"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1,\"weights\":[1,2]}]}", "weights are an object"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1},{\"view\":\"kept\",\"share\":1}]}", "stands twice"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1}],\"partial\":[{\"view\":\"half\",\"noise\":0}]}", "a view is"},
        {"{\"views\":[{\"view\":\"kept\",\"share\":1}],\"partial\":[{\"view\":\"kept\",\"noise\":0,"
         "\"safe\":{\"const\":-1}}]}",
         "partial weight is negative"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct linear *l;
        struct diag diag;
        diag_init(&diag, &memory);
        cJSON *object = cJSON_Parse(bad[i].json);
        cr_expect_eq(linear_read(&l, object, "t.json", &memory, &diag), ST_TARGET);
        cr_expect(diag.message && strstr(diag.message, bad[i].message), "%s", diag.message ? diag.message : "(none)");
        cJSON_Delete(object);
    }
}

/* Features no table exercises weigh what their kin weigh. */
Test(linear, kin) {
    struct linear l = some_linear();
    struct features a[VIEW_COUNT] = {{{0}}}, b[VIEW_COUNT] = {{{0}}};
    for (int v = 0; v < VIEW_COUNT; v++) {
        a[v].x[FT_CONST] = b[v].x[FT_CONST] = 1;
        a[v].x[FT_MAC_POINTWISE] = b[v].x[FT_MAC_PRODUCT] = 1000;
        a[v].x[FT_BYTES_ELEMENTWISE] = b[v].x[FT_BYTES_REDUCE] = 10;
    }
    cr_expect_float_eq(linear_predict(&l, a).ms, linear_predict(&l, b).ms, 1e-12);
    double weight[FT_COUNT];
    linear_weights(&l, weight);
    cr_expect_eq(weight[FT_MAC_PRODUCT], weight[FT_MAC_POINTWISE]);
}

Test(linear, says_when_it_is_far_out) {
    struct linear l = some_linear();
    struct features f[VIEW_COUNT] = {{{0}}};
    for (int v = 0; v < VIEW_COUNT; v++)
        for (int j = 0; j < FT_LEARNED; j++) f[v].x[j] = j == FT_CONST ? 1 : 5;
    struct linear_estimate inside = linear_predict(&l, f);
    cr_expect(!inside.extrapolated);
    cr_expect(inside.lo_ms < inside.ms && inside.ms < inside.hi_ms);
    for (int v = 0; v < VIEW_COUNT; v++)
        for (int j = 1; j < FT_LEARNED; j++) f[v].x[j] *= 100;
    struct linear_estimate outside = linear_predict(&l, f);
    cr_expect(outside.extrapolated);
    cr_expect(outside.deviation > 2 * inside.deviation, "%g against %g", outside.deviation, inside.deviation);
}

/* Networks made of what those measured hardly hold: the interval is that of spaces left out, however sure the weights.
 */
Test(linear, knows_its_kind) {
    struct linear l = some_linear();
    struct features usual[VIEW_COUNT] = {{{0}}}, strange[VIEW_COUNT] = {{{0}}};
    const int rare = 4;
    l.covariance[rare * FT_LEARNED + rare] = 1e-3; /* as if few networks had said what it costs */
    for (int v = 0; v < VIEW_COUNT; v++)
        for (int j = 0; j < FT_LEARNED; j++) {
            usual[v].x[j] = j == FT_CONST ? 1 : j == rare ? 0 : 5;
            strange[v].x[j] = j == FT_CONST ? 1 : j == rare ? 35 : 0;
        }
    struct linear_estimate near = linear_predict(&l, usual), far = linear_predict(&l, strange);
    cr_assert(l.familiar > 0);
    cr_expect_not(near.extrapolated);
    cr_expect(near.deviation < 0.05, "%g", near.deviation);
    cr_expect(far.extrapolated);
    cr_expect(far.deviation > 0.45 && far.deviation < 1, "%g", far.deviation);
}

/* What was predicted of spaces left out of their fits lies in the 90 % intervals about so often. */
Test(linear, intervals_hold_spaces_left_out) {
    glob_t found;
    double inside = 0, spaces = 0;
    cr_assert_eq(glob(SOURCE_DIR "/models/targets/measured-*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct target *t;
        cr_assert_eq(target_load(&t, found.gl_pathv[i], &memory, &messages), ST_OK, "%s", messages.message);
        cJSON *validation = cJSON_Parse(t->validation);
        const cJSON *space;
        cJSON_ArrayForEach(space, cJSON_GetObjectItem(validation, "left_out_space")) {
            inside += cJSON_GetNumberValue(cJSON_GetObjectItem(space, "covered_90"));
            spaces++;
        }
        cJSON_Delete(validation);
    }
    globfree(&found);
    cr_assert(spaces > 20);
    cr_expect(inside / spaces > 0.85 && inside / spaces < 0.95, "%g", inside / spaces);
}

/* ---- The measured targets on networks unlike those they were fitted on ---- */

static const struct net {
    const char *name, *input;
    int64_t shape[4]; /* behind the batch, until 0 */
} nets[] = {
    {"mobilenet_v2", "input", {3, 224, 224}},
    {"resnet18", "input", {3, 224, 224}},
    {"bert_4_layers", NULL, {64}},
    {"unet", "input", {3, 128, 128}},
};

static void open_net(ol_context *context, const struct net *net, int64_t batch, ol_model **model) {
    char path[4096];
    const int64_t dims[] = {batch, net->shape[0], net->shape[1], net->shape[2]};
    snprintf(path, sizeof path, SOURCE_DIR "/models/nets/%s.onnx", net->name);
    cr_assert_eq(ol_model_open(context, path, model), OL_OK, "%s", ol_model_error(*model));
    if (net->input) {
        cr_assert_eq(ol_model_set_shape(*model, net->input, dims, 4), OL_OK);
        return;
    }
    cr_assert_eq(ol_model_set_batch(*model, batch), OL_OK);
    cr_assert_eq(ol_model_set_dim(*model, "sequence", net->shape[0]), OL_OK);
}

static double priced(ol_model *model, const ol_target *target, const char *net, const char *path) {
    const ol_estimate *e;
    cr_assert_eq(ol_model_predict(model, target, &e), OL_OK, "%s: %s", net, ol_model_error(model));
    cr_expect(e->latency_ms > 1e-3 && e->latency_ms < 1e6, "%s on %s: %g ms", net, path, e->latency_ms);
    cr_expect(e->lo_ms > 0 && e->lo_ms <= e->latency_ms && e->hi_ms >= e->latency_ms, "%s on %s", net, path);
    cr_expect(e->hi_ms <= 10.001 * e->latency_ms && e->lo_ms >= e->latency_ms / 10.001, "%s on %s", net, path);
    return e->latency_ms;
}

/* Latencies are positive, finite, bounded in their intervals, and do not fall as the batch grows: where launches are
 * all that is seen they stay, as well as free signs allow. */
Test(linear, measured_targets_price_any_network) {
    glob_t found;
    cr_assert_eq(glob(SOURCE_DIR "/models/targets/measured-*.json", 0, NULL, &found), 0);
    cr_assert(found.gl_pathc > 20);
    ol_context *context = ol_context_new(NULL);
    for (size_t n = 0; n < COUNT_OF(nets); n++) {
        ol_model *model[2];
        for (int64_t b = 0; b < 2; b++) open_net(context, &nets[n], b ? 8 : 1, &model[b]);
        for (size_t i = 0; i < found.gl_pathc; i++) {
            ol_target *target;
            const char *path = found.gl_pathv[i];
            cr_assert_eq(ol_target_open(context, path, &target), OL_OK, "%s", ol_target_error(target));
            double one = priced(model[0], target, nets[n].name, path);
            double eight = priced(model[1], target, nets[n].name, path);
            cr_expect(eight > one, "%s on %s: %g ms, batch 8 %g ms", nets[n].name, path, one, eight);
            ol_target_free(target);
        }
        for (int b = 0; b < 2; b++) ol_model_free(model[b]);
    }
    ol_context_free(context);
    globfree(&found);
}
