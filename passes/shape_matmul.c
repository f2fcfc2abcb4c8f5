/* Shapes of matrix products: Gemm-13, MatMul-13, MatMulInteger-10, QLinearMatMul-21 and the com.microsoft forms
 * (QGemm, FusedMatMul, TransposeMatMul, DynamicQuantizeMatMul, MatMulIntegerToFloat, MatMulNBits). */
#include "shape_internal.h"

static enum status gemm(struct infer *in, uint32_t a, uint32_t b, enum dtype dtype) {
    bool trans_a = node_int(in->node, "transA", 0) != 0, trans_b = node_int(in->node, "transB", 0) != 0;
    dim k;
    TRY(infer_want_rank(in, a, "A", 2, 2));
    TRY(infer_want_rank(in, b, "B", 2, 2));
    TRY(infer_unify(in, infer_dim(in, a, trans_a ? 0 : 1), infer_dim(in, b, trans_b ? 1 : 0),
                    "the inner size of A and B", &k));
    const dim out[] = {infer_dim(in, a, trans_a ? 1 : 0), infer_dim(in, b, trans_b ? 0 : 1)};
    return infer_set(in, 0, dtype, out, 2);
}

enum status shape_gemm(struct infer *in) {
    return gemm(in, 0, 1, infer_dtype(in, 0));
}

/* A, its scale and zero point, B likewise, C, then the output's scale and zero point: without them it is floating. */
enum status shape_qgemm(struct infer *in) {
    bool quantised = infer_has(in, 8);
    return gemm(in, 0, 3, quantised ? infer_dtype(in, 8) : DT_FLOAT);
}

struct operand {
    dim dims[RANK_MAX];
    int32_t rank;
};

static void swap(dim *a, dim *b) {
    dim t = *a;
    *a = *b;
    *b = t;
}

/* The operand as the product sees it: the leading axis moved behind the batch axes, then the last two swapped. */
static void load_operand(struct infer *in, uint32_t i, const char *trans, const char *trans_batch, struct operand *o) {
    o->rank = infer_rank(in, i);
    for (int32_t d = 0; d < o->rank; d++) o->dims[d] = infer_dim(in, i, d);
    if (o->rank < 2) return;
    if (o->rank > 2 && node_int(in->node, trans_batch, 0))
        for (int32_t d = 0; d + 2 < o->rank; d++) swap(&o->dims[d], &o->dims[d + 1]);
    if (node_int(in->node, trans, 0)) swap(&o->dims[o->rank - 1], &o->dims[o->rank - 2]);
}

/* Numpy's matmul: a 1-D operand gets an axis of 1 that the result loses again; the axes before the last two broadcast.
 */
static enum status matmul(struct infer *in, uint32_t ia, uint32_t ib, enum dtype dtype) {
    struct operand a, b;
    TRY(infer_want_rank(in, ia, "A", 1, -1));
    TRY(infer_want_rank(in, ib, "B", 1, -1));
    load_operand(in, ia, "transA", "transBatchA", &a);
    load_operand(in, ib, "transB", "transBatchB", &b);
    if (a.rank == RANK_UNKNOWN || b.rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    dim out[RANK_MAX], k;
    int32_t rank = 0;
    TRY(infer_unify(in, a.dims[a.rank - 1], b.dims[b.rank == 1 ? 0 : b.rank - 2], "the inner size of A and B", &k));
    if (a.rank > 2) TRY(infer_broadcast(in, out, &rank, a.dims, a.rank - 2));
    if (b.rank > 2) TRY(infer_broadcast(in, out, &rank, b.dims, b.rank - 2));
    if (rank + 2 > RANK_MAX)
        return infer_fail(in, "the result has rank %d, at most %d is supported", rank + 2, RANK_MAX);
    if (a.rank > 1) out[rank++] = a.dims[a.rank - 2];
    if (b.rank > 1) out[rank++] = b.dims[b.rank - 1];
    return infer_set(in, 0, dtype, out, rank);
}

enum status shape_matmul(struct infer *in) {
    switch (in->node->op) {
    case OP_MatMulInteger:
        return matmul(in, 0, 1, DT_INT32);
    case OP_MsMatMulIntegerToFloat:
        return matmul(in, 0, 1, infer_dtype(in, 2) ? infer_dtype(in, 2) : DT_FLOAT);
    default:
        return matmul(in, 0, 1, infer_dtype(in, 0));
    }
}

enum status shape_qlinear_matmul(struct infer *in) {
    return matmul(in, 0, 3, infer_dtype(in, 7));
}

/* MatMulNBits: B is packed; attributes K and N give its real size. */
enum status shape_matmul_nbits(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    int64_t k = node_int(in->node, "K", 0), n = node_int(in->node, "N", 0);
    if (k < 1 || n < 1) return infer_fail(in, "attributes K and N are %lld and %lld", (long long)k, (long long)n);
    TRY(infer_want_rank(in, 0, "A", 1, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    dim out[RANK_MAX], inner;
    for (int32_t i = 0; i < rank; i++) out[i] = infer_dim(in, 0, i);
    TRY(infer_unify(in, out[rank - 1], DIM(k), "the inner size of A and B", &inner));
    out[rank - 1] = DIM(n);
    return infer_set(in, 0, infer_dtype(in, 0), out, rank);
}
