/* Levels 1 and 2 of the runtime's optimiser that join kernels: bias and activation into Gemm and Conv, erf and sigmoid
 * chains into Gelu and QuickGelu, layer normalisation chains, scale and transpose into MatMul, Gathers into one Split.
 */
#include "ort_graph.h"

#include <math.h>
#include <string.h>

static const char *const conv_activations[] = {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid"};
static const char *const gemm_activations[] = {"Relu", "Sigmoid", "Tanh", "LeakyRelu"};

static bool is_one_of(const struct ort_graph *o, uint32_t node, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ort_is(o, node, names[i])) return true;
    return false;
}

static uint32_t out_of(const struct ort_graph *o, uint32_t node) {
    return node == NONE ? NONE : node_out(ort_node(o, node), 0);
}

static uint32_t next_of(const struct ort_graph *o, uint32_t node) {
    return ort_sole_reader(o, out_of(o, node));
}

static bool is_scalar_near(const struct ort_graph *o, uint32_t tensor, double wanted) {
    double value;
    return ort_scalar(o, tensor, &value) && fabs(value - wanted) < 1e-3 * fabs(wanted);
}

/* x * Sigmoid(x), or x * Sigmoid(1.702 x): one QuickGelu in place of both. */
static void quick_gelu(struct ort_graph *o, uint32_t sigmoid) {
    uint32_t x = node_in(ort_node(o, sigmoid), 0), mul = next_of(o, sigmoid);
    if (!ort_is(o, mul, "Mul")) return;
    bool gates = node_in(ort_node(o, mul), 0) == x || node_in(ort_node(o, mul), 1) == x;
    if (!gates) return;
    ort_absorb(o, sigmoid, mul);
    ort_retype(o, sigmoid, "QuickGelu", "com.microsoft");
}

/* Div(x, sqrt 2) - Erf - Add(1) - Mul(x) - Mul(0.5): Gelu. */
static void gelu(struct ort_graph *o, uint32_t erf) {
    uint32_t scale = ort_producer(o, node_in(ort_node(o, erf), 0));
    uint32_t add = next_of(o, erf), mul = add == NONE ? NONE : next_of(o, add);
    uint32_t half = mul == NONE ? NONE : next_of(o, mul), other;
    bool scales = (ort_is(o, scale, "Div") && is_scalar_near(o, node_in(ort_node(o, scale), 1), M_SQRT2)) ||
                  (ort_is(o, scale, "Mul") && is_scalar_near(o, node_in(ort_node(o, scale), 1), M_SQRT1_2));
    if (!scales || !ort_is(o, add, "Add") || !ort_is(o, mul, "Mul") || !ort_is(o, half, "Mul")) return;
    if (!is_scalar_near(o, ort_constant_operand(o, half, &other), 0.5)) return;
    uint32_t x = node_in(ort_node(o, scale), 0);
    const uint32_t chain[] = {erf, add, mul};
    for (size_t i = 0; i < COUNT_OF(chain); i++) {
        ort_cover(o, scale, chain[i]);
        ort_kill(o, chain[i]);
    }
    ort_absorb(o, scale, half);
    ort_set_inputs(o, scale, &x, 1);
    ort_retype(o, scale, "Gelu", "com.microsoft");
}

/* ReduceMean - Sub - Pow(2) - ReduceMean - Add(eps) - Sqrt - Div - Mul(scale) - Add(bias): LayerNormalization over the
 * last axis. Exporters write Sub once or twice. */
struct norm_chain {
    uint32_t mean, sub, power, variance, add, root, divide, scale, bias;
};

static bool over_last_axis(const struct ort_graph *o, uint32_t reduce) {
    size_t n;
    const int64_t *axes = node_ints(ort_node(o, reduce), "axes", &n);
    int32_t rank = ort_tensor(o, node_in(ort_node(o, reduce), 0))->rank;
    if (axes) return n == 1 && (axes[0] == -1 || axes[0] == rank - 1);
    uint32_t given = node_in(ort_node(o, reduce), 1);
    double axis;
    return ort_scalar(o, given, &axis) && ((int64_t)axis == -1 || (int64_t)axis == rank - 1);
}

static uint32_t reader_named(const struct ort_graph *o, uint32_t tensor, const char *op_type) {
    for (uint32_t i = o->users.start[tensor]; tensor < o->n_indexed && i < o->users.start[tensor + 1]; i++)
        if (ort_is(o, o->users.list[i], op_type)) return o->users.list[i];
    return NONE;
}

static bool match_norm(const struct ort_graph *o, uint32_t mean, struct norm_chain *c) {
    *c = (struct norm_chain){.mean = mean};
    c->sub = reader_named(o, out_of(o, mean), "Sub");
    if (c->sub == NONE || !over_last_axis(o, mean)) return false;
    c->power = reader_named(o, out_of(o, c->sub), "Pow");
    c->divide = reader_named(o, out_of(o, c->sub), "Div");
    if (c->power == NONE || c->divide == NONE) return false;
    c->variance = next_of(o, c->power);
    c->add = c->variance == NONE ? NONE : next_of(o, c->variance);
    c->root = c->add == NONE ? NONE : next_of(o, c->add);
    c->scale = next_of(o, c->divide);
    c->bias = c->scale == NONE ? NONE : next_of(o, c->scale);
    return ort_is(o, c->variance, "ReduceMean") && ort_is(o, c->add, "Add") && ort_is(o, c->root, "Sqrt") &&
           next_of(o, c->root) == c->divide && ort_is(o, c->scale, "Mul") && ort_is(o, c->bias, "Add");
}

static void layer_norm(struct ort_graph *o, uint32_t mean) {
    struct norm_chain c;
    uint32_t other_scale, other_bias;
    if (!match_norm(o, mean, &c)) return;
    uint32_t scale = ort_constant_operand(o, c.scale, &other_scale),
             bias = ort_constant_operand(o, c.bias, &other_bias);
    if (scale == NONE || bias == NONE) return;
    uint32_t inputs[] = {node_in(ort_node(o, mean), 0), scale, bias};
    const uint32_t chain[] = {c.sub, c.power, c.variance, c.add, c.root, c.divide, c.scale};
    for (size_t i = 0; i < COUNT_OF(chain); i++) {
        ort_cover(o, mean, chain[i]);
        ort_kill(o, chain[i]);
    }
    ort_absorb(o, mean, c.bias);
    ort_set_inputs(o, mean, inputs, 3);
    ort_retype(o, mean, "LayerNormalization", "");
    ort_node(o, mean)->n_attrs = 0; /* axis -1 and epsilon: their defaults serve */
}

/* Add of two equal 3-D shapes read by a LayerNormalization: SkipLayerNormalization, if no one else reads the sum. */
static void skip_layer_norm(struct ort_graph *o, uint32_t norm) {
    uint32_t sum = node_in(ort_node(o, norm), 0), add = ort_producer(o, sum);
    if (!ort_is(o, add, "Add") || ort_sole_reader(o, sum) != norm || ort_tensor(o, sum)->rank != 3) return;
    const struct tensor *a = ort_tensor(o, node_in(ort_node(o, add), 0));
    const struct tensor *b = ort_tensor(o, node_in(ort_node(o, add), 1));
    if (a->rank != 3 || b->rank != 3 || ort_node(o, norm)->n_inputs < 3) return;
    for (int axis = 0; axis < 3; axis++)
        if (!dim_same(a->dims[axis], b->dims[axis])) return;
    uint32_t inputs[] = {node_in(ort_node(o, add), 0), node_in(ort_node(o, add), 1), node_in(ort_node(o, norm), 1),
                         node_in(ort_node(o, norm), 2)};
    ort_cover(o, norm, add);
    ort_kill(o, add);
    ort_set_inputs(o, norm, inputs, 4);
    ort_retype(o, norm, "SkipLayerNormalization", "com.microsoft");
}

/* MatMul by a constant matrix, then Add of a constant vector: Gemm, between two Reshapes when the data has more axes.
 */
static void matmul_add(struct ort_graph *o, uint32_t matmul) {
    uint32_t x = node_in(ort_node(o, matmul), 0), w = node_in(ort_node(o, matmul), 1), add = next_of(o, matmul), other;
    if (!ort_is(o, add, "Add") || !ort_constant(o, w) || ort_tensor(o, w)->rank != 2) return;
    uint32_t bias = ort_constant_operand(o, add, &other);
    if (bias == NONE || ort_tensor(o, bias)->rank != 1 ||
        !dim_same(ort_tensor(o, bias)->dims[0], ort_tensor(o, w)->dims[1]))
        return;
    const struct tensor *data = ort_tensor(o, x);
    if (data->rank < 2) return;
    ort_absorb(o, matmul, add);
    ort_retype(o, matmul, "Gemm", "");
    uint32_t y = out_of(o, matmul), flat_in = x;
    if (data->rank > 2) {
        dim rows = DIM(1);
        for (int32_t i = 0; i + 1 < data->rank; i++) rows = dim_mul(o->g, rows, data->dims[i]);
        dim in_dims[] = {rows, ort_tensor(o, w)->dims[0]}, out_dims[] = {rows, ort_tensor(o, w)->dims[1]};
        flat_in = ort_add_tensor(o, x, in_dims, 2);
        uint32_t flat_out = ort_add_tensor(o, x, out_dims, 2);
        ort_insert(o, matmul, false, "Reshape", "", &x, 1, flat_in);
        ort_node(o, matmul)->outputs = arena_copy(o->arena, &flat_out, sizeof flat_out);
        o->g->tensors[flat_out].producer = matmul;
        ort_insert(o, matmul, true, "Reshape", "", &flat_out, 1, y);
    }
    ort_set_inputs(o, matmul, (uint32_t[]){flat_in, w, bias}, 3);
}

/* A constant of one element, whether or not it is known. */
static bool is_factor(const struct ort_graph *o, uint32_t tensor) {
    if (!ort_constant(o, tensor)) return false;
    const struct tensor *t = ort_tensor(o, tensor);
    for (int32_t i = 0; i < t->rank; i++)
        if (!dim_is(t->dims[i], 1)) return false;
    return t->rank >= 0;
}

/* Scalar Mul or Div beside a MatMul vanishes in FusedMatMul's alpha. */
static bool absorb_scale(struct ort_graph *o, uint32_t matmul) {
    uint32_t next = next_of(o, matmul), other;
    if (!ort_is(o, next, "Mul") && !ort_is(o, next, "Div")) return false;
    uint32_t constant = ort_constant_operand(o, next, &other);
    if (constant == NONE || !is_factor(o, constant) || other != out_of(o, matmul)) return false;
    ort_absorb(o, matmul, next);
    return true;
}

/* Which of FusedMatMul's flags stand for a Transpose: the matrix swapped, the first axis behind the other batch axes.
 */
static bool is_matrix_transpose(const struct ort_graph *o, uint32_t transpose, bool *swapped) {
    size_t n;
    const int64_t *perm = node_ints(ort_node(o, transpose), "perm", &n);
    if (n < 2) return false;
    int64_t last = (int64_t)n - 1;
    bool in_order = true, rotated = n > 2;
    *swapped = perm[last] != last;
    for (int64_t i = 0; i < last - 1; i++) {
        in_order = in_order && perm[i] == i;
        rotated = rotated && perm[i] == i + 1;
    }
    if (in_order) return perm[last] == last - 1 && perm[last - 1] == last;
    return rotated && ((perm[last - 1] == 0 && perm[last] == last) || (perm[last - 1] == last && perm[last] == 0));
}

static bool absorb_input(struct ort_graph *o, uint32_t matmul, uint32_t index) {
    uint32_t tensor = node_in(ort_node(o, matmul), index), from = ort_producer(o, tensor), data;
    bool swapped = false, transposed = ort_is(o, from, "Transpose") && is_matrix_transpose(o, from, &swapped);
    bool scaled =
        (ort_is(o, from, "Mul") || ort_is(o, from, "Div")) && is_factor(o, ort_constant_operand(o, from, &data));
    if ((!transposed && !scaled) || ort_sole_reader(o, tensor) != matmul) return false;
    uint32_t inputs[] = {node_in(ort_node(o, matmul), 0), node_in(ort_node(o, matmul), 1)};
    inputs[index] = transposed ? node_in(ort_node(o, from), 0) : data;
    ort_set_inputs(o, matmul, inputs, 2);
    if (swapped) ort_set_attr(o, matmul, index ? "transB" : "transA", 1);
    ort_cover(o, matmul, from);
    ort_kill(o, from);
    return true;
}

static void fused_matmul(struct ort_graph *o, uint32_t matmul) {
    bool fused = absorb_scale(o, matmul);
    for (uint32_t i = 0; i < 2; i++) {
        bool transposed = absorb_input(o, matmul, i); /* Transpose then scale, or the other way round */
        bool scaled = absorb_input(o, matmul, i);
        fused = fused || transposed || scaled;
    }
    if (fused) ort_retype(o, matmul, "FusedMatMul", "com.microsoft");
}

static void activation(struct ort_graph *o, uint32_t node) {
    uint32_t next = next_of(o, node);
    if (ort_is(o, node, "Conv") && is_one_of(o, next, conv_activations, COUNT_OF(conv_activations))) {
        if (!ort_is(o, next, "Relu")) ort_set_attr(o, node, "second_pass", 1);
        ort_absorb(o, node, next);
        ort_retype(o, node, "FusedConv", "com.microsoft");
    } else if (ort_is(o, node, "Gemm") && is_one_of(o, next, gemm_activations, COUNT_OF(gemm_activations))) {
        ort_absorb(o, node, next);
        ort_retype(o, node, "FusedGemm", "com.microsoft");
    }
}

/* Where a Gather of one index or a Slice with step 1 cuts its input: along which axis, from where to where. */
struct piece {
    int64_t axis, from, to;
};

static bool scalar_at(const struct ort_graph *o, uint32_t tensor, int64_t *out) {
    double value;
    if (!ort_scalar(o, tensor, &value)) return false;
    *out = (int64_t)value;
    return true;
}

static bool piece_of(const struct ort_graph *o, uint32_t reader, uint32_t tensor, struct piece *p) {
    const struct node *n = ort_node(o, reader);
    const struct tensor *t = ort_tensor(o, tensor);
    int64_t step = 1;
    if (node_in(n, 0) != tensor) return false;
    if (ort_is(o, reader, "Gather")) {
        p->axis = node_int(n, "axis", 0);
        if (!scalar_at(o, node_in(n, 1), &p->from)) return false;
        p->to = p->from + 1;
    } else if (ort_is(o, reader, "Slice")) {
        if (!scalar_at(o, node_in(n, 1), &p->from) || !scalar_at(o, node_in(n, 3), &p->axis)) return false;
        if (node_in(n, 4) != NONE && (!scalar_at(o, node_in(n, 4), &step) || step != 1)) return false;
    } else
        return false;
    if (p->axis < 0) p->axis += t->rank;
    if (p->axis < 0 || p->axis >= t->rank || !dim_is_number(t->dims[p->axis])) return false;
    if (p->from < 0) p->from += t->dims[p->axis].value;
    if (!ort_is(o, reader, "Slice")) return true;
    const struct tensor *y = ort_tensor(o, node_out(n, 0));
    if (p->axis >= y->rank || !dim_is_number(y->dims[p->axis])) return false;
    p->to = p->from + y->dims[p->axis].value;
    return true;
}

/* Do all readers of the tensor together cut one axis into pieces, none twice? */
static bool is_cut_up(const struct ort_graph *o, uint32_t tensor, int64_t *axis) {
    uint32_t start = o->users.start[tensor], end = o->users.start[tensor + 1], live = 0;
    struct piece first = {0}, p = {0};
    int64_t covered = 0;
    for (uint32_t i = start; i < end; i++) {
        if (ort_node(o, o->users.list[i])->dead) continue;
        if (!piece_of(o, o->users.list[i], tensor, &p)) return false;
        if (!live++) first = p;
        if (p.axis != first.axis) return false;
        covered += p.to - p.from;
    }
    *axis = first.axis;
    return live > 1 && live == o->uses[tensor] && dim_is(ort_tensor(o, tensor)->dims[first.axis], covered);
}

/* One Split in their place; what a Gather took is squeezed besides. */
static void join_pieces(struct ort_graph *o, uint32_t tensor, int64_t axis) {
    uint32_t split = NONE;
    for (uint32_t i = o->users.start[tensor]; i < o->users.start[tensor + 1]; i++) {
        uint32_t reader = o->users.list[i];
        if (ort_node(o, reader)->dead) continue;
        bool gathers = ort_is(o, reader, "Gather");
        if (split == NONE && !gathers) {
            split = reader; /* stands where the first piece stood */
            ort_set_inputs(o, reader, &tensor, 1);
            ort_retype(o, reader, "Split", "");
        } else if (split == NONE) {
            uint32_t whole = ort_add_tensor(o, tensor, ort_tensor(o, tensor)->dims, ort_tensor(o, tensor)->rank);
            split = ort_insert(o, reader, false, "Split", "", &tensor, 1, whole);
            ort_cover(o, split, reader);
        } else
            ort_cover(o, split, reader);
        if (reader == split) continue;
        uint32_t piece = out_of(o, split);
        if (gathers) {
            ort_retype(o, reader, "Squeeze", "");
            ort_set_inputs(o, reader, &piece, 1);
        } else
            ort_give(o, split, reader);
    }
    ort_set_attr(o, split, "axis", axis);
}

/* Of Reshapes in a row only the last counts. */
static void join_reshapes(struct ort_graph *o, uint32_t node) {
    uint32_t x = node_in(ort_node(o, node), 0), before = ort_producer(o, x);
    if (!ort_is(o, before, "Reshape") || o->uses[x] != 1) return;
    uint32_t *inputs = arena_copy(o->arena, ort_node(o, node)->inputs, ort_node(o, node)->n_inputs * sizeof *inputs);
    inputs[0] = node_in(ort_node(o, before), 0);
    ort_set_inputs(o, node, inputs, ort_node(o, node)->n_inputs);
    ort_cover(o, node, before);
    ort_kill(o, before);
}

void ort_fuse(struct ort_graph *o) {
    size_t n = o->g->n_nodes, n_tensors = o->g->n_tensors;
    int64_t axis;
    ort_index(o);
    for (uint32_t i = 0; i < n; i++) {
        if (ort_is(o, i, "MatMul")) matmul_add(o, i);
        if (ort_is(o, i, "Erf")) gelu(o, i);
        if (ort_is(o, i, "ReduceMean")) layer_norm(o, i);
    }
    ort_index(o);
    for (uint32_t t = 0; t < n_tensors; t++)
        if (is_cut_up(o, t, &axis)) join_pieces(o, t, axis);
    ort_index(o);
    for (uint32_t i = 0; i < n; i++) {
        if (ort_is(o, i, "Sigmoid")) quick_gelu(o, i);
        if (ort_is(o, i, "LayerNormalization")) skip_layer_norm(o, i);
        if (ort_is(o, i, "MatMul")) fused_matmul(o, i);
    }
    ort_index(o);
    for (uint32_t i = 0; i < n; i++) activation(o, i);
    ort_index(o);
    for (uint32_t i = 0; i < o->g->n_nodes; i++)
        if (ort_is(o, i, "Reshape")) join_reshapes(o, i);
}
