/* Families of products, sequences, elementwise work and moves. */
#include "probes.h"

#include <math.h>

static void tokens(struct probe *p, int64_t rows, int64_t width) {
    const int64_t dims[] = {1, rows, width};
    p->x = build_input(&p->b, "input", DT_FLOAT, dims, 3);
    p->c = width;
    p->h = rows;
    p->w = 1;
}

/* Multi-head attention over `groups` independent windows of `rows` tokens. */
static void attention(struct probe *p, int64_t groups, int64_t rows, int64_t width, int64_t heads) {
    int64_t head = width / heads, all = groups * rows;
    uint32_t part[3], x = p->x;
    probe_matmul(p, all, width, 3 * width, true);
    probe_reshape(p, (int64_t[]){groups, rows, 3, heads, head}, 5);
    probe_transpose(p, (int64_t[]){2, 0, 3, 1, 4}, 5);
    uint32_t whole = p->x;
    for (int64_t i = 0; i < 3; i++) {
        uint32_t index = build_ints(&p->b, &i, 1);
        p->b.graph->tensors[index].rank = 0;
        struct attr axis = attr_int(&p->b, "axis", 0);
        part[i] = build_node(&p->b, "Gather", (uint32_t[]){whole, index}, 2, &axis, 1);
    }
    p->x = part[1];
    probe_transpose(p, (int64_t[]){0, 1, 3, 2}, 4);
    uint32_t keys = p->x;
    p->x = part[0];
    probe_binary(p, "Mul", probe_scalar(p, (float)(1 / sqrt((double)head))));
    probe_binary(p, "MatMul", keys);
    if (groups > 1) {
        const int64_t dims[] = {1, heads, rows, rows};
        probe_binary(p, "Add", probe_constant(p, dims, 4, 0.1));
    }
    probe_softmax(p, -1);
    probe_binary(p, "MatMul", part[2]);
    probe_transpose(p, (int64_t[]){0, 2, 1, 3}, 4);
    if (groups > 1)
        probe_reshape(p, (int64_t[]){groups, rows, width}, 3);
    else
        probe_reshape(p, (int64_t[]){1, rows, width}, 3);
    probe_matmul(p, all, width, width, true);
    p->macs += 2.0 * (double)(groups * rows * rows * width);
    (void)x;
}

static void feed_forward(struct probe *p, int64_t rows, int64_t width, int64_t inner, int64_t act) {
    probe_matmul(p, rows, width, inner, true);
    if (act)
        probe_activation(p, act);
    else
        probe_gelu(p);
    probe_matmul(p, rows, inner, width, true);
}

void family_transformer(struct probe *p) {
    int64_t head = PICK(p, 32, 64, 64, 64), heads = PICK(p, 2, 3, 4, 6, 8, 12), width = head * heads;
    int64_t rows = PICK(p, 16, 32, 49, 64, 128, 196, 197, 256), act = PICK(p, 0, 0, 0, 1);
    bool post = probe_chance(p, 0.4);
    tokens(p, rows, width);
    for (int i = 0; i < 3 && !probe_full(p); i++) {
        uint32_t x = p->x;
        if (!post) probe_layer_norm(p, width);
        attention(p, 1, rows, width, heads);
        probe_binary(p, "Add", x);
        if (post) probe_layer_norm(p, width);
        x = p->x;
        if (!post) probe_layer_norm(p, width);
        feed_forward(p, rows, width, width * PICK(p, 2, 4, 4), act);
        probe_binary(p, "Add", x);
        if (post) probe_layer_norm(p, width);
    }
}

/* Zeros at both ends of one axis of four. The runtime keeps a Pad of nothing when its sizes were computed. */
static void pad(struct probe *p, int64_t axis, int64_t by) {
    int64_t pads[8] = {0};
    pads[axis] = pads[axis + 4] = by;
    uint32_t sizes = build_ints(&p->b, pads, 8);
    if (!by) sizes = build_binary(&p->b, "Add", sizes, sizes);
    p->x = build_node(&p->b, "Pad", (uint32_t[]){p->x, sizes}, 2, NULL, 0);
}

/* Attention inside windows of an image, shifted by a roll, as in hierarchical transformers. */
void family_windows(struct probe *p) {
    int64_t side = PICK(p, 56, 28, 14, 7, 32, 16), window = side % 7 ? 8 : 7, width = 96;
    while (width < 5376 / side && probe_chance(p, 0.7)) width *= 2;
    int64_t per = side / window, groups = per * per, rows = window * window, all = side * side;
    const int64_t dims[] = {1, side, side, width};
    p->x = build_input(&p->b, "input", DT_FLOAT, dims, 4);
    for (int i = 0; i < 2 && !probe_full(p); i++) {
        uint32_t x = p->x;
        probe_layer_norm(p, width);
        if (i && per > 1) {
            int64_t cut = window / 2;
            uint32_t parts[] = {probe_slice(p, p->x, 1, cut, side), probe_slice(p, p->x, 1, 0, cut)};
            probe_concat(p, parts, 2, 1);
            uint32_t more[] = {probe_slice(p, p->x, 2, cut, side), probe_slice(p, p->x, 2, 0, cut)};
            probe_concat(p, more, 2, 2);
        }
        pad(p, 3, 0);
        probe_reshape(p, (int64_t[]){1, per, window, per, window, width}, 6);
        probe_transpose(p, (int64_t[]){0, 1, 3, 2, 4, 5}, 6);
        probe_reshape(p, (int64_t[]){groups, rows, width}, 3);
        attention(p, groups, rows, width, width / 32);
        probe_reshape(p, (int64_t[]){1, per, per, window, window, width}, 6);
        probe_transpose(p, (int64_t[]){0, 1, 3, 2, 4, 5}, 6);
        probe_reshape(p, (int64_t[]){1, side, side, width}, 4);
        probe_binary(p, "Add", x);
        x = p->x;
        probe_layer_norm(p, width);
        feed_forward(p, all, width, 4 * width, 0);
        probe_binary(p, "Add", x);
    }
}

/* Depthwise 7x7, then a feed-forward layer over channels, between two transposes. */
void family_convnext(struct probe *p) {
    int64_t size = PICK(p, 56, 28, 14, 14, 7), c = probe_log_uniform(p, 48, 5376 / size, 16);
    probe_image(p, c, size);
    for (int i = 0; i < 3 && !probe_full(p); i++) {
        const int64_t scale[] = {c, 1, 1};
        uint32_t x = p->x;
        probe_conv_square(p, c, PICK(p, 5, 7, 7), 1, c);
        probe_transpose(p, (int64_t[]){0, 2, 3, 1}, 4);
        probe_layer_norm(p, c);
        feed_forward(p, size * size, c, 4 * c, 0);
        probe_transpose(p, (int64_t[]){0, 3, 1, 2}, 4);
        probe_binary(p, "Mul", probe_constant(p, scale, 3, 1));
        probe_binary(p, "Add", x);
    }
}

/* Fully connected layers on one row: what reading weights costs, in models of all sizes. */
void family_vectors(struct probe *p) {
    const double total = exp(log(3e5) + rng_unit(&p->rng) * (log(5e7) - log(3e5))); /* weights: 1 to 200 MB */
    int64_t n = PICK(p, 2, 3, 4), width = probe_log_uniform(p, 128, (int64_t)sqrt(total), 8);
    const int64_t dims[] = {1, width};
    p->x = build_input(&p->b, "input", DT_FLOAT, dims, 2);
    p->weights = 0;
    for (int64_t i = 0; i < n; i++) {
        double share = total / (double)n / (double)width;
        int64_t out = share > 16384 ? 16384 : share < 16 ? 16 : (int64_t)(share / 8) * 8;
        p->x = build_gemm(&p->b, p->x, width, out, true);
        p->weights += (double)(width * out);
        if (i + 1 < n) probe_activation(p, PICK(p, 1, 1, 5, 7));
        width = out;
    }
    probe_softmax(p, -1);
}

void family_head(struct probe *p) {
    int64_t c = probe_log_uniform(p, 64, 2048, 8), classes = PICK(p, 10, 100, 1000, 1000, 1000);
    probe_image(p, c, PICK(p, 4, 7, 7, 7, 8, 14));
    if (probe_chance(p, 0.5)) {
        probe_conv_square(p, probe_log_uniform(p, 256, 2048, 16), 1, 1, 1);
        probe_activation(p, PICK(p, 1, 2, 3, 4));
    }
    if (probe_chance(p, 0.3)) {
        struct attr attrs[] = {attr_ints(&p->b, "axes", (int64_t[]){2, 3}, 2), attr_int(&p->b, "keepdims", 0)};
        p->x = build_node(&p->b, "ReduceMean", &p->x, 1, attrs, 2);
    } else {
        probe_global_pool(p);
        probe_unary(p, "Flatten");
    }
    if (probe_chance(p, 0.4)) {
        int64_t hidden = probe_log_uniform(p, 256, 1536, 8);
        p->x = build_gemm(&p->b, p->x, p->c, hidden, true);
        probe_activation(p, PICK(p, 1, 3));
        p->c = hidden;
    }
    p->x = build_gemm(&p->b, p->x, p->c, classes, true);
    if (probe_chance(p, 0.5)) probe_softmax(p, -1);
}

static void recurrent(struct probe *p, const char *op, int64_t gates, int64_t in, int64_t hidden, bool both) {
    int64_t directions = both ? 2 : 1;
    const int64_t w[] = {directions, gates * hidden, in}, r[] = {directions, gates * hidden, hidden},
                  bias[] = {directions, 2 * gates * hidden};
    double scale = 1 / sqrt((double)hidden);
    uint32_t inputs[] = {p->x, probe_constant(p, w, 3, scale), probe_constant(p, r, 3, scale),
                         probe_constant(p, bias, 2, scale)};
    struct attr attrs[] = {attr_int(&p->b, "hidden_size", hidden),
                           attr_string(&p->b, "direction", both ? "bidirectional" : "forward")};
    p->x = build_node(&p->b, op, inputs, 4, attrs, 2);
}

void family_recurrent(struct probe *p) {
    int64_t steps = PICK(p, 10, 20, 35, 50, 100), in = probe_log_uniform(p, 32, 512, 8);
    bool lstm = probe_chance(p, 0.6), both = probe_chance(p, 0.5);
    const int64_t dims[] = {steps, 1, in};
    p->x = build_input(&p->b, "input", DT_FLOAT, dims, 3);
    for (int64_t i = 0, n = PICK(p, 2, 3, 3); i < n; i++) {
        int64_t hidden = probe_log_uniform(p, 32, 512, 8);
        recurrent(p, lstm ? "LSTM" : "GRU", lstm ? 4 : 3, in, hidden, both);
        probe_transpose(p, (int64_t[]){0, 2, 1, 3}, 4);
        in = hidden * (both ? 2 : 1);
        probe_reshape(p, (int64_t[]){steps, 1, in}, 3);
    }
    probe_matmul(p, steps, in, PICK(p, 64, 256, 512), true);
}

/* Operators on plain tensors, with every way operands are broadcast. */
void family_elementwise(struct probe *p) {
    static const char *const unary[] = {"Relu", "Sigmoid", "Tanh",     "Exp",       "Sqrt",        "Abs",
                                        "Neg",  "Erf",     "Softplus", "LeakyRelu", "HardSigmoid", "Floor"};
    static const char *const binary[] = {"Add", "Add", "Mul", "Mul", "Sub", "Div", "Pow", "Max", "Min"};
    int64_t size = PICK(p, 112, 56, 56, 28, 28, 14, 7), c = probe_log_uniform(p, 16, 14336 / size, 4);
    probe_image(p, c, size);
    probe_unary(p, "Abs");
    uint32_t first = p->x;
    for (int i = 0; i < 12; i++) {
        const int64_t channel[] = {1, c, 1, 1}, last[] = {size}, whole[] = {1, c, size, size},
                      row[] = {1, 1, size, size};
        const char *op = binary[rng_below(&p->rng, COUNT_OF(binary))];
        uint32_t x = p->x;
        bool power = op[0] == 'P';
        switch (PICK(p, 0, 1, 2, 3, 4, 5, 6, 6, 6)) {
        case 0:
            probe_binary(p, op, probe_scalar(p, power ? 2 : 1.5f));
            break;
        case 1:
            probe_binary(p, power ? "Mul" : op, probe_constant(p, channel, 4, 1));
            break;
        case 2:
            probe_binary(p, power ? "Mul" : op, probe_constant(p, last, 1, 1));
            break;
        case 3:
            probe_binary(p, power ? "Add" : op, probe_constant(p, whole, 4, 1));
            break;
        case 4:
            probe_binary(p, power ? "Sub" : op, probe_constant(p, row, 4, 1));
            break;
        case 5:
            probe_binary(p, power ? "Mul" : op, first);
            break;
        default:
            probe_unary(p, unary[rng_below(&p->rng, COUNT_OF(unary))]);
        }
        if (i % 4 == 3) { /* numbers stay within bounds, and no chain of constants folds */
            uint32_t limits[] = {p->x, probe_scalar(p, 0.01f), probe_scalar(p, 4)};
            p->x = build_node(&p->b, "Clip", limits, 3, NULL, 0);
            p->x = build_binary(&p->b, "Add", p->x, x);
        }
    }
    if (probe_chance(p, 0.5)) probe_softmax(p, PICK(p, 1, -1, -1));
}

static void reduce(struct probe *p, const char *op, int64_t axis) {
    struct attr attrs[] = {attr_ints(&p->b, "axes", &axis, 1), attr_int(&p->b, "keepdims", 1)};
    uint32_t x = p->x;
    uint32_t y = build_node(&p->b, op, &x, 1, attrs, 2);
    probe_binary(p, "Sub", y);
}

/* Transposes, slices, concatenations, gathers and reductions. */
void family_movement(struct probe *p) {
    int64_t size = PICK(p, 56, 28, 28, 14, 7), c = probe_log_uniform(p, 32, 14336 / size, 8), w = size;
    probe_image(p, c, size);
    for (int i = 0; i < 4; i++) {
        switch (PICK(p, 0, 1, 2, 3, 4, 5, 6)) {
        case 0:
            probe_transpose(p, (int64_t[]){0, 2, 3, 1}, 4);
            probe_layer_norm(p, c);
            probe_transpose(p, (int64_t[]){0, 3, 1, 2}, 4);
            break;
        case 1: {
            uint32_t parts[] = {probe_slice(p, p->x, 1, 0, c / 2), probe_slice(p, p->x, 1, c / 2, c)};
            probe_concat(p, (uint32_t[]){parts[1], parts[0]}, 2, 1);
            break;
        }
        case 2: {
            uint32_t part = probe_slice(p, p->x, 3, 1, w);
            probe_concat(p, (uint32_t[]){p->x, part}, 2, 3);
            w += w - 1;
            break;
        }
        case 3:
            reduce(p, probe_chance(p, 0.6) ? "ReduceMean" : "ReduceMax", PICK(p, 1, 2, -1));
            break;
        case 4: {
            int64_t by = PICK(p, 1, 3);
            pad(p, 3, by);
            w += 2 * by;
            break;
        }
        case 5:
            probe_reshape(p, (int64_t[]){1, c / 4, 4, size, w}, 5);
            probe_transpose(p, (int64_t[]){0, 2, 1, 3, 4}, 5);
            probe_reshape(p, (int64_t[]){1, c, size, w}, 4);
            break;
        default: {
            int64_t *at = arena_array(p->b.graph->arena, (size_t)c, sizeof *at);
            for (int64_t k = 0; k < c; k++) at[k] = (k * 7) % c;
            struct attr axis = attr_int(&p->b, "axis", 1);
            p->x = build_node(&p->b, "Gather", (uint32_t[]){p->x, build_ints(&p->b, at, c)}, 2, &axis, 1);
        }
        }
        probe_unary(p, "Sigmoid");
    }
}
