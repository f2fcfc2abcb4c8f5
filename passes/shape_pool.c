/* Shapes of pools over windows, regions and whole images: AveragePool-22, MaxPool-22, LpPool-22, MaxRoiPool-1,
 * MaxUnpool-22, RoiAlign-22, Global*Pool-22, and the com.microsoft forms. */
#include "shape_nn.h"

enum status shape_pool(struct infer *in) {
    struct window win;
    size_t n_kernel;
    enum dtype dtype = infer_dtype(in, 0);
    TRY(infer_want_rank(in, 0, "data", 3, -1));
    if (!node_ints(in->node, "kernel_shape", &n_kernel)) return infer_fail(in, "attribute kernel_shape is missing");
    TRY(infer_window(in, &win));
    dim out[SPATIAL_MAX + 2];
    out[0] = infer_dim(in, 0, 0);
    out[window_channel_axis(&win)] = infer_dim(in, 0, window_channel_axis(&win));
    for (int32_t i = 0; i < win.n; i++) TRY(infer_window_out(in, &win, i, 0, &out[window_axis(&win, i)]));
    TRY(infer_set(in, 1, DT_INT64, out, win.n + 2)); /* where each maximum was */
    return infer_set(in, 0, dtype, out, win.n + 2);
}

enum status shape_global_pool(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    enum dtype dtype = infer_dtype(in, 0);
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    TRY(infer_want_rank(in, 0, "data", 2, -1));
    int32_t channels = node_int(in->node, "channels_last", 0) ? rank - 1 : 1;
    dim out[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) out[i] = i == 0 || i == channels ? infer_dim(in, 0, i) : DIM(1);
    return infer_set(in, 0, dtype, out, rank);
}

/* MaxRoiPool-1: (regions, C, pooled height, pooled width). */
enum status shape_max_roi_pool(struct infer *in) {
    size_t n;
    const int64_t *pooled = node_ints(in->node, "pooled_shape", &n);
    TRY(infer_want_rank(in, 0, "data", 4, 4));
    TRY(infer_want_rank(in, 1, "rois", 2, 2));
    if (n != 2) return infer_fail(in, "pooled_shape has %zu values, expected 2", n);
    const dim out[] = {infer_dim(in, 1, 0), infer_dim(in, 0, 1), DIM(pooled[0]), DIM(pooled[1])};
    return infer_set(in, 0, infer_dtype(in, 0), out, 4);
}

/* RoiAlign-22: (regions, C, output_height, output_width). */
enum status shape_roi_align(struct infer *in) {
    dim regions;
    TRY(infer_want_rank(in, 0, "data", 4, 4));
    TRY(infer_want_rank(in, 1, "rois", 2, 2));
    TRY(infer_unify(in, infer_dim(in, 1, 0), infer_dim(in, 2, 0), "the number of regions", &regions));
    const dim out[] = {regions, infer_dim(in, 0, 1), DIM(node_int(in->node, "output_height", 1)),
                       DIM(node_int(in->node, "output_width", 1))};
    return infer_set(in, 0, infer_dtype(in, 0), out, 4);
}

static enum status unpool_to_given(struct infer *in, int32_t rank) {
    int64_t shape[RANK_MAX];
    size_t n;
    dim out[RANK_MAX];
    bool known = infer_ints(in, 2, shape, RANK_MAX, &n);
    if (known && n != (size_t)rank) return infer_fail(in, "output_shape has %zu values, expected %d", n, rank);
    for (int32_t i = 0; i < rank; i++) out[i] = known ? DIM(shape[i]) : DIM_UNKNOWN;
    return infer_set(in, 0, infer_dtype(in, 0), out, rank);
}

/* MaxUnpool-22: the inverse of MaxPool's sizes, or whatever output_shape says. */
enum status shape_max_unpool(struct infer *in) {
    struct window win;
    struct graph *g = in->graph;
    TRY(infer_want_rank(in, 0, "data", 3, -1));
    TRY(infer_window(in, &win));
    if (win.n == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (infer_has(in, 2)) return unpool_to_given(in, win.n + 2);
    dim out[SPATIAL_MAX + 2] = {infer_dim(in, 0, 0), infer_dim(in, 0, 1)};
    for (int32_t i = 0; i < win.n; i++) {
        dim steps = dim_mul(g, dim_sub(g, infer_dim(in, 0, i + 2), DIM(1)), DIM(win.stride[i]));
        out[i + 2] = dim_add(g, dim_add(g, steps, win.kernel[i]), DIM(-win.begin[i] - win.end[i]));
    }
    return infer_set(in, 0, infer_dtype(in, 0), out, win.n + 2);
}
