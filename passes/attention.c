/* The sizes of attention operators: Attention-23 of ONNX and the com.microsoft family (Attention, QAttention,
 * PackedAttention, MultiHeadAttention, DecoderMaskedMultiHeadAttention, GroupQueryAttention). */
#include "geometry.h"

static dim dim_at(const struct tensor *t, int32_t axis) {
    if (!t || t->rank == RANK_UNKNOWN || axis >= t->rank) return DIM_UNKNOWN;
    return t->dims[axis];
}

static bool has_rank(const struct tensor *t, int32_t rank) {
    return t && t->rank == rank;
}

/* The better known of two statements of one size. */
static dim either(dim a, dim b) {
    return dim_is_unknown(a) ? b : a;
}

static dim per_head(struct graph *g, dim hidden, dim heads) {
    return dim_is_number(heads) && heads.value == 0 ? DIM_UNKNOWN : dim_floordiv(g, hidden, heads);
}

static dim attr_heads(const struct node *node, const char *name) {
    int64_t n = node_int(node, name, 0);
    return n > 0 ? DIM(n) : DIM_UNKNOWN;
}

/* What is cached: `past` is (batch, heads, length, size), after `skip` leading axes. */
static void read_past(const struct tensor *past, int32_t skip, struct attention *a) {
    a->past_len = past ? dim_at(past, skip + 2) : DIM(0);
}

/* Attention-23: 4-D (batch, heads, length, size) or 3-D (batch, length, heads * size). */
static void read_standard(struct graph *g, const struct node *node, struct attention *a) {
    const struct tensor *q = node_tensor(g, node, 0), *k = node_tensor(g, node, 1), *v = node_tensor(g, node, 2);
    a->flat = has_rank(q, 3);
    a->q_heads = a->flat ? attr_heads(node, "q_num_heads") : dim_at(q, 1);
    a->kv_heads = has_rank(k, 3) ? attr_heads(node, "kv_num_heads") : dim_at(k, 1);
    a->q_len = dim_at(q, a->flat ? 1 : 2);
    a->kv_len = dim_at(k, has_rank(k, 3) ? 1 : 2);
    a->head = a->flat ? per_head(g, dim_at(q, 2), a->q_heads) : dim_at(q, 3);
    a->v_head = has_rank(v, 3) ? per_head(g, dim_at(v, 2), a->kv_heads) : dim_at(v, 3);
    read_past(node_tensor(g, node, 4), 0, a);
    a->total_len = dim_add(g, a->past_len, a->kv_len);
    a->out_hidden = dim_mul(g, a->q_heads, a->v_head);
}

/* Attention, QAttention, PackedAttention: one projection makes Q, K and V. Weight: (hidden, q + k + v columns). */
static void read_projected(struct graph *g, const struct node *node, struct attention *a) {
    const struct tensor *x = node_tensor(g, node, 0), *w = node_tensor(g, node, 1);
    size_t n_sizes;
    const int64_t *sizes = node_ints(node, "qkv_hidden_sizes", &n_sizes);
    dim third = dim_floordiv(g, dim_at(w, 1), DIM(3));
    dim q_hidden = n_sizes == 3 ? DIM(sizes[0]) : third, v_hidden = n_sizes == 3 ? DIM(sizes[2]) : third;
    a->packed = node->op == OP_MsPackedAttention;
    const struct tensor *tokens = a->packed ? node_tensor(g, node, 3) : NULL;
    const struct tensor *past = a->packed ? NULL : node_tensor(g, node, node->op == OP_MsQAttention ? 8 : 4);
    a->batch = a->packed ? dim_at(tokens, 0) : dim_at(x, 0);
    a->q_len = a->kv_len = a->packed ? dim_at(tokens, 1) : dim_at(x, 1);
    a->q_heads = a->kv_heads = attr_heads(node, "num_heads");
    a->head = per_head(g, q_hidden, a->q_heads);
    a->v_head = per_head(g, v_hidden, a->q_heads);
    a->hidden = either(dim_at(w, 0), dim_at(x, a->packed ? 1 : 2));
    read_past(past, 1, a);
    bool shared = node_int(node, "past_present_share_buffer", 0) != 0;
    a->total_len = shared && past ? a->past_len : dim_add(g, a->past_len, a->kv_len);
    a->out_hidden = v_hidden;
    a->flat = true;
}

/* MultiHeadAttention: Q, K and V given apart, or packed as (batch, length, heads, 3 or 2, size); the keys of a cross
 * attention may come as (batch, heads, length, size). */
static void read_multi_head(struct graph *g, const struct node *node, struct attention *a, uint32_t past_key) {
    const struct tensor *q = node_tensor(g, node, 0), *k = node_tensor(g, node, 1), *v = node_tensor(g, node, 2);
    a->q_heads = a->kv_heads = attr_heads(node, "num_heads");
    a->q_len = dim_at(q, 1);
    a->flat = true;
    if (has_rank(q, 5)) { /* QKV packed */
        a->head = a->v_head = dim_at(q, 4);
        a->kv_len = a->q_len;
    } else {
        a->head = per_head(g, dim_at(q, 2), a->q_heads);
        a->kv_len = !k ? a->q_len : dim_at(k, has_rank(k, 4) ? 2 : 1);
        a->v_head = !v ? a->head : has_rank(v, 4) ? dim_at(v, 3) : per_head(g, dim_at(v, 2), a->q_heads);
    }
    if (!has_rank(q, 5) && !k) { /* Q, K and V side by side in one 3-D input */
        a->head = per_head(g, dim_floordiv(g, dim_at(q, 2), DIM(3)), a->q_heads);
        a->v_head = a->head;
    }
    const struct tensor *past = node_tensor(g, node, past_key);
    read_past(past, 0, a);
    /* 4-D keys are the whole cache already. */
    bool whole = has_rank(k, 4) || (past && node_int(node, "past_present_share_buffer", 0));
    if (has_rank(k, 4)) a->past_len = DIM(0);
    a->total_len = !whole ? dim_add(g, a->past_len, a->kv_len) : has_rank(k, 4) ? a->kv_len : a->past_len;
    a->out_hidden = dim_mul(g, a->q_heads, a->v_head);
}

/* GroupQueryAttention: fewer heads of K and V than of Q; without K and V the query holds all three side by side. */
static void read_group_query(struct graph *g, const struct node *node, struct attention *a) {
    const struct tensor *q = node_tensor(g, node, 0), *k = node_tensor(g, node, 1), *past = node_tensor(g, node, 3);
    const struct tensor *total = node_tensor(g, node, 6);
    a->q_heads = attr_heads(node, "num_heads");
    a->kv_heads = attr_heads(node, "kv_num_heads");
    a->q_len = a->kv_len = dim_at(q, 1);
    dim heads = k ? a->q_heads : dim_add(g, a->q_heads, dim_mul(g, a->kv_heads, DIM(2)));
    a->head = a->v_head = per_head(g, dim_at(q, 2), heads);
    a->flat = true;
    read_past(past, 0, a);
    a->total_len = dim_add(g, a->past_len, a->kv_len);
    if (past && total) { /* the cache may be a buffer longer than what is in it */
        const struct value *v = total->value;
        bool known = v && !v->is_float && v->n == 1;
        const struct tensor *present =
            node->n_outputs > 1 && node->outputs[1] != NONE ? &g->tensors[node->outputs[1]] : NULL;
        a->total_len = known ? dim_max(g, a->past_len, v->at[0].d) : dim_at(present, 2);
    }
    a->out_hidden = dim_mul(g, a->q_heads, a->head);
}

void attention_read(struct graph *g, const struct node *node, struct attention *a) {
    *a = (struct attention){.batch = dim_at(node_tensor(g, node, 0), 0), .past_len = DIM(0), .hidden = DIM(0)};
    switch (node->op) {
    case OP_Attention:
        read_standard(g, node, a);
        break;
    case OP_MsMultiHeadAttention:
        read_multi_head(g, node, a, 6);
        break;
    case OP_MsDecoderMaskedMultiHeadAttention:
        read_multi_head(g, node, a, 5);
        break;
    case OP_MsGroupQueryAttention:
        read_group_query(g, node, a);
        break;
    default:
        read_projected(g, node, a);
        break;
    }
}
