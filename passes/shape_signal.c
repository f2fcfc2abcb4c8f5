/* Shapes of signal processing: DFT-17 and 20, STFT-17, the windows of opset 17, MelWeightMatrix-17, and Rfft and Irfft
 * of com.microsoft. */
#include "shape_nn.h"

static dim half_spectrum(struct graph *g, dim n) {
    return dim_add(g, dim_floordiv(g, n, DIM(2)), DIM(1));
}

/* The transformed axis: an attribute counted from 0 in opset 17 (default 1), an input from 20 on (default -2). */
static bool dft_axis(const struct infer *in, int64_t *axis) {
    if (in->opset < 20) {
        *axis = node_int(in->node, "axis", 1);
        return true;
    }
    *axis = -2;
    return !infer_has(in, 2) || infer_int(in, 2, axis);
}

/* (..., signal, ..., 1 or 2) to (..., bins, ..., 2); the inverse of a one-sided spectrum is real. */
enum status shape_dft(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    int64_t given;
    bool onesided = node_int(in->node, "onesided", 0) != 0, inverse = node_int(in->node, "inverse", 0) != 0;
    dim dims[RANK_MAX];
    TRY(infer_want_rank(in, 0, "the signal", 2, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, i);
    bool real_out = onesided && inverse;
    dims[rank - 1] = DIM(real_out ? 1 : 2);
    if (!dft_axis(in, &given)) {
        for (int32_t i = 0; (onesided || infer_has(in, 1)) && i + 1 < rank; i++) dims[i] = DIM_UNKNOWN;
        return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
    }
    TRY(infer_axis(in, given, rank, &axis));
    if (axis == rank - 1) return infer_fail(in, "axis %lld is the one of real and imaginary parts", (long long)given);
    if (real_out) dims[axis] = dim_mul(in->graph, dim_sub(in->graph, dims[axis], DIM(1)), DIM(2));
    if (infer_has(in, 1)) dims[axis] = infer_scalar(in, 1);
    if (onesided && !inverse) dims[axis] = half_spectrum(in->graph, dims[axis]);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* STFT-17: (batch, length, 1 or 2) to (batch, frames, bins, 2). */
enum status shape_stft(struct infer *in) {
    struct graph *g = in->graph;
    TRY(infer_want_rank(in, 0, "the signal", 2, 3));
    dim step = infer_scalar(in, 1);
    dim frame = infer_has(in, 3) ? infer_scalar(in, 3) : infer_dim(in, 2, 0);
    if (dim_is_number(step) && step.value < 1) return infer_fail(in, "frame_step is %lld", (long long)step.value);
    dim room = dim_sub(g, infer_dim(in, 0, 1), frame);
    if (dim_is_number(room) && room.value < 0)
        return infer_fail(in, "a frame of %lld does not fit in a signal of %lld", (long long)frame.value,
                          (long long)infer_dim(in, 0, 1).value);
    dim frames = dim_add(g, dim_floordiv(g, room, step), DIM(1));
    dim bins = node_int(in->node, "onesided", 1) ? half_spectrum(g, frame) : frame;
    const dim dims[] = {infer_dim(in, 0, 0), frames, bins, DIM(2)};
    return infer_set(in, 0, infer_dtype(in, 0), dims, 4);
}

/* Rfft: (..., n) to (..., n / 2 + 1, 2). */
enum status shape_rfft(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[RANK_MAX + 1];
    TRY(infer_want_rank(in, 0, "the signal", 1, RANK_MAX - 1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, i);
    if (node_int(in->node, "onesided", 1)) dims[rank - 1] = half_spectrum(in->graph, dims[rank - 1]);
    dims[rank] = DIM(2);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank + 1);
}

/* Irfft: (..., n / 2 + 1, 2) to (..., n), n even. */
enum status shape_irfft(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[RANK_MAX];
    TRY(infer_want_rank(in, 0, "the spectrum", 2, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (int32_t i = 0; i + 1 < rank; i++) dims[i] = infer_dim(in, 0, i);
    if (node_int(in->node, "onesided", 1))
        dims[rank - 2] = dim_mul(in->graph, dim_sub(in->graph, dims[rank - 2], DIM(1)), DIM(2));
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank - 1);
}

enum status shape_window(struct infer *in) {
    dim size = infer_size(in, infer_scalar(in, 0), 0, INT64_MAX);
    return infer_set(in, 0, infer_dtype_attr(in, "output_datatype", DT_FLOAT), &size, 1);
}

/* MelWeightMatrix-17: (dft_length / 2 + 1, num_mel_bins). */
enum status shape_mel_weight_matrix(struct infer *in) {
    const dim dims[] = {half_spectrum(in->graph, infer_size(in, infer_scalar(in, 1), 1, INT64_MAX)),
                        infer_size(in, infer_scalar(in, 0), 0, INT64_MAX)};
    return infer_set(in, 0, infer_dtype_attr(in, "output_datatype", DT_FLOAT), dims, 2);
}
