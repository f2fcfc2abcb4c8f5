/* NAS-Bench-201 (Dong and Yang, ICLR 2020): one cell of six edges, repeated five times at each of three widths. */
#include "space.h"

#include <string.h>

enum edge_op { EDGE_NONE, EDGE_SKIP, EDGE_CONV1, EDGE_CONV3, EDGE_POOL, EDGE_OPS };

static const char *const edge_names[EDGE_OPS] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                                 "avg_pool_3x3"};
static const int16_t edge_options[EDGE_OPS] = {EDGE_NONE, EDGE_SKIP, EDGE_CONV1, EDGE_CONV3, EDGE_POOL};
static const uint8_t edge_from[] = {0, 0, 1, 0, 1, 2}; /* in the order of the string: into node 1, 2, 2, 3, 3, 3 */
static const uint8_t edge_into[] = {1, 2, 2, 3, 3, 3};

#define N_EDGES COUNT_OF(edge_from)
#define N_CELLS 5

static enum status bad(const struct space *s, const char *text, const char *at, const char *expected,
                       struct diag *diag) {
    return diag_fail(diag, ST_DATA, "%s architecture \"%s\": position %d: %s expected", s->name, text,
                     (int)(at - text) + 1, expected);
}

static enum edge_op edge_parse(const char *at, const char *tilde) {
    for (size_t op = 0; op < EDGE_OPS; op++)
        if (strlen(edge_names[op]) == (size_t)(tilde - at) && strncmp(edge_names[op], at, (size_t)(tilde - at)) == 0)
            return (enum edge_op)op;
    return EDGE_OPS;
}

/* "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|" */
static enum status parse(const struct space *s, const char *text, struct arch *a, struct diag *diag) {
    const char *at = text;
    for (size_t e = 0; e < N_EDGES; e++) {
        if (e > 0 && edge_into[e] != edge_into[e - 1]) {
            if (at[0] != '|' || at[1] != '+') return bad(s, text, at, "\"|+|\"", diag);
            at += 2;
        }
        if (*at++ != '|') return bad(s, text, at - 1, "'|'", diag);
        const char *tilde = strchr(at, '~');
        enum edge_op op = tilde ? edge_parse(at, tilde) : EDGE_OPS;
        if (op == EDGE_OPS)
            return bad(s, text, at, "none, skip_connect, nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3 and '~'", diag);
        if (tilde[1] != '0' + edge_from[e]) return bad(s, text, tilde + 1, "the number of the node it reads", diag);
        a->gene[e] = (uint8_t)op;
        at = tilde + 2;
    }
    if (strcmp(at, "|") != 0) return bad(s, text, at, "'|' and the end", diag);
    return ST_OK;
}

static char *print(const struct space *s, const struct arch *a, struct arena *arena) {
    (void)s;
    const char *op[N_EDGES];
    for (size_t e = 0; e < N_EDGES; e++) op[e] = edge_names[a->gene[e]];
    return arena_printf(arena, "|%s~0|+|%s~0|%s~1|+|%s~0|%s~1|%s~2|", op[0], op[1], op[2], op[3], op[4], op[5]);
}

static uint32_t average_pool(struct builder *b, uint32_t x, int64_t kernel, int64_t stride, int64_t pad) {
    const int64_t kernels[] = {kernel, kernel}, strides[] = {stride, stride}, pads[] = {pad, pad, pad, pad};
    struct attr attrs[] = {attr_ints(b, "kernel_shape", kernels, 2), attr_ints(b, "strides", strides, 2),
                           attr_ints(b, "pads", pads, 4), attr_int(b, "count_include_pad", 0)};
    return build_node(b, "AveragePool", &x, 1, attrs, COUNT_OF(attrs));
}

static uint32_t relu_conv_bn(struct builder *b, uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel,
                             int64_t stride) {
    return conv_bn(b, build_unary(b, "Relu", x), c_in, c_out, kernel, stride, 1, NULL);
}

static uint32_t edge(struct builder *b, uint32_t x, enum edge_op op, int64_t channels) {
    switch (op) {
    case EDGE_NONE: /* as the reference network writes it; what a runtime makes of it is the graph view */
        return build_binary(b, "Mul", x, float_scalar(b, 0));
    case EDGE_CONV1:
        return relu_conv_bn(b, x, channels, channels, 1, 1);
    case EDGE_CONV3:
        return relu_conv_bn(b, x, channels, channels, 3, 1);
    case EDGE_POOL:
        return average_pool(b, x, 3, 1, 1);
    default:
        return x;
    }
}

static uint32_t cell(struct builder *b, uint32_t x, const struct block *v) {
    uint32_t node[4] = {x, NONE, NONE, NONE};
    for (size_t e = 0; e < N_EDGES; e++) {
        uint32_t y = edge(b, node[edge_from[e]], (enum edge_op)v->gene[e], v->c_out);
        uint32_t *sum = &node[edge_into[e]];
        *sum = *sum == NONE ? y : build_binary(b, "Add", *sum, y);
    }
    return node[3];
}

/* With the first cell, whose activation may join the convolution. */
static uint32_t stem(struct builder *b, uint32_t x, const struct block *v) {
    return cell(b, conv_bn(b, x, v->c_in, v->c_out, 3, 1, 1, NULL), v);
}

static uint32_t reduction(struct builder *b, uint32_t x, const struct block *v) {
    uint32_t y = relu_conv_bn(b, x, v->c_in, v->c_out, 3, 2);
    y = relu_conv_bn(b, y, v->c_out, v->c_out, 3, 1);
    uint32_t shortcut = build_conv(b, average_pool(b, x, 2, 2, 0), v->c_in, v->c_out, 1, 1, 1, false);
    return build_binary(b, "Add", shortcut, y);
}

static uint32_t head(struct builder *b, uint32_t x, const struct block *v) {
    return classifier(b, build_unary(b, "Relu", build_batchnorm(b, x, v->c_in)), v->c_in, v->c_out);
}

static void split(const struct space *s, const struct arch *a, int64_t batch, struct blocks *list) {
    struct block inner = {.build = cell, .c_out = 16, .stride = 1}, first;
    memcpy(inner.gene, a->gene, N_EDGES);
    first = inner;
    first.build = stem, first.batch = batch, first.c_in = 3, first.side = 32;
    add_block(list, first);
    for (int stage = 0; stage < 3; stage++, inner.c_out *= 2) {
        if (stage > 0) add_block(list, (struct block){.build = reduction, .c_out = inner.c_out, .stride = 2});
        for (int i = stage == 0; i < N_CELLS; i++) add_block(list, inner);
    }
    add_block(list, (struct block){.build = head, .c_out = s->classes, .stride = 1});
}

#define NASBENCH201(name_, description_, classes_)                                                                     \
    {                                                                                                                  \
        .name = (name_), .description = (description_), .n_fields = 1, .classes = (classes_), .views = true,           \
        .fields = {{"arch", N_EDGES, EDGE_OPS, edge_options}}, .parse = parse, .print = print, .split = split          \
    }

const struct space space_nasbench201 = NASBENCH201("nasbench201", "NAS-Bench-201, CIFAR-100", 100);
const struct space space_nasbench201_10 = NASBENCH201("nasbench201-c10", "NAS-Bench-201, CIFAR-10", 10);
