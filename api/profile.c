/* A model's profile: what the analysis found, as flat public structs. */
#include "api.h"

#include <string.h>

const char *node_title(const struct graph *g, const struct node *n) {
    if (n->name[0]) return n->name;
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] != NONE && g->tensors[n->outputs[i]].name[0]) return g->tensors[n->outputs[i]].name;
    return n->op_type;
}

/* "Conv", "com.microsoft.Gelu" */
static const char *op_title(const struct node *n, struct arena *arena) {
    return n->domain[0] ? arena_printf(arena, "%s.%s", n->domain, n->op_type) : n->op_type;
}

ol_unresolved show_unresolved(const struct graph *g, uint32_t id, struct arena *arena) {
    const struct node *n = &g->nodes[id];
    return (ol_unresolved){node_title(g, n), op_title(n, arena),
                           n->reason ? n->reason : "a size that it depends on is not known"};
}

struct view_of { /* a graph being shown */
    const struct graph *graph;
    const struct cost *costs; /* NULL: not computed */
    struct arena *arena;
    ol_tensor *tensors; /* by id, filled when first asked for */
    ol_profile *profile;
    size_t cap_nodes, cap_unresolved;
    ol_node *nodes;
    ol_unresolved *unresolved;
};

/* ---- Tensors ---- */

static ol_dim show_dim(struct view_of *v, dim d) {
    if (dim_is_number(d)) return (ol_dim){d.value, NULL};
    return (ol_dim){-1, dim_is_unknown(d) ? NULL : dim_text(v->graph, d, v->arena)};
}

static const char *show_type(struct view_of *v, const struct tensor *t) {
    static const char *const around[] = {
        [TY_TENSOR] = NULL, [TY_SEQUENCE] = "sequence",    [TY_OPTIONAL] = "optional",
        [TY_MAP] = "map",   [TY_SPARSE] = "sparse_tensor", [TY_OPAQUE] = "opaque",
    };
    const char *name = dtype_name(t->dtype);
    return around[t->kind] ? arena_printf(v->arena, "%s(%s)", around[t->kind], name) : name;
}

static ol_tensor show_tensor(struct view_of *v, uint32_t id) {
    if (id == NONE) return (ol_tensor){"", dtype_name(DT_UNDEFINED), -1, NULL};
    ol_tensor *shown = &v->tensors[id];
    if (shown->name) return *shown;
    const struct tensor *t = &v->graph->tensors[id];
    *shown = (ol_tensor){t->name, show_type(v, t), t->kind == TY_TENSOR ? t->rank : -1, NULL};
    if (shown->rank < 0) return *shown;
    ol_dim *dims = arena_array(v->arena, (size_t)shown->rank, sizeof *dims);
    for (int32_t i = 0; i < t->rank; i++) dims[i] = show_dim(v, t->dims[i]);
    shown->dims = dims;
    return *shown;
}

static const ol_tensor *show_tensors(struct view_of *v, const uint32_t *ids, uint32_t n) {
    ol_tensor *list = arena_array(v->arena, n, sizeof *list);
    for (uint32_t i = 0; i < n; i++) list[i] = show_tensor(v, ids[i]);
    return list;
}

/* ---- Nodes ---- */

static bool is_shape_known(const struct tensor *t) {
    if (t->kind != TY_TENSOR) return true;
    if (t->rank == RANK_UNKNOWN) return false;
    for (int32_t i = 0; i < t->rank; i++)
        if (dim_is_unknown(t->dims[i])) return false;
    return true;
}

static void note_unresolved(struct view_of *v, uint32_t id) {
    const struct node *n = &v->graph->nodes[id];
    bool is_known = true;
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] != NONE) is_known &= is_shape_known(&v->graph->tensors[n->outputs[i]]);
    if (is_known && n->op != OP_UNKNOWN) return; /* what an unknown one costs nobody declares */
    v->unresolved = arena_grow(v->arena, v->unresolved, v->profile->n_unresolved, &v->cap_unresolved,
                               v->profile->n_unresolved + 1, sizeof *v->unresolved);
    v->unresolved[v->profile->n_unresolved++] = show_unresolved(v->graph, id, v->arena);
}

/* -1, not known, is left out of the sum; says whether it was. */
static bool add_known(int64_t *sum, int64_t n) {
    if (n > 0) *sum = num_add_sat(*sum, n);
    return n >= 0;
}

static void add_totals(ol_profile *p, const struct cost *c) {
    bool is_known = add_known(&p->totals.macs, c->macs);
    is_known &= add_known(&p->totals.flops, c->flops);
    is_known &= add_known(&p->totals.params, c->params);
    is_known &= add_known(&p->totals.weight_bytes, c->weight_bytes);
    is_known &= add_known(&p->totals.read_bytes, c->read_bytes);
    is_known &= add_known(&p->totals.write_bytes, c->write_bytes);
    p->totals.uncounted_nodes += !is_known;
}

static void show_node(struct view_of *v, uint32_t id) {
    static const struct cost unknown = {-1, -1, -1, -1, -1, -1, 1, false, false};
    const struct node *n = &v->graph->nodes[id];
    const struct cost *c = v->costs ? &v->costs[id] : &unknown;
    ol_node shown = {.name = node_title(v->graph, n),
                     .op = op_title(n, v->arena),
                     .n_inputs = n->n_inputs,
                     .n_outputs = n->n_outputs,
                     .inputs = show_tensors(v, n->inputs, n->n_inputs),
                     .outputs = show_tensors(v, n->outputs, n->n_outputs),
                     .macs = c->macs,
                     .flops = c->flops,
                     .params = c->params,
                     .read_bytes = c->read_bytes,
                     .write_bytes = c->write_bytes};
    size_t at = v->profile->n_nodes++;
    v->nodes = arena_grow(v->arena, v->nodes, at, &v->cap_nodes, at + 1, sizeof *v->nodes);
    v->nodes[at] = shown;
    add_totals(v->profile, c);
    note_unresolved(v, id);
}

static void show_body(struct view_of *v, uint32_t body) {
    const struct body *b = &v->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++) {
        const struct node *n = &v->graph->nodes[b->nodes[i]];
        if (n->dead) continue;
        show_node(v, b->nodes[i]);
        for (uint32_t k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].type == AT_GRAPH) show_body(v, n->attrs[k].body);
            for (size_t j = 0; n->attrs[k].type == AT_GRAPHS && j < n->attrs[k].n; j++)
                show_body(v, n->attrs[k].bodies[j]);
        }
    }
}

/* ---- The whole ---- */

static ol_profile *build(ol_model *m) {
    const struct graph *g = m->graph;
    const struct body *main = &g->bodies[0];
    struct arena *arena = &m->base.arena;
    ol_profile *p = arena_alloc(arena, sizeof *p);
    struct view_of v = {.graph = g, .arena = arena, .profile = p};
    v.tensors = arena_array(arena, g->n_tensors, sizeof *v.tensors);
    v.costs = m->run.facts & P_COSTS ? m->run.costs : NULL;
    *p = (ol_profile){.model = g->path,
                      .ir_version = g->ir_version,
                      .opset = graph_opset(g, ""),
                      .producer = g->producer,
                      .n_inputs = main->n_inputs,
                      .n_outputs = main->n_outputs,
                      .inputs = show_tensors(&v, main->inputs, main->n_inputs),
                      .outputs = show_tensors(&v, main->outputs, main->n_outputs)};
    show_body(&v, 0);
    p->nodes = v.nodes;
    p->unresolved = v.unresolved;
    p->totals.nodes = (int64_t)p->n_nodes;
    p->totals.peak_memory_bytes = m->run.peak_memory_bytes;
    return p;
}

enum status model_profile(ol_model *m) {
    if (m->profile) return ST_OK;
    TRY(model_analyse(m));
    m->profile = build(m);
    return ST_OK;
}
