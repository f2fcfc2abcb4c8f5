/* The shape pass: types, shapes and values of every tensor, in one walk in topological order; loops are walked until
 * nothing changes. Inference computes everything anew from inputs and initializers: what the file declares about other
 * tensors only fills in what inference leaves open, since rewriting and --shape make it stale.
 *
 * Needs: topological order, bound inputs. Gives: shapes. */
#include "shape_internal.h"

#include <string.h>

static shape_fn *const shape_functions[OP_COUNT] = {
    NULL,
#define OP(id, name, domain, since, min_in, max_in, class_, flags, shape, fold, cost) shape_##shape,
#include "ops.def"
#undef OP
};

#define fold_none NULL
static fold_fn *const fold_functions[OP_COUNT] = {
    NULL,
#define OP(id, name, domain, since, min_in, max_in, class_, flags, shape, fold, cost) fold_##fold,
#include "ops.def"
#undef OP
};
#undef fold_none

/* ---- Declared types ---- */

static bool is_open(const struct tensor *t) {
    if (t->kind == TY_TENSOR ? t->dtype == DT_UNDEFINED || t->rank == RANK_UNKNOWN : t->dtype == DT_UNDEFINED)
        return true;
    if (t->kind != TY_TENSOR) return false;
    for (int32_t i = 0; i < t->rank; i++)
        if (dim_is_unknown(t->dims[i])) return true;
    return false;
}

static bool contradicts(dim inferred, dim declared) {
    return dim_is_number(inferred) && dim_is_number(declared) && inferred.value != declared.value;
}

static void fill_dims(struct graph *g, struct tensor *t, const struct type *declared, bool *stale) {
    bool better = false;
    for (int32_t i = 0; i < t->rank; i++) {
        better |= dim_is_unknown(t->dims[i]) && !dim_is_unknown(declared->dims[i]);
        *stale |= contradicts(t->dims[i], declared->dims[i]);
    }
    if (!better || *stale) return;
    dim *dims = arena_copy(g->arena, t->dims, (size_t)t->rank * sizeof *dims);
    for (int32_t i = 0; i < t->rank; i++)
        if (dim_is_unknown(dims[i])) dims[i] = declared->dims[i];
    t->dims = dims;
    t->value = NULL; /* it need not have that many elements */
}

/* What inference left open, as the file declares it. */
static void fill_from_declared(struct shape_state *s, struct graph *g, uint32_t id) {
    struct tensor *t = &g->tensors[id];
    const struct type *d = &s->declared[id];
    if (!(t->flags & TF_DECLARED) || (d->dtype == DT_UNDEFINED && d->rank == RANK_UNKNOWN)) return;
    bool stale = false, unset = t->kind == TY_TENSOR && t->dtype == DT_UNDEFINED && t->rank == RANK_UNKNOWN;
    if (unset) {
        t->kind = d->kind;
        if (d->kind == TY_SEQUENCE) t->length = DIM_UNKNOWN;
    }
    if (t->kind != d->kind) return;
    if (t->dtype == DT_UNDEFINED) t->dtype = d->dtype;
    if (t->kind != TY_TENSOR && !unset) return; /* no common rank: its elements may well differ */
    if (t->rank == RANK_UNKNOWN) {
        t->rank = d->rank;
        t->dims = d->dims;
        t->value = NULL;
    } else if (t->rank == d->rank) {
        fill_dims(g, t, d, &stale);
    } else {
        stale = t->rank != RANK_UNKNOWN && d->rank != RANK_UNKNOWN;
    }
    if (stale && s->n_stale++ == 0) s->stale = id;
}

static void snapshot_declared(struct infer *in) {
    struct graph *g = in->graph;
    struct type *declared = arena_array(in->run->scratch, g->n_tensors, sizeof *declared);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tensor *t = &g->tensors[i];
        declared[i] =
            (struct type){.kind = t->kind, .dtype = t->dtype, .rank = t->rank, .dims = t->dims, .length = DIM_UNKNOWN};
    }
    in->state->declared = declared;
}

/* ---- One node ---- */

static void clear_outputs(struct infer *in) {
    static const struct type unknown = {.kind = TY_TENSOR, .rank = RANK_UNKNOWN, .length = {.value = 0, .expr = NONE}};
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        uint32_t id = in->node->outputs[o];
        if (id == NONE) continue;
        type_assign(in, id, &unknown);
        in->graph->tensors[id].flags &= ~(uint32_t)TF_CONSTANT;
    }
}

static bool is_number_value(const struct value *v) {
    if (!v) return false;
    for (uint32_t i = 0; i < v->n; i++)
        if (!scalar_is_number(v->at[i], v->is_float)) return false;
    return true;
}

static bool reads_only_constants(const struct infer *in) {
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        const struct tensor *t = infer_in(in, i);
        if (t && !(t->flags & TF_CONSTANT)) return false;
    }
    return true;
}

static void mark_constants(struct infer *in) {
    uint16_t op = in->node->op;
    if (op == OP_UNKNOWN || (op_table[op].flags & F_RANDOM)) return;
    bool pure = !(op_table[op].flags & F_CONTROL) && reads_only_constants(in);
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        uint32_t id = in->node->outputs[o];
        if (id == NONE) continue;
        struct tensor *t = &in->graph->tensors[id];
        if (pure || is_number_value(t->value)) t->flags |= TF_CONSTANT;
    }
}

static const char *open_reason(struct infer *in) {
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        const struct tensor *t = infer_in(in, i);
        if (t && is_open(t))
            return arena_printf(in->graph->arena, "input \"%s\" has an unknown %s", t->name,
                                t->dtype == DT_UNDEFINED ? "type" : "shape");
    }
    return "it depends on values that are not known";
}

static void finish_outputs(struct infer *in) {
    bool open = false;
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        uint32_t id = in->node->outputs[o];
        if (id == NONE) continue;
        fill_from_declared(in->state, in->graph, id);
        open |= is_open(&in->graph->tensors[id]);
    }
    if (open && !in->node->reason) in->graph->nodes[in->id].reason = open_reason(in);
}

/* Other domains add inputs to what is still their version 1. */
static enum status check_inputs(struct infer *in) {
    const struct op_info *info = &op_table[in->node->op];
    uint32_t given = in->node->n_inputs;
    if (given < (uint32_t)info->min_in)
        return infer_fail(in, "it has %u inputs, needs at least %d", given, info->min_in);
    while (given && in->node->inputs[given - 1] == NONE) given--;
    if (!*info->domain && info->max_in >= 0 && given > (uint32_t)info->max_in)
        return infer_fail(in, "it has %u inputs, takes at most %d", given, info->max_in);
    return ST_OK;
}

static enum status call(struct infer *in) {
    uint16_t op = in->node->op;
    struct node *node = &in->graph->nodes[in->id];
    if (op == OP_UNKNOWN) {
        const char *domain = node->domain[0] ? node->domain : "ai.onnx";
        node->reason = arena_printf(in->graph->arena, "operator %s of domain %s is not known", node->op_type, domain);
        return ST_OK;
    }
    TRY(check_inputs(in));
    TRY(shape_functions[op](in));
    if (fold_functions[op]) fold_functions[op](in);
    return ST_OK;
}

/* As call(), but a failure only becomes the node's reason: the branch it is in may never run. */
static void call_softly(struct infer *in) {
    struct diag *outer = in->run->diag, quiet;
    diag_init(&quiet, in->graph->arena);
    in->run->diag = &quiet;
    if (call(in) != ST_OK) {
        clear_outputs(in);
        in->graph->nodes[in->id].reason = quiet.message;
    }
    in->run->diag = outer;
}

static enum status infer_node(struct shape_state *s, struct run *run, uint32_t id) {
    struct graph *g = run->graph;
    struct node *node = &g->nodes[id];
    struct infer in = {.run = run, .state = s, .graph = g, .node = node, .id = id};
    in.opset = node->domain[0] ? graph_opset(g, node->domain) : s->opset;
    s->work++;
    node->reason = NULL;
    clear_outputs(&in);
    if (s->soft)
        call_softly(&in);
    else
        TRY(call(&in));
    mark_constants(&in);
    finish_outputs(&in);
    return ST_OK;
}

/* ---- Bodies ---- */

enum status shape_body(struct infer *in, uint32_t body) {
    const struct body *b = &in->graph->bodies[body];
    for (size_t i = 0; i < b->n_nodes; i++)
        if (!in->graph->nodes[b->nodes[i]].dead) TRY(infer_node(in->state, in->run, b->nodes[i]));
    return ST_OK;
}

void shape_enter(struct infer *in, uint32_t tensor, const struct type *type) {
    type_assign(in, tensor, type);
    struct tensor *t = &in->graph->tensors[tensor];
    t->flags &= ~(uint32_t)TF_CONSTANT;
    if (is_number_value(t->value)) t->flags |= TF_CONSTANT;
    fill_from_declared(in->state, in->graph, tensor);
}

static void prepare_tensors(struct graph *g) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        bool weight = (t->flags & TF_INITIALIZER) && t->producer == NONE;
        t->value = NULL;
        t->flags &= ~(uint32_t)TF_CONSTANT;
        if (weight)
            t->flags |= TF_CONSTANT;
        else if (t->kind == TY_SEQUENCE)
            t->length = DIM_UNKNOWN;
    }
}

static void warn_stale(const struct shape_state *s, struct run *run) {
    const struct bindings *b = run->bind;
    bool rebound = b && (b->n_dims || b->n_shapes || b->batch); /* then that is no wonder */
    if (s->n_stale == 0 || rebound) return;
    const struct tensor *t = &run->graph->tensors[s->stale];
    diag_warn(run->diag, "%s: %zu declared shape%s differ%s from what the operators give, first at \"%s\"; not used",
              run->graph->path, s->n_stale, s->n_stale > 1 ? "s" : "", s->n_stale > 1 ? "" : "s", t->name);
}

/* A type is no longer the file's word once inference has settled it: a later run starts from inference again. */
static void forget_declared(struct graph *g) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        if ((t->flags & TF_DECLARED) && t->producer != NONE && t->kind == TY_TENSOR && !is_open(t))
            t->flags &= ~(uint32_t)TF_DECLARED;
    }
}

enum status pass_shape(struct run *run) {
    struct graph *g = run->graph;
    struct shape_state state = {.opset = graph_opset(g, ""), .work_limit = 50000 + 8 * (uint64_t)g->n_nodes};
    struct infer top = {.run = run, .state = &state, .graph = g, .id = NONE};
    map_init(&state.fresh, run->scratch);
    snapshot_declared(&top);
    prepare_tensors(g);
    TRY(shape_body(&top, 0));
    warn_stale(&state, run);
    forget_declared(g);
    return ST_OK;
}
