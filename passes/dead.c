/* Graph views: which nodes a runtime runs (predictor study, section 1).
 * needs: topological order   gives: live code   breaks: nothing
 *
 * kept:  every node as written.
 * prune: a product with zero is a constant, and zero terms of a sum are dropped; then what reaches no output dies.
 *        Operators applied to a zero stay. A product with zero whose operand is a convolution (its normalisation folded
 *        in) that nobody else reads is folded into the weights instead: the convolution stays alive. Of two such
 *        products that alone read it, the first is folded and the other is a constant, as measured tables show.
 * full:  in addition, what no graph input reaches dies: an operator that sees only zeros and what was made of them is
 *        one, too, and a sum drops such terms.
 *
 * A sum with one term left becomes an Identity, so nobody's inputs change. Nodes are only ever marked dead. */
#include "passes.h"

#include <string.h>

enum flow { LIVE, CONSTANT, ZERO }; /* of a tensor: depends on the inputs; does not; holds zeros only */

struct viewing {
    struct graph *graph;
    bool full;
    uint8_t *flow;       /* by tensor */
    uint32_t *same_as;   /* by tensor: whose value it repeats, through dropped sums; itself otherwise */
    uint32_t *n_readers; /* by tensor, of the value: readers of its repetitions are its own */
    uint32_t *n_erasers; /* likewise: products with zero among them */
    uint8_t *needed;     /* by tensor */
};

/* ---- Zeros ---- */

/* What is larger is a weight, which is not read. */
enum { LARGEST_ZERO = 1 << 20 };

static bool all_bytes_zero(const struct data *data) {
    return data->bytes && data->length && data->length <= LARGEST_ZERO && data->bytes[0] == 0 &&
           memcmp(data->bytes, data->bytes + 1, data->length - 1) == 0;
}

static bool value_is_zero(const struct value *v) {
    for (uint32_t i = 0; i < v->n; i++)
        if (!dim_is_number(v->at[i].d) ||
            (v->is_float ? v->at[i].f * (double)v->at[i].d.value != 0 : v->at[i].d.value != 0))
            return false;
    return v->n > 0;
}

static bool is_zero_constant(const struct graph *g, uint32_t id) {
    const struct tensor *t = &g->tensors[id];
    if (t->value) return value_is_zero(t->value);
    if (t->flags & TF_INITIALIZER && t->producer == NONE)
        return t->data.encoding != ENC_STRINGS && all_bytes_zero(&t->data);
    if (t->producer == NONE) return false;
    const struct node *maker = &g->nodes[t->producer];
    const struct attr *value = node_attr(maker, "value");
    if (maker->op != OP_ConstantOfShape && maker->op != OP_Constant) return false;
    if (!value) return maker->op == OP_ConstantOfShape;
    return value->type == AT_TENSOR && is_zero_constant(g, value->tensor);
}

static enum flow flow_of(const struct viewing *v, uint32_t id) {
    return id == NONE ? CONSTANT : (enum flow)v->flow[id];
}

/* ---- What a node makes of its inputs ---- */

static void kill_node(struct graph *g, struct node *node) {
    node->dead = true;
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        if (node->attrs[i].type != AT_GRAPH) continue;
        const struct body *body = &g->bodies[node->attrs[i].body];
        for (size_t k = 0; k < body->n_nodes; k++) kill_node(g, &g->nodes[body->nodes[k]]);
    }
}

/* A convolution, alone or under its normalisation, whose result only one node reads, or two that erase it. */
static bool is_erased_convolution(const struct viewing *v, uint32_t id) {
    const struct graph *g = v->graph;
    uint32_t readers = v->n_erasers[id] == 2 ? 2 : 1;
    for (int step = 0; step < 2; step++, readers = 1) {
        uint32_t producer = g->tensors[id].producer;
        if (v->n_readers[id] != readers || producer == NONE) return false;
        const struct node *maker = &g->nodes[producer];
        if (op_table[maker->op].kernel == KC_CONV) return true;
        if (maker->op != OP_BatchNormalization || node_in(maker, 0) == NONE) return false;
        id = v->same_as[maker->inputs[0]];
    }
    return false;
}

static void become_identity(struct viewing *v, struct node *node, uint32_t input) {
    uint32_t out = node->outputs[0];
    node->inputs = arena_copy(v->graph->arena, &input, sizeof input);
    node->n_inputs = 1;
    node->n_attrs = 0;
    node->op = OP_Identity;
    node->op_type = intern_str(v->graph->names, "Identity");
    v->flow[out] = v->flow[input];
    v->same_as[out] = v->same_as[input];
    v->n_readers[v->same_as[input]] += v->n_readers[out] - 1;
    v->n_erasers[v->same_as[input]] += v->n_erasers[out];
}

static void become_constant(struct viewing *v, struct node *node, enum flow flow) {
    kill_node(v->graph, node);
    for (uint32_t o = 0; o < node->n_outputs; o++)
        if (node->outputs[o] != NONE) v->flow[node->outputs[o]] = (uint8_t)flow;
}

static void view_product(struct viewing *v, struct node *node) {
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t zero = node_in(node, i), other = node_in(node, 1 - i);
        if (flow_of(v, zero) != ZERO || other == NONE) continue;
        uint32_t value = v->same_as[other];
        if (!v->full && is_erased_convolution(v, value)) {
            v->n_erasers[value] -= v->n_erasers[value] > 0; /* a zero that was computed was not counted */
            become_identity(v, node, other);
        } else {
            become_constant(v, node, ZERO);
        }
        return;
    }
}

static bool same_shape(const struct graph *g, uint32_t a, uint32_t b) {
    const struct tensor *x = &g->tensors[a], *y = &g->tensors[b];
    if (x->rank != y->rank || x->rank == RANK_UNKNOWN) return false;
    for (int32_t i = 0; i < x->rank; i++)
        if (!dim_same(x->dims[i], y->dims[i])) return false;
    return true;
}

/* Itself, or under another name. */
static bool is_weight(const struct graph *g, uint32_t id) {
    uint32_t producer;
    while ((producer = g->tensors[id].producer) != NONE && g->nodes[producer].op == OP_Identity &&
           node_in(&g->nodes[producer], 0) != NONE)
        id = g->nodes[producer].inputs[0];
    return g->tensors[id].flags & TF_INITIALIZER;
}

/* Weights that happen to be zero, biases before training above all, are weights still. */
static bool drops_out(const struct viewing *v, uint32_t id) {
    if (is_weight(v->graph, id)) return false;
    enum flow flow = flow_of(v, id);
    return flow == ZERO || (v->full && flow == CONSTANT);
}

/* Terms that drop out must not be what gives the sum its shape. */
static void view_sum(struct viewing *v, struct node *node) {
    struct graph *g = v->graph;
    uint32_t kept = 0, n = 0;
    bool zero = true;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] == NONE) continue;
        kept += !drops_out(v, node->inputs[i]);
        zero &= flow_of(v, node->inputs[i]) == ZERO;
    }
    if (kept == node->n_inputs) return;
    if (kept == 0) {
        become_constant(v, node, zero ? ZERO : CONSTANT);
        return;
    }
    uint32_t *left = arena_array(g->arena, kept, sizeof *left);
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE && !drops_out(v, node->inputs[i])) left[n++] = node->inputs[i];
    if (n > 1) {
        node->inputs = left;
        node->n_inputs = n;
    } else if (same_shape(g, left[0], node->outputs[0])) {
        become_identity(v, node, left[0]);
    }
}

static bool sees_only_constants(const struct viewing *v, const struct node *node) {
    bool from_zeros = false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        uint32_t id = node->inputs[i];
        if (id == NONE) continue;
        if (flow_of(v, id) == LIVE) return false;
        if (!is_weight(v->graph, id)) from_zeros = true;
    }
    return from_zeros;
}

static bool holds_zero(const struct viewing *v, const struct node *node) {
    bool keeps_zero = op_table[node->op].flags & F_VIEW || op_table[node->op].kernel == KC_POOL;
    return keeps_zero && flow_of(v, node_in(node, 0)) == ZERO;
}

static void view_node(struct viewing *v, struct node *node) {
    switch (node->op) {
    case OP_Mul:
        view_product(v, node);
        break;
    case OP_Add:
    case OP_Sum:
        view_sum(v, node);
        break;
    default:
        break;
    }
    if (node->dead || node->op == OP_Identity) return;
    if (v->full && node->op != OP_Constant && sees_only_constants(v, node))
        become_constant(v, node, holds_zero(v, node) ? ZERO : CONSTANT);
}

static void count_reads(struct viewing *v, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] == NONE) continue;
        v->n_readers[node->inputs[i]]++;
        if (node->op == OP_Mul && flow_of(v, node_in(node, 1 - i)) == ZERO) v->n_erasers[node->inputs[i]]++;
    }
}

/* Nodes of bodies stay as written: their inputs change from round to round. */
static void find_zeros(struct viewing *v) {
    struct graph *g = v->graph;
    for (size_t t = 0; t < g->n_tensors; t++) {
        bool constant = g->tensors[t].flags & (TF_INITIALIZER | TF_CONSTANT);
        v->same_as[t] = (uint32_t)t;
        v->flow[t] = is_zero_constant(g, (uint32_t)t) ? ZERO : constant ? CONSTANT : LIVE;
    }
    for (size_t n = 0; n < g->n_nodes; n++)
        if (!g->nodes[n].dead) count_reads(v, &g->nodes[n]);
    for (uint32_t o = 0; o < g->bodies[0].n_outputs; o++) v->n_readers[g->bodies[0].outputs[o]]++;
    const struct body *main = &g->bodies[0];
    for (size_t i = 0; i < main->n_nodes; i++)
        if (!g->nodes[main->nodes[i]].dead) view_node(v, &g->nodes[main->nodes[i]]);
}

/* ---- What reaches an output ---- */

static void need_outputs(struct viewing *v, const struct body *body) {
    for (uint32_t o = 0; o < body->n_outputs; o++)
        if (body->outputs[o] != NONE) v->needed[body->outputs[o]] = 1;
}

static void sweep(struct viewing *, uint32_t body);

static void need_inputs(struct viewing *v, const struct node *node) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE) v->needed[node->inputs[i]] = 1;
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i].type == AT_GRAPH) sweep(v, node->attrs[i].body);
}

static void sweep(struct viewing *v, uint32_t body) {
    const struct body *b = &v->graph->bodies[body];
    need_outputs(v, b);
    for (size_t i = b->n_nodes; i-- > 0;) {
        struct node *node = &v->graph->nodes[b->nodes[i]];
        bool needed = false;
        for (uint32_t o = 0; o < node->n_outputs; o++)
            if (node->outputs[o] != NONE && v->needed[node->outputs[o]]) needed = true;
        if (node->dead) continue;
        if (needed)
            need_inputs(v, node);
        else
            kill_node(v->graph, node);
    }
}

enum status pass_dead(struct run *run) {
    struct graph *g = run->graph;
    enum view view = run->runtime ? run->runtime->view : VIEW_KEPT;
    if (view == VIEW_KEPT) return ST_OK;
    struct viewing v = {.graph = g, .full = view == VIEW_FULL};
    v.flow = arena_alloc(run->scratch, g->n_tensors + 1);
    v.needed = arena_alloc(run->scratch, g->n_tensors + 1);
    v.same_as = arena_array(run->scratch, g->n_tensors + 1, sizeof *v.same_as);
    v.n_readers = arena_array(run->scratch, g->n_tensors + 1, sizeof *v.n_readers);
    v.n_erasers = arena_array(run->scratch, g->n_tensors + 1, sizeof *v.n_erasers);
    find_zeros(&v);
    sweep(&v, 0);
    return ST_OK;
}
