/* A kernel as the terms of its closed form (calibration study, section 4). The tiles are those of MLAS, the runtime's
 * matrix library: convolutions compute 6 outputs of 4 channel blocks at a time, products 12 rows by 16 columns. */
#include "calibrated.h"

#include <math.h>
#include <string.h>

#define MEGA         1e6
#define NEAR_CACHE   1.5 /* megabytes that a kernel finds in the cache next to a core */
#define FAR_CACHE    8.0
#define TILE_OUTPUTS 6
#define TILE_BLOCKS  4

static void term(struct kernel_form *f, double value) {
    f->terms[f->n_terms++] = value;
}

static double over(double megabytes, double limit) {
    return fmax(0, megabytes - limit);
}

static double padded(double n, double to) {
    return ceil(n / to) * to;
}

static double at_least_1(int64_t n) {
    return n > 1 ? (double)n : 1;
}

/* ---- Windows ---- */

struct taps {        /* of one axis, over all output positions */
    double all;      /* taps that lie inside the input */
    double complete; /* positions where all of them do */
};

static struct taps count_taps(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
    struct taps t = {0};
    for (int64_t i = 0; i < out; i++) {
        int64_t inside = 0;
        for (int64_t k = 0; k < kernel; k++) {
            int64_t at = i * stride - pad + k * dilation;
            inside += at >= 0 && at < in;
        }
        t.all += (double)inside;
        t.complete += inside == kernel;
    }
    return t;
}

struct window_shape {
    double rows, row_taps;  /* output rows of all images; rows of the input they sum over */
    double complete, edge;  /* outputs of a row with all taps; taps of the others */
    double kernel_w, width; /* taps of a row of the window; outputs of a row */
    double fill;            /* share of the taps inside the input */
};

static struct window_shape window_shape(const struct kernel *k) {
    double batch = at_least_1(k->batch);
    bool flat = k->kernel_h == 1 && k->kernel_w == 1 && k->stride_h == 1 && k->stride_w == 1;
    if (flat) { /* the image is one long row */
        double outputs = (double)k->positions / batch;
        return (struct window_shape){batch, batch, outputs, 0, 1, outputs, 1};
    }
    struct taps h = count_taps(k->in_h, k->out_h, k->kernel_h, k->stride_h, k->dilation_h, k->pad_top);
    struct taps w = count_taps(k->in_w, k->out_w, k->kernel_w, k->stride_w, k->dilation_w, k->pad_left);
    double edge = w.all - w.complete * k->kernel_w;
    double possible = (double)k->out_h * k->kernel_h * (double)k->out_w * k->kernel_w;
    return (struct window_shape){batch * (double)k->out_h,
                                 batch * h.all,
                                 w.complete,
                                 edge,
                                 (double)k->kernel_w,
                                 (double)k->out_w,
                                 possible > 0 ? h.all * w.all / possible : 1};
}

static double outputs_of(const struct kernel *k) {
    return (double)k->positions * (double)k->c_out;
}

static double in_mb(const struct kernel *k) {
    return (double)k->in_bytes / MEGA;
}
static double out_mb(const struct kernel *k) {
    return (double)k->out_bytes / MEGA;
}

static void blocked_form(const struct kernel *k, int64_t block, struct kernel_form *f) {
    struct window_shape s = window_shape(k);
    double lanes = (double)block, groups = at_least_1(k->groups), c_in = (double)k->c_in / groups;
    double depth = k->variant == CONV_FROM_NCHW ? c_in : padded(c_in, lanes), reduction = depth * groups / MEGA;
    double blocks = ceil((double)k->c_out / groups / lanes), full = floor(blocks / TILE_BLOCKS);
    double rest = blocks - full * TILE_BLOCKS, sets = full + (rest > 0);
    double tail_outputs = fmod(s.complete, TILE_OUTPUTS), per_output = s.row_taps * s.kernel_w * reduction;
    double big = per_output * (s.complete - tail_outputs), tail = per_output * tail_outputs;
    double tails = 2 * per_output * (tail_outputs > 0), edge = 2 * s.row_taps * s.edge * reduction;
    double passes = ceil(depth / (k->kind == KC_POINTWISE ? 8 * lanes : lanes));
    term(f, 1);
    term(f, big * full * TILE_BLOCKS);
    term(f, big * rest);
    term(f, big * (rest == 1));
    term(f, tail * full * TILE_BLOCKS);
    term(f, tail * rest);
    term(f, tails * sets);
    term(f, edge * full);
    term(f, edge * (rest > 0));
    term(f, in_mb(k) * sets);
    term(f, out_mb(k));
    term(f, out_mb(k) * (passes - 1));
    term(f, s.rows * sets * groups * passes * k->kernel_h / 1e3);
    term(f, (double)k->weight_bytes / MEGA);
    term(f, k->has_residual ? out_mb(k) : 0);
    term(f, over(in_mb(k) + out_mb(k), NEAR_CACHE));
    term(f, over(out_mb(k), NEAR_CACHE));
    term(f, k->second_pass ? out_mb(k) : 0);
    f->weight_mb = (double)k->weight_bytes / MEGA;
}

static void depthwise_form(const struct kernel *k, int64_t block, struct kernel_form *f) {
    struct window_shape s = window_shape(k);
    double blocks = ceil((double)k->c_out / (double)block), width = s.complete * s.kernel_w + s.edge;
    term(f, 1);
    term(f, s.row_taps * width * blocks / MEGA);
    term(f, out_mb(k));
    term(f, in_mb(k));
    term(f, s.rows * blocks / 1e3);
    term(f, s.row_taps * blocks / 1e3);
    term(f, s.row_taps * fmod(s.complete, TILE_OUTPUTS) * s.kernel_w * blocks / MEGA);
    term(f, s.row_taps * s.edge * blocks / MEGA);
    term(f, in_mb(k) + out_mb(k) > 1 ? in_mb(k) + out_mb(k) : 0);
    term(f, over(in_mb(k) + out_mb(k), FAR_CACHE));
    term(f, k->second_pass ? out_mb(k) : 0);
}

/* A product for each group, over columns gathered from the image. */
static void plain_form(const struct kernel *k, struct kernel_form *f) {
    bool transpose = k->kind == KC_CONV_TRANSPOSE;
    double groups = at_least_1(k->groups), window = (double)k->kernel_h * k->kernel_w;
    double m = (double)k->c_out / groups, n = (double)k->positions, depth = (double)k->c_in / groups * window;
    if (transpose) {
        m *= window;
        n = at_least_1(k->batch) * (double)k->in_h * (double)k->in_w;
        depth = (double)k->c_in / groups;
    }
    double columns = window > 1 ? (transpose ? m : depth) * n * groups * 4 / MEGA : 0;
    term(f, 1);
    term(f, groups);
    term(f, m * n * depth * groups / MEGA);
    term(f, padded(m, 16) * padded(n, TILE_OUTPUTS) * depth * groups / MEGA);
    term(f, padded(m, 12) * padded(n, 16) * depth * groups / MEGA);
    term(f, columns);
    term(f, out_mb(k));
    term(f, in_mb(k));
    term(f, groups * n / 1e3);
    term(f, over(in_mb(k) + out_mb(k), NEAR_CACHE));
    f->weight_mb = (double)k->weight_bytes / MEGA;
}

/* ---- Products ---- */

static void product_form(const struct kernel *k, struct kernel_form *f) {
    double batch = at_least_1(k->batch), m = (double)k->positions, n = (double)k->c_out, depth = (double)k->c_in;
    double one = depth * batch / MEGA;
    term(f, 1);
    term(f, m * n * one);
    term(f, padded(m, 12) * padded(n, 16) * one);
    term(f, m * padded(n, 16) * one);
    term(f, out_mb(k));
    term(f, m * depth * batch * 4 / MEGA);
    term(f, n * depth * batch * 4 / MEGA);
    term(f, batch);
    term(f, out_mb(k) * ceil(depth / 128));
    term(f, fmod(m, 12) > 0 ? padded(n, 16) * one : 0);
    term(f, over(in_mb(k) + out_mb(k), NEAR_CACHE));
    f->weight_mb = (double)k->weight_bytes / MEGA;
}

static void vector_form(const struct kernel *k, struct kernel_form *f) {
    double megabytes = (double)k->weight_bytes / MEGA;
    term(f, 1);
    term(f, megabytes);
    term(f, (double)k->c_in / 1e3);
    term(f, (double)k->c_out / 1e3);
    term(f, over(megabytes, NEAR_CACHE));
    f->weight_mb = megabytes;
}

static double gates_of(const char *op) {
    return strstr(op, "LSTM") ? 4 : strstr(op, "GRU") ? 3 : 1;
}

static void recurrent_form(const struct kernel *k, struct kernel_form *f) {
    double directions = at_least_1(k->groups), gates = gates_of(k->op), hidden = (double)k->c_out;
    double rows = (double)k->positions * directions, steps = rows / at_least_1(k->batch);
    double recurrent = directions * gates * hidden * hidden * 4 / MEGA;
    term(f, 1);
    term(f, steps);
    term(f, rows * gates * hidden * hidden / MEGA);
    term(f, rows * gates * (double)k->c_in * hidden / MEGA);
    term(f, rows * gates * hidden / 1e3);
    term(f, steps * over(recurrent, 1));
    term(f, steps * recurrent);
    f->weight_mb = (double)k->weight_bytes / MEGA;
}

/* The runtime sorts n boxes by score in a heap, then compares each with those kept; TopK has a heap of the best. */
static void sort_form(const struct kernel *k, struct kernel_form *f) {
    double lists = at_least_1(k->batch), n = (double)k->c_in, elements = lists * n / 1e3;
    term(f, 1);
    term(f, elements);
    term(f, elements * log2(fmax(n, 2)));
    term(f, k->pairs ? 0 : outputs_of(k) * log2(fmax(n, 2)) / 1e3);
    term(f, lists * (double)k->pairs / MEGA);
    term(f, lists / 1e3);
}

/* ---- Everything else is bound by memory, or by a function of every element ---- */

/* Reordering, a kernel goes through as many channels at once as a block has: where their planes are a multiple of a
 * page apart, all of them fall into the same lines of the cache next to the core. */
static bool in_each_others_way(const struct kernel *k) {
    int64_t plane_bytes = k->positions / (k->batch > 0 ? k->batch : 1) * 4;
    return strncmp(k->op, "Reorder", 7) == 0 && plane_bytes % 4096 == 0;
}

static void memory_form(const struct kernel *k, struct kernel_form *f) {
    double bytes = in_mb(k) + out_mb(k),
           elements = (double)(k->in_bytes > k->out_bytes ? k->in_bytes : k->out_bytes) / 4;
    bool window = k->kind == KC_POOL;
    term(f, 1);
    term(f, outputs_of(k) / 1e3);
    term(f, in_mb(k));
    term(f, over(bytes, NEAR_CACHE));
    term(f, over(bytes, FAR_CACHE));
    term(f, k->n_inputs);
    term(f, k->chunk > 0 ? elements / (double)k->chunk / 1e3 : 0);
    term(f, window ? outputs_of(k) * (double)k->reduction / 1e3 : 0);
    term(f, window ? (double)k->positions / 1e3 * k->kernel_h : 0);
    term(f, (double)k->outer_bytes / MEGA);
    term(f, in_each_others_way(k) ? out_mb(k) : 0);
    f->weight_mb = 0;
}

/* ---- Classes ---- */

static const char *conv_name(const struct kernel *k, enum form *form) {
    int64_t window = (int64_t)k->kernel_h * k->kernel_w;
    bool depthwise = k->groups > 1 && k->reduction == window, pointwise = window == 1; /* c_in may be padded */
    *form = k->variant == CONV_IM2COL ? FORM_PLAIN : depthwise ? FORM_DEPTHWISE : FORM_BLOCKED;
    if (k->kind == KC_CONV_TRANSPOSE) return *form = FORM_PLAIN, "conv-transpose";
    if (k->variant == CONV_IM2COL)
        return depthwise ? "plain-depthwise" : k->groups > 1 ? "plain-grouped" : pointwise ? "plain-1x1" : "plain";
    if (depthwise) return pointwise ? "depthwise-1x1" : "depthwise";
    if (k->groups > 1) return "conv-grouped";
    if (k->variant == CONV_FROM_NCHW) return "conv-direct";
    return pointwise ? "conv-1x1" : "conv";
}

static enum form classify(const struct kernel *k, char name[48]) {
    enum form form = FORM_MEMORY;
    const char *plain = NULL;
    switch (k->kind) {
    case KC_CONV:
    case KC_POINTWISE:
    case KC_GROUPED:
    case KC_DEPTHWISE:
    case KC_CONV_TRANSPOSE:
        plain = conv_name(k, &form);
        break;
    case KC_GEMM:
        form = FORM_GEMM, plain = "gemm";
        break;
    case KC_GEMV:
        form = FORM_GEMV, plain = "gemv";
        break;
    case KC_MATMUL:
    case KC_ATTENTION:
        form = FORM_MATMUL, plain = "matmul";
        break;
    case KC_RNN:
        form = FORM_RNN, plain = k->op;
        break;
    case KC_SORT:
        form = FORM_SORT, plain = k->op;
        break;
    default:
        break;
    }
    if (plain)
        snprintf(name, 48, "%.40s", plain);
    else
        snprintf(name, 48, k->variant ? "%.40s/%d" : "%.40s", k->op, k->variant);
    return form;
}

/* Work bound by memory looks alike whatever the axes are called. */
static void memory_signs(const struct kernel *k, double *sizes) {
    double elements = outputs_of(k), chunk = at_least_1(k->chunk);
    bool window = k->kind == KC_POOL;
    sizes[0] = elements;
    sizes[1] = chunk;
    sizes[2] = fmax(elements, (double)k->in_bytes / 4) / chunk;
    sizes[3] = window ? (double)k->reduction : 0;
    sizes[4] = window ? (double)k->stride_w : 0;
    sizes[5] = k->n_inputs;
}

static void sort_signs(const struct kernel *k, double *sizes) {
    sizes[0] = at_least_1(k->batch) * (double)k->c_in;
    sizes[1] = (double)k->c_in;
    sizes[2] = k->pairs ? 0 : outputs_of(k);
    sizes[3] = at_least_1(k->batch) * (double)k->pairs;
}

static void sized_signs(const struct kernel *k, int64_t block, enum form form, double *sizes) {
    bool window = form == FORM_BLOCKED || form == FORM_DEPTHWISE || form == FORM_PLAIN;
    struct window_shape s = {.width = (double)k->out_w, .fill = 1};
    if (window) s = window_shape(k);
    sizes[0] = (double)k->macs;
    sizes[1] = (double)k->c_in;
    sizes[2] = (double)k->c_out;
    sizes[3] = (double)k->positions;
    sizes[4] = s.width;
    sizes[5] = window ? s.fill * 10 : 0;
    sizes[6] = window ? (double)k->stride_w : 0;
    sizes[7] = fmod(ceil((double)k->c_out / (double)block), TILE_BLOCKS);
    sizes[8] = fmod(s.width, TILE_OUTPUTS);
    sizes[9] = (double)k->groups * at_least_1(k->batch);
    sizes[10] = (double)k->weight_bytes;
}

static void fill_signs(const struct kernel *k, int64_t block, int64_t weight_bytes, enum form form, double *signs) {
    double sizes[FORM_SIGNS] = {0};
    if (form == FORM_MEMORY)
        memory_signs(k, sizes);
    else if (form == FORM_SORT)
        sort_signs(k, sizes);
    else
        sized_signs(k, block, form, sizes);
    sizes[11] = (double)k->in_bytes;
    sizes[12] = k->pairs ? 0 : (double)k->out_bytes; /* how many boxes are kept is no more than a guess */
    sizes[13] = form == FORM_SORT ? 0 : (double)weight_bytes / MEGA;
    sizes[14] = k->second_pass;
    for (int i = 0; i < FORM_SIGNS; i++) signs[i] = log1p(fmax(sizes[i], 0));
}

void kernel_form(const struct kernel *k, int64_t block, int64_t weight_bytes, struct kernel_form *f) {
    memset(f, 0, sizeof *f);
    f->form = classify(k, f->name);
    switch (f->form) {
    case FORM_BLOCKED:
        blocked_form(k, block, f);
        break;
    case FORM_DEPTHWISE:
        depthwise_form(k, block, f);
        break;
    case FORM_PLAIN:
        plain_form(k, f);
        break;
    case FORM_GEMM:
    case FORM_MATMUL:
        product_form(k, f);
        break;
    case FORM_GEMV:
        vector_form(k, f);
        break;
    case FORM_RNN:
        recurrent_form(k, f);
        break;
    case FORM_SORT:
        sort_form(k, f);
        break;
    case FORM_MEMORY:
        memory_form(k, f);
        break;
    }
    fill_signs(k, block, weight_bytes, f->form, f->signs);
}

const char *kernel_form_kin(const char *name, enum form form) {
    static const char *const kin[][2] = {{"depthwise-1x1", "depthwise"},
                                         {"conv-grouped", "conv"},
                                         {"conv-direct", "conv"},
                                         {"conv-1x1", "conv"},
                                         {"plain-depthwise", "plain-grouped"},
                                         {"plain-grouped", "plain"},
                                         {"plain", "plain-1x1"},
                                         {"conv-transpose", "plain"},
                                         {"GRU", "LSTM"},
                                         {"RNN", "LSTM"},
                                         {"matmul", "gemm"}};
    for (size_t i = 0; i < COUNT_OF(kin); i++)
        if (strcmp(kin[i][0], name) == 0) return kin[i][1];
    return form == FORM_MEMORY && strcmp(name, "memory") != 0 ? "memory" : NULL;
}

void weight_hats(double run_ms, double hats[WEIGHT_KNOTS]) {
    static const double knots[WEIGHT_KNOTS] = {1, 4, 16, 64}; /* milliseconds */
    double at = log(fmin(fmax(run_ms, knots[0]), knots[WEIGHT_KNOTS - 1]));
    for (int i = 0; i < WEIGHT_KNOTS; i++) hats[i] = 0;
    for (int i = 0; i + 1 < WEIGHT_KNOTS; i++) {
        double low = log(knots[i]), high = log(knots[i + 1]);
        if (at < low || at > high) continue;
        hats[i] = (high - at) / (high - low);
        hats[i + 1] = 1 - hats[i];
        return;
    }
}
