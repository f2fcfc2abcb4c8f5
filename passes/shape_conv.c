/* Shapes of convolutions: Conv-22, ConvInteger-10, DeformConv-22, QLinearConv-10, ConvTranspose-22, Col2Im-18, and the
 * com.microsoft forms, channels-last and blocked. */
#include "shape_nn.h"

#include <string.h>

enum status infer_window(const struct infer *in, struct window *w) {
    struct why why;
    return window_read(in->graph, in->node, w, &why) ? ST_OK : infer_fail(in, "%s", why.text);
}

enum status infer_window_out(struct infer *in, const struct window *w, int32_t i, uint32_t x, dim *out) {
    dim size = infer_dim(in, x, window_axis(w, i));
    *out = window_out(in->graph, w, i, size);
    if (dim_is_number(*out) && out->value < 1 && size.value > 0)
        return infer_fail(in, "the window does not fit in spatial axis %d of input \"%s\": size %lld, kernel %lld", i,
                          input_name(in, x), (long long)size.value, (long long)w->kernel[i].value);
    if (dim_is_number(*out) && out->value < 0) *out = DIM(0);
    return ST_OK;
}

static bool is_blocked(const struct node *node) {
    return strcmp(node->domain, "com.microsoft.nchwc") == 0;
}

static enum status want_same_rank(const struct infer *in, uint32_t x, uint32_t w) {
    int32_t x_rank = infer_rank(in, x), w_rank = infer_rank(in, w);
    if (x_rank == RANK_UNKNOWN || w_rank == RANK_UNKNOWN || x_rank == w_rank) return ST_OK;
    return infer_fail(in, "input \"%s\" has rank %d, its weight \"%s\" rank %d", input_name(in, x), x_rank,
                      input_name(in, w), w_rank);
}

static enum status check_group(const struct infer *in, int64_t *group) {
    *group = node_int(in->node, "group", 1);
    if (*group < 1) return infer_fail(in, "group is %lld", (long long)*group);
    return ST_OK;
}

/* Channels of the input against groups times the weight's; the blocked layout rounds both up. */
static enum status check_channels(const struct infer *in, uint32_t x, uint32_t w, int64_t group, dim channels) {
    dim per_group = infer_dim(in, w, 1), filters = infer_dim(in, w, 0);
    if (is_blocked(in->node)) return ST_OK;
    if (dim_is_number(channels) && dim_is_number(per_group) && channels.value != num_mul_sat(per_group.value, group))
        return infer_fail(in, "input \"%s\" has %lld channels, weight \"%s\" expects %lld (%lld a group, group %lld)",
                          input_name(in, x), (long long)channels.value, input_name(in, w),
                          (long long)num_mul_sat(per_group.value, group), (long long)per_group.value, (long long)group);
    if (dim_is_number(filters) && filters.value % group)
        return infer_fail(in, "weight \"%s\" has %lld filters, not a multiple of group %lld", input_name(in, w),
                          (long long)filters.value, (long long)group);
    return ST_OK;
}

static enum status conv(struct infer *in, uint32_t x, uint32_t w, enum dtype dtype) {
    struct window win;
    int64_t group;
    TRY(infer_want_rank(in, x, "data", 3, -1));
    TRY(infer_want_rank(in, w, "weight", 3, -1));
    TRY(want_same_rank(in, x, w));
    TRY(check_group(in, &group));
    TRY(infer_window(in, &win));
    if (win.n == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    TRY(check_channels(in, x, w, group, infer_dim(in, x, window_channel_axis(&win))));
    dim out[SPATIAL_MAX + 2];
    out[0] = infer_dim(in, x, 0);
    out[window_channel_axis(&win)] = infer_dim(in, w, 0);
    for (int32_t i = 0; i < win.n; i++) TRY(infer_window_out(in, &win, i, x, &out[window_axis(&win, i)]));
    return infer_set(in, 0, dtype, out, win.n + 2);
}

enum status shape_conv(struct infer *in) {
    bool integer = in->node->op == OP_ConvInteger;
    return conv(in, 0, 1, integer ? DT_INT32 : infer_dtype(in, 0));
}

enum status shape_qlinear_conv(struct infer *in) {
    enum dtype dtype = infer_dtype(in, 7);
    return conv(in, 0, 3, dtype ? dtype : infer_dtype(in, 0));
}

/* Spatial sizes of a transposed convolution: given whole, or by turning the convolution's formula round. */
static dim transposed_out(struct infer *in, const struct window *w, int32_t i, dim size, int64_t output_padding) {
    struct graph *g = in->graph;
    dim steps = dim_mul(g, size, DIM(w->stride[i]));
    if (w->auto_pad == PAD_SAME_UPPER || w->auto_pad == PAD_SAME_LOWER) return steps;
    bool padded = w->auto_pad == PAD_EXPLICIT;
    dim pads = padded ? dim_add(g, DIM(w->begin[i]), DIM(w->end[i])) : DIM(0);
    dim span = dim_mul(g, dim_sub(g, w->kernel[i], DIM(1)), DIM(w->dilation[i]));
    dim rest = dim_sub(g, dim_add(g, DIM(1), DIM(output_padding)), dim_add(g, DIM(w->stride[i]), pads));
    return dim_add(g, dim_add(g, steps, span), rest);
}

static enum status transposed_spatial(struct infer *in, const struct window *w, dim *out) {
    size_t n_shape, n_padding;
    const int64_t *shape = node_ints(in->node, "output_shape", &n_shape);
    const int64_t *padding = node_ints(in->node, "output_padding", &n_padding);
    if (n_shape && n_shape < (size_t)w->n)
        return infer_fail(in, "output_shape has %zu values, expected %d", n_shape, w->n);
    if (n_padding && n_padding != (size_t)w->n)
        return infer_fail(in, "output_padding has %zu values, expected %d", n_padding, w->n);
    for (int32_t i = 0; i < w->n; i++) {
        dim size = infer_dim(in, 0, window_axis(w, i));
        /* Some exporters write output_shape with batch and channels in front. */
        if (n_shape)
            out[i] = DIM(shape[n_shape - (size_t)w->n + (size_t)i]);
        else
            out[i] = transposed_out(in, w, i, size, n_padding ? padding[i] : 0);
        if (dim_is_number(out[i]) && out[i].value < 0)
            return infer_fail(in, "spatial axis %d of the output would have size %lld", i, (long long)out[i].value);
    }
    return ST_OK;
}

enum status shape_conv_transpose(struct infer *in) {
    struct window win;
    int64_t group;
    enum dtype dtype = infer_dtype(in, 0);
    TRY(infer_want_rank(in, 0, "data", 3, -1));
    TRY(infer_want_rank(in, 1, "weight", 3, -1));
    TRY(want_same_rank(in, 0, 1));
    TRY(check_group(in, &group));
    TRY(infer_window(in, &win));
    if (win.n == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    dim channels = infer_dim(in, 0, 1), weight = infer_dim(in, 1, 0);
    if (dim_is_number(channels) && dim_is_number(weight) && channels.value != weight.value)
        return infer_fail(in, "input \"%s\" has %lld channels, weight \"%s\" expects %lld", input_name(in, 0),
                          (long long)channels.value, input_name(in, 1), (long long)weight.value);
    dim out[SPATIAL_MAX + 2] = {infer_dim(in, 0, 0), dim_mul(in->graph, infer_dim(in, 1, 1), DIM(group))};
    TRY(transposed_spatial(in, &win, out + 2));
    return infer_set(in, 0, dtype, out, win.n + 2);
}

/* Col2Im-18: (N, C * product of block, L) to (N, C, image). */
enum status shape_col2im(struct infer *in) {
    int64_t image[SPATIAL_MAX], block[SPATIAL_MAX], product = 1;
    size_t n_image, n_block;
    enum dtype dtype = infer_dtype(in, 0);
    TRY(infer_want_rank(in, 0, "data", 3, 3));
    bool known = infer_ints(in, 1, image, SPATIAL_MAX, &n_image);
    bool blocks = infer_ints(in, 2, block, SPATIAL_MAX, &n_block);
    if (!known) {
        int64_t count = infer_count(in, 1);
        if (count < 0 || count > SPATIAL_MAX) return infer_set_unknown(in, 0, dtype, NULL);
        n_image = (size_t)count;
    }
    dim out[SPATIAL_MAX + 2] = {infer_dim(in, 0, 0), DIM_UNKNOWN};
    for (size_t i = 0; i < n_image; i++) out[i + 2] = known ? DIM(image[i]) : DIM_UNKNOWN;
    for (size_t i = 0; blocks && i < n_block; i++) product = num_mul_sat(product, block[i]);
    dim columns = infer_dim(in, 0, 1);
    if (blocks && product < 1) return infer_fail(in, "block_shape holds a size below 1");
    if (blocks && dim_is_number(columns) && columns.value % product)
        return infer_fail(in, "input \"%s\" has %lld columns, not a multiple of the block's %lld", input_name(in, 0),
                          (long long)columns.value, (long long)product);
    if (blocks) out[1] = dim_floordiv(in->graph, columns, DIM(product));
    return infer_set(in, 0, dtype, out, (int32_t)n_image + 2);
}
