#include "writer.h"

#include <string.h>

enum { IR_FREE_INITIALIZERS = 4 /* before it, initializers are inputs too */ };

struct body_out {
    struct writer *w;
    uint32_t id;
    const struct body *body;
    const Onnx__GraphProto *origin; /* NULL */
    Onnx__GraphProto *g;
    struct map infos; /* the messages of `origin` that describe a tensor -> the tensor */
};

static struct tensor_origin *origin_of(const struct tensor *t) {
    return (struct tensor_origin *)t->origin;
}

/* ---- What tensors there are ---- */

static bool is_written_initializer(const struct writer *w, uint32_t id) {
    const struct tensor *t = &w->graph->tensors[id];
    uint8_t use = w->use[id];
    if (!(t->flags & TF_INITIALIZER) || use & USE_ATTRIBUTE) return false;
    return use & USE_READ || !(use & USE_FORGOTTEN);
}

static bool is_input(const struct tensor *t) {
    return t->flags & (TF_INPUT | TF_PRIVATE);
}

static bool is_written(const struct writer *w, uint32_t id) {
    const struct tensor *t = &w->graph->tensors[id];
    if (is_input(t) || is_written_initializer(w, id)) return true;
    return t->producer != NONE && w->written[t->producer];
}

static enum status put_initializers(struct body_out *o) {
    struct writer *w = o->w;
    uint32_t first = w->body_start[o->id], last = w->body_start[o->id + 1];
    Onnx__GraphProto *g = o->g;
    g->n_initializer = g->n_sparse_initializer = 0;
    g->initializer = arena_array(w->arena, last - first, sizeof(void *));
    g->sparse_initializer = arena_array(w->arena, last - first, sizeof(void *));
    for (uint32_t i = first; i < last; i++) {
        uint32_t id = w->body_list[i];
        if (!is_written_initializer(w, id)) continue;
        if (is_sparse(w, id))
            TRY(write_sparse(w, id, &g->sparse_initializer[g->n_sparse_initializer++]));
        else
            TRY(write_dense(w, id, &g->initializer[g->n_initializer++]));
    }
    return ST_OK;
}

/* ---- What is said of their types ---- */

static bool same_type(const struct tensor *t, const struct declared *was) {
    if (t->kind != was->kind || t->dtype != was->dtype || t->rank != was->rank) return false;
    for (int32_t i = 0; i < t->rank; i++) {
        bool both_unknown = dim_is_unknown(t->dims[i]) && dim_is_unknown(was->dims[i]);
        if (!both_unknown && !dim_same(t->dims[i], was->dims[i])) return false;
    }
    return true;
}

/* The message itself while the type is the one that was read; else one for the type as it is now. */
static Onnx__ValueInfoProto *describe(struct body_out *o, uint32_t id, const Onnx__ValueInfoProto *was) {
    const struct tensor *t = &o->w->graph->tensors[id];
    bool same_name = was && strcmp(text_or(was->name, ""), t->name) == 0;
    if (same_name && same_type(t, &origin_of(t)->type)) return (Onnx__ValueInfoProto *)was;
    Onnx__ValueInfoProto *info = arena_alloc(o->w->arena, sizeof *info);
    onnx__value_info_proto__init(info);
    if (was) *info = *was;
    info->name = write_name(o->w, id);
    if (t->kind == TY_TENSOR || !was) info->type = write_type(o->w, t->kind, t->dtype, t->rank, t->dims);
    return info;
}

static void collect_infos(struct body_out *o) {
    map_init(&o->infos, o->w->arena);
    for (uint32_t i = o->w->body_start[o->id]; i < o->w->body_start[o->id + 1]; i++) {
        uint32_t id = o->w->body_list[i];
        struct tensor_origin *origin = origin_of(&o->w->graph->tensors[id]);
        if (!origin) continue;
        if (origin->input) map_put(&o->infos, &origin->input, sizeof origin->input, id);
        if (origin->hint) map_put(&o->infos, &origin->hint, sizeof origin->hint, id);
    }
}

static uint32_t described_by(const struct body_out *o, Onnx__ValueInfoProto *const *info) {
    uint32_t id;
    return map_get(&o->infos, info, sizeof *info, &id) ? id : NONE;
}

static bool is_listed_before(const struct body_out *o, uint32_t id) {
    const struct tensor_origin *origin = origin_of(&o->w->graph->tensors[id]);
    return o->origin && origin && origin->input;
}

static void put_inputs(struct body_out *o) {
    struct writer *w = o->w;
    Onnx__GraphProto *g = o->g;
    uint32_t first = w->body_start[o->id], last = w->body_start[o->id + 1];
    size_t room = (o->origin ? o->origin->n_input : 0) + o->body->n_inputs + (last - first);
    g->input = arena_array(w->arena, room, sizeof(void *));
    g->n_input = 0;
    for (size_t i = 0; o->origin && i < o->origin->n_input; i++) {
        uint32_t id = described_by(o, &o->origin->input[i]);
        if (id != NONE && is_written(w, id)) g->input[g->n_input++] = describe(o, id, o->origin->input[i]);
    }
    for (uint32_t i = 0; i < o->body->n_inputs; i++)
        if (!is_listed_before(o, o->body->inputs[i])) g->input[g->n_input++] = describe(o, o->body->inputs[i], NULL);
    if (o->id != 0 || w->graph->ir_version >= IR_FREE_INITIALIZERS || w->graph->ir_version == 0) return;
    for (uint32_t i = first; i < last; i++) {
        uint32_t id = w->body_list[i];
        if (is_written_initializer(w, id) && !is_listed_before(o, id)) g->input[g->n_input++] = describe(o, id, NULL);
    }
}

static void put_outputs(struct body_out *o) {
    o->g->n_output = o->body->n_outputs;
    o->g->output = arena_array(o->w->arena, o->body->n_outputs, sizeof(void *));
    for (uint32_t i = 0; i < o->body->n_outputs; i++) {
        const struct tensor_origin *origin = origin_of(&o->w->graph->tensors[o->body->outputs[i]]);
        o->g->output[i] = describe(o, o->body->outputs[i], o->origin && origin ? origin->output : NULL);
    }
}

/* Entries about tensors that are gone, or of which nothing is known any more, go; those about names that never meant
 * anything stay. */
static void put_values(struct body_out *o) {
    const struct writer *w = o->w;
    if (!o->origin) return;
    o->g->value_info = arena_array(w->arena, o->origin->n_value_info, sizeof(void *));
    o->g->n_value_info = 0;
    for (size_t i = 0; i < o->origin->n_value_info; i++) {
        Onnx__ValueInfoProto *info = o->origin->value_info[i];
        uint32_t id = described_by(o, &o->origin->value_info[i]);
        if (id != NONE) {
            if (!is_written(w, id)) continue;
            info = describe(o, id, info);
            if (!info->type && o->origin->value_info[i]->type) continue;
        }
        o->g->value_info[o->g->n_value_info++] = info;
    }
}

/* ---- Nodes ---- */

static char **put_names(struct writer *w, const uint32_t *ids, uint32_t n) {
    char **names = arena_array(w->arena, n, sizeof *names);
    for (uint32_t i = 0; i < n; i++) names[i] = ids[i] == NONE ? write_text(w, "") : write_name(w, ids[i]);
    return names;
}

static enum status put_node(struct writer *w, const struct node *from, Onnx__NodeProto **out) {
    Onnx__NodeProto *node = arena_alloc(w->arena, sizeof *node);
    onnx__node_proto__init(node);
    const Onnx__NodeProto *origin = from->origin;
    if (origin) *node = *origin;
    node->n_input = from->n_inputs;
    node->input = put_names(w, from->inputs, from->n_inputs);
    node->n_output = from->n_outputs;
    node->output = put_names(w, from->outputs, from->n_outputs);
    if (strcmp(text_or(node->name, ""), from->name) != 0) node->name = write_text(w, from->name);
    if (strcmp(text_or(node->op_type, ""), from->op_type) != 0) node->op_type = write_text(w, from->op_type);
    if (strcmp(domain_of(node->domain), from->domain) != 0) node->domain = write_text(w, from->domain);
    *out = node;
    return write_attrs(w, from, node);
}

static enum status put_nodes(struct body_out *o) {
    struct writer *w = o->w;
    o->g->node = arena_array(w->arena, o->body->n_nodes, sizeof(void *));
    o->g->n_node = 0;
    for (size_t i = 0; i < o->body->n_nodes; i++) {
        uint32_t id = o->body->nodes[i];
        if (w->written[id]) TRY(put_node(w, &w->graph->nodes[id], &o->g->node[o->g->n_node++]));
    }
    return ST_OK;
}

enum status write_body(struct writer *w, uint32_t id, Onnx__GraphProto **out) {
    struct body_out o = {.w = w, .id = id, .body = &w->graph->bodies[id]};
    if (w->origin && id < w->origin->n_bodies) o.origin = w->origin->bodies[id];
    o.g = arena_alloc(w->arena, sizeof *o.g);
    onnx__graph_proto__init(o.g);
    if (o.origin) *o.g = *o.origin;
    if (!o.origin) o.g->name = write_text(w, *o.body->name ? o.body->name : "graph");
    collect_infos(&o);
    TRY(put_nodes(&o));
    TRY(put_initializers(&o));
    put_inputs(&o);
    put_outputs(&o);
    put_values(&o);
    *out = o.g;
    return ST_OK;
}
