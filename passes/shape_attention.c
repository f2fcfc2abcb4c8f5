/* Shapes of attention operators. The sizes themselves are read by attention.c. */
#include "shape_nn.h"

static enum status set_present(struct infer *in, uint32_t o, const struct attention *a, dim size) {
    const dim dims[] = {a->batch, a->kv_heads, a->total_len, size};
    return infer_set(in, o, infer_dtype(in, 0), dims, 4);
}

static enum status check_heads(const struct infer *in, const struct attention *a) {
    if (!dim_is_number(a->q_heads) || !dim_is_number(a->kv_heads) || a->kv_heads.value == 0) return ST_OK;
    if (a->q_heads.value % a->kv_heads.value)
        return infer_fail(in, "%lld query heads are no multiple of %lld key heads", (long long)a->q_heads.value,
                          (long long)a->kv_heads.value);
    return ST_OK;
}

/* Attention-23: Y, present_key, present_value, qk_matmul_output. */
enum status shape_attention(struct infer *in) {
    struct attention a;
    enum dtype dtype = infer_dtype(in, 0);
    TRY(infer_want_rank(in, 0, "Q", 3, 4));
    TRY(infer_want_rank(in, 1, "K", 3, 4));
    TRY(infer_want_rank(in, 2, "V", 3, 4));
    if (infer_rank(in, 0) == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    attention_read(in->graph, in->node, &a);
    TRY(check_heads(in, &a));
    if (!a.flat) {
        dim size;
        TRY(infer_unify(in, infer_dim(in, 0, 3), infer_rank(in, 1) == 4 ? infer_dim(in, 1, 3) : DIM_UNKNOWN,
                        "the size of a head of Q and K", &size));
    }
    const dim flat[] = {a.batch, a.q_len, a.out_hidden}, deep[] = {a.batch, a.q_heads, a.q_len, a.v_head};
    const dim scores[] = {a.batch, a.q_heads, a.q_len, a.total_len};
    TRY(infer_set(in, 0, dtype, a.flat ? flat : deep, a.flat ? 3 : 4));
    TRY(set_present(in, 1, &a, a.head));
    TRY(set_present(in, 2, &a, a.v_head));
    return infer_set(in, 3, dtype, scores, 4);
}

/* The cache of Attention and QAttention is one tensor: (2, batch, heads, length, size). */
static enum status set_joint_present(struct infer *in, const struct attention *a) {
    const dim dims[] = {DIM(2), a->batch, a->kv_heads, a->total_len, a->head};
    return infer_set(in, 1, infer_dtype(in, in->node->op == OP_MsQAttention ? 3 : 0), dims, 5);
}

enum status shape_ms_attention(struct infer *in) {
    struct attention a;
    bool quantised = in->node->op == OP_MsQAttention;
    enum dtype dtype = quantised ? infer_dtype(in, 3) : infer_dtype(in, 0); /* QAttention: as its input scale */
    TRY(infer_want_rank(in, 0, "the query", 2, 5));
    if (infer_rank(in, 0) == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    infer_value(in, 6); /* the total length that GroupQueryAttention is told */
    attention_read(in->graph, in->node, &a);
    TRY(check_heads(in, &a));
    const dim packed[] = {infer_dim(in, 0, 0), a.out_hidden}, flat[] = {a.batch, a.q_len, a.out_hidden};
    TRY(infer_set(in, 0, dtype, a.packed ? packed : flat, a.packed ? 2 : 3));
    if (a.packed) return ST_OK;
    if (in->node->op == OP_MsAttention || quantised) return set_joint_present(in, &a);
    TRY(set_present(in, 1, &a, a.head));
    return set_present(in, 2, &a, a.v_head);
}
