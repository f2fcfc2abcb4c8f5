/* Operands and attributes that state shapes. After a cut every tensor's shape is known from its classes; a stated one
 * is rewritten so that the operator's own rule yields it. What is computed while the model runs is left alone where it
 * follows by itself, and scaled by a whole fraction where it does not. */
#include "geometry.h"
#include "passes.h"
#include "rewrite.h"

#include <string.h>

struct adjust {
    struct graph *g;
    const struct graph *before;
    const struct cut *cut;
    struct graph *probe; /* what shape arithmetic gives after the cut; made when first asked for */
    struct diag *diag;
};

typedef enum status adjust_fn(struct adjust *, uint32_t node);

static bool has_input(const struct node *n, uint32_t i) {
    return node_in(n, i) != NONE;
}

/* ---- Changing operands and attributes ---- */

static uint32_t new_tensor(struct adjust *a, const char *stem) {
    char name[64];
    uint32_t id, serial = (uint32_t)a->g->n_tensors;
    do snprintf(name, sizeof name, "cut_%s_%u", stem, serial++);
    while (map_get(&a->g->names->map, name, strlen(name), &id));
    return graph_add_tensor(a->g, 0, name);
}

/* Of the type that `like` has: int64, or int32 where an operator takes that. */
static uint32_t new_ints(struct adjust *a, const int64_t *values, uint32_t n, uint32_t like) {
    uint32_t id = new_tensor(a, "ints");
    bool is_short = like != NONE && a->g->tensors[like].dtype == DT_INT32;
    size_t width = is_short ? sizeof(int32_t) : sizeof(int64_t);
    uint8_t *bytes = arena_alloc(a->g->arena, n * width + 1);
    dim size = DIM(n);
    for (uint32_t i = 0; i < n; i++) memcpy(bytes + i * width, &values[i], width); /* little-endian */
    tensor_set_shape(a->g, id, is_short ? DT_INT32 : DT_INT64, &size, 1);
    struct tensor *t = &a->g->tensors[id];
    t->flags = TF_INITIALIZER | TF_CONSTANT;
    t->stored_bytes = n * width;
    t->data = (struct data){ENC_RAW, NONE, 0, t->stored_bytes, bytes};
    return id;
}

static void set_input(struct adjust *a, uint32_t node, uint32_t index, uint32_t tensor) {
    struct node *n = &a->g->nodes[node];
    uint32_t *inputs = arena_copy(a->g->arena, n->inputs, n->n_inputs * sizeof *inputs);
    inputs[index] = tensor;
    n->inputs = inputs;
}

static void set_attr(struct adjust *a, uint32_t node, struct attr attr) {
    struct node *n = &a->g->nodes[node];
    struct attr *attrs = arena_array(a->g->arena, n->n_attrs + 1u, sizeof *attrs);
    uint32_t at = 0;
    if (n->n_attrs) memcpy(attrs, n->attrs, n->n_attrs * sizeof *attrs);
    while (at < n->n_attrs && strcmp(attrs[at].name, attr.name) != 0) at++;
    attrs[at] = attr;
    n->n_attrs = at == n->n_attrs ? n->n_attrs + 1 : n->n_attrs;
    n->attrs = attrs;
}

static void set_int_attr(struct adjust *a, uint32_t node, const char *name, int64_t value) {
    set_attr(a, node, (struct attr){.name = intern_str(a->g->names, name), .type = AT_INT, .i = value});
}

static void set_ints_attr(struct adjust *a, uint32_t node, const char *name, const int64_t *values, size_t n) {
    set_attr(a, node,
             (struct attr){.name = intern_str(a->g->names, name),
                           .type = AT_INTS,
                           .n = n,
                           .ints = arena_copy(a->g->arena, values, n * sizeof *values)});
}

/* Numbers of a constant operand, as they were before the cut. */
static const struct value *constant_value(struct adjust *a, uint32_t tensor) {
    if (tensor == NONE || !(a->g->tensors[tensor].flags & TF_INITIALIZER)) return NULL;
    return tensor_read(a->g, &a->g->tensors[tensor]);
}

static int64_t number_at(const struct value *v, uint32_t i) {
    return v->at[i].d.value;
}

/* ---- Operands computed at run time ---- */

static void mark_ancestors(const struct graph *g, uint32_t tensor, bool *keep) {
    uint32_t node = g->tensors[tensor].producer;
    if (node == NONE || keep[node] || g->nodes[node].dead) return;
    keep[node] = true;
    if (op_table[g->nodes[node].op].flags & F_SHAPE) return;
    for (uint32_t i = 0; i < g->nodes[node].n_inputs; i++)
        if (g->nodes[node].inputs[i] != NONE) mark_ancestors(g, g->nodes[node].inputs[i], keep);
}

/* Which operand states the shape of the result; NONE. */
static uint32_t shape_operand(const struct node *n) {
    if (n->domain[0]) return NONE;
    if (!strcmp(n->op_type, "Reshape") || !strcmp(n->op_type, "Expand")) return 1;
    return !strcmp(n->op_type, "Resize") ? 3 : NONE;
}

static bool states_shape(const struct node *n) {
    uint32_t operand = shape_operand(n);
    return operand != NONE && has_input(n, operand);
}

/* A copy in which only shape arithmetic is left, inferred from the shapes after the cut. */
static enum status make_probe(struct adjust *a) {
    struct graph *g = a->probe = graph_clone(a->g, a->g->arena);
    bool *keep = arena_array(g->arena, g->n_nodes + 1, sizeof *keep);
    for (size_t n = 0; n < g->n_nodes; n++)
        if (!g->nodes[n].dead && states_shape(&g->nodes[n]))
            mark_ancestors(g, g->nodes[n].inputs[shape_operand(&g->nodes[n])], keep);
    for (uint32_t t = 0; t < g->n_tensors; t++) {
        uint32_t producer = g->tensors[t].producer;
        if (producer != NONE && !keep[producer]) g->tensors[t].producer = NONE;
    }
    for (size_t n = 0; n < g->n_nodes; n++) g->nodes[n].dead = g->nodes[n].dead || !keep[n];
    struct run run = {.graph = g, .scratch = g->arena, .diag = a->diag, .facts = P_BOUND | P_TOPO};
    return passes_run(&run, 1u << PASS_shape);
}

/* The fraction that turns `from` into `wanted` whatever the symbols are: wanted * den = from * num. */
static bool fraction(struct graph *g, dim from, dim wanted, int64_t *num, int64_t *den) {
    const char *symbols[16];
    dim f = from, w = wanted;
    size_t n = dim_symbols(g, from, symbols, COUNT_OF(symbols));
    for (size_t i = 0; i < n && i < COUNT_OF(symbols); i++) {
        f = dim_substitute(g, f, symbols[i], 5040 + (int64_t)i); /* divisible by all small numbers at least once */
        w = dim_substitute(g, w, symbols[i], 5040 + (int64_t)i);
    }
    if (!dim_is_number(f) || !dim_is_number(w) || f.value <= 0 || w.value <= 0) return false;
    int64_t common = num_gcd(f.value, w.value);
    *num = w.value / common;
    *den = f.value / common;
    return dim_same(dim_mul(g, wanted, DIM(*den)), dim_mul(g, from, DIM(*num)));
}

static uint32_t scale_operand(struct adjust *a, uint32_t node, uint32_t operand, const char *op, const int64_t *by,
                              uint32_t n) {
    uint32_t inputs[] = {operand, new_ints(a, by, n, NONE)}, out = new_tensor(a, op);
    dim size = DIM(n);
    tensor_set_shape(a->g, out, DT_INT64, &size, 1);
    uint32_t id = graph_add_node(a->g, 0, op, "", a->g->tensors[out].name, inputs, 2, &out, 1, NULL, 0);
    struct body *body = &a->g->bodies[0];
    size_t at = body->n_nodes - 1;
    for (; at > 0 && body->nodes[at - 1] != node; at--) body->nodes[at] = body->nodes[at - 1];
    body->nodes[at] = body->nodes[at - 1];
    body->nodes[at - 1] = id;
    return out;
}

/* The operand's elements after the cut against the wanted shape; 0 and -1 keep their meaning. */
static enum status adjust_computed(struct adjust *a, uint32_t node, const dim *wanted, int32_t rank) {
    uint32_t index = shape_operand(&a->g->nodes[node]), operand = a->g->nodes[node].inputs[index];
    if (!a->probe) TRY(make_probe(a));
    const struct value *now = operand < a->probe->n_tensors ? a->probe->tensors[operand].value : NULL;
    int64_t num[RANK_MAX], den[RANK_MAX];
    bool multiply = false, divide = false;
    for (int32_t i = 0; i < rank; i++) {
        num[i] = den[i] = 1;
        if (!now || now->n != (uint32_t)rank || dim_is_unknown(now->at[i].d) || dim_is_unknown(wanted[i])) {
            dim before = a->before->tensors[a->before->nodes[node].outputs[0]].dims[i];
            if (dim_same(before, wanted[i])) continue;
            return diag_fail(a->diag, ST_MODEL, "%s: %s: its shape is computed in a way that cannot be followed",
                             a->g->path, node_label(a->g, node));
        }
        dim is = now->at[i].d;
        if (dim_is(is, -1) || dim_is(is, 0) || dim_same(is, wanted[i])) continue;
        if (!fraction(a->probe, is, wanted[i], &num[i], &den[i]))
            return diag_fail(a->diag, ST_MODEL, "%s: %s: its computed shape cannot be scaled to the cut", a->g->path,
                             node_label(a->g, node));
        multiply = multiply || num[i] != 1;
        divide = divide || den[i] != 1;
    }
    if (multiply) operand = scale_operand(a, node, operand, "Mul", num, (uint32_t)rank);
    if (divide) operand = scale_operand(a, node, operand, "Div", den, (uint32_t)rank);
    set_input(a, node, index, operand);
    return ST_OK;
}

/* ---- One rule an operator ---- */

static enum status adjust_shape_operand(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *y = &a->g->tensors[n->outputs[0]], *y_before = &a->before->tensors[n->outputs[0]];
    const struct value *stated = constant_value(a, node_in(n, 1));
    bool changed = false;
    int64_t values[RANK_MAX];
    for (int32_t i = 0; i < y->rank; i++) changed = changed || !dim_same(y->dims[i], y_before->dims[i]);
    if (!has_input(n, 1) || y->rank < 1) return ST_OK;
    if (!stated) return adjust_computed(a, node, y->dims, y->rank);
    if (!changed || stated->n > (uint32_t)y->rank) return ST_OK;
    int32_t unsaid = y->rank - (int32_t)stated->n; /* Expand's shape may be shorter */
    for (int32_t i = 0; i < (int32_t)stated->n; i++) {
        int64_t was = number_at(stated, (uint32_t)i);
        bool follows = was == 0 || was == -1 || (was == 1 && !strcmp(n->op_type, "Expand"));
        dim now = y->dims[unsaid + i];
        values[i] = follows || !dim_is_number(now) ? was : now.value;
    }
    set_input(a, node, 1, new_ints(a, values, stated->n, NONE));
    return ST_OK;
}

static enum status adjust_split(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    int64_t axis = node_int(n, "axis", 0), sizes[256];
    const struct tensor *x = &a->g->tensors[n->inputs[0]], *x_before = &a->before->tensors[n->inputs[0]];
    if (axis < 0) axis += x->rank;
    if (dim_same(x->dims[axis], x_before->dims[axis]) || n->n_outputs > COUNT_OF(sizes)) return ST_OK;
    for (uint32_t i = 0; i < n->n_outputs; i++) sizes[i] = a->g->tensors[n->outputs[i]].dims[axis].value;
    if (graph_opset(a->g, "") < 13) {
        set_ints_attr(a, node, "split", sizes, n->n_outputs);
        return ST_OK;
    }
    struct node *split = &a->g->nodes[node];
    uint32_t inputs[] = {split->inputs[0], new_ints(a, sizes, split->n_outputs, NONE)};
    split = &a->g->nodes[node];
    split->inputs = arena_copy(a->g->arena, inputs, sizeof inputs);
    split->n_inputs = 2;
    struct attr *attrs = arena_array(a->g->arena, split->n_attrs + 1u, sizeof *attrs);
    uint32_t kept = 0; /* num_outputs and sizes exclude each other */
    for (uint32_t i = 0; i < split->n_attrs; i++)
        if (strcmp(split->attrs[i].name, "num_outputs") != 0) attrs[kept++] = split->attrs[i];
    split->attrs = attrs;
    split->n_attrs = kept;
    return ST_OK;
}

/* Starts and ends count what stays. */
static enum status adjust_slice(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *x = &a->g->tensors[n->inputs[0]], *x_before = &a->before->tensors[n->inputs[0]];
    const struct value *starts = constant_value(a, node_in(n, 1)), *axes = constant_value(a, node_in(n, 3));
    size_t n_attr = 0, n_axes_attr = 0;
    const int64_t *starts_attr = node_ints(n, "starts", &n_attr), *axes_attr = node_ints(n, "axes", &n_axes_attr);
    int64_t new_starts[RANK_MAX], new_ends[RANK_MAX];
    const struct value *ends = constant_value(a, node_in(n, 2));
    size_t n_ends_attr = 0;
    const int64_t *ends_attr = node_ints(n, "ends", &n_ends_attr);
    uint32_t count = starts ? starts->n : (uint32_t)n_attr;
    bool changed = false;
    if (!(starts && ends) && !(starts_attr && ends_attr)) return ST_OK; /* its axis is frozen */
    for (uint32_t i = 0; i < count && i < RANK_MAX; i++) {
        int64_t axis = axes ? number_at(axes, i) : axes_attr ? axes_attr[i] : (int64_t)i;
        new_starts[i] = starts ? number_at(starts, i) : starts_attr[i];
        new_ends[i] = ends ? number_at(ends, i) : ends_attr[i];
        if (axis < 0) axis += x->rank;
        if (dim_same(x->dims[axis], x_before->dims[axis])) continue;
        int64_t size = x_before->dims[axis].value, start = new_starts[i] < 0 ? new_starts[i] + size : new_starts[i];
        start = start < 0 ? 0 : start > size ? size : start;
        new_starts[i] = cut_before(a->cut, n->inputs[0], (int32_t)axis, start);
        new_ends[i] = new_starts[i] + a->g->tensors[n->outputs[0]].dims[axis].value;
        changed = true;
    }
    if (!changed) return ST_OK;
    if (starts_attr) {
        set_ints_attr(a, node, "starts", new_starts, count);
        set_ints_attr(a, node, "ends", new_ends, count);
        return ST_OK;
    }
    set_input(a, node, 1, new_ints(a, new_starts, count, n->inputs[1]));
    set_input(a, node, 2, new_ints(a, new_ends, count, a->g->nodes[node].inputs[2]));
    return ST_OK;
}

static bool is_cropped(const struct adjust *a, uint32_t weight) {
    const struct tensor *now = &a->g->tensors[weight], *was = &a->before->tensors[weight];
    for (int32_t axis = 2; axis < now->rank; axis++)
        if (!dim_same(now->dims[axis], was->dims[axis])) return true;
    return false;
}

/* What a kernel lost on each side, its padding loses too. Padding that is not stated follows by itself. */
static void adjust_reach(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *weight = &a->g->tensors[n->inputs[1]];
    int64_t sides[SPATIAL_MAX], pads[2 * SPATIAL_MAX];
    struct window w;
    struct why why;
    if (!is_cropped(a, n->inputs[1]) || !window_read(a->before, n, &w, &why)) return;
    for (int32_t i = 0; i < w.n; i++) {
        sides[i] = weight->dims[i + 2].value;
        int64_t reach = (w.kernel[i].value - sides[i]) / 2 * w.dilation[i];
        pads[i] = w.begin[i] - reach;
        pads[i + w.n] = w.end[i] - reach;
    }
    if (node_attr(n, "kernel_shape")) set_ints_attr(a, node, "kernel_shape", sides, (size_t)w.n);
    if (w.auto_pad == PAD_EXPLICIT) set_ints_attr(a, node, "pads", pads, 2 * (size_t)w.n);
}

static enum status adjust_conv(struct adjust *a, uint32_t node) {
    adjust_reach(a, node);
    const struct node *n = &a->g->nodes[node];
    const struct tensor *x = &a->g->tensors[n->inputs[0]], *w = &a->g->tensors[n->inputs[1]];
    int64_t groups = node_int(n, "group", 1);
    if (groups == 1 || !dim_is_number(x->dims[1]) || w->rank < 2 || w->dims[1].value < 1) return ST_OK;
    int64_t now = x->dims[1].value / w->dims[1].value;
    if (now != groups) set_int_attr(a, node, "group", now);
    return ST_OK;
}

static enum status adjust_gather(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *x = &a->g->tensors[n->inputs[0]], *x_before = &a->before->tensors[n->inputs[0]];
    int64_t axis = node_int(n, "axis", 0), values[VALUE_MAX];
    if (axis < 0) axis += x->rank;
    if (dim_same(x->dims[axis], x_before->dims[axis])) return ST_OK;
    const struct value *indices = constant_value(a, node_in(n, 1)); /* what stays of them: the cut took the rest */
    int64_t size = x_before->dims[axis].value;
    if (!indices) return ST_OK;
    for (uint32_t i = 0; i < indices->n; i++) {
        int64_t index = number_at(indices, i) < 0 ? number_at(indices, i) + size : number_at(indices, i);
        values[i] = cut_before(a->cut, n->inputs[0], (int32_t)axis, index);
    }
    set_input(a, node, 1, new_ints(a, values, indices->n, n->inputs[1]));
    return ST_OK;
}

static enum status adjust_recurrent(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *r = &a->g->tensors[n->inputs[2]];
    if (node_attr(n, "hidden_size") && r->rank == 3) set_int_attr(a, node, "hidden_size", r->dims[2].value);
    return ST_OK;
}

static enum status adjust_group_norm(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    int64_t before = a->before->tensors[n->inputs[0]].dims[1].value, now = a->g->tensors[n->inputs[0]].dims[1].value;
    set_int_attr(a, node, "num_groups", node_int(n, "num_groups", 1) * now / before);
    return ST_OK;
}

/* Sizes name every axis, channels too. */
static enum status adjust_resize(struct adjust *a, uint32_t node) {
    const struct node *n = &a->g->nodes[node];
    const struct tensor *y = &a->g->tensors[n->outputs[0]];
    const struct value *sizes = constant_value(a, node_in(n, 3));
    int64_t values[RANK_MAX];
    if (!sizes && has_input(n, 3) && y->rank > 0) return adjust_computed(a, node, y->dims, y->rank);
    if (!sizes || sizes->n != (uint32_t)y->rank) return ST_OK;
    for (int32_t i = 0; i < y->rank; i++)
        values[i] = dim_is_number(y->dims[i]) ? y->dims[i].value : number_at(sizes, (uint32_t)i);
    set_input(a, node, 3, new_ints(a, values, sizes->n, NONE));
    return ST_OK;
}

static const struct adjust_row {
    const char *op_type;
    adjust_fn *adjust;
} rows[] = {
    {"Reshape", adjust_shape_operand},
    {"Expand", adjust_shape_operand},
    {"Split", adjust_split},
    {"Slice", adjust_slice},
    {"Conv", adjust_conv},
    {"FusedConv", adjust_conv},
    {"Gather", adjust_gather},
    {"LSTM", adjust_recurrent},
    {"GRU", adjust_recurrent},
    {"RNN", adjust_recurrent},
    {"GroupNormalization", adjust_group_norm},
    {"Resize", adjust_resize},
};

enum status structure_adjust(struct graph *g, const struct cut *cut, struct diag *diag) {
    struct adjust a = {.g = g, .before = cut->knobs->g, .cut = cut, .diag = diag};
    size_t n_nodes = g->n_nodes; /* those added on the way state no shapes */
    for (uint32_t n = 0; n < n_nodes; n++)
        for (size_t r = 0; r < COUNT_OF(rows) && !g->nodes[n].dead && g->nodes[n].body == 0; r++)
            if (!strcmp(rows[r].op_type, g->nodes[n].op_type)) TRY(rows[r].adjust(&a, n));
    return ST_OK;
}

void structure_adjust_convs(struct graph *g, const struct graph *before) {
    struct adjust a = {.g = g, .before = before};
    for (uint32_t n = 0; n < g->n_nodes; n++)
        if (!g->nodes[n].dead && op_table[g->nodes[n].op].kernel == KC_CONV && g->nodes[n].op != OP_QLinearConv)
            (void)!adjust_conv(&a, n);
}
