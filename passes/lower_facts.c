/* What a kernel is, seen from its node: the class its shape makes it, and the sizes that decide its speed. */
#include "lower_internal.h"

static int64_t size_of(const struct graph *g, dim d) {
    struct cost bound = {0};
    int64_t n = count_dim(g, d, &bound);
    return n > 0 ? n : 0;
}

static int64_t axis_size(const struct graph *g, const struct tensor *t, int32_t axis) {
    if (!t || t->rank == RANK_UNKNOWN) return 0;
    if (axis < 0) axis += t->rank;
    return axis < 0 || axis >= t->rank ? 0 : size_of(g, t->dims[axis]);
}

static int64_t elements(const struct graph *g, const struct tensor *t) {
    struct cost bound = {0};
    int64_t n = count_elements(g, t, &bound);
    return n > 0 ? n : 0;
}

static int32_t to_int32(int64_t n) {
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* ---- Windows ---- */

/* The last axis is the width; all before it are folded into the height. */
static void spatial_sizes(const struct graph *g, const struct window *w, const struct tensor *x, const struct tensor *y,
                          struct kernel *k) {
    k->in_h = k->in_w = k->out_h = k->out_w = 1;
    for (int32_t i = 0; i < w->n; i++) {
        int64_t in = axis_size(g, x, window_axis(w, i)), out = axis_size(g, y, window_axis(w, i));
        bool width = i == w->n - 1;
        *(width ? &k->in_w : &k->in_h) = num_mul_sat(width ? 1 : k->in_h, in);
        *(width ? &k->out_w : &k->out_h) = num_mul_sat(width ? 1 : k->out_h, out);
    }
}

static void window_sizes(const struct graph *g, const struct window *w, struct kernel *k) {
    k->kernel_h = k->kernel_w = k->stride_h = k->stride_w = k->dilation_h = k->dilation_w = 1;
    for (int32_t i = 0; i < w->n; i++) {
        bool width = i == w->n - 1;
        int64_t size = size_of(g, w->kernel[i]), begin, end;
        int64_t in = width ? k->in_w : k->in_h, out = width ? k->out_w : k->out_h;
        window_pads(w, i, in, out, &begin, &end);
        *(width ? &k->kernel_w : &k->kernel_h) = to_int32(num_mul_sat(width ? 1 : k->kernel_h, size));
        *(width ? &k->stride_w : &k->stride_h) = to_int32(w->stride[i]);
        *(width ? &k->dilation_w : &k->dilation_h) = to_int32(w->dilation[i]);
        *(width ? &k->pad_left : &k->pad_top) = to_int32(begin);
        *(width ? &k->pad_right : &k->pad_bottom) = to_int32(end);
    }
}

static enum kernel_class convolution_class(const struct kernel *k) {
    if (k->groups <= 1) return k->kernel_h == 1 && k->kernel_w == 1 ? KC_POINTWISE : KC_CONV;
    return k->groups == k->c_in ? KC_DEPTHWISE : KC_GROUPED;
}

static bool window_facts(const struct graph *g, const struct node *node, const struct tensor *x, struct kernel *k) {
    struct window w;
    struct why why;
    const struct tensor *y = node_result(g, node, 0);
    if (!y || !window_read(g, node, &w, &why) || w.n < 1) return false;
    spatial_sizes(g, &w, x, y, k);
    window_sizes(g, &w, k);
    k->batch = axis_size(g, x, 0);
    k->c_in = axis_size(g, x, window_channel_axis(&w));
    k->c_out = axis_size(g, y, window_channel_axis(&w));
    k->positions = num_mul_sat(k->batch, num_mul_sat(k->out_h, k->out_w));
    k->reduction = num_mul_sat(k->kernel_h, k->kernel_w);
    return true;
}

static void convolution_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    struct operands operands = node_operands(node);
    const struct tensor *w = node_tensor(g, node, operands.weight);
    if (!window_facts(g, node, node_tensor(g, node, operands.data), k)) return;
    k->groups = node_int(node, "group", 1);
    if (k->kind == KC_CONV_TRANSPOSE) {
        /* Each output sums over the taps that hit it: on average the window over the strides. */
        int64_t taps = num_mul_sat(k->reduction, k->c_in / (k->groups > 0 ? k->groups : 1));
        int64_t strides = num_mul_sat(k->stride_h, k->stride_w);
        k->reduction = num_ceildiv(taps, strides);
        return;
    }
    k->reduction = num_mul_sat(k->reduction, axis_size(g, w, 1));
    k->kind = convolution_class(k);
}

static void whole_image_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    const struct tensor *x = node_tensor(g, node, 0);
    bool last = node_int(node, "channels_last", 0) != 0;
    int64_t all = elements(g, x);
    k->batch = k->positions = axis_size(g, x, 0);
    k->c_in = k->c_out = axis_size(g, x, last ? -1 : 1);
    int64_t maps = num_mul_sat(k->batch, k->c_in);
    k->reduction = maps ? all / maps : 0;
    k->in_w = axis_size(g, x, last ? -2 : -1);
    k->in_h = k->in_w ? k->reduction / k->in_w : 0;
    k->kernel_h = to_int32(k->in_h);
    k->kernel_w = to_int32(k->in_w);
    k->out_h = k->out_w = 1;
}

/* ---- Products ---- */

static int64_t known(int64_t n) {
    return n > 0 ? n : 0;
}

/* Rows of A times a constant B are one product; batches that both have make several. */
static void matmul_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    struct operands operands = node_operands(node);
    const struct tensor *a = node_tensor(g, node, operands.data), *b = node_tensor(g, node, operands.weight);
    const struct tensor *y = node_result(g, node, 0);
    bool transposed = node_int(node, "transA", 0) != 0;
    if (!a || !b || !y || a->rank < 1) return;
    int64_t out = elements(g, y), weights = elements(g, b);
    bool nbits = node->op == OP_MsMatMulNBits;
    k->c_in = nbits ? known(node_int(node, "K", 0)) : axis_size(g, a, transposed && a->rank > 1 ? -2 : -1);
    k->c_out = b->rank == 1 && !nbits ? 1 : axis_size(g, y, -1);
    k->reduction = k->c_in;
    int64_t one = num_mul_sat(k->c_in, k->c_out);
    k->batch = nbits || !one ? 1 : weights / one;
    if (k->batch < 1) k->batch = 1;
    int64_t rows = k->c_out ? out / k->c_out : 0;
    k->positions = rows / k->batch;
    if (rows % k->batch) { /* B broadcasts along its own axes: nothing is shared */
        k->batch = 1;
        k->positions = rows;
    }
    bool weight = is_constant(g, node->inputs[operands.weight]) || is_constant(g, node->inputs[operands.data]);
    k->kind = !weight || k->batch > 1 ? KC_MATMUL : k->positions == 1 ? KC_GEMV : KC_GEMM;
}

/* Every token is a row for each of its k experts; columns are those of an expert's first product. */
static void experts_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    const struct tensor *x = node_tensor(g, node, 0);
    k->batch = 1;
    k->c_in = k->reduction = axis_size(g, x, -1);
    k->c_out = axis_size(g, node_tensor(g, node, 2), -1);
    k->positions = k->c_in ? num_mul_sat(elements(g, x) / k->c_in, known(node_int(node, "k", 1))) : 0;
}

/* Labels of a two-operand Einsum sort into batch (both and out), rows, columns and summed ones. */
static void einsum_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    struct einsum e;
    struct why why;
    if (node->n_inputs != 2 || !einsum_read(g, node, &e, &why)) return;
    uint8_t where[EINSUM_LABELS] = {0};
    int64_t sizes[EINSUM_LABELS] = {0};
    for (uint32_t i = 0; i < 2; i++)
        for (int32_t d = 0; d < e.in[i].n; d++) {
            int64_t n = axis_size(g, node_tensor(g, node, i), d);
            where[e.in[i].label[d]] |= (uint8_t)(1 << i);
            if (n > sizes[e.in[i].label[d]]) sizes[e.in[i].label[d]] = n;
        }
    for (int32_t d = 0; d < e.out.n; d++) where[e.out.label[d]] |= 4;
    k->batch = k->positions = k->c_in = k->c_out = 1;
    for (int label = 0; label < EINSUM_LABELS; label++) {
        if (!where[label]) continue;
        int64_t *side = where[label] == 7   ? &k->batch
                        : where[label] == 5 ? &k->positions
                        : where[label] == 6 ? &k->c_out
                                            : &k->c_in;
        *side = num_mul_sat(*side, sizes[label]);
    }
    k->reduction = k->c_in;
    bool weight = is_constant(g, node->inputs[0]) || is_constant(g, node->inputs[1]);
    k->kind = !weight || k->batch > 1 ? KC_MATMUL : k->positions == 1 ? KC_GEMV : KC_GEMM;
}

/* Attention: a product for each head of each sequence; rows of queries against rows of keys. */
static void attention_facts(struct graph *g, const struct node *node, struct kernel *k) {
    struct attention a;
    attention_read(g, node, &a);
    k->batch = num_mul_sat(size_of(g, a.batch), size_of(g, a.q_heads));
    k->positions = size_of(g, a.q_len);
    k->c_in = k->reduction = size_of(g, a.head);
    k->c_out = size_of(g, a.total_len);
    k->groups = size_of(g, a.kv_heads);
}

/* Recurrent layers: positions are steps times batch, groups the directions. */
static void recurrent_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    const struct tensor *x = node_tensor(g, node, 0), *r = node_tensor(g, node, 2);
    bool batch_first = node_int(node, "layout", 0) != 0;
    k->batch = axis_size(g, x, batch_first ? 0 : 1);
    k->positions = num_mul_sat(axis_size(g, x, 0), axis_size(g, x, 1));
    k->c_in = axis_size(g, x, 2);
    k->c_out = axis_size(g, r, node->op == OP_MsDynamicQuantizeLSTM ? 1 : 2);
    k->groups = axis_size(g, r, 0);
    k->reduction = num_add_sat(k->c_in, k->c_out);
}

/* ---- Everything else ---- */

/* positions * c_out = elements out; c_in: length of the axis that a reduction, norm or softmax runs along. */
static void plain_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    const struct tensor *x = node_tensor(g, node, 0), *y = node_result(g, node, 0);
    int64_t all = elements(g, y);
    k->batch = axis_size(g, y, 0);
    k->c_out = y && y->rank > 1 ? axis_size(g, y, 1) : axis_size(g, y, 0);
    if (y && y->rank == 0) k->batch = k->c_out = 1;
    k->positions = k->c_out ? all / k->c_out : 0;
    if (y && y->rank >= 3) {
        k->out_w = axis_size(g, y, -1);
        k->out_h = axis_size(g, y, -2);
    }
    if (x && x->rank >= 3) {
        k->in_w = axis_size(g, x, -1);
        k->in_h = axis_size(g, x, -2);
    }
    k->c_in = axis_size(g, x, (int32_t)node_int(node, "axis", k->kind == KC_NORM ? 1 : -1));
}

/* RoiAlign: points sampled for an output, each between four pixels. */
static void region_facts(const struct graph *g, const struct node *node, struct kernel *k) {
    plain_facts(g, node, k);
    int64_t ratio = region_ratio(node);
    if (node->op == OP_RoiAlign) k->reduction = num_mul_sat(ratio, ratio);
}

/* batch lists of c_in elements. */
static void sort_facts(struct graph *g, const struct node *node, struct kernel *k) {
    struct suppression s;
    struct cost bound = {0};
    plain_facts(g, node, k);
    if (node->op == OP_NonMaxSuppression) {
        if (!suppression_read(g, node, &s, &bound)) return;
        k->batch = s.lists;
        k->c_in = s.boxes;
        k->pairs = s.pairs;
        return;
    }
    k->batch = k->c_in ? elements(g, node_tensor(g, node, 0)) / k->c_in : 0;
}

static enum dtype main_dtype(const struct graph *g, const struct node *node) {
    struct operands operands = node_operands(node);
    const struct tensor *x = node_tensor(g, node, operands.data), *y = node_result(g, node, 0);
    return x && x->dtype ? x->dtype : y ? y->dtype : DT_UNDEFINED;
}

void kernel_facts(struct graph *g, const struct node *node, struct kernel *k) {
    k->kind = op_table[node->op].kernel;
    k->dtype = main_dtype(g, node);
    k->groups = 1;
    switch (k->kind) {
    case KC_CONV:
    case KC_CONV_TRANSPOSE:
        convolution_facts(g, node, k);
        break;
    case KC_POOL:
        if (!node_attr(node, "kernel_shape") || !window_facts(g, node, node_tensor(g, node, 0), k))
            region_facts(g, node, k);
        break;
    case KC_GLOBAL_POOL:
        whole_image_facts(g, node, k);
        break;
    case KC_GEMM:
        if (node->op == OP_MsMoE || node->op == OP_MsQMoE)
            experts_facts(g, node, k);
        else
            matmul_facts(g, node, k);
        break;
    case KC_MATMUL:
        einsum_facts(g, node, k);
        break;
    case KC_ATTENTION:
        attention_facts(g, node, k);
        break;
    case KC_RNN:
        recurrent_facts(g, node, k);
        break;
    case KC_SORT:
        sort_facts(g, node, k);
        break;
    default:
        plain_facts(g, node, k);
        break;
    }
}
