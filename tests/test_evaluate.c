/* Few-shot experiments on the measured tables: floors that the figures of docs/accuracy.md stay above, few trials. */
#include "onnx_latency.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *data_folder(void) {
    const char *folder = getenv("ONNX_LATENCY_DATA");
    return folder ? folder : SOURCE_DIR "/../shared/data/latency";
}

static const char *table_path(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", data_folder(), name);
    if (access(path, R_OK) != 0) cr_skip("%s: the measured tables are not here", path);
    return path;
}

/* `covered`: among the networks tested, and among those that samples were drawn from. */
static double mean_srcc(ol_experiment spec, double covered[2]) {
    ol_context *context = ol_context_new(NULL);
    ol_study *study;
    const ol_scores *scores;
    cr_assert_eq(ol_evaluate(context, &spec, &scores, &study), OL_OK, "%s", ol_study_error(study));
    double mean = scores->mean_srcc;
    if (covered) covered[0] = covered[1] = 0;
    for (size_t i = 0; i < scores->n_scores && covered; i++) {
        covered[0] += scores->scores[i].covered / (double)scores->n_scores;
        covered[1] += scores->scores[i].covered_pool / (double)scores->n_scores;
    }
    ol_study_free(study);
    ol_context_free(context);
    return mean;
}

static const char *const vpu[] = {"true_vpu"};
static const char *const phones[] = {"true_640", "eagle_cpu_855", "rice_pixel3"};

/* The protocol of the paper: 70 samples, from one proxy. */
static ol_experiment as_published(const char *const *targets, size_t n_targets, size_t trials) {
    return (ol_experiment){.table = table_path("oneproxy_nasbench201.csv"),
                           .space = "nasbench201-c10",
                           .protocol = "oneproxy",
                           .proxies = vpu,
                           .n_proxies = 1,
                           .targets = targets,
                           .n_targets = n_targets,
                           .samples = 70,
                           .trials = trials};
}

Test(evaluate, one_proxy) {
    ol_experiment spec = as_published(phones, 3, 1);
    double bank = mean_srcc(spec, NULL);
    cr_expect(bank > 0.95, "70 samples: %g", bank);
    spec.method = "adaproxy";
    double paper = mean_srcc(spec, NULL);
    cr_expect(paper > 0.92, "adaproxy: %g", paper);
    cr_expect(bank > paper, "%g, adaproxy %g", bank, paper);
    spec.method = NULL;
    spec.samples = 10;
    spec.planned = 1;
    double planned = mean_srcc(spec, NULL);
    cr_expect(planned > 0.91, "10 planned: %g", planned);
}

Test(evaluate, help_on_fbnet) {
    static const char *const targets[] = {"raspi4", "2080ti_32"};
    double covered[2];
    ol_experiment spec = {.table = table_path("fbnet.csv"),
                          .space = "fbnet",
                          .protocol = "help",
                          .targets = targets,
                          .n_targets = 2,
                          .trials = 3};
    double drawn = mean_srcc(spec, covered);
    cr_expect(drawn > 0.92, "10 samples: %g", drawn);
    cr_expect(covered[0] > 0.75 && covered[0] < 0.99, "in the 90 %% interval: %g", covered[0]);
    cr_expect(covered[1] > 0.8 && covered[1] < 0.97, "among those measured along: %g", covered[1]);
}

/* A runtime that treats operators by their place: enough samples find that out. */
Test(evaluate, place_counts) {
    static const char *const jetson[] = {"rice_edgegpu"};
    double found = mean_srcc(as_published(jetson, 1, 2), NULL);
    cr_expect(found > 0.88, "70 samples: %g", found);
}

/* A target fitted on other spaces is a proxy on one that it has not seen. */
Test(evaluate, fitted_target_as_proxy) {
    static const char *const proxy[] = {SOURCE_DIR "/models/targets/measured-titan-x.json"};
    static const char *const targets[] = {"titan_xp_64"};
    ol_experiment spec = {.table = table_path("ofa.csv"),
                          .space = "ofa",
                          .proxies = proxy,
                          .n_proxies = 1,
                          .targets = targets,
                          .n_targets = 1,
                          .trials = 2};
    double covered[2], drawn = mean_srcc(spec, covered);
    cr_expect_eq(covered[0], covered[1]); /* samples come from the networks tested */
    cr_expect(drawn > 0.95, "10 samples: %g", drawn);
}

/* The same seed gives the same figures, on any number of threads. */
Test(evaluate, repeats_itself) {
    ol_experiment spec = {.table = table_path("oneproxy_nasbench201.csv"),
                          .space = "nasbench201-c10",
                          .targets = phones,
                          .n_targets = 2,
                          .proxies = vpu,
                          .n_proxies = 1,
                          .trials = 1,
                          .jobs = 1};
    double once = mean_srcc(spec, NULL);
    spec.jobs = 3;
    cr_expect_eq(mean_srcc(spec, NULL), once);
}

Test(evaluate, refuses) {
    static const char *const nobody[] = {"nokia_3310"};
    char fbnet[4096];
    snprintf(fbnet, sizeof fbnet, "%s", table_path("fbnet.csv")); /* the next call reuses the text */
    ol_context *context = ol_context_new(NULL);
    const struct {
        ol_experiment spec;
        const char *message;
    } bad[] = {
        {{.space = "fbnet"}, "name a table"},
        {{.table = "missing.csv", .space = "fbnet"}, "missing.csv"},
        {{.table = "missing.csv", .space = "moon"}, "no search space is called \"moon\""},
        {{.table = "missing.csv", .space = "fbnet", .method = "guess"}, "method \"guess\""},
        {{.table = "missing.csv", .space = "fbnet", .protocol = "guess"}, "protocol \"guess\""},
        {{.table = fbnet, .space = "ofa"}, "no column \"resolution\""},
        {{.table = table_path("oneproxy_nasbench201.csv"), .space = "nasbench201", .targets = nobody, .n_targets = 1},
         "no column is called \"nokia_3310\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ol_study *study;
        const ol_scores *scores;
        cr_expect_neq(ol_evaluate(context, &bad[i].spec, &scores, &study), OL_OK);
        cr_expect(strstr(ol_study_error(study), bad[i].message), "%s", ol_study_error(study));
        ol_study_free(study);
    }
    ol_context_free(context);
}
