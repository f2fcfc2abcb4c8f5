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

/* ---- Parts ---- */

static uint32_t convolution(struct builder *b, const uint32_t *x, const struct block *v) {
    return relu_conv_bn(b, *x, v->c_in, v->c_out, v->kernel, 1);
}

static uint32_t pool(struct builder *b, const uint32_t *x, const struct block *v) {
    return average_pool(b, *x, v->kernel, 1, 1);
}

/* As the reference network writes it; what a runtime makes of it is the graph view. */
static uint32_t zeros(struct builder *b, const uint32_t *x, const struct block *v) {
    (void)v;
    return build_binary(b, "Mul", *x, float_scalar(b, 0));
}

static uint32_t sum(struct builder *b, const uint32_t *x, const struct block *v) {
    return build_binary(b, "Add", x[0], x[v->two]);
}

static uint32_t stem(struct builder *b, const uint32_t *x, const struct block *v) {
    return conv_bn(b, *x, v->c_in, v->c_out, 3, 1, 1, NULL);
}

static uint32_t reduction(struct builder *b, const uint32_t *x, const struct block *v) {
    uint32_t y = relu_conv_bn(b, *x, v->c_in, v->c_out, 3, 2);
    y = relu_conv_bn(b, y, v->c_out, v->c_out, 3, 1);
    uint32_t shortcut = build_conv(b, average_pool(b, *x, 2, 2, 0), v->c_in, v->c_out, 1, 1, 1, false);
    return build_binary(b, "Add", shortcut, y);
}

static uint32_t head(struct builder *b, const uint32_t *x, const struct block *v) {
    return classifier(b, build_unary(b, "Relu", build_batchnorm(b, *x, v->c_in)), v->c_in, v->c_out);
}

enum kind { KIND_SUM = EDGE_OPS, KIND_TWICE, KIND_JOINED1, KIND_JOINED3, KINDS }; /* before them, those of edge_op */

static const struct block kinds[KINDS] = {
    [EDGE_NONE] = {.build = zeros},
    [EDGE_CONV1] = {.build = convolution, .kernel = 1},
    [EDGE_CONV3] = {.build = convolution, .kernel = 3},
    [EDGE_POOL] = {.build = pool, .kernel = 3},
    [KIND_SUM] = {.build = sum, .two = 1},
    [KIND_TWICE] = {.build = sum}, /* of a tensor and itself */
    [KIND_JOINED1] = {.build = convolution, .kernel = 1, .joins = 1},
    [KIND_JOINED3] = {.build = convolution, .kernel = 3, .joins = 1},
};

/* ---- What a graph view leaves of a cell (passes/dead.c says the same of any graph) ---- */

struct cell {
    enum edge_op op[N_EDGES];
    bool runs[N_EDGES], twice[N_EDGES];       /* twice: its sum is that of a tensor and itself */
    bool joins[N_EDGES], joins_stem[N_EDGES]; /* its activation the edge into node 1; in the first cell, the stem */
    bool reads_input, gives_zeros;
};

static bool is_conv(enum edge_op op) {
    return op == EDGE_CONV1 || op == EDGE_CONV3;
}

/* Pruned alone, a product with zero of a convolution that only such products read goes into its weights: the
 * convolution stays, and so does the first of them. Node 1 is read by edges 2 and 4, node 2 by edge 5. */
static bool keeps_convolution(const struct cell *c, const bool *carries, enum view view, size_t e) {
    bool first_erased = is_conv(c->op[0]) && c->op[4] == EDGE_NONE;
    if (view != VIEW_PRUNE || (e != 2 && e != 5)) return false;
    if (e == 2) return first_erased;
    if (carries[1] == carries[2]) return false;
    return is_conv(c->op[carries[1] ? 1 : 2]) || (carries[2] && c->op[2] == EDGE_SKIP && first_erased);
}

/* Edges that give no zeros, and of those the ones that reach the output. */
static void find_running(struct cell *c, const struct arch *a, enum view view) {
    bool carries[N_EDGES], live[4] = {true}, needed[4] = {[3] = true};
    for (size_t e = 0; e < N_EDGES; e++) c->op[e] = (enum edge_op)a->gene[e];
    for (size_t e = 0; e < N_EDGES; e++) {
        if (c->op[e] == EDGE_NONE && keeps_convolution(c, carries, view, e)) c->op[e] = EDGE_SKIP;
        bool made = view == VIEW_PRUNE && (is_conv(c->op[e]) || c->op[e] == EDGE_POOL); /* even out of zeros */
        carries[e] = view == VIEW_KEPT || (c->op[e] != EDGE_NONE && (live[edge_from[e]] || made));
        live[edge_into[e]] |= carries[e];
    }
    for (size_t e = N_EDGES; e-- > 0;) {
        c->runs[e] = carries[e] && needed[edge_into[e]];
        needed[edge_from[e]] |= c->runs[e];
    }
    c->reads_input = needed[0];
    c->gives_zeros = !live[3];
}

/* Of the cell's input and of node 1, the tensor that an edge reads; a first edge that skips makes them one. */
static size_t tensor_before(const struct cell *c, size_t e) {
    return edge_from[e] == 1 && c->op[0] == EDGE_SKIP ? 0 : edge_from[e];
}

static void find_joins(struct cell *c) {
    size_t readers[4] = {0};
    for (size_t e = 0; e < N_EDGES; e++)
        if (c->runs[e] && !(e == 0 && c->op[e] == EDGE_SKIP)) readers[tensor_before(c, e)]++;
    for (size_t e = 0; e < N_EDGES; e++) {
        size_t tensor = tensor_before(c, e);
        bool alone = is_conv(c->op[e]) && readers[tensor] == 1, second = e == 2 || e == 4;
        c->joins_stem[e] = alone && tensor == 0;
        c->joins[e] = alone && tensor == 1 && is_conv(c->op[0]);
        c->twice[e] = second && c->op[e] == EDGE_SKIP && c->op[e - 1] == EDGE_SKIP && tensor == tensor_before(c, e - 1);
    }
}

/* ---- The network ---- */

struct stage {
    struct parts *list;
    struct block inner;  /* sizes of the cells' tensors */
    uint8_t kind[KINDS]; /* place of those in use */
};

static uint8_t add(struct stage *s, enum kind kind, uint8_t x, uint8_t second) {
    struct block block = kinds[kind];
    if (s->kind[kind] == NO_PART) {
        block.batch = s->inner.batch, block.side = s->inner.side, block.stride = 1;
        block.c_in = block.c_out = s->inner.c_out;
        s->kind[kind] = add_kind(s->list, &block);
    }
    return add_part(s->list, s->kind[kind], x, second);
}

static uint8_t add_edge(struct stage *s, const struct cell *c, size_t e, bool first, uint8_t x) {
    bool joins = c->joins[e] || (first && c->joins_stem[e]);
    if (c->op[e] == EDGE_SKIP) return x;
    if (joins) return add(s, c->op[e] == EDGE_CONV1 ? KIND_JOINED1 : KIND_JOINED3, x, NO_PART);
    return add(s, (enum kind)c->op[e], x, NO_PART);
}

/* Returns what gives the cell's output. */
static uint8_t add_cell(struct stage *s, const struct cell *c, bool first, uint8_t x) {
    uint8_t node[4] = {x, NO_PART, NO_PART, NO_PART};
    bool has[4] = {false};
    if (!c->reads_input) s->list->n_parts = 0; /* nor does anything else read what came before */
    for (size_t e = 0; e < N_EDGES; e++) {
        uint8_t *into = &node[edge_into[e]];
        if (!c->runs[e]) continue;
        uint8_t y = add_edge(s, c, e, first, node[edge_from[e]]);
        *into = !has[edge_into[e]] ? y : add(s, c->twice[e] ? KIND_TWICE : KIND_SUM, *into, y);
        has[edge_into[e]] = true;
    }
    return node[3];
}

static void split(const struct space *s, const struct arch *a, int64_t batch, enum view view, struct parts *list) {
    struct stage stage = {.list = list};
    struct block next = {.build = stem, .batch = batch, .c_in = 3, .c_out = 16, .side = 32, .stride = 1};
    struct cell cell;
    uint8_t x = NO_PART;
    find_running(&cell, a, view);
    find_joins(&cell);
    for (int i = 0; i < 3; i++) {
        x = add_part(list, add_kind(list, &next), x, NO_PART);
        stage.inner = next;
        stage.inner.side /= next.stride;
        memset(stage.kind, NO_PART, sizeof stage.kind);
        for (int k = 0; k < N_CELLS; k++) x = add_cell(&stage, &cell, i + k == 0, x);
        next = (struct block){.build = reduction,
                              .batch = batch,
                              .c_in = next.c_out,
                              .c_out = 2 * next.c_out,
                              .side = stage.inner.side,
                              .stride = 2};
        if (view == VIEW_FULL && cell.gives_zeros) return; /* of which nothing is left */
    }
    next.build = head, next.c_out = s->classes, next.stride = 1;
    add_part(list, add_kind(list, &next), x, NO_PART);
}

#define NASBENCH201(name_, description_, classes_)                                                                     \
    {                                                                                                                  \
        .name = (name_), .description = (description_), .n_fields = 1, .classes = (classes_), .views = true,           \
        .fields = {{"arch", N_EDGES, EDGE_OPS, edge_options}}, .parse = parse, .print = print, .split = split          \
    }

const struct space space_nasbench201 = NASBENCH201("nasbench201", "NAS-Bench-201, CIFAR-100", 100);
const struct space space_nasbench201_10 = NASBENCH201("nasbench201-c10", "NAS-Bench-201, CIFAR-10", 10);
