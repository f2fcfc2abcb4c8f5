/* Shapes of sampling and cropping: GridSample-22, AffineGrid-20, CenterCropPad-18, Det-22, ImageDecoder-20. */
#include "shape_nn.h"

#include <string.h>

/* (N, C, in...) sampled at (N, out..., axes) gives (N, C, out...). */
enum status shape_grid_sample(struct infer *in) {
    int32_t rank = infer_rank(in, 0) == RANK_UNKNOWN ? infer_rank(in, 1) : infer_rank(in, 0);
    dim dims[RANK_MAX], axes;
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    TRY(infer_want_rank(in, 0, "the image", 3, -1));
    TRY(infer_want_rank(in, 1, "the grid", rank, rank));
    TRY(infer_unify(in, infer_dim(in, 1, rank - 1), DIM(rank - 2), "the grid's coordinates and the image's axes",
                    &axes));
    TRY(infer_unify(in, infer_dim(in, 0, 0), infer_dim(in, 1, 0), "the batch of image and grid", &dims[0]));
    dims[1] = infer_dim(in, 0, 1);
    for (int32_t i = 2; i < rank; i++) dims[i] = infer_dim(in, 1, i - 1);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* theta (N, 2, 3) with size (N, C, H, W) gives (N, H, W, 2); one axis more in 3-D. */
enum status shape_affine_grid(struct infer *in) {
    const struct value *size = infer_value(in, 1);
    dim axes = infer_dim(in, 0, 1);
    int64_t n = size ? size->n : infer_count(in, 1);
    if (n < 0 && dim_is_number(axes)) n = axes.value + 2;
    if (n < 0) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (n != 4 && n != 5) return infer_fail(in, "size has %lld values, expected 4 or 5", (long long)n);
    dim dims[5] = {infer_dim(in, 0, 0)};
    for (int64_t i = 2; i < n; i++)
        dims[i - 1] = infer_size(in, size ? size->at[i].d : DIM_UNKNOWN, (uint32_t)i, INT64_MAX);
    dims[n - 1] = DIM(n - 2);
    return infer_set(in, 0, infer_dtype(in, 0), dims, (int32_t)n);
}

/* The axes given take the sizes given; the others stay. */
enum status shape_center_crop_pad(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    const struct value *shape = infer_value(in, 1);
    size_t n_axes;
    const int64_t *axes = node_ints(in->node, "axes", &n_axes);
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    size_t n = axes ? n_axes : (size_t)rank;
    if (shape && shape->n != n) return infer_fail(in, "shape has %u values for %zu axes", shape->n, n);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, i);
    for (size_t i = 0; i < n; i++) {
        int32_t axis;
        TRY(infer_axis(in, axes ? axes[i] : (int64_t)i, rank, &axis));
        dims[axis] = infer_size(in, shape ? shape->at[i].d : DIM_UNKNOWN, (uint32_t)i, INT64_MAX);
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

enum status shape_det(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[RANK_MAX], side;
    TRY(infer_want_rank(in, 0, "the matrices", 2, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    TRY(infer_unify(in, infer_dim(in, 0, -1), infer_dim(in, 0, -2), "the sides of the matrices", &side));
    for (int32_t i = 0; i + 2 < rank; i++) dims[i] = infer_dim(in, 0, i);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank - 2);
}

/* (height, width, channels) of the encoded image. */
enum status shape_image_decoder(struct infer *in) {
    bool grey = strcmp(node_string(in->node, "pixel_format", "RGB"), "Grayscale") == 0;
    const dim dims[] = {infer_fresh(in, 0, 1, INT64_MAX), infer_fresh(in, 1, 1, INT64_MAX), DIM(grey ? 1 : 3)};
    return infer_set(in, 0, DT_UINT8, dims, 3);
}
