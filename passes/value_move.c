/* Values through operators that move elements. */
#include "shape_internal.h"

#include <string.h>

void fold_identity(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    uint32_t id = node_out(in->node, 0);
    int64_t dims[RANK_MAX], n = 1;
    if (!from || id == NONE || !fold_dims(in, id, dims)) return;
    for (int32_t i = 0; i < in->graph->tensors[id].rank; i++) n *= dims[i];
    if (n == from->n) in->graph->tensors[id].value = from;
}

/* A dense source and target of known dims; false when there is nothing to do. */
struct move {
    const struct value *from;
    struct value *to;
    int64_t in[RANK_MAX], out[RANK_MAX];
    int32_t in_rank, out_rank;
};

static bool move_open(struct infer *in, struct move *m) {
    m->from = infer_value(in, 0);
    if (!m->from || node_out(in->node, 0) == NONE || !fold_dims(in, node_in(in->node, 0), m->in)) return false;
    m->to = fold_new(in, 0);
    if (!m->to || m->to->is_float != m->from->is_float) return false;
    fold_dims(in, node_out(in->node, 0), m->out);
    m->in_rank = infer_rank(in, 0);
    m->out_rank = in->graph->tensors[node_out(in->node, 0)].rank;
    return true;
}

static int64_t linear(const int64_t *at, const int64_t *dims, int32_t rank) {
    int64_t k = 0;
    for (int32_t i = 0; i < rank; i++) k = k * dims[i] + at[i];
    return k;
}

void fold_expand(struct infer *in) {
    struct move m;
    int64_t at[RANK_MAX];
    if (!move_open(in, &m)) return;
    int32_t shift = m.out_rank - m.in_rank;
    for (uint32_t k = 0; k < m.to->n; k++) {
        fold_position(k, m.out, m.out_rank, at);
        for (int32_t i = 0; i < m.in_rank; i++)
            if (m.in[i] == 1) at[i + shift] = 0;
        m.to->at[k] = m.from->at[linear(at + shift, m.in, m.in_rank)];
    }
    fold_set(in, 0, m.to);
}

void fold_tile(struct infer *in) {
    struct move m;
    int64_t at[RANK_MAX];
    if (!move_open(in, &m)) return;
    for (uint32_t k = 0; k < m.to->n; k++) {
        fold_position(k, m.out, m.out_rank, at);
        for (int32_t i = 0; i < m.in_rank; i++) at[i] %= m.in[i];
        m.to->at[k] = m.from->at[linear(at, m.in, m.in_rank)];
    }
    fold_set(in, 0, m.to);
}

void fold_transpose(struct infer *in) {
    struct move m;
    int64_t at[RANK_MAX], source[RANK_MAX];
    size_t n;
    const int64_t *perm = node_ints(in->node, "perm", &n);
    if (!move_open(in, &m)) return;
    for (uint32_t k = 0; k < m.to->n; k++) {
        fold_position(k, m.out, m.out_rank, at);
        for (int32_t i = 0; i < m.in_rank; i++) source[perm ? perm[i] : m.in_rank - 1 - i] = at[i];
        m.to->at[k] = m.from->at[linear(source, m.in, m.in_rank)];
    }
    fold_set(in, 0, m.to);
}

/* ---- Concat and Split ---- */

/* Copies `from` (dims with `size` along axis) into or out of `whole` at `offset` along the axis. */
struct block {
    int64_t outer, inner; /* elements before and after the axis */
};

static struct block block_around(const int64_t *dims, int32_t rank, int32_t axis) {
    struct block b = {1, 1};
    for (int32_t i = 0; i < axis; i++) b.outer *= dims[i];
    for (int32_t i = axis + 1; i < rank; i++) b.inner *= dims[i];
    return b;
}

static bool has_any_value(const struct infer *in) {
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        const struct tensor *t = infer_in(in, i);
        if (t && (t->value || infer_is_readable(t))) return true;
    }
    return false;
}

/* Inputs of unknown value but known size leave unknown elements: a Reshape target is often put together like this. */
void fold_concat(struct infer *in) {
    struct value *to = has_any_value(in) ? fold_new(in, 0) : NULL;
    int64_t whole[RANK_MAX], part[RANK_MAX], offset = 0;
    if (!to || !fold_dims(in, node_out(in->node, 0), whole)) return;
    int32_t rank = in->graph->tensors[node_out(in->node, 0)].rank;
    int64_t axis = node_int(in->node, "axis", 1);
    if (axis < 0) axis += rank;
    struct block b = block_around(whole, rank, (int32_t)axis);
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        if (!infer_has(in, i)) continue;
        const struct value *from = infer_value(in, i);
        if (!fold_dims(in, node_in(in->node, i), part)) return;
        int64_t run = part[axis] * b.inner, stride = whole[axis] * b.inner;
        for (int64_t k = 0; from && from->is_float == to->is_float && k < b.outer; k++)
            memcpy(&to->at[k * stride + offset], &from->at[k * run], (size_t)run * sizeof to->at[0]);
        offset += run;
    }
    fold_set(in, 0, to);
}

void fold_split(struct infer *in) {
    const struct value *from = infer_value(in, 0);
    int64_t whole[RANK_MAX], part[RANK_MAX], offset = 0, axis = node_int(in->node, "axis", 0);
    int32_t rank = infer_rank(in, 0);
    if (!from || !fold_dims(in, node_in(in->node, 0), whole)) return;
    if (axis < 0) axis += rank;
    struct block b = block_around(whole, rank, (int32_t)axis);
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        struct value *to = fold_new(in, o);
        if (!to || !fold_dims(in, node_out(in->node, o), part)) return;
        int64_t run = part[axis] * b.inner, stride = whole[axis] * b.inner;
        for (int64_t k = 0; k < b.outer; k++)
            memcpy(&to->at[k * run], &from->at[k * stride + offset], (size_t)run * sizeof to->at[0]);
        offset += run;
        fold_set(in, o, to);
    }
}

/* ---- By index ---- */

/* Element `k` of the indices, counted from the end when negative; -1 when unknown or outside. */
static int64_t read_index(const struct value *indices, uint32_t k, int64_t size) {
    dim d = indices->at[k].d;
    if (!dim_is_number(d)) return -1;
    int64_t i = d.value < 0 ? d.value + size : d.value;
    return i >= 0 && i < size ? i : -1;
}

void fold_gather(struct infer *in) {
    struct move m;
    const struct value *indices = infer_value(in, 1);
    if (!indices || indices->is_float || !move_open(in, &m) || m.in_rank < 1) return;
    int64_t axis = node_int(in->node, "axis", 0);
    if (axis < 0) axis += m.in_rank;
    struct block b = block_around(m.in, m.in_rank, (int32_t)axis);
    if (m.to->n != b.outer * (int64_t)indices->n * b.inner) return;
    for (int64_t k = 0; k < m.to->n; k++) {
        int64_t inner = k % b.inner, outer = k / b.inner / indices->n;
        int64_t i = read_index(indices, (uint32_t)(k / b.inner % indices->n), m.in[axis]);
        if (i >= 0) m.to->at[k] = m.from->at[(outer * m.in[axis] + i) * b.inner + inner];
    }
    fold_set(in, 0, m.to);
}

void fold_gather_elements(struct infer *in) {
    struct move m;
    int64_t at[RANK_MAX];
    const struct value *indices = infer_value(in, 1);
    if (!indices || indices->is_float || !move_open(in, &m) || m.in_rank < 1 || indices->n != m.to->n) return;
    int64_t axis = node_int(in->node, "axis", 0);
    if (axis < 0) axis += m.in_rank;
    for (uint32_t k = 0; k < m.to->n; k++) {
        fold_position(k, m.out, m.out_rank, at);
        at[axis] = read_index(indices, k, m.in[axis]);
        bool inside = at[axis] >= 0;
        for (int32_t i = 0; i < m.in_rank; i++) inside &= at[i] < m.in[i];
        if (inside) m.to->at[k] = m.from->at[linear(at, m.in, m.in_rank)];
    }
    fold_set(in, 0, m.to);
}

/* Where the index tuple `k` of depth `depth` points in `dims`: the linear position of its first element; -1. */
static int64_t tuple_offset(const struct value *indices, int64_t k, int64_t depth, const int64_t *dims) {
    int64_t offset = 0;
    for (int64_t i = 0; i < depth; i++) {
        int64_t index = read_index(indices, (uint32_t)(k * depth + i), dims[i]);
        if (index < 0) return -1;
        offset = offset * dims[i] + index;
    }
    return offset;
}

void fold_gather_nd(struct infer *in) {
    struct move m;
    const struct value *indices = infer_value(in, 1);
    dim depth = infer_dim(in, 1, -1);
    if (!indices || indices->is_float || !dim_is_number(depth) || node_int(in->node, "batch_dims", 0) != 0) return;
    if (!move_open(in, &m) || depth.value < 1 || depth.value > m.in_rank) return;
    int64_t inner = 1;
    for (int32_t i = (int32_t)depth.value; i < m.in_rank; i++) inner *= m.in[i];
    for (int64_t k = 0; k < m.to->n; k++) {
        int64_t offset = tuple_offset(indices, k / inner, depth.value, m.in);
        if (offset >= 0) m.to->at[k] = m.from->at[offset * inner + k % inner];
    }
    fold_set(in, 0, m.to);
}

/* Data, indices, updates; an index that is not known makes all elements unknown. */
void fold_scatter_nd(struct infer *in) {
    struct move m;
    const struct value *indices = infer_value(in, 1), *updates = infer_value(in, 2);
    dim depth = infer_dim(in, 1, -1);
    bool plain = strcmp(node_string(in->node, "reduction", "none"), "none") == 0;
    if (!indices || !updates || indices->is_float || !dim_is_number(depth) || !plain) return;
    if (!move_open(in, &m) || updates->is_float != m.to->is_float || depth.value < 1 || depth.value > m.in_rank) return;
    memcpy(m.to->at, m.from->at, m.from->n * sizeof m.to->at[0]);
    int64_t inner = 1, tuples = indices->n / depth.value;
    for (int32_t i = (int32_t)depth.value; i < m.in_rank; i++) inner *= m.in[i];
    if (updates->n != tuples * inner) return;
    for (int64_t k = 0; k < tuples; k++) {
        int64_t offset = tuple_offset(indices, k, depth.value, m.in);
        if (offset < 0) return;
        memcpy(&m.to->at[offset * inner], &updates->at[k * inner], (size_t)inner * sizeof m.to->at[0]);
    }
    fold_set(in, 0, m.to);
}

/* ---- Pad ---- */

/* Of vectors with a constant: what a Concat of pad amounts becomes. */
void fold_pad(struct infer *in) {
    struct move m;
    const struct value *pads = infer_value(in, 1), *fill = infer_value(in, 2);
    bool constant = strcmp(node_string(in->node, "mode", "constant"), "constant") == 0;
    if (!constant || !pads || pads->is_float || pads->n != 2 || infer_has(in, 3) || (infer_has(in, 2) && !fill)) return;
    if (!dim_is_number(pads->at[0].d) || !move_open(in, &m) || m.in_rank != 1) return;
    if (fill && (fill->n != 1 || fill->is_float != m.to->is_float)) return;
    struct scalar zero = m.to->is_float ? scalar_number(0) : scalar_dim(DIM(0));
    for (int64_t k = 0; k < m.to->n; k++) {
        int64_t source = k - pads->at[0].d.value;
        bool inside = source >= 0 && source < m.in[0];
        m.to->at[k] = inside ? m.from->at[source] : fill ? fill->at[0] : zero;
    }
    fold_set(in, 0, m.to);
}
