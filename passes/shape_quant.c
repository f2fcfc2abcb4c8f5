/* Shapes and types of quantisation: QuantizeLinear-25, DequantizeLinear-25, DynamicQuantizeLinear-11, and the
 * com.microsoft elementwise forms that carry scales and zero points among their inputs. */
#include "shape_nn.h"

/* The zero point's type, else output_dtype (opset 21 on), else uint8. */
enum status shape_quantize(struct infer *in) {
    return infer_set_like(in, 0, 0,
                          infer_has(in, 2) ? infer_dtype(in, 2) : infer_dtype_attr(in, "output_dtype", DT_UINT8));
}

/* The scale's type from opset 19 on and in com.microsoft, output_dtype from 23 on; float before. */
enum status shape_dequantize(struct infer *in) {
    enum dtype dtype = infer_dtype_attr(in, "output_dtype", DT_UNDEFINED);
    bool by_scale = in->opset >= 19 || *in->node->domain;
    if (dtype == DT_UNDEFINED) dtype = by_scale ? infer_dtype(in, 1) : DT_FLOAT;
    return infer_set_like(in, 0, 0, dtype == DT_UNDEFINED ? DT_FLOAT : dtype);
}

enum status shape_dynamic_quantize(struct infer *in) {
    TRY(infer_set_like(in, 0, 0, DT_UINT8));
    TRY(infer_set(in, 1, DT_FLOAT, NULL, 0));
    return infer_set(in, 2, DT_UINT8, NULL, 0);
}

static enum status broadcast(struct infer *in, const uint32_t *inputs, size_t n, enum dtype dtype) {
    dim dims[RANK_MAX];
    int32_t rank = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tensor *x = infer_in(in, inputs[i]);
        if (infer_rank(in, inputs[i]) == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
        TRY(infer_broadcast(in, dims, &rank, x->dims, x->rank));
    }
    return infer_set(in, 0, dtype, dims, rank);
}

/* QLinearAdd, QLinearMul: A and B, each with scale and zero point. QLinearWhere: the condition before X and Y. */
enum status shape_qlinear_bcast(struct infer *in) {
    static const uint32_t pair[] = {0, 3}, where[] = {0, 1, 4};
    if (in->node->op == OP_MsQLinearWhere) return broadcast(in, where, COUNT_OF(where), infer_dtype(in, 1));
    return broadcast(in, pair, COUNT_OF(pair), infer_dtype(in, 0));
}

/* QLinearConcat: scale and zero point of the output, then three inputs for each part. */
enum status shape_qlinear_concat(struct infer *in) {
    enum dtype dtype = infer_dtype(in, 1);
    int32_t rank = infer_rank(in, 2), axis;
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    TRY(infer_axis(in, node_int(in->node, "axis", 0), rank, &axis));
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 2, i);
    for (uint32_t part = 5; part < in->node->n_inputs; part += 3) {
        if (infer_rank(in, part) == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
        TRY(infer_want_rank(in, part, "every part", rank, rank));
        for (int32_t i = 0; i < rank; i++) {
            dim d = infer_dim(in, part, i);
            if (i == axis)
                dims[i] = dim_add(in->graph, dims[i], d);
            else
                TRY(infer_unify(in, dims[i], d, "the axes that are not joined", &dims[i]));
        }
    }
    return infer_set(in, 0, dtype, dims, rank);
}
