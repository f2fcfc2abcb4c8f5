/* Shapes of operators that copy: Concat, Split, Slice, Transpose, Pad, Expand, Tile, DepthToSpace. */
#include "shape_internal.h"

#include <string.h>

/* ---- Concat ---- */

static int32_t known_rank(const struct infer *in) {
    for (uint32_t i = 0; i < in->node->n_inputs; i++)
        if (infer_rank(in, i) != RANK_UNKNOWN) return infer_rank(in, i);
    return RANK_UNKNOWN;
}

/* The inputs' sizes along the axis, added up. A sum with more terms than an expression holds becomes a symbol within
 * the same bounds, expected where they are. */
static dim concat_size(struct infer *in, int32_t axis) {
    dim sum = DIM(0);
    int64_t lo = 0, hi = 0, expected = 0;
    bool known = true;
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        if (!infer_has(in, i)) continue;
        dim part = infer_dim(in, i, axis);
        int64_t part_lo, part_hi;
        dim_bounds(in->graph, part, &part_lo, &part_hi);
        lo = num_add_sat(lo, part_lo);
        hi = num_add_sat(hi, part_hi);
        expected = num_add_sat(expected, dim_expected(in->graph, part));
        known &= !dim_is_unknown(part);
        sum = dim_add(in->graph, sum, part);
    }
    if (!known || !dim_is_unknown(sum)) return sum;
    dim whole = infer_fresh(in, 0, lo, hi);
    dim_expect(in->graph, whole, expected);
    return whole;
}

enum status shape_concat(struct infer *in) {
    int32_t rank = known_rank(in), axis;
    enum dtype dtype = DT_UNDEFINED;
    for (uint32_t i = 0; i < in->node->n_inputs && dtype == DT_UNDEFINED; i++) dtype = infer_dtype(in, i);
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
    TRY(infer_axis(in, node_int(in->node, "axis", 1), rank, &axis)); /* required since opset 4 */
    dim dims[RANK_MAX];
    for (int32_t k = 0; k < rank; k++) dims[k] = DIM_UNKNOWN;
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        if (infer_rank(in, i) == RANK_UNKNOWN) continue;
        TRY(infer_want_rank(in, i, "input", rank, rank));
        for (int32_t k = 0; k < rank; k++)
            if (k != axis) TRY(infer_unify(in, dims[k], infer_dim(in, i, k), "inputs", &dims[k]));
    }
    dims[axis] = concat_size(in, axis);
    return infer_set(in, 0, dtype, dims, rank);
}

/* ---- Split ---- */

/* The sizes of the parts: given, or equal, since opset 18 with a smaller last one. */
static enum status split_sizes(struct infer *in, dim whole, dim *parts, uint32_t n) {
    size_t n_given;
    const int64_t *given = node_ints(in->node, "split", &n_given);
    const struct value *v = infer_value(in, 1);
    if (given || (v && !v->is_float)) {
        size_t count = given ? n_given : v->n;
        if (count != n) return infer_fail(in, "split has %zu sizes for %u outputs", count, n);
        dim sum = DIM(0);
        for (uint32_t i = 0; i < n; i++) {
            parts[i] = given ? DIM(given[i]) : infer_size(in, v->at[i].d, i, INT64_MAX);
            sum = dim_add(in->graph, sum, parts[i]);
        }
        if (dim_is_number(sum) && dim_is_number(whole) && sum.value != whole.value)
            return infer_fail(in, "the parts add up to %lld of %lld", (long long)sum.value, (long long)whole.value);
        return ST_OK;
    }
    for (uint32_t i = 0; infer_has(in, 1) && i < n; i++) parts[i] = infer_fresh(in, i, 0, INT64_MAX);
    if (infer_has(in, 1)) return ST_OK;
    if (in->opset < 18 && dim_is_number(whole) && whole.value % n != 0)
        return infer_fail(in, "%lld does not divide into %u equal parts", (long long)whole.value, n);
    dim part = in->opset < 18 ? dim_floordiv(in->graph, whole, DIM(n)) : dim_ceildiv(in->graph, whole, DIM(n));
    for (uint32_t i = 0; i < n; i++) parts[i] = part;
    if (in->opset >= 18) parts[n - 1] = dim_sub(in->graph, whole, dim_mul(in->graph, part, DIM(n - 1)));
    return ST_OK;
}

enum status shape_split(struct infer *in) {
    int32_t rank = infer_rank(in, 0), axis;
    uint32_t n = in->node->n_outputs;
    if (rank == RANK_UNKNOWN) {
        for (uint32_t o = 0; o < n; o++) TRY(infer_set_unknown(in, o, infer_dtype(in, 0), NULL));
        return ST_OK;
    }
    if (n == 0) return ST_OK;
    TRY(infer_axis(in, node_int(in->node, "axis", 0), rank, &axis));
    dim *parts = arena_array(in->run->scratch, n, sizeof *parts), dims[RANK_MAX];
    infer_dims(in, 0, dims);
    TRY(split_sizes(in, dims[axis], parts, n));
    for (uint32_t o = 0; o < n; o++) {
        dims[axis] = parts[o];
        TRY(infer_set(in, o, infer_dtype(in, 0), dims, rank));
    }
    return ST_OK;
}

/* ---- Transpose ---- */

enum status shape_transpose(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    size_t n;
    const int64_t *perm = node_ints(in->node, "perm", &n);
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN && perm && n <= RANK_MAX) { /* at least the rank is known */
        for (size_t i = 0; i < n; i++) dims[i] = DIM_UNKNOWN;
        return infer_set(in, 0, infer_dtype(in, 0), dims, (int32_t)n);
    }
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (perm && n != (size_t)rank) return infer_fail(in, "perm has %zu values for rank %d", n, rank);
    bool used[RANK_MAX] = {false};
    for (int32_t i = 0; i < rank; i++) {
        int64_t from = perm ? perm[i] : rank - 1 - i;
        if (from < 0 || from >= rank || used[from]) return infer_fail(in, "perm is no permutation");
        used[from] = true;
        dims[i] = infer_dim(in, 0, from);
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* ---- Pad ---- */

/* Attribute before opset 11 ("paddings" in opset 1), then input 1, since opset 18 for the axes of input 3. */
static enum status read_pads(struct infer *in, int32_t rank, dim *before, dim *after, bool *known) {
    size_t n_attr, n_axes = (size_t)rank;
    const int64_t *attr = node_ints(in->node, in->opset == 1 ? "paddings" : "pads", &n_attr);
    const struct value *v = attr ? NULL : infer_value(in, 1);
    int64_t axes[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) axes[i] = i;
    *known = (attr || (v && !v->is_float)) && (!infer_has(in, 3) || infer_ints(in, 3, axes, RANK_MAX, &n_axes));
    if (!*known) return ST_OK;
    size_t n = attr ? n_attr : v->n;
    if (n != 2 * n_axes) return infer_fail(in, "pads has %zu values, expected %zu", n, 2 * n_axes);
    for (size_t i = 0; i < n_axes; i++) {
        int32_t axis;
        TRY(infer_axis(in, axes[i], rank, &axis));
        before[axis] = attr ? DIM(attr[i]) : v->at[i].d;
        after[axis] = attr ? DIM(attr[n_axes + i]) : v->at[n_axes + i].d;
    }
    return ST_OK;
}

enum status shape_pad(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    dim dims[RANK_MAX], before[RANK_MAX], after[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) before[i] = after[i] = DIM(0);
    bool known;
    TRY(read_pads(in, rank, before, after, &known));
    for (int32_t i = 0; i < rank; i++) {
        dim d = infer_dim(in, 0, i), grown = dim_add(in->graph, dim_add(in->graph, d, before[i]), after[i]);
        bool unread = !known || dim_is_unknown(before[i]) || dim_is_unknown(after[i]);
        dims[i] = unread ? infer_fresh(in, (uint32_t)i, 0, INT64_MAX) : grown;
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* ---- Expand and Tile ---- */

enum status shape_expand(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    const struct value *v = infer_value(in, 1);
    dim dims[RANK_MAX], other[RANK_MAX], length = infer_dim(in, 1, 0);
    int32_t n = v ? (int32_t)(v->n <= RANK_MAX ? v->n : RANK_MAX + 1) : -1;
    if (!v && dim_is_number(length) && length.value <= RANK_MAX) n = (int32_t)length.value;
    if (n < 0 || rank == RANK_UNKNOWN || (v && v->is_float)) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (n > RANK_MAX) return infer_fail(in, "shape has more than %d dimensions", RANK_MAX);
    for (int32_t i = 0; i < n; i++)
        other[i] = infer_size(in, v ? v->at[i].d : DIM_UNKNOWN, RANK_MAX + (uint32_t)i, INT64_MAX);
    infer_dims(in, 0, dims);
    TRY(infer_broadcast(in, dims, &rank, other, n));
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* Before opset 6: `tiles` copies along the scalar `axis`. */
static enum status tile_one_axis(struct infer *in, dim *dims, int32_t rank) {
    int64_t at;
    int32_t axis;
    dim tiles = infer_scalar(in, 1);
    if (!infer_int(in, 2, &at)) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    TRY(infer_axis(in, at, rank, &axis));
    dims[axis] = infer_size(in, dim_mul(in->graph, dims[axis], tiles), (uint32_t)axis, INT64_MAX);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

enum status shape_tile(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    const struct value *v = infer_value(in, 1);
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    infer_dims(in, 0, dims);
    if (in->opset < 6) return tile_one_axis(in, dims, rank);
    if (v && v->n != (uint32_t)rank) return infer_fail(in, "repeats has %u values for rank %d", v->n, rank);
    for (int32_t i = 0; i < rank; i++) {
        dim times = v && !v->is_float ? v->at[i].d : DIM_UNKNOWN;
        dims[i] = infer_size(in, dim_mul(in->graph, dims[i], times), (uint32_t)i, INT64_MAX);
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* ---- Blocks ---- */

static enum status block_shape(struct infer *in, bool to_depth) {
    struct graph *g = in->graph;
    dim b = DIM(node_int(in->node, "blocksize", 0)), bb = dim_mul(g, b, b);
    if (b.value < 1) return infer_fail(in, "blocksize is %lld", (long long)b.value);
    TRY(infer_want_rank(in, 0, "input", 4, 4));
    dim dims[4] = {infer_dim(in, 0, 0)}, c = infer_dim(in, 0, 1);
    if (!to_depth && dim_is_number(c) && dim_is_number(bb) && c.value % bb.value != 0)
        return infer_fail(in, "%lld channels do not divide by %lld", (long long)c.value, (long long)bb.value);
    dims[1] = to_depth ? dim_mul(g, c, bb) : dim_floordiv(g, c, bb);
    for (int i = 2; i < 4; i++) {
        dim d = infer_dim(in, 0, i);
        if (to_depth && dim_is_number(d) && d.value % b.value != 0)
            return infer_fail(in, "size %lld does not divide by %lld", (long long)d.value, (long long)b.value);
        dims[i] = to_depth ? dim_floordiv(g, d, b) : dim_mul(g, d, b);
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, 4);
}

enum status shape_depth_to_space(struct infer *in) {
    return block_shape(in, false);
}

enum status shape_space_to_depth(struct infer *in) {
    return block_shape(in, true);
}

/* ---- Blocked layouts (com.microsoft.nchwc) ---- */

#define BLOCK 8 /* of channels; on some machines 16, where those that do not fill one are padded further */

/* Channels-first or, with channels_last, channels-last to blocks of channels, the last one padded. */
enum status shape_reorder_input(struct infer *in) {
    struct graph *g = in->graph;
    int32_t rank = infer_rank(in, 0);
    bool last = node_int(in->node, "channels_last", 0) != 0;
    dim dims[RANK_MAX];
    TRY(infer_want_rank(in, 0, "the input", 3, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, last && i > 0 ? (i == 1 ? rank - 1 : i - 1) : i);
    dims[1] = dim_mul(g, dim_ceildiv(g, dims[1], DIM(BLOCK)), DIM(BLOCK));
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}

/* And back: `channels` says how many there are without the padding. */
enum status shape_reorder_output(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    int64_t channels = node_int(in->node, "channels", 0);
    bool last = node_int(in->node, "channels_last", 0) != 0;
    dim dims[RANK_MAX];
    TRY(infer_want_rank(in, 0, "the input", 3, -1));
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    for (int32_t i = 0; i < rank; i++) dims[i] = infer_dim(in, 0, last && i > 0 ? (i == rank - 1 ? 1 : i + 1) : i);
    if (channels > 0) dims[last ? rank - 1 : 1] = DIM(channels);
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}
