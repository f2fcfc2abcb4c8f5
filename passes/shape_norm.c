/* Shapes of normalisations with several outputs: BatchNormalization-15, LayerNormalization-17 (ONNX
 * Runtime has it, and the simplified form, in the same domain from version 1 on) and the com.microsoft
 * Skip and Simplified forms, EmbedLayerNormalization. */
#include "shape_nn.h"

/* Y; then, by opset, running statistics (14 on: two) or means and variances (before: four), one a channel. */
enum status shape_batch_norm(struct infer *in) {
    dim channels = infer_dim(in, 0, 1);
    if (infer_rank(in, 0) == 1) channels = DIM(1);
    for (uint32_t i = 1; i < 5; i++) {
        TRY(infer_want_rank(in, i, "scale, bias, mean and variance", 1, 1));
        /* spatial = 0 (before opset 9) keeps statistics per element. */
        if (node_int(in->node, "spatial", 1))
            TRY(infer_unify(in, channels, infer_dim(in, i, 0), "the channels of the input and the statistics",
                            &channels));
    }
    for (uint32_t o = 1; o < in->node->n_outputs; o++)
        TRY(infer_set(in, o, infer_dtype(in, in->opset >= 14 ? 3 : 0), &channels, 1));
    return infer_set_like(in, 0, 0, DT_UNDEFINED);
}

/* Mean and inverse deviation keep the rank, with 1 from the axis on. */
static enum status set_statistics(struct infer *in, uint32_t first, uint32_t last, int32_t axis) {
    dim dims[RANK_MAX];
    int32_t rank = infer_rank(in, 0);
    enum dtype dtype = infer_dtype_attr(in, "stash_type", DT_FLOAT);
    for (int32_t i = 0; i < rank; i++) dims[i] = i < axis ? infer_dim(in, 0, i) : DIM(1);
    for (uint32_t o = first; o <= last; o++) TRY(infer_set(in, o, dtype, dims, rank));
    return ST_OK;
}

enum status shape_layer_norm(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    bool skip = in->node->op == OP_MsSkipLayerNormalization || in->node->op == OP_MsSkipSimplifiedLayerNormalization;
    TRY(infer_set_like(in, 0, 0, DT_UNDEFINED));
    if (skip) TRY(infer_set_like(in, 3, 0, DT_UNDEFINED)); /* the sum of input and skip */
    if (rank == RANK_UNKNOWN) return ST_OK;
    TRY(infer_axis(in, node_int(in->node, "axis", -1), rank, &axis));
    dim scale = infer_dim(in, skip ? 2 : 1, -1), width;
    bool broadcast = dim_is(scale, 1); /* one factor for all */
    if (!broadcast)
        TRY(infer_unify(in, infer_dim(in, 0, -1), scale, "the last axis of the input and the scale", &width));
    return set_statistics(in, 1, 2, axis);
}

/* EmbedLayerNormalization: output, mask_index, embedding_sum. */
enum status shape_embed_layer_norm(struct infer *in) {
    dim batch = infer_dim(in, 0, 0), hidden;
    TRY(infer_want_rank(in, 0, "input_ids", 2, 2));
    TRY(infer_want_rank(in, 2, "word_embedding", 2, 2));
    TRY(infer_unify(in, infer_dim(in, 2, 1), infer_dim(in, 3, 1), "the sizes of word and position embedding", &hidden));
    const dim dims[] = {batch, infer_dim(in, 0, 1), hidden};
    TRY(infer_set(in, 0, infer_dtype(in, 2), dims, 3));
    TRY(infer_set(in, 1, DT_INT32, &batch, 1));
    return infer_set(in, 2, infer_dtype(in, 2), dims, 3);
}
