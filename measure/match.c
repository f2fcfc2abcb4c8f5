/* The runtime's profile against the kernels expected of a graph. Names are the runtime's own after its optimisations:
 * nodes are told by operator and sizes, and equal ones are the same work anyway. */
#include "calibrate.h"
#include "passes.h"
#include "probes.h"

#include <cjson/cJSON.h>
#include <string.h>

enum status lower_probe(uint64_t seed, uint32_t number, int64_t block, int threads, struct profile *p,
                        struct arena *arena, struct diag *diag) {
    struct runtime runtime = {.lowering = "ort", .view = VIEW_KEPT, .block = block, .threads = threads};
    struct run run = {
        .graph = probe_build(seed, number, true, arena), .scratch = arena, .diag = diag, .runtime = &runtime};
    TRY(passes_run(&run, PASSES_ALL));
    *p = (struct profile){.number = number,
                          .n_kernels = run.workload->n_kernels,
                          .kernels = run.workload->kernels,
                          .weight_bytes = run.workload->weight_bytes,
                          .us = arena_array(arena, run.workload->n_kernels + 1, sizeof *p->us)};
    return ST_OK;
}

static int64_t element_bytes(const char *type) {
    static const struct {
        const char *name;
        int64_t bytes;
    } types[] = {{"float", 4}, {"double", 8}, {"int64", 8}, {"float16", 2}, {"bool", 1}, {"uint8", 1}, {"int8", 1}};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(types[i].name, type) == 0) return types[i].bytes;
    return 4;
}

struct node_key {
    int64_t in_bytes, out_bytes;
    int64_t window; /* of the second input when that is a weight of a convolution; 0: packed beforehand and not told */
};

static int64_t shape_bytes(const cJSON *shape, int64_t *window) {
    const cJSON *dims = shape ? shape->child : NULL, *dim;
    int64_t n = dims ? element_bytes(dims->string) : 0;
    int rank = 0;
    *window = 1;
    cJSON_ArrayForEach(dim, dims) {
        n = num_mul_sat(n, (int64_t)dim->valuedouble);
        if (rank++ >= 2) *window = num_mul_sat(*window, (int64_t)dim->valuedouble);
    }
    if (rank < 3) *window = 0; /* a bias */
    return n;
}

static int64_t sum_bytes(const char *text, int64_t *second_window) {
    cJSON *list = cJSON_Parse(text);
    const cJSON *item;
    int64_t sum = 0, window;
    int at = 0;
    cJSON_ArrayForEach(item, list) {
        sum = num_add_sat(sum, shape_bytes(item, &window));
        if (at++ == 1) *second_window = window;
    }
    cJSON_Delete(list);
    return sum;
}

static struct node_key node_key(const struct node_time *node) {
    struct node_key key = {0};
    int64_t unused;
    key.out_bytes = sum_bytes(node->out_shapes, &unused);
    key.in_bytes = sum_bytes(node->in_shapes, &key.window) - node->weight_bytes;
    if (!strstr(node->op, "Conv")) key.window = 1;
    return key;
}

static struct node_key kernel_key(const struct kernel *k) {
    int64_t window = strstr(k->op, "Conv") ? (int64_t)k->kernel_h * k->kernel_w : 1;
    return (struct node_key){k->in_bytes, k->out_bytes, window};
}

static bool fits(const struct node_key *a, const struct node_key *b, bool exactly) {
    bool alike = a->window == b->window || !a->window || !b->window;
    return alike && a->out_bytes == b->out_bytes && (!exactly || a->in_bytes == b->in_bytes);
}

struct matching {
    const struct measurement *m;
    const struct profile *p;
    struct node_key *nodes;
    bool *taken; /* by node */
    double *us;
};

/* In the order both have; only where as many nodes are free as kernels. */
static void match_kernel(struct matching *x, size_t k, bool exactly) {
    struct node_key key = kernel_key(&x->p->kernels[k]);
    size_t kernels = 0, nodes = 0, first = x->m->n_nodes;
    for (size_t i = 0; i < x->p->n_kernels; i++) {
        struct node_key other = kernel_key(&x->p->kernels[i]);
        kernels += !x->us[i] && !strcmp(x->p->kernels[i].op, x->p->kernels[k].op) && fits(&other, &key, exactly);
    }
    for (size_t i = x->m->n_nodes; i-- > 0;) {
        if (x->taken[i] || strcmp(x->m->nodes[i].op, x->p->kernels[k].op) != 0 || !fits(&x->nodes[i], &key, exactly))
            continue;
        nodes++;
        first = i;
    }
    if (!nodes || nodes != kernels) return;
    x->taken[first] = true;
    x->us[k] = x->m->nodes[first].mean_us;
}

void match_nodes(const struct measurement *m, const struct profile *p, double *us, struct arena *scratch) {
    struct matching x = {m, p, arena_array(scratch, m->n_nodes + 1, sizeof *x.nodes),
                         arena_array(scratch, m->n_nodes + 1, sizeof *x.taken), us};
    for (size_t i = 0; i < m->n_nodes; i++) x.nodes[i] = node_key(&m->nodes[i]);
    for (size_t k = 0; k < p->n_kernels; k++) us[k] = 0;
    for (int exactly = 1; exactly >= 0; exactly--)
        for (size_t k = 0; k < p->n_kernels; k++)
            if (!us[k]) match_kernel(&x, k, exactly);
}

/* The canary's last convolution gives one channel, stored as a whole block of them. */
int64_t block_of(const struct measurement *m) {
    for (size_t i = 0; i < m->n_nodes; i++) {
        if (strcmp(m->nodes[i].op, "ReorderOutput") != 0) continue;
        int64_t unused, out = sum_bytes(m->nodes[i].out_shapes, &unused);
        return out ? sum_bytes(m->nodes[i].in_shapes, &unused) / out : 0;
    }
    return 0;
}
