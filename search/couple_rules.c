/* What each operator ties (ONNX operator definitions, opset 25). x: input, y: output, w: weights. */
#include "couple.h"

#include <string.h>

typedef void rule_fn(struct coupling *, uint32_t node);

static const struct node *at(const struct coupling *c, uint32_t node) {
    return &c->g->nodes[node];
}
static const struct tensor *tensor_of(const struct coupling *c, uint32_t t) {
    return &c->g->tensors[t];
}
static int32_t rank_of(const struct coupling *c, uint32_t t) {
    return t == NONE ? 0 : tensor_of(c, t)->rank;
}

static void tie_axes(struct coupling *c, uint32_t a, uint32_t b, int32_t from, int32_t to) {
    for (int32_t axis = from; axis < to; axis++) tie(c, a, axis, b, axis);
}

/* Right-aligned; an axis of size 1 that is broadcast has no elements and frees nothing. */
static void tie_broadcast(struct coupling *c, uint32_t x, uint32_t y) {
    int32_t shift = rank_of(c, y) - rank_of(c, x);
    for (int32_t axis = 0; axis < rank_of(c, x); axis++)
        if (!dim_is(tensor_of(c, x)->dims[axis], 1)) tie(c, x, axis, y, axis + shift);
}

static void elementwise(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    if (node_attr(n, "broadcast")) { /* before opset 7: along an axis of its own */
        freeze_node(c, node);
        return;
    }
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] != NONE) tie_broadcast(c, n->inputs[i], n->outputs[0]);
}

static void first_input(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] != NONE) tie_broadcast(c, n->inputs[0], n->outputs[i]);
}

static void nothing(struct coupling *c, uint32_t node) {
    (void)c;
    (void)node;
}

/* ---- Sizes that are computed with ---- */

static bool reads(const struct node *n, uint32_t tensor) {
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] == tensor) return true;
    return false;
}

/* Does a size become a number that data is computed with (a count to divide by, a scale)? As a shape it follows. */
static bool reaches_floats(const struct coupling *c, uint32_t size) {
    const struct graph *g = c->g;
    uint32_t *stack = arena_array(c->arena, g->n_tensors + 1, sizeof *stack);
    bool *seen = arena_array(c->arena, g->n_tensors + 1, sizeof *seen);
    size_t n = 0;
    seen[stack[n++] = size] = true;
    while (n) {
        uint32_t t = stack[--n];
        if (g->tensors[t].flags & (TF_OUTPUT | TF_CAPTURED)) return true;
        for (size_t i = 0; i < g->n_nodes; i++) {
            const struct node *node = &g->nodes[i];
            uint32_t y = node_out(node, 0);
            if (node->dead || y == NONE || !reads(node, t)) continue;
            if (!strcmp(node->op_type, "Cast") && dtype_is_float(g->tensors[y].dtype)) return true;
            if (dtype_is_integer(g->tensors[y].dtype) && !seen[y]) seen[stack[n++] = y] = true;
        }
    }
    return false;
}

static void size_of(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    if (reaches_floats(c, n->outputs[0])) freeze_all(c, n->inputs[0]);
}

/* Scale and zero point go with the quantised axis when there is one a channel; those of blocks stay as they are. */
static void quantize(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    int64_t axis = node_int(n, "axis", 1);
    if (axis < 0) axis += rank_of(c, n->inputs[0]);
    first_input(c, node);
    if (rank_of(c, n->inputs[1]) > 1) freeze_node(c, node);
    for (uint32_t i = 1; i < n->n_inputs; i++)
        if (n->inputs[i] != NONE && rank_of(c, n->inputs[i]) == 1 && couple_size(c, n->inputs[i], 0) != 1)
            tie(c, n->inputs[i], 0, n->inputs[0], (int32_t)axis);
}

static void freeze_space(struct coupling *c, uint32_t t) {
    for (int32_t axis = 2; axis < rank_of(c, t); axis++) freeze(c, t, axis);
}

/* y[n, o] = sum over i, space of x[n, i] w[o, i]: o goes with w's rows and the bias, i with w's columns. */
static void conv(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], w = n->inputs[1], y = n->outputs[0];
    int64_t groups = node_int(n, "group", 1), per_group = couple_size(c, w, 1);
    if (n->n_inputs > 3) { /* FusedConv's added tensor */
        freeze_node(c, node);
        return;
    }
    tie(c, x, 0, y, 0);
    freeze_space(c, x);
    freeze_space(c, w);
    freeze_space(c, y);
    for (int32_t axis = 2; axis < rank_of(c, w); axis++) note_contraction(c, node, w, axis);
    if (groups > 1 && per_group != 1) {
        couple_grouped(c, node, groups);
        return;
    }
    tie(c, y, 1, w, 0);
    if (node_in(n, 2) != NONE) tie(c, y, 1, n->inputs[2], 0);
    if (groups == 1) {
        tie(c, x, 1, w, 1);
        note_contraction(c, node, w, 1);
        return;
    }
    int64_t multiplier = couple_size(c, w, 0) / groups; /* depthwise */
    for (int64_t i = 0; i < couple_size(c, w, 0); i++) tie_range(c, y, 1, i, x, 1, i / multiplier, 1);
}

static void conv_transpose(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], w = n->inputs[1], y = n->outputs[0];
    if (node_int(n, "group", 1) != 1) {
        freeze_node(c, node);
        return;
    }
    tie(c, x, 0, y, 0);
    tie(c, x, 1, w, 0);
    note_contraction(c, node, w, 0);
    tie(c, y, 1, w, 1);
    if (node_in(n, 2) != NONE) tie(c, y, 1, n->inputs[2], 0);
    freeze_space(c, x);
    freeze_space(c, w);
    freeze_space(c, y);
}

static void per_channel(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    tie_axes(c, n->inputs[0], n->outputs[0], 0, rank_of(c, n->inputs[0]));
    for (uint32_t i = 1; i < n->n_outputs; i++) /* statistics of a BatchNormalization that trains */
        if (n->outputs[i] != NONE) tie(c, n->outputs[i], 0, n->inputs[0], 1);
    for (uint32_t i = 1; i < n->n_inputs; i++)
        if (n->inputs[i] != NONE) tie(c, n->inputs[i], 0, n->inputs[0], 1);
}

static void instance_norm(struct coupling *c, uint32_t node) {
    per_channel(c, node);
    freeze_space(c, at(c, node)->inputs[0]);
}

/* Outer: whole groups go, exactly as if they had never been. */
static void group_norm(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    int64_t groups = node_int(n, "num_groups", 0), channels = couple_size(c, x, 1);
    per_channel(c, node);
    freeze_space(c, x);
    if (groups < 1 || channels < 0 || channels % groups || couple_size(c, n->inputs[1], 0) != channels) {
        freeze_node(c, node);
        return;
    }
    for (int64_t i = 0; i < channels; i++)
        tie_range(c, y, 1, i, y, 1, i / (channels / groups) * (channels / groups), 1);
}

static void layer_norm(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0];
    int32_t rank = rank_of(c, x);
    int64_t axis = node_int(n, "axis", -1);
    if (axis < 0) axis += rank;
    tie_axes(c, x, n->outputs[0], 0, rank);
    for (uint32_t i = 1; i < n->n_inputs; i++)
        if (n->inputs[i] != NONE) tie_broadcast(c, n->inputs[i], x);
    for (int32_t a = (int32_t)axis; a < rank; a++) note_statistics(c, node, x, a);
    for (uint32_t i = 1; i < n->n_outputs; i++)
        if (n->outputs[i] != NONE) freeze_all(c, n->outputs[i]);
}

static void gemm(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t a = n->inputs[0], b = n->inputs[1], y = n->outputs[0];
    int32_t row = node_int(n, "transA", 0) ? 1 : 0, column = node_int(n, "transB", 0) ? 0 : 1;
    tie(c, a, row, y, 0);
    tie(c, b, column, y, 1);
    tie(c, a, 1 - row, b, 1 - column);
    note_contraction(c, node, b, 1 - column);
    if (node_in(n, 2) != NONE) tie_broadcast(c, n->inputs[2], y);
}

/* numpy.matmul: a 1-D operand loses its axis in the result. */
static void matmul(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t a = n->inputs[0], b = n->inputs[1], y = n->outputs[0];
    int32_t ra = rank_of(c, a), rb = rank_of(c, b), ry = rank_of(c, y);
    if (ra < 2 || rb < 2) {
        freeze_node(c, node);
        return;
    }
    tie(c, a, ra - 2, y, ry - 2);
    tie(c, b, rb - 1, y, ry - 1);
    tie(c, a, ra - 1, b, rb - 2);
    note_contraction(c, node, b, rb - 2);
    for (int32_t i = 3; i <= ry; i++) {
        if (i <= ra && !dim_is(tensor_of(c, a)->dims[ra - i], 1)) tie(c, a, ra - i, y, ry - i);
        if (i <= rb && !dim_is(tensor_of(c, b)->dims[rb - i], 1)) tie(c, b, rb - i, y, ry - i);
    }
}

/* Pieces of `whole` along an axis, one after the other. */
static void tie_pieces(struct coupling *c, const uint32_t *pieces, uint32_t n, uint32_t whole, int64_t axis) {
    int64_t from = 0;
    bool known = true;
    if (axis < 0) axis += rank_of(c, whole);
    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i] == NONE) {
            known = false;
            continue;
        }
        int64_t size = couple_size(c, pieces[i], (int32_t)axis);
        for (int32_t other = 0; other < rank_of(c, whole); other++)
            if (other != axis) tie(c, pieces[i], other, whole, other);
        known = known && size >= 0;
        if (!known)
            freeze(c, pieces[i], (int32_t)axis);
        else if (size == 1)
            freeze_range(c, whole, (int32_t)axis, from, 1); /* a piece of one cannot go */
        else if (size > 1)
            tie_range(c, pieces[i], (int32_t)axis, 0, whole, (int32_t)axis, from, size);
        from += size;
    }
    if (!known) freeze(c, whole, (int32_t)axis);
}

static void concat(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    tie_pieces(c, n->inputs, n->n_inputs, n->outputs[0], node_int(n, "axis", 1));
}

static void split(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    tie_pieces(c, n->outputs, n->n_outputs, n->inputs[0], node_int(n, "axis", 0));
}

/* Known integers of an input or, before opset 10, an attribute. */
static const int64_t *integers(struct coupling *c, const struct node *n, uint32_t input, const char *name,
                               size_t *count) {
    const int64_t *given = node_ints(n, name, count);
    uint32_t t = node_in(n, input);
    if (given || t == NONE) return given;
    const struct value *v = tensor_of(c, t)->value ? tensor_of(c, t)->value : tensor_read(c->g, tensor_of(c, t));
    if (!v || v->is_float) return NULL;
    int64_t *out = arena_array(c->arena, v->n + 1u, sizeof *out);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!dim_is_number(v->at[i].d)) return NULL;
        out[i] = v->at[i].d.value;
    }
    *count = v->n;
    return out;
}

static void slice_axis(struct coupling *c, uint32_t x, uint32_t y, int32_t axis, int64_t start, int64_t step) {
    int64_t size = couple_size(c, x, axis), kept = couple_size(c, y, axis);
    if (size < 0 || kept < 0 || step != 1) {
        freeze(c, x, axis);
        freeze(c, y, axis);
        return;
    }
    if (start < 0) start += size;
    if (start < 0) start = 0;
    if (kept == 1)
        freeze_range(c, x, axis, start, 1);
    else
        tie_range(c, x, axis, start, y, axis, 0, kept);
}

static void slice(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    size_t n_starts = 0, n_axes = 0, n_steps = 0;
    size_t n_ends = 0;
    const int64_t *starts = integers(c, n, 1, "starts", &n_starts), *axes = integers(c, n, 3, "axes", &n_axes),
                  *steps = integers(c, n, 4, "steps", &n_steps), *ends = integers(c, n, 2, "ends", &n_ends);
    int64_t start[RANK_MAX] = {0}, step[RANK_MAX];
    bool sliced[RANK_MAX] = {false}, known = starts && ends && (axes || node_in(n, 3) == NONE);
    for (int32_t i = 0; i < RANK_MAX; i++) step[i] = 1;
    for (size_t i = 0; known && i < n_starts; i++) {
        int64_t axis = axes && i < n_axes ? axes[i] : (int64_t)i;
        if (axis < 0) axis += rank_of(c, x);
        if (axis < 0 || axis >= rank_of(c, x)) continue;
        sliced[axis] = true;
        start[axis] = starts[i];
        step[axis] = steps && i < n_steps ? steps[i] : node_in(n, 4) == NONE ? 1 : 0;
    }
    for (int32_t axis = 0; axis < rank_of(c, x); axis++) {
        if (!known)
            freeze(c, x, axis), freeze(c, y, axis);
        else if (sliced[axis])
            slice_axis(c, x, y, axis, start[axis], step[axis]);
        else
            tie(c, x, axis, y, axis);
    }
}

static void pad(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    size_t n_pads = 0;
    const int64_t *pads = integers(c, n, 1, "pads", &n_pads);
    int32_t rank = rank_of(c, x);
    bool constant = !strcmp(node_string(n, "mode", "constant"), "constant");
    if (!pads || n_pads != 2 * (size_t)rank || node_in(n, 3) != NONE) {
        freeze_node(c, node);
        return;
    }
    for (int32_t axis = 0; axis < rank; axis++) {
        int64_t before = pads[axis], after = pads[axis + rank], size = couple_size(c, x, axis);
        if (!before && !after)
            tie(c, x, axis, y, axis);
        else if (constant && before >= 0 && after >= 0 && size > 1) {
            tie_range(c, x, axis, 0, y, axis, before, size);
            freeze_range(c, y, axis, 0, before);
            freeze_range(c, y, axis, before + size, after);
        } else
            freeze(c, x, axis), freeze(c, y, axis);
    }
}

/* Constant 1-D indices renumber; otherwise the gathered axis is looked up by data and stays. */
static void gather(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], indices = n->inputs[1], y = n->outputs[0];
    int64_t axis = node_int(n, "axis", 0), size;
    if (axis < 0) axis += rank_of(c, x);
    int32_t added = rank_of(c, indices);
    for (int32_t i = 0; i < rank_of(c, x); i++)
        if (i < axis)
            tie(c, x, i, y, i);
        else if (i > axis)
            tie(c, x, i, y, i + added - 1);
    for (int32_t i = 0; i < added; i++)
        if (rank_of(c, indices) > 1) tie(c, indices, i, y, (int32_t)axis + i);
    size_t count = 0;
    const int64_t *wanted = added == 1 ? integers(c, n, 1, "", &count) : NULL;
    if (!wanted || (size = couple_size(c, x, (int32_t)axis)) < 2) {
        freeze(c, x, (int32_t)axis);
        if (added == 1) freeze(c, y, (int32_t)axis), freeze(c, indices, 0);
        return;
    }
    tie(c, indices, 0, y, (int32_t)axis);
    for (size_t i = 0; i < count; i++) {
        int64_t from = wanted[i] < 0 ? wanted[i] + size : wanted[i];
        tie_range(c, y, (int32_t)axis, (int64_t)i, x, (int32_t)axis, from, 1);
    }
}

/* Which sizes of a shape a node picks out; false when it reads the whole. */
static bool picked_axes(struct coupling *c, const struct node *reader, uint32_t shape, int32_t rank, bool *picked) {
    size_t n = 0, n_ends = 0;
    bool gathers = !strcmp(reader->op_type, "Gather"), slices = !strcmp(reader->op_type, "Slice");
    const int64_t *at = gathers || slices ? integers(c, reader, 1, "starts", &n) : NULL;
    const int64_t *ends = slices ? integers(c, reader, 2, "ends", &n_ends) : NULL;
    if (!at || reader->inputs[0] != shape || (slices && (!ends || n != 1 || n_ends != 1))) return false;
    for (int32_t axis = 0; axis < rank; axis++) {
        picked[axis] = false;
        if (slices)
            picked[axis] =
                axis >= (at[0] < 0 ? at[0] + rank : at[0]) && axis < (ends[0] < 0 ? ends[0] + rank : ends[0]);
        for (size_t i = 0; i < n && gathers; i++) picked[axis] |= axis == (at[i] < 0 ? at[i] + rank : at[i]);
    }
    return true;
}

/* Most read sizes one by one. */
static void shape_of(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], shape = n->outputs[0];
    bool partial = node_attr(n, "start") || node_attr(n, "end"), picked[RANK_MAX];
    if (!reaches_floats(c, shape)) return;
    for (uint32_t i = 0; i < c->g->n_nodes; i++) {
        const struct node *reader = at(c, i);
        if (reader->dead || !reads(reader, shape)) continue;
        bool one_by_one = !partial && picked_axes(c, reader, shape, rank_of(c, x), picked);
        if (one_by_one && !reaches_floats(c, reader->outputs[0])) continue;
        for (int32_t axis = 0; axis < rank_of(c, x); axis++)
            if (!one_by_one || picked[axis]) freeze(c, x, axis);
    }
    if (tensor_of(c, shape)->flags & (TF_OUTPUT | TF_CAPTURED)) freeze_all(c, x);
}

static void transpose(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    size_t count;
    const int64_t *perm = node_ints(n, "perm", &count);
    int32_t rank = rank_of(c, n->inputs[0]);
    for (int32_t axis = 0; axis < rank; axis++)
        tie(c, n->outputs[0], axis, n->inputs[0], perm ? (int32_t)perm[axis] : rank - 1 - axis);
}

/* Which axes a reduction takes; false when that is not known. */
static bool reduced_axes(struct coupling *c, const struct node *n, bool reduced[RANK_MAX]) {
    size_t count = 0;
    const int64_t *axes = integers(c, n, 1, "axes", &count);
    int32_t rank = rank_of(c, n->inputs[0]);
    if (!axes && node_in(n, 1) != NONE) return false;
    bool all = count == 0 && !node_int(n, "noop_with_empty_axes", 0);
    for (int32_t i = 0; i < RANK_MAX; i++) reduced[i] = all;
    for (size_t i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank) return false;
        reduced[axis] = true;
    }
    return true;
}

static void reduce_axes(struct coupling *c, uint32_t node, bool may_cut) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    bool reduced[RANK_MAX], keep = node_int(n, "keepdims", 1) != 0;
    if (!reduced_axes(c, n, reduced)) {
        freeze_node(c, node);
        return;
    }
    for (int32_t axis = 0, to = 0; axis < rank_of(c, x); axis++) {
        if (!reduced[axis])
            tie(c, x, axis, y, keep ? axis : to++);
        else if (may_cut)
            note_statistics(c, node, x, axis);
        else
            freeze(c, x, axis);
    }
}

static void reduce(struct coupling *c, uint32_t node) {
    reduce_axes(c, node, true);
}
static void reduce_frozen(struct coupling *c, uint32_t node) {
    reduce_axes(c, node, false);
}

static void softmax(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    bool flattens = graph_opset(c->g, "") < 13; /* the axis and all behind it */
    int32_t rank = rank_of(c, n->inputs[0]);
    int64_t axis = node_int(n, "axis", flattens ? 1 : -1);
    if (axis < 0) axis += rank;
    tie_axes(c, n->inputs[0], n->outputs[0], 0, rank);
    for (int32_t i = (int32_t)axis; i < rank && (i == axis || flattens); i++) freeze(c, n->inputs[0], i);
}

static void pool(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] == NONE) continue;
        tie_axes(c, n->inputs[0], n->outputs[i], 0, 2);
        freeze_space(c, n->outputs[i]);
    }
    freeze_space(c, n->inputs[0]);
    if (node_out(n, 1) != NONE) freeze(c, n->inputs[0], 1); /* indices count through all channels */
}

static void resize(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    for (int32_t axis = 0; axis < rank_of(c, x); axis++)
        if (axis < 2)
            tie(c, x, axis, y, axis);
        else
            freeze(c, x, axis), freeze(c, y, axis);
}

static void reshape(struct coupling *c, uint32_t node) {
    if (at(c, node)->n_outputs && rank_of(c, node_in(at(c, node), 0)) >= 0 && rank_of(c, node_out(at(c, node), 0)) >= 0)
        couple_reshape(c, node);
    else
        freeze_node(c, node);
}

/* Equal sizes tie; a size that grows from 1 is new and may be anything; one that grows otherwise repeats. */
static void expand(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    int32_t shift = rank_of(c, y) - rank_of(c, x);
    for (int32_t axis = 0; axis < rank_of(c, x); axis++) {
        int32_t to = axis + shift;
        if (to < 0 || dim_same(tensor_of(c, x)->dims[axis], tensor_of(c, y)->dims[to]))
            tie(c, x, axis, y, to);
        else if (!dim_is(tensor_of(c, x)->dims[axis], 1))
            freeze(c, x, axis), freeze(c, y, to);
    }
}

/* Repeats are no sizes: an axis of one that is repeated is new, and states its size itself. */
static void tile(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], y = n->outputs[0];
    expand(c, node);
    for (int32_t axis = 0; axis < rank_of(c, x); axis++)
        if (!dim_same(tensor_of(c, x)->dims[axis], tensor_of(c, y)->dims[axis])) freeze(c, y, axis);
}

/* Hidden units: rows of W, R and B gate by gate, columns of R, states and the output; directions and sequence stay. */
static void recurrent(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    uint32_t x = n->inputs[0], w = n->inputs[1], r = n->inputs[2];
    int64_t hidden = couple_size(c, r, 2);
    bool batch_first = node_int(n, "layout", 0) != 0;
    if (hidden < 2 || batch_first || node_in(n, 7) != NONE || couple_size(c, w, 1) < 0) {
        freeze_node(c, node);
        return;
    }
    tie(c, x, 2, w, 2);
    note_contraction(c, node, w, 2);
    note_contraction(c, node, r, 2);
    freeze(c, x, 0);
    freeze(c, x, 1);
    for (int64_t i = 0; i < couple_size(c, w, 1); i++) tie_range(c, w, 1, i, r, 2, i % hidden, 1);
    for (int64_t i = 0; i < couple_size(c, r, 1); i++) tie_range(c, r, 1, i, r, 2, i % hidden, 1);
    for (int64_t i = 0; node_in(n, 3) != NONE && i < couple_size(c, n->inputs[3], 1); i++)
        tie_range(c, n->inputs[3], 1, i, r, 2, i % hidden, 1);
    for (uint32_t i = 5; i < 7; i++)
        if (node_in(n, i) != NONE) freeze(c, n->inputs[i], 1), tie(c, n->inputs[i], 2, r, 2);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        int32_t last = rank_of(c, node_out(n, i)) - 1;
        for (int32_t axis = 0; axis < last; axis++) freeze(c, n->outputs[i], axis);
        if (last >= 0) tie(c, n->outputs[i], last, r, 2);
    }
}

static const struct rule_row {
    const char *op_type, *domain;
    rule_fn *rule;
} rules[] = {
#define COUPLE(op, domain, rule) {#op, domain, rule},
#include "couple.def"
#undef COUPLE
};

static bool has_shapes(const struct coupling *c, const uint32_t *tensors, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (tensors[i] != NONE && (rank_of(c, tensors[i]) < 0 || tensor_of(c, tensors[i])->kind != TY_TENSOR))
            return false;
    return true;
}

void couple_node(struct coupling *c, uint32_t node) {
    const struct node *n = at(c, node);
    rule_fn *rule = NULL;
    for (size_t i = 0; i < COUNT_OF(rules) && !rule; i++)
        if (!strcmp(rules[i].op_type, n->op_type) && !strcmp(rules[i].domain, n->domain)) rule = rules[i].rule;
    if (rule && has_shapes(c, n->inputs, n->n_inputs) && has_shapes(c, n->outputs, n->n_outputs))
        rule(c, node);
    else
        freeze_node(c, node);
}
