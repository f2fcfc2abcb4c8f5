/* Shapes of operators on text (TfIdfVectorizer-9, StringNormalizer-10, StringSplit-20), of the optimisers of
 * ai.onnx.preview.training, and of operators whose outputs their inputs do not determine. */
#include "shape_nn.h"

/* ([N,] words) to ([N,] 1 + the largest index). */
enum status shape_tfidf(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    size_t n;
    const int64_t *indexes = node_ints(in->node, "ngram_indexes", &n);
    int64_t width = 0;
    TRY(infer_want_rank(in, 0, "the words", 1, 2));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, DT_FLOAT, NULL);
    for (size_t i = 0; i < n; i++)
        if (indexes[i] >= width) width = num_add_sat(indexes[i], 1);
    const dim dims[] = {infer_dim(in, 0, 0), DIM(width)};
    return infer_set(in, 0, DT_FLOAT, rank == 2 ? dims : dims + 1, rank);
}

/* Stop words drop out, so the last size depends on the text; at least one string is left. */
enum status shape_string_normalizer(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[2];
    TRY(infer_want_rank(in, 0, "the words", 1, 2));
    if (rank == RANK_UNKNOWN || !node_attr(in->node, "stopwords")) return infer_set_like(in, 0, 0, DT_STRING);
    int64_t lo, hi;
    dim last = infer_dim(in, 0, -1);
    dim_bounds(in->graph, last, &lo, &hi);
    dims[0] = DIM(1);
    dims[rank - 1] = infer_fresh(in, 0, 1, hi < 1 ? 1 : hi);
    return infer_set(in, 0, DT_STRING, dims, rank);
}

/* StringSplit-20: (..., pieces) and how many pieces each string had. */
enum status shape_string_split(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[RANK_MAX];
    TRY(infer_set_like(in, 1, 0, DT_INT64));
    TRY(infer_want_rank(in, 0, "the strings", 0, RANK_MAX - 1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, DT_STRING, NULL);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, i);
    dims[rank] = infer_fresh(in, 0, 0, INT64_MAX);
    return infer_set(in, 0, DT_STRING, dims, rank + 1);
}

/* Inputs: rate, step count, then groups of n: weights, gradients, one or two states. Outputs: weights and states. */
enum status shape_optimizer(struct infer *in) {
    uint32_t groups = in->node->op == OP_TrainingAdam ? 4 : 3;
    if ((in->node->n_inputs - 2) % groups)
        return infer_fail(in, "%u inputs, expected 2 and a multiple of %u", in->node->n_inputs, groups);
    uint32_t n = (in->node->n_inputs - 2) / groups;
    for (uint32_t o = 0; n && o < in->node->n_outputs; o++) {
        uint32_t group = o / n; /* gradients have no output */
        TRY(infer_set_like(in, o, 2 + (group == 0 ? o : o + n), DT_UNDEFINED));
    }
    return ST_OK;
}

/* (batch, length, hidden) to (tokens, hidden), token_offset, cumulated lengths and the longest. */
static enum status remove_padding(struct infer *in) {
    dim batch = infer_dim(in, 0, 0), length = infer_dim(in, 0, 1), one = DIM(1);
    int64_t lo, hi;
    dim_bounds(in->graph, dim_mul(in->graph, batch, length), &lo, &hi);
    const dim tokens[] = {infer_fresh(in, 0, 0, hi), infer_dim(in, 0, 2)}, offsets[] = {batch, length};
    dim lengths = dim_add(in->graph, batch, DIM(1));
    TRY(infer_set(in, 0, infer_dtype(in, 0), tokens, 2));
    TRY(infer_set(in, 1, DT_INT32, offsets, 2));
    TRY(infer_set(in, 2, DT_INT32, &lengths, 1));
    return infer_set(in, 3, DT_INT32, &one, 1);
}

static enum status restore_padding(struct infer *in) {
    const dim dims[] = {infer_dim(in, 1, 0), infer_dim(in, 1, 1), infer_dim(in, 0, 1)};
    return infer_set(in, 0, infer_dtype(in, 0), dims, 3);
}

/* (buckets, heads) with the two lengths gives (1, heads, query, key). */
static enum status relative_position_bias(struct infer *in) {
    const dim dims[] = {DIM(1), infer_dim(in, 0, 1), infer_scalar(in, 1), infer_scalar(in, 2)};
    return infer_set(in, 0, infer_dtype(in, 0), dims, 4);
}

/* Query (batch, length, hidden) gives (batch, heads, length, length). */
static enum status gated_bias(struct infer *in) {
    dim length = infer_dim(in, 0, 1);
    const dim dims[] = {infer_dim(in, 0, 0), DIM(node_int(in->node, "num_heads", 1)), length, length};
    return infer_set(in, 0, infer_dtype(in, 0), dims, 4);
}

/* (words, characters) to (words, filters of the convolution). */
static enum status word_embedding(struct infer *in) {
    const dim dims[] = {infer_dim(in, 0, 0), infer_dim(in, 1, 0)};
    return infer_set(in, 0, infer_dtype(in, 1), dims, 2);
}

enum status shape_opaque(struct infer *in) {
    switch (in->node->op) {
    case OP_MsRemovePadding:
        return remove_padding(in);
    case OP_MsRestorePadding:
        return restore_padding(in);
    case OP_MsRelativePositionBias:
        return relative_position_bias(in);
    case OP_MsGatedRelativePositionBias:
        return gated_bias(in);
    case OP_MsWordConvEmbedding:
        return word_embedding(in);
    case OP_TrainingGradient: /* a derivative for each of "xs", which are the first inputs */
        for (uint32_t o = 0; o < in->node->n_outputs; o++) TRY(infer_set_like(in, o, o, DT_UNDEFINED));
        return ST_OK;
    default:
        break;
    }
    for (uint32_t o = 0; o < in->node->n_outputs; o++)
        TRY(infer_set_unknown(in, o, DT_UNDEFINED, "its outputs depend on more than the shapes of its inputs"));
    return ST_OK;
}
