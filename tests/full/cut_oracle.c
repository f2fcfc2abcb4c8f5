/* What a cut must compute, made for comparison.
 *
 *     cut_oracle MODEL FOLDER SEED SHARE MUTANTS outer|inner
 *
 * Every weight is drawn again (He; biases and scales too), a share of every group of channels, a third of the residual
 * blocks and some of the rims of large kernels go, chosen at random. Written to the folder: cut.onnx; reference.onnx,
 * the whole model with what was removed zeroed wherever an axis is summed, which is the only place where a removed
 * index can matter; mutant_N.onnx, the cut with one kept slice of one weight taken from a removed place; kept.json, the
 * indices that were kept of every tensor; met.json, by mutant, the channels that its wrong slice is multiplied with,
 * where that can be said. All tensors in between are outputs. */
#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend.h"
#include "passes.h"
#include "rewrite.h"

struct oracle {
    struct arena arena;
    struct diag diag;
    struct rng rng;
    struct graph *model;
    struct knobs knobs;
    struct config config;
    struct cut cut;
    struct graph *shortened, *reference;
    const char *folder;
};

/* ---- Weights with power ---- */

static void draw(struct oracle *o, uint32_t id, double mean, double deviation, bool positive) {
    struct tensor *t = id == NONE ? NULL : &o->knobs.g->tensors[id];
    if (!t || !(t->flags & TF_INITIALIZER) || t->dtype != DT_FLOAT || tensor_bytes(t) < 8) return;
    size_t n = (size_t)tensor_bytes(t) / sizeof(float);
    float *data = arena_array(&o->arena, n, sizeof *data);
    for (size_t i = 0; i < n; i++) {
        double value = mean + deviation * rng_normal(&o->rng);
        data[i] = (float)(positive ? exp(value) : value);
    }
    t->data = (struct data){ENC_RAW, NONE, 0, n * sizeof *data, (const uint8_t *)data};
    t->value = NULL;
}

static bool is(const struct node *n, const char *op) {
    return !strcmp(n->op_type, op);
}

static void draw_product(struct oracle *o, const struct node *n) {
    for (uint32_t i = 0; i < 2; i++) {
        const struct tensor *t = &o->knobs.g->tensors[n->inputs[i]];
        if (t->rank < 2) continue;
        bool summed_last = is(n, "Gemm") && i == 1 && node_int(n, "transB", 0);
        int64_t fan_in = t->dims[summed_last ? t->rank - 1 : t->rank - 2].value;
        draw(o, n->inputs[i], 0, sqrt(2.0 / (double)(fan_in > 0 ? fan_in : 1)), false);
    }
    if (is(n, "Gemm")) draw(o, node_in(n, 2), 0, 0.3, false);
}

static void draw_kernel(struct oracle *o, const struct node *n) {
    const struct tensor *w = &o->knobs.g->tensors[n->inputs[1]];
    int64_t fan_in = 1;
    for (int32_t i = 0; i < w->rank; i++)
        if (i != (is(n, "ConvTranspose") ? 1 : 0)) fan_in *= w->dims[i].value;
    draw(o, n->inputs[1], 0, sqrt(2.0 / (double)fan_in), false);
    draw(o, node_in(n, 2), 0, 0.3, false);
}

static void draw_node(struct oracle *o, const struct node *n) {
    if (is(n, "Conv") || is(n, "ConvTranspose"))
        draw_kernel(o, n);
    else if (is(n, "Gemm") || is(n, "MatMul"))
        draw_product(o, n);
    else if (is(n, "BatchNormalization")) {
        draw(o, n->inputs[1], 1, 0.3, false);
        draw(o, n->inputs[2], 0, 0.3, false);
        draw(o, n->inputs[3], 0, 0.3, false);
        draw(o, n->inputs[4], 0, 0.3, true);
    } else if (is(n, "LayerNormalization")) {
        draw(o, n->inputs[1], 1, 0.3, false);
        draw(o, node_in(n, 2), 0, 0.3, false);
    } else if (is(n, "LSTM") || is(n, "GRU")) {
        for (uint32_t i = 1; i < 4; i++) draw(o, node_in(n, i), 0, 0.3, false);
    } else if (is(n, "Add"))
        for (uint32_t i = 0; i < 2; i++) draw(o, n->inputs[i], 0, 0.3, false);
    else if (is(n, "Mul"))
        for (uint32_t i = 0; i < 2; i++) draw(o, n->inputs[i], 1, 0.3, false);
}

/* ---- The reference: nothing is taken away, sums leave it out ---- */

static uint32_t fresh(struct graph *g, const char *hint) {
    char name[96];
    snprintf(name, sizeof name, "oracle_%s_%zu", hint, g->n_tensors);
    return graph_add_tensor(g, 0, name);
}

static uint32_t constant(struct graph *g, const float *values, const dim *dims, int32_t rank) {
    uint32_t id = fresh(g, "constant");
    tensor_set_shape(g, id, DT_FLOAT, dims, rank);
    struct tensor *t = &g->tensors[id];
    t->flags = TF_INITIALIZER | TF_CONSTANT;
    t->stored_bytes = (uint64_t)tensor_bytes(t);
    t->data = (struct data){ENC_RAW, NONE, 0, t->stored_bytes, arena_copy(g->arena, values, (size_t)t->stored_bytes)};
    return id;
}

static uint32_t number(struct graph *g, double value) {
    return constant(g, &(float){(float)value}, NULL, 0);
}

/* Adds a node in the place before or after another one. */
static uint32_t add_node(struct graph *g, uint32_t place, bool after, const char *op, const uint32_t *inputs,
                         uint32_t n_inputs, uint32_t out, const struct attr *attrs, uint32_t n_attrs) {
    char name[96];
    snprintf(name, sizeof name, "oracle_%s_%zu", op, g->n_nodes);
    graph_add_node(g, 0, op, "", name, inputs, n_inputs, &out, 1, attrs, n_attrs);
    struct body *body = &g->bodies[0];
    size_t at = body->n_nodes - 1;
    uint32_t id = body->nodes[at];
    for (; at > 0 && body->nodes[at - 1] != place; at--) body->nodes[at] = body->nodes[at - 1];
    if (!after) body->nodes[at] = body->nodes[at - 1], at--;
    body->nodes[at] = id;
    return out;
}

static uint32_t new_like(struct graph *g, const char *hint, uint32_t like) {
    uint32_t id = fresh(g, hint);
    tensor_set_shape(g, id, g->tensors[like].dtype, g->tensors[like].dims, g->tensors[like].rank);
    return id;
}

static void replace_input(struct graph *g, uint32_t node, uint32_t from, uint32_t to) {
    struct node *n = &g->nodes[node];
    uint32_t *inputs = arena_copy(g->arena, n->inputs, n->n_inputs * sizeof *inputs);
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (inputs[i] == from) inputs[i] = to;
    n->inputs = inputs;
}

static void replace_output(struct graph *g, uint32_t node, uint32_t to) {
    g->nodes[node].outputs = arena_copy(g->arena, &to, sizeof to);
    g->tensors[to].producer = node;
}

static bool is_cut(const struct oracle *o, uint32_t tensor, int32_t axis) {
    int64_t size = cut_size(&o->cut, tensor, axis);
    return size >= 0 && size != couple_size(&o->knobs.coupling, tensor, axis);
}

/* 1 for what stays, 0 for what goes: along one axis, broadcast over the rest. */
static uint32_t mask(struct oracle *o, uint32_t tensor, int32_t axis) {
    int32_t rank = o->knobs.g->tensors[tensor].rank - axis;
    int64_t size = couple_size(&o->knobs.coupling, tensor, axis);
    float *values = arena_array(&o->arena, (size_t)size, sizeof *values);
    dim dims[RANK_MAX];
    for (int32_t i = 0; i < rank; i++) dims[i] = DIM(i ? 1 : size);
    for (int64_t i = 0; i < size; i++) values[i] = !cut_removes(&o->cut, tensor, axis, i);
    return constant(o->reference, values, dims, rank);
}

static uint32_t masked(struct oracle *o, uint32_t node, uint32_t tensor, uint32_t like, int32_t axis) {
    uint32_t out = new_like(o->reference, "masked", tensor);
    uint32_t inputs[] = {tensor, mask(o, like, axis)};
    return add_node(o->reference, node, false, "Mul", inputs, 2, out, NULL, 0);
}

static void zero(struct oracle *o, uint32_t id, int32_t axis) {
    struct tensor *t = &o->reference->tensors[id];
    int64_t inner = 1, size = t->dims[axis].value;
    for (int32_t i = axis + 1; i < t->rank; i++) inner *= t->dims[i].value;
    assert(t->dtype == DT_FLOAT && t->data.encoding == ENC_RAW && t->data.bytes);
    float *data = arena_copy(&o->arena, t->data.bytes, (size_t)tensor_bytes(t));
    for (int64_t i = 0; i < tensor_bytes(t) / (int64_t)sizeof *data; i++)
        if (cut_removes(&o->cut, id, axis, i / inner % size)) data[i] = 0;
    t->data.bytes = (const uint8_t *)data;
}

static void zero_contraction(struct oracle *o, const struct axis_use *use) {
    if (!is_cut(o, use->tensor, use->axis)) return;
    if (o->reference->tensors[use->tensor].flags & TF_INITIALIZER)
        zero(o, use->tensor, use->axis);
    else
        replace_input(o->reference, use->node, use->tensor, masked(o, use->node, use->tensor, use->tensor, use->axis));
}

/* The mean over fewer elements: what goes counts as nothing, the sum is divided by what stays. */
static void mask_reduction(struct oracle *o, const struct axis_use *use) {
    struct graph *g = o->reference;
    uint32_t x = g->nodes[use->node].inputs[0]; /* masked already when two axes are cut */
    replace_input(g, use->node, x, masked(o, use->node, x, use->tensor, use->axis));
    if (!is(&g->nodes[use->node], "ReduceMean")) return;
    uint32_t y = g->nodes[use->node].outputs[0], raw = new_like(g, "raw", y);
    double size = (double)couple_size(&o->knobs.coupling, use->tensor, use->axis);
    replace_output(g, use->node, raw);
    uint32_t inputs[] = {raw, number(g, size / (double)cut_size(&o->cut, use->tensor, use->axis))};
    add_node(g, use->node, true, "Mul", inputs, 2, y, NULL, 0);
}

static uint32_t mean(struct oracle *o, uint32_t node, uint32_t x, const struct axis_use *use) {
    struct graph *g = o->reference;
    dim dims[RANK_MAX];
    int32_t rank = g->tensors[x].rank;
    int64_t axis = use->axis;
    for (int32_t i = 0; i < rank; i++) dims[i] = i == axis ? DIM(1) : g->tensors[x].dims[i];
    struct attr axes = {.name = intern_str(g->names, "axes"), .type = AT_INTS, .n = 1, .ints = &axis};
    axes.ints = arena_copy(g->arena, &axis, sizeof axis);
    uint32_t reduced = fresh(g, "mean"), scaled = fresh(g, "scaled");
    tensor_set_shape(g, reduced, DT_FLOAT, dims, rank);
    tensor_set_shape(g, scaled, DT_FLOAT, dims, rank);
    uint32_t in = masked(o, node, x, use->tensor, use->axis);
    add_node(g, node, false, "ReduceMean", &in, 1, reduced, &axes, 1);
    double ratio = (double)couple_size(&o->knobs.coupling, use->tensor, use->axis) /
                   (double)cut_size(&o->cut, use->tensor, use->axis);
    uint32_t inputs[] = {reduced, number(g, ratio)};
    return add_node(g, node, false, "Mul", inputs, 2, scaled, NULL, 0);
}

static uint32_t binary(struct oracle *o, uint32_t node, const char *op, uint32_t a, uint32_t b, uint32_t like) {
    uint32_t inputs[] = {a, b};
    return add_node(o->reference, node, false, op, inputs, 2, new_like(o->reference, op, like), NULL, 0);
}

/* Over the last axis only: (x - mean) / sqrt(variance + epsilon) * scale + bias. */
static void mask_layer_norm(struct oracle *o, const struct axis_use *use) {
    struct graph *g = o->reference;
    uint32_t node = use->node, x = use->tensor;
    struct node n = g->nodes[node];
    assert(use->axis == g->tensors[x].rank - 1 && n.n_outputs == 1);
    uint32_t centred = binary(o, node, "Sub", x, mean(o, node, x, use), x);
    uint32_t variance = mean(o, node, binary(o, node, "Mul", centred, centred, x), use);
    uint32_t with = binary(o, node, "Add", variance, number(g, node_float(&n, "epsilon", 1e-5)), variance);
    uint32_t root = add_node(g, node, false, "Sqrt", &with, 1, new_like(g, "root", with), NULL, 0);
    uint32_t normal = binary(o, node, "Div", centred, root, x);
    uint32_t scaled = binary(o, node, "Mul", normal, n.inputs[1], x), y = n.outputs[0];
    g->nodes[node].dead = true;
    uint32_t inputs[] = {scaled, node_in(&n, 2) != NONE ? n.inputs[2] : number(g, 0)};
    add_node(g, node, false, "Add", inputs, 2, y, NULL, 0);
}

static void mask_statistics(struct oracle *o, const struct axis_use *use) {
    if (!is_cut(o, use->tensor, use->axis)) return;
    if (is(&o->reference->nodes[use->node], "LayerNormalization"))
        mask_layer_norm(o, use);
    else
        mask_reduction(o, use);
}

/* Of a block's output nothing counts; what it started from counts instead. */
static void silence_drops(struct oracle *o) {
    struct graph *g = o->reference;
    for (uint32_t i = 0; i < o->knobs.n_drops; i++) {
        const struct drop *drop = &o->knobs.drops[i];
        if (!o->config.dropped[i]) continue;
        uint32_t node = g->tensors[drop->output].producer, raw = new_like(g, "raw", drop->output);
        replace_output(g, node, raw);
        uint32_t silent[] = {raw, number(g, 0)}, sum[] = {drop->keep, new_like(g, "silent", raw)};
        add_node(g, node, true, "Mul", silent, 2, sum[1], NULL, 0);
        add_node(g, g->tensors[sum[1]].producer, true, "Add", sum, 2, drop->output, NULL, 0);
    }
}

static void make_reference(struct oracle *o) {
    o->reference = graph_clone(o->knobs.g, &o->arena);
    const struct coupling *c = &o->knobs.coupling;
    for (size_t i = 0; i < c->n_contractions; i++) zero_contraction(o, &c->contractions[i]);
    for (size_t i = 0; i < c->n_statistics; i++) mask_statistics(o, &c->statistics[i]);
    silence_drops(o);
}

/* ---- What is written ---- */

static bool is_compared(const struct oracle *o, const struct graph *g, uint32_t id) {
    const struct tensor *t = &g->tensors[id];
    return id < o->knobs.g->n_tensors && t->kind == TY_TENSOR && t->dtype == DT_FLOAT && t->body == 0 &&
           t->producer != NONE && !g->nodes[t->producer].dead && t->rank >= 0;
}

static void show_everything(const struct oracle *o, struct graph *g) {
    uint32_t *outputs = arena_array(g->arena, g->n_tensors + 1, sizeof *outputs), n = g->bodies[0].n_outputs;
    memcpy(outputs, g->bodies[0].outputs, n * sizeof *outputs);
    for (uint32_t id = 0; id < g->n_tensors; id++) {
        if (!is_compared(o, g, id) || g->tensors[id].flags & TF_OUTPUT) continue;
        if (!is_compared(o, o->shortened, id)) continue;
        outputs[n++] = id;
        g->tensors[id].flags |= TF_OUTPUT;
    }
    g->bodies[0].outputs = outputs;
    g->bodies[0].n_outputs = n;
}

static enum status write_model(struct oracle *o, struct graph *g, const char *name) {
    return onnx_write(g, arena_printf(&o->arena, "%s/%s.onnx", o->folder, name), false, &o->diag);
}

static cJSON *kept_axes(const struct oracle *o, uint32_t id) {
    cJSON *axes = cJSON_CreateObject();
    char name[16];
    for (int32_t axis = 0; axis < o->knobs.g->tensors[id].rank; axis++) {
        if (!is_cut(o, id, axis)) continue;
        snprintf(name, sizeof name, "%d", axis);
        cJSON *kept = cJSON_AddArrayToObject(axes, name);
        for (int64_t i = 0; i < couple_size(&o->knobs.coupling, id, axis); i++)
            if (!cut_removes(&o->cut, id, axis, i)) cJSON_AddItemToArray(kept, cJSON_CreateNumber((double)i));
    }
    return axes;
}

static enum status write_json(struct oracle *o, const char *name, cJSON *json) {
    struct file_out out;
    TRY(file_out_open(&out, arena_printf(&o->arena, "%s/%s.json", o->folder, name), &o->diag));
    char *text = cJSON_PrintUnformatted(json);
    fputs(text, out.stream);
    cJSON_free(text);
    cJSON_Delete(json);
    return file_out_commit(&out, &o->diag);
}

static enum status write_kept(struct oracle *o) {
    cJSON *json = cJSON_CreateObject();
    for (uint32_t id = 0; id < o->knobs.g->n_tensors; id++)
        if (is_compared(o, o->shortened, id))
            cJSON_AddItemToObject(json, o->shortened->tensors[id].name, kept_axes(o, id));
    return write_json(o, "kept", json);
}

/* ---- Mutants ---- */

struct place { /* in a weight of the cut */
    uint32_t tensor;
    int32_t axis;
};

static size_t places(struct oracle *o, struct place *out) {
    const struct graph *g = o->shortened;
    size_t n = 0;
    for (size_t b = 0; b < g->n_nodes; b++)
        for (uint32_t i = 0; !g->nodes[b].dead && i < g->nodes[b].n_inputs; i++) {
            uint32_t id = g->nodes[b].inputs[i];
            if (id == NONE || id >= o->knobs.g->n_tensors) continue;
            const struct tensor *t = &g->tensors[id];
            if (!(t->flags & TF_INITIALIZER) || t->dtype != DT_FLOAT) continue;
            for (int32_t axis = 0; axis < t->rank; axis++)
                if (is_cut(o, id, axis)) out[n++] = (struct place){id, axis};
        }
    return n;
}

static int64_t nth(const struct oracle *o, const struct place *p, bool removed, int64_t n) {
    for (int64_t i = 0;; i++)
        if (cut_removes(&o->cut, p->tensor, p->axis, i) == removed && n-- == 0) return i;
}

/* Element `flat` of the cut tensor, as an element of the whole one; along the place's axis `swapped` is `instead`. */
static int64_t whole_element(const struct oracle *o, const struct place *p, int64_t flat, int64_t swapped,
                             int64_t instead) {
    const struct tensor *cut = &o->shortened->tensors[p->tensor], *whole = &o->knobs.g->tensors[p->tensor];
    int64_t stride = 1, at = 0;
    for (int32_t axis = cut->rank - 1; axis >= 0; axis--) {
        struct place here = {p->tensor, axis};
        int64_t index = nth(o, &here, false, flat % cut->dims[axis].value);
        if (axis == p->axis && index == swapped) index = instead;
        flat /= cut->dims[axis].value;
        at += index * stride;
        stride *= whole->dims[axis].value;
    }
    return at;
}

/* False when the slice holds the same numbers as the one it took the place of. */
static bool mutate(struct oracle *o, struct graph *g, const struct place *p, int64_t *position_out) {
    struct tensor *t = &g->tensors[p->tensor];
    const struct tensor *whole = &o->knobs.g->tensors[p->tensor];
    int64_t kept = t->dims[p->axis].value, gone = whole->dims[p->axis].value - kept;
    int64_t position = (int64_t)rng_below(&o->rng, (uint64_t)kept), inner = 1;
    int64_t from = nth(o, p, true, (int64_t)rng_below(&o->rng, (uint64_t)gone)), swapped = nth(o, p, false, position);
    const uint8_t *before = t->data.bytes;
    float *data = arena_copy(&o->arena, before, (size_t)tensor_bytes(t));
    for (int32_t i = p->axis + 1; i < t->rank; i++) inner *= t->dims[i].value;
    for (int64_t i = 0; i < tensor_bytes(t) / (int64_t)sizeof *data; i++)
        if (i / inner % kept == position)
            memcpy(&data[i], whole->data.bytes + 4 * whole_element(o, p, i, swapped, from), sizeof *data);
    t->data.bytes = (const uint8_t *)data;
    *position_out = position;
    return memcmp(data, before, (size_t)tensor_bytes(t)) != 0;
}

/* The one convolution that reads the weight; NULL when something else does, or several do. */
static const struct node *convolution_of(const struct graph *g, uint32_t weight) {
    const struct node *found = NULL;
    for (size_t n = 0; n < g->n_nodes; n++)
        for (uint32_t i = 0; !g->nodes[n].dead && i < g->nodes[n].n_inputs; i++) {
            if (g->nodes[n].inputs[i] != weight) continue;
            if (found || i != 1 || !is(&g->nodes[n], "Conv")) return NULL;
            found = &g->nodes[n];
        }
    return found;
}

/* The channels that the changed slice is multiplied with, where those are all: zeros there prove that it cannot show.
 */
static void note_met(const struct oracle *o, cJSON *all, const char *mutant, const struct place *p, int64_t position) {
    const struct tensor *w = &o->shortened->tensors[p->tensor];
    const struct node *n = convolution_of(o->shortened, p->tensor);
    int64_t groups = n ? node_int(n, "group", 1) : 0;
    bool by_column = n && p->axis == 1, depthwise = n && p->axis == 0 && groups > 1 && dim_is(w->dims[1], 1);
    if (!by_column && !depthwise) return;
    cJSON *met = cJSON_AddObjectToObject(all, mutant);
    cJSON_AddStringToObject(met, "tensor", o->shortened->tensors[n->inputs[0]].name);
    cJSON *channels = cJSON_AddArrayToObject(met, "channels");
    if (depthwise) cJSON_AddItemToArray(channels, cJSON_CreateNumber((double)(position / (w->dims[0].value / groups))));
    for (int64_t i = 0; by_column && i < groups; i++)
        cJSON_AddItemToArray(channels, cJSON_CreateNumber((double)(i * w->dims[1].value + position)));
}

static enum status write_mutants(struct oracle *o, long count) {
    size_t room = 0;
    for (size_t n = 0; n < o->shortened->n_nodes; n++) room += 8u * o->shortened->nodes[n].n_inputs;
    struct place *all = arena_array(&o->arena, room + 1, sizeof *all);
    size_t n = places(o, all);
    cJSON *met = cJSON_CreateObject();
    for (long i = 0, tries = 0; i < count && n && tries < 100; tries++) {
        struct graph *g = graph_clone(o->shortened, &o->arena);
        const struct place *p = &all[rng_below(&o->rng, n)];
        int64_t position;
        if (!mutate(o, g, p, &position)) continue;
        const char *name = arena_printf(&o->arena, "mutant_%ld", i++);
        printf("%s: axis %d of %s\n", name, p->axis, g->tensors[p->tensor].name);
        note_met(o, met, name, p, position);
        TRY(write_model(o, g, name));
    }
    return write_json(o, "met", met);
}

/* ---- Putting it together ---- */

static void choose_setting(struct oracle *o, double share) {
    o->config = config_new(&o->knobs, &o->arena);
    for (uint32_t i = 0; i < o->knobs.n_groups; i++) {
        double steps = share * o->knobs.groups[i].n_units / (double)o->knobs.groups[i].step;
        o->config.removed[i] = (uint16_t)fmin(ceil(steps), o->knobs.groups[i].n_steps);
    }
    for (uint32_t i = 0; i < o->knobs.n_drops; i++) o->config.dropped[i] = rng_below(&o->rng, 3) == 0;
    for (uint32_t i = 0; i < o->knobs.n_crops; i++)
        o->config.cropped[i] = (uint16_t)rng_below(&o->rng, o->knobs.crops[i].n_steps + 1u);
}

static enum status make(struct oracle *o, char **argv) {
    TRY(onnx_read(&o->model, argv[1], true, &o->arena, &o->diag));
    struct run run = {.graph = o->model, .scratch = &o->arena, .diag = &o->diag};
    TRY(passes_run(&run, PASSES_ANALYSIS));
    uint64_t seed = strtoull(argv[3], NULL, 10);
    rng_seed(&o->rng, seed);
    o->folder = argv[2];
    knobs_find(&o->knobs, o->model, strcmp(argv[6], "inner") ? COUPLING_OUTER : COUPLING_INNER, 1, IMPORTANCE_RANDOM,
               seed, &o->arena);
    for (size_t n = 0; n < o->model->n_nodes; n++)
        if (!o->model->nodes[n].dead) draw_node(o, &o->model->nodes[n]);
    choose_setting(o, strtod(argv[4], NULL));
    o->cut = cut_start(&o->knobs, &o->config, true, &o->arena);
    TRY(rewrite_apply(&o->knobs, &o->config, &o->arena, &o->shortened, &o->diag));
    make_reference(o);
    show_everything(o, o->reference);
    show_everything(o, o->shortened);
    TRY(write_kept(o));
    TRY(write_model(o, o->reference, "reference"));
    TRY(write_model(o, o->shortened, "cut"));
    return write_mutants(o, strtol(argv[5], NULL, 10));
}

int main(int argc, char **argv) {
    static struct oracle o;
    if (argc != 7) return 2;
    arena_init(&o.arena, NULL, NULL);
    diag_init(&o.diag, &o.arena);
    enum status status = make(&o, argv);
    if (status != ST_OK) fprintf(stderr, "%s\n", o.diag.message);
    graph_close(o.model);
    arena_free(&o.arena);
    return status != ST_OK;
}
