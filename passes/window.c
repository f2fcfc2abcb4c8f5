/* Sliding windows of convolutions and pools: attributes, defaults and output sizes (Conv-22, AveragePool-22,
 * MaxPool-22, ConvTranspose-22; the com.microsoft forms in channels-last order). */
#include "geometry.h"

#include <string.h>

struct operands node_operands(const struct node *node) {
    switch (node->op) {
    case OP_QLinearConv:
    case OP_MsQLinearConv:
    case OP_QLinearMatMul:
    case OP_MsQGemm:
        return (struct operands){.data = 0, .weight = 3};
    default:
        break;
    }
    enum kernel_class kind = op_table[node->op].kernel;
    bool pools = kind == KC_POOL || kind == KC_GLOBAL_POOL;
    return (struct operands){.data = 0, .weight = pools ? NONE : 1};
}

static bool is_channels_last(const struct node *node) {
    switch (node->op) {
    case OP_MsNhwcConv:
    case OP_MsNhwcFusedConv:
    case OP_MsNhwcMaxPool:
        return true;
    default:
        return node_int(node, "channels_last", 0) != 0;
    }
}

static bool read_auto_pad(const struct node *node, enum auto_pad *out, struct why *why) {
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *text = node_string(node, "auto_pad", "");
    *out = PAD_EXPLICIT;
    if (*text == '\0') return true;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *out = (enum auto_pad)i;
        return true;
    }
    snprintf(why->text, sizeof why->text, "auto_pad is \"%.40s\"", text);
    return false;
}

/* One number a spatial axis, at least `least`; left as it is when the attribute is absent. */
static bool read_per_axis(const struct node *node, const char *name, int32_t n, int64_t least, int64_t *out,
                          struct why *why) {
    size_t have;
    const int64_t *values = node_ints(node, name, &have);
    if (!have) return true;
    if (have != (size_t)n) {
        snprintf(why->text, sizeof why->text, "%s has %zu values, expected %d", name, have, n);
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        if (values[i] < least || values[i] > INT32_MAX) {
            snprintf(why->text, sizeof why->text, "%s[%d] is %lld", name, i, (long long)values[i]);
            return false;
        }
        out[i] = values[i];
    }
    return true;
}

static bool read_pads(const struct node *node, struct window *w, struct why *why) {
    size_t have;
    const int64_t *pads = node_ints(node, "pads", &have);
    if (!have) return true;
    if (have != 2 * (size_t)w->n) {
        snprintf(why->text, sizeof why->text, "pads has %zu values, expected %d", have, 2 * w->n);
        return false;
    }
    for (int32_t i = 0; i < 2 * w->n; i++) {
        if (pads[i] < INT32_MIN || pads[i] > INT32_MAX) {
            snprintf(why->text, sizeof why->text, "pads[%d] is %lld", i, (long long)pads[i]);
            return false;
        }
        *(i < w->n ? &w->begin[i] : &w->end[i - w->n]) = pads[i];
    }
    return true;
}

static int32_t spatial_axes(const struct tensor *x, const struct tensor *weight, size_t n_kernel) {
    if (x && x->rank >= 2) return x->rank - 2;
    if (weight && weight->rank >= 2) return weight->rank - 2;
    return n_kernel ? (int32_t)(n_kernel < INT32_MAX ? n_kernel : INT32_MAX) : RANK_UNKNOWN;
}

bool window_read(const struct graph *graph, const struct node *node, struct window *w, struct why *why) {
    struct operands operands = node_operands(node);
    const struct tensor *x = node_tensor(graph, node, operands.data);
    const struct tensor *weight = operands.weight == NONE ? NULL : node_tensor(graph, node, operands.weight);
    size_t n_kernel;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n_kernel);
    w->n = spatial_axes(x, weight, n_kernel);
    w->channels_last = is_channels_last(node);
    w->ceil_mode = node_int(node, "ceil_mode", 0) != 0;
    if (!read_auto_pad(node, &w->auto_pad, why)) return false;
    if (w->n == RANK_UNKNOWN) return true;
    if (w->n > SPATIAL_MAX) {
        snprintf(why->text, sizeof why->text, "%d spatial axes, at most %d are supported", w->n, SPATIAL_MAX);
        return false;
    }
    int64_t sizes[SPATIAL_MAX];
    for (int32_t i = 0; i < w->n; i++) {
        w->stride[i] = w->dilation[i] = 1;
        w->begin[i] = w->end[i] = 0;
        w->kernel[i] = weight && weight->rank == w->n + 2 ? weight->dims[i + 2] : DIM_UNKNOWN;
    }
    if (!read_per_axis(node, "kernel_shape", w->n, 1, sizes, why) ||
        !read_per_axis(node, "strides", w->n, 1, w->stride, why) ||
        !read_per_axis(node, "dilations", w->n, 1, w->dilation, why) || !read_pads(node, w, why))
        return false;
    for (int32_t i = 0; kernel && i < w->n; i++) {
        if (dim_is_number(w->kernel[i]) && w->kernel[i].value != sizes[i]) {
            snprintf(why->text, sizeof why->text, "kernel_shape[%d] is %lld, the weight has %lld", i,
                     (long long)sizes[i], (long long)w->kernel[i].value);
            return false;
        }
        w->kernel[i] = DIM(sizes[i]);
    }
    return true;
}

static dim reach(struct graph *graph, const struct window *w, int32_t i) {
    dim steps = dim_mul(graph, dim_sub(graph, w->kernel[i], DIM(1)), DIM(w->dilation[i]));
    return dim_add(graph, steps, DIM(1));
}

dim window_out(struct graph *graph, const struct window *w, int32_t i, dim in) {
    dim stride = DIM(w->stride[i]);
    if (w->auto_pad == PAD_SAME_UPPER || w->auto_pad == PAD_SAME_LOWER) return dim_ceildiv(graph, in, stride);
    int64_t begin = w->auto_pad == PAD_VALID ? 0 : w->begin[i], end = w->auto_pad == PAD_VALID ? 0 : w->end[i];
    dim span = reach(graph, w, i);
    dim room = dim_sub(graph, dim_add(graph, in, DIM(begin + end)), span);
    if (!w->ceil_mode) return dim_add(graph, dim_floordiv(graph, room, stride), DIM(1));
    dim out = dim_add(graph, dim_ceildiv(graph, room, stride), DIM(1));
    /* A window that would start in the padding behind the input is dropped; with stride + end <= reach none can. */
    if (dim_is_number(span) && w->stride[i] + end <= span.value) return out;
    return dim_min(graph, out, dim_ceildiv(graph, dim_add(graph, in, DIM(begin)), stride));
}

void window_pads(const struct window *w, int32_t i, int64_t in, int64_t out, int64_t *begin, int64_t *end) {
    *begin = w->begin[i];
    *end = w->end[i];
    if (w->auto_pad == PAD_EXPLICIT) return;
    *begin = *end = 0;
    if (w->auto_pad == PAD_VALID || !dim_is_number(w->kernel[i])) return;
    int64_t span = num_add_sat(num_mul_sat(w->kernel[i].value - 1, w->dilation[i]), 1);
    int64_t total = num_add_sat(num_mul_sat(out - 1, w->stride[i]), span);
    total = total > in ? total - in : 0;
    *begin = w->auto_pad == PAD_SAME_UPPER ? total / 2 : total - total / 2;
    *end = total - *begin;
}
