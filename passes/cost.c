/* Cost: MACs, FLOPs, parameters and bytes of every node.
 *
 * Needs shapes. Gives run->costs by node id (passes.h says what the fields mean). Bytes default to every input read
 * once and every output written once; weights count as read by each user and as parameters of the first.
 *
 * Control flow: the nodes of a body are multiplied by its trip count. A Loop runs as often as its trip count input says
 * (an upper bound when a condition may end it sooner), a Scan as long as its scanned axis, a SequenceMap once for each
 * element; a count that is not known is taken as 1 and noted. Of the branches of an If the one its constant condition
 * picks counts, else the one with more MACs, then more FLOPs, then more bytes: a bound on what a run costs. In the data
 * case DATA_LEAST it is the other one, and a loop that may end sooner does after one round. */
#include "cost_internal.h"

static cost_fn *const cost_table[OP_COUNT] = {
    cost_none,
#define OP(id, name, domain, since, min_in, max_in, class_, flags, shape, fold, cost) cost_##cost,
#include "ops.def"
#undef OP
};

struct counting {
    struct run *run;
    struct graph *graph;
    uint64_t *seen; /* a bit for each tensor: an initializer already counted as somebody's parameters */
};

struct totals { /* of a branch, for comparison; unknown counts as 0 */
    int64_t macs, flops, bytes;
};

static int64_t weight_bytes(const struct graph *graph, const struct tensor *t, struct cost *cost) {
    if (t->stored_bytes) return t->stored_bytes > INT64_MAX ? INT64_MAX : (int64_t)t->stored_bytes;
    return count_bytes(graph, t, cost);
}

static void count_weight(struct counting *c, uint32_t id, struct cost *cost) {
    const struct tensor *t = &c->graph->tensors[id];
    uint64_t bit = (uint64_t)1 << id % 64;
    if (!(t->flags & TF_INITIALIZER) || t->producer != NONE || c->seen[id / 64] & bit) return;
    c->seen[id / 64] |= bit;
    cost->params = count_add(cost->params, count_elements(c->graph, t, cost));
    cost->weight_bytes = count_add(cost->weight_bytes, weight_bytes(c->graph, t, cost));
}

static bool is_repeated(const struct node *node, uint32_t input) {
    for (uint32_t i = 0; i < input; i++)
        if (node->inputs[i] == node->inputs[input]) return true;
    return false;
}

static void count_traffic(struct counting *c, const struct node *node, struct cost *cost) {
    const struct graph *g = c->graph;
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE && !is_repeated(node, i))
            cost->read_bytes = count_add(cost->read_bytes, count_read(g, node, i, cost));
    for (uint32_t o = 0; o < node->n_outputs; o++)
        if (node->outputs[o] != NONE)
            cost->write_bytes = count_add(cost->write_bytes, count_bytes(g, &g->tensors[node->outputs[o]], cost));
}

static void count_node(struct counting *c, const struct node *node, struct cost *cost) {
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != NONE) count_weight(c, node->inputs[i], cost);
    cost_fn *fn = cost_table[node->op];
    if (node->op == OP_UNKNOWN) {
        cost->macs = cost->flops = -1;
        count_traffic(c, node, cost);
        return;
    }
    if (fn == cost_none) return;
    count_traffic(c, node, cost);
    fn(c->graph, node, cost);
}

static int64_t times(int64_t count, int64_t runs) {
    return runs == 0 ? 0 : count_mul(count, runs);
}

static void repeat(struct cost *cost, int64_t runs) {
    cost->runs = runs;
    cost->macs = times(cost->macs, runs);
    cost->flops = times(cost->flops, runs);
    cost->read_bytes = times(cost->read_bytes, runs);
    cost->write_bytes = times(cost->write_bytes, runs);
}

/* ---- Control flow ---- */

struct trips {
    int64_t n;
    bool upper_bound, open;
};

/* A condition that is `always` so; one that is left out is true. */
static bool is_always(const struct graph *graph, uint32_t tensor, bool always) {
    if (tensor == NONE) return always;
    const struct value *v = graph->tensors[tensor].value;
    return v && !v->is_float && v->n == 1 && dim_is_number(v->at[0].d) && (v->at[0].d.value != 0) == always;
}

static struct trips known_trips(const struct graph *graph, dim d) {
    struct cost bound = {0};
    if (dim_is_number(d) && d.value < 0) return (struct trips){0};
    int64_t n = count_dim(graph, d, &bound);
    if (n < 0) return (struct trips){.n = 1, .open = true};
    return (struct trips){.n = n, .upper_bound = bound.upper_bound};
}

/* A round may be the last. */
static struct trips stopped_by_data(const struct graph *graph, struct trips t) {
    if (graph->data_case == DATA_LEAST && t.n > 1) t.n = 1;
    t.upper_bound = true;
    return t;
}

static struct trips loop_trips(const struct graph *graph, const struct node *node, const struct body *body) {
    const struct tensor *limit = node_tensor(graph, node, 0);
    const struct value *v = limit ? limit->value : NULL;
    struct trips t = known_trips(graph, v && !v->is_float && v->n == 1 ? v->at[0].d : DIM_UNKNOWN);
    uint32_t again = body->n_outputs ? body->outputs[0] : NONE;
    if (is_always(graph, node_in(node, 1), false)) return (struct trips){0};
    return t.open || is_always(graph, again, true) ? t : stopped_by_data(graph, t);
}

/* Scan-8 has a leading batch axis in every input and lengths as input 0; from 9 on an axis for each scanned input. */
static struct trips scan_trips(const struct graph *graph, const struct node *node) {
    int64_t scanned = node_int(node, "num_scan_inputs", 0);
    if (scanned < 1 || scanned > node->n_inputs) return known_trips(graph, DIM_UNKNOWN);
    bool batched = graph_opset(graph, "") < 9;
    const struct tensor *x = node_tensor(graph, node, (uint32_t)(node->n_inputs - scanned));
    size_t n_axes;
    const int64_t *axes = node_ints(node, "scan_input_axes", &n_axes);
    int64_t axis = n_axes && !batched ? axes[0] : batched ? 1 : 0;
    if (!x || x->rank == RANK_UNKNOWN) return known_trips(graph, DIM_UNKNOWN);
    if (axis < 0) axis += x->rank;
    struct trips t = known_trips(graph, axis < 0 || axis >= x->rank ? DIM_UNKNOWN : x->dims[axis]);
    if (batched) t.n = num_mul_sat(t.n, known_trips(graph, x->dims[0]).n);
    return t;
}

static struct trips body_trips(const struct graph *graph, const struct node *node, uint32_t body) {
    switch (node->op) {
    case OP_Loop:
        return loop_trips(graph, node, &graph->bodies[body]);
    case OP_Scan:
        return scan_trips(graph, node);
    case OP_SequenceMap: {
        const struct tensor *sequence = node_tensor(graph, node, 0);
        return known_trips(graph, sequence ? sequence->length : DIM_UNKNOWN);
    }
    default:
        return (struct trips){.n = 1};
    }
}

struct context { /* of the body being counted */
    int64_t runs;
    bool upper_bound, open_loop;
};

static void count_body(struct counting *, uint32_t body, struct context);

static int64_t positive(int64_t n) {
    return n > 0 ? n : 0;
}

static void add_body(const struct counting *c, uint32_t body, struct totals *sum);

static void add_bodies(const struct counting *c, const struct node *node, struct totals *sum) {
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i].type == AT_GRAPH) add_body(c, node->attrs[i].body, sum);
}

static void add_body(const struct counting *c, uint32_t body, struct totals *sum) {
    const struct body *b = &c->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *node = &c->graph->nodes[b->nodes[i]];
        const struct cost *cost = &c->run->costs[b->nodes[i]];
        sum->macs = num_add_sat(sum->macs, positive(cost->macs));
        sum->flops = num_add_sat(sum->flops, positive(cost->flops));
        sum->bytes = num_add_sat(sum->bytes, num_add_sat(positive(cost->read_bytes), positive(cost->write_bytes)));
        if (op_table[node->op].flags & F_CONTROL) add_bodies(c, node, sum);
    }
}

/* A branch that is not taken: its nodes do nothing, but their parameters remain the model's. */
static void drop_body(struct counting *c, uint32_t body) {
    const struct body *b = &c->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *node = &c->graph->nodes[b->nodes[i]];
        repeat(&c->run->costs[b->nodes[i]], 0);
        for (uint32_t k = 0; k < node->n_attrs; k++)
            if (node->attrs[k].type == AT_GRAPH) drop_body(c, node->attrs[k].body);
    }
}

static bool is_dearer(const struct counting *c, uint32_t a, uint32_t b) {
    struct totals x = {0}, y = {0};
    add_body(c, a, &x);
    add_body(c, b, &y);
    if (x.macs != y.macs) return x.macs > y.macs;
    return x.flops != y.flops ? x.flops > y.flops : x.bytes > y.bytes;
}

static void count_if(struct counting *c, const struct node *node, struct context context) {
    const struct attr *then = node_attr(node, "then_branch"), *other = node_attr(node, "else_branch");
    if (!then || !other || then->type != AT_GRAPH || other->type != AT_GRAPH) return;
    const struct tensor *condition = node_tensor(c->graph, node, 0);
    const struct value *v = condition ? condition->value : NULL;
    bool known = v && !v->is_float && v->n == 1 && dim_is_number(v->at[0].d);
    if (!known) context.upper_bound = true;
    count_body(c, then->body, context);
    count_body(c, other->body, context);
    bool least = c->graph->data_case == DATA_LEAST;
    bool taken = known ? v->at[0].d.value != 0 : least == is_dearer(c, other->body, then->body);
    drop_body(c, taken ? other->body : then->body);
}

static void count_control(struct counting *c, const struct node *node, struct context context) {
    if (node->op == OP_If) {
        count_if(c, node, context);
        return;
    }
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        if (node->attrs[i].type != AT_GRAPH) continue;
        struct trips trips = body_trips(c->graph, node, node->attrs[i].body);
        struct context inner = {.runs = num_mul_sat(context.runs, trips.n),
                                .upper_bound = context.upper_bound || trips.upper_bound,
                                .open_loop = context.open_loop || trips.open};
        count_body(c, node->attrs[i].body, inner);
    }
}

static void count_body(struct counting *c, uint32_t body, struct context context) {
    const struct body *b = &c->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *node = &c->graph->nodes[b->nodes[i]];
        struct cost *cost = &c->run->costs[b->nodes[i]];
        if (node->dead) continue;
        *cost = (struct cost){.upper_bound = context.upper_bound, .open_loop = context.open_loop};
        count_node(c, node, cost);
        repeat(cost, context.runs);
        if (op_table[node->op].flags & F_CONTROL) count_control(c, node, context);
    }
}

enum status pass_cost(struct run *run) {
    struct graph *g = run->graph;
    struct counting c = {.run = run, .graph = g};
    run->costs = arena_array(run->scratch, g->n_nodes + 1, sizeof *run->costs);
    c.seen = arena_array(run->scratch, g->n_tensors / 64 + 1, sizeof *c.seen);
    count_body(&c, 0, (struct context){.runs = 1});
    return ST_OK;
}
