/* Kernels while they grow: bytes, predecessors, and the nodes they stand for. */
#include "lower_internal.h"

bool is_constant(const struct graph *graph, uint32_t tensor) {
    return graph->tensors[tensor].flags & (TF_CONSTANT | TF_INITIALIZER) &&
           !(graph->tensors[tensor].flags & TF_PRIVATE);
}

static unsigned bits_at(enum precision precision, enum dtype dtype) {
    if (!dtype_is_float(dtype)) return dtype_bits(dtype);
    switch (precision) {
    case PREC_FP32:
        return 32;
    case PREC_FP16:
        return 16;
    case PREC_INT8:
        return 8;
    default:
        return dtype_bits(dtype);
    }
}

static int64_t scaled(const struct lowering *l, const struct tensor *t, int64_t bytes) {
    unsigned from = dtype_bits(t->dtype), to = bits_at(l->precision, t->dtype);
    if (bytes < 0) return 0;
    return from == to || from == 0 ? bytes : num_ceildiv(num_mul_sat(bytes, to), from);
}

int64_t bytes_at(const struct lowering *l, const struct tensor *t, struct cost *cost) {
    return scaled(l, t, count_bytes(l->graph, t, cost));
}

static int64_t read_at(const struct lowering *l, const struct node *node, uint32_t i, struct cost *cost) {
    return scaled(l, &l->graph->tensors[node->inputs[i]], count_read(l->graph, node, i, cost));
}

static uint32_t add_link(struct lowering *l, uint32_t value) {
    PUSH(l->arena, l, links, ((struct link){.value = value}));
    return (uint32_t)l->n_links;
}

static bool has_pred(const struct lowering *l, const struct assembly *a, uint32_t kernel) {
    int looked = 0;
    for (uint32_t at = a->first_pred; at && looked < 8; at = l->links[at - 1].next, looked++)
        if (l->links[at - 1].value == kernel) return true;
    return false; /* of long lists only the latest are looked at: one named twice does no harm */
}

static void add_pred(struct lowering *l, uint32_t kernel, uint32_t pred) {
    struct assembly *a = &l->kernels[kernel];
    if (pred == NONE || pred == kernel || has_pred(l, a, pred)) return;
    uint32_t link = add_link(l, pred);
    l->links[link - 1].next = a->first_pred;
    a->first_pred = link;
}

static bool is_repeated(const struct node *node, uint32_t input) {
    for (uint32_t i = 0; i < input && i < 16; i++)
        if (node->inputs[i] == node->inputs[input]) return true;
    return false;
}

/* Reads of the node, but for `skip`, which stays inside the kernel. */
static void add_reads(struct lowering *l, uint32_t kernel, const struct node *node, uint32_t skip) {
    struct kernel *k = &l->workload->kernels[kernel];
    struct cost bound = {0};
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        uint32_t id = node->inputs[i];
        if (id == NONE || id == skip || is_repeated(node, i)) continue;
        int64_t bytes = read_at(l, node, i, &bound);
        if (is_constant(l->graph, id)) {
            k->weight_bytes = num_add_sat(k->weight_bytes, bytes);
            continue;
        }
        k->in_bytes = num_add_sat(k->in_bytes, bytes);
        k->n_inputs++;
        if (l->maker[id] == NONE) k->outer_bytes = num_add_sat(k->outer_bytes, bytes);
        add_pred(l, kernel, l->maker[id]);
    }
}

static void add_writes(struct lowering *l, uint32_t kernel, const struct node *node) {
    struct kernel *k = &l->workload->kernels[kernel];
    struct cost bound = {0};
    for (uint32_t o = 0; o < node->n_outputs; o++) {
        uint32_t id = node->outputs[o];
        if (id == NONE) continue;
        k->out_bytes = num_add_sat(k->out_bytes, bytes_at(l, &l->graph->tensors[id], &bound));
        l->maker[id] = kernel;
    }
    l->kernels[kernel].result = node_out(node, 0);
}

static int64_t one_run(int64_t total, int64_t runs) {
    if (total < 0) return 0;
    return runs > 1 ? total / runs : total;
}

/* Most nodes are a kernel with a node and a predecessor: growing from nothing would copy every kernel twice. */
static void reserve(struct lowering *l, size_t nodes) {
    struct workload *w = l->workload;
    w->kernels = arena_grow(l->arena, NULL, 0, &w->cap_kernels, nodes, sizeof *w->kernels);
    w->nodes = arena_grow(l->arena, NULL, 0, &w->cap_nodes, nodes, sizeof *w->nodes);
    w->preds = arena_grow(l->arena, NULL, 0, &w->cap_preds, nodes + nodes / 2, sizeof *w->preds);
    l->kernels = arena_grow(l->arena, NULL, 0, &l->cap_kernels, nodes, sizeof *l->kernels);
    l->links = arena_grow(l->arena, NULL, 0, &l->cap_links, 2 * nodes + nodes / 2, sizeof *l->links);
}

void lowering_start(struct lowering *l, struct run *run, struct graph *graph) {
    *l = (struct lowering){.run = run, .graph = graph, .arena = run->scratch};
    l->precision = run->runtime ? run->runtime->precision : PREC_AS_WRITTEN;
    l->workload = arena_alloc(l->arena, sizeof *l->workload);
    l->workload->model = run->graph->path;
    reserve(l, graph->n_nodes);
    size_t n = graph->n_tensors + 1;
    l->maker = arena_array(l->arena, n, sizeof *l->maker);
    l->uses = arena_array(l->arena, n, sizeof *l->uses);
    for (size_t t = 0; t < n; t++) l->maker[t] = NONE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        for (uint32_t k = 0; !node->dead && k < node->n_inputs; k++)
            if (node->inputs[k] != NONE) l->uses[node->inputs[k]]++;
    }
    for (size_t b = 0; b < graph->n_bodies; b++)
        for (uint32_t o = 0; o < graph->bodies[b].n_outputs; o++)
            if (graph->bodies[b].outputs[o] != NONE) l->uses[graph->bodies[b].outputs[o]]++;
}

static enum dtype arithmetic(enum precision precision, enum dtype dtype) {
    if (!dtype_is_float(dtype)) return dtype;
    static const enum dtype at[PREC_COUNT] = {[PREC_FP32] = DT_FLOAT, [PREC_FP16] = DT_FLOAT16, [PREC_INT8] = DT_INT8};
    return precision == PREC_AS_WRITTEN ? dtype : at[precision];
}

uint32_t lowering_open(struct lowering *l, uint32_t id, const struct cost *cost) {
    struct workload *w = l->workload;
    const struct node *node = &l->graph->nodes[id];
    uint32_t kernel = (uint32_t)w->n_kernels;
    PUSH(l->arena, w, kernels, ((struct kernel){.op = node->op_type, .count = cost->runs}));
    PUSH(l->arena, l, kernels, ((struct assembly){.result = NONE}));
    struct kernel *k = &w->kernels[kernel];
    kernel_facts(l->graph, node, k);
    k->dtype = arithmetic(l->precision, k->dtype);
    k->macs = one_run(cost->macs, cost->runs);
    k->flops = one_run(cost->flops, cost->runs);
    k->params = cost->params < 0 ? 0 : cost->params;
    add_reads(l, kernel, node, NONE);
    add_writes(l, kernel, node);
    return kernel;
}

void lowering_join(struct lowering *l, uint32_t kernel, uint32_t id, const struct cost *cost, bool folded) {
    struct kernel *k = &l->workload->kernels[kernel];
    const struct node *node = &l->graph->nodes[id];
    struct assembly *a = &l->kernels[kernel];
    struct cost bound = {0};
    k->params = num_add_sat(k->params, cost->params < 0 ? 0 : cost->params);
    k->out_bytes -= bytes_at(l, &l->graph->tensors[a->result], &bound);
    if (!folded) {
        k->flops = num_add_sat(k->flops, one_run(cost->flops, cost->runs));
        add_reads(l, kernel, node, a->result);
    }
    add_writes(l, kernel, node);
}

void lowering_skip(struct lowering *l, uint32_t id) {
    const struct node *node = &l->graph->nodes[id];
    uint32_t latest = NONE;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        uint32_t maker = node->inputs[i] == NONE ? NONE : l->maker[node->inputs[i]];
        if (maker != NONE && (latest == NONE || maker > latest)) latest = maker;
    }
    for (uint32_t o = 0; o < node->n_outputs; o++)
        if (node->outputs[o] != NONE) l->maker[node->outputs[o]] = latest;
}

static void pass_makers(struct lowering *l, const uint32_t *to, uint32_t n_to, const uint32_t *from, uint32_t n_from) {
    uint32_t n = n_to < n_from ? n_to : n_from;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tensor = to[n_to - n + i], source = from[n_from - n + i];
        if (tensor != NONE && source != NONE) l->maker[tensor] = l->maker[source];
    }
}

void lowering_bodies(struct lowering *l, uint32_t id, void (*lower)(void *user, uint32_t body), void *user) {
    const struct node *node = &l->graph->nodes[id];
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        if (node->attrs[i].type != AT_GRAPH) continue;
        const struct body *body = &l->graph->bodies[node->attrs[i].body];
        size_t before = l->workload->n_kernels;
        pass_makers(l, body->inputs, body->n_inputs, node->inputs, node->n_inputs);
        lower(user, node->attrs[i].body);
        if (l->workload->n_kernels > before)
            pass_makers(l, node->outputs, node->n_outputs, body->outputs, body->n_outputs);
    }
}

void lowering_cover(struct lowering *l, uint32_t kernel, uint32_t node) {
    uint32_t link = add_link(l, node);
    struct assembly *a = &l->kernels[kernel];
    if (a->last_node)
        l->links[a->last_node - 1].next = link;
    else
        a->first_node = link;
    a->last_node = link;
}

static void add_totals(struct workload *w, const struct kernel *k) {
    w->macs = num_add_sat(w->macs, num_mul_sat(k->macs, k->count));
    w->flops = num_add_sat(w->flops, num_mul_sat(k->flops, k->count));
    w->params = num_add_sat(w->params, k->params);
    w->weight_bytes = num_add_sat(w->weight_bytes, k->weight_bytes);
    w->read_bytes = num_add_sat(w->read_bytes, num_mul_sat(num_add_sat(k->in_bytes, k->weight_bytes), k->count));
    w->write_bytes = num_add_sat(w->write_bytes, num_mul_sat(k->out_bytes, k->count));
}

static void flatten(struct lowering *l, uint32_t kernel) {
    struct workload *w = l->workload;
    struct kernel *k = &w->kernels[kernel];
    const struct assembly *a = &l->kernels[kernel];
    k->first_node = (uint32_t)w->n_nodes;
    for (uint32_t at = a->first_node; at; at = l->links[at - 1].next) PUSH(l->arena, w, nodes, l->links[at - 1].value);
    k->n_nodes = (uint32_t)w->n_nodes - k->first_node;
    k->first_pred = (uint32_t)w->n_preds;
    for (uint32_t at = a->first_pred; at; at = l->links[at - 1].next) PUSH(l->arena, w, preds, l->links[at - 1].value);
    k->n_preds = (uint32_t)w->n_preds - k->first_pred;
}

/* A node counts as covered when its operator and the sizes its price hangs on are known. */
static void count_coverage(struct lowering *l) {
    const struct run *run = l->run;
    for (size_t i = 0; i < run->graph->n_nodes; i++) {
        const struct node *node = &run->graph->nodes[i];
        const struct cost *cost = &run->costs[i];
        if (node->dead || cost->runs == 0) continue;
        l->workload->graph_nodes++;
        l->workload->data_dependent_nodes += cost->upper_bound;
        l->workload->open_nodes += cost->open_loop;
        bool known = cost->macs >= 0 && cost->flops >= 0 && cost->read_bytes >= 0 && cost->write_bytes >= 0;
        if (node->op == OP_UNKNOWN || !known) PUSH(l->arena, l->workload, uncovered, (uint32_t)i);
    }
}

static void mark_outputs(struct lowering *l) {
    const struct body *main = &l->graph->bodies[0];
    struct cost bound = {0};
    for (uint32_t o = 0; o < main->n_outputs; o++) {
        uint32_t id = main->outputs[o], kernel = id == NONE ? NONE : l->maker[id];
        if (kernel == NONE) continue;
        struct kernel *k = &l->workload->kernels[kernel];
        k->outer_bytes = num_add_sat(k->outer_bytes, bytes_at(l, &l->graph->tensors[id], &bound));
    }
}

void lowering_finish(struct lowering *l) {
    mark_outputs(l);
    for (size_t i = 0; i < l->workload->n_kernels; i++) {
        flatten(l, (uint32_t)i);
        add_totals(l->workload, &l->workload->kernels[i]);
    }
    count_coverage(l);
    l->workload->peak_memory_bytes = l->run->facts & P_MEMORY ? l->run->peak_memory_bytes : -1;
    l->run->workload = l->workload;
}
