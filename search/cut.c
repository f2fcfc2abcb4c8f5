/* Applying a setting: weights are sliced, bypassed blocks fall away, every tensor takes its new shape. */
#include "rewrite.h"

#include <string.h>

static void mark_rim(const struct knobs *k, uint32_t weight, int64_t steps, bool *removed) {
    for (int32_t axis = 2; axis < k->g->tensors[weight].rank; axis++) {
        int64_t side = couple_size(&k->coupling, weight, axis);
        for (int64_t i = 0; i < crop_rim(side, steps); i++)
            removed[couple_element(&k->coupling, weight, axis, i)] =
                removed[couple_element(&k->coupling, weight, axis, side - 1 - i)] = true;
    }
}

static const bool *mark_removed(const struct knobs *k, const struct config *config, struct arena *arena) {
    bool *removed = arena_array(arena, (size_t)k->coupling.n + 1, sizeof *removed);
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (int64_t i = 0; i < config->removed[g] * k->groups[g].step; i++)
            removed[k->groups[g].units[k->groups[g].order[i]]] = true;
    for (uint32_t i = 0; i < k->n_crops; i++) mark_rim(k, k->crops[i].weight, config->cropped[i], removed);
    return removed;
}

struct cut cut_start(const struct knobs *k, const struct config *config, bool with_indices, struct arena *arena) {
    int64_t *sizes = arena_copy(arena, k->sizes, k->n_axes * sizeof *sizes);
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (uint32_t i = 0; config->removed[g] && i < k->groups[g].n_axes; i++) {
            const struct group_axis *axis = &k->groups[g].axes[i];
            sizes[k->coupling.first_axis[axis->tensor] + (uint32_t)axis->axis] -=
                config->removed[g] * k->groups[g].step * axis->per_unit;
        }
    for (uint32_t i = 0; i < k->n_crops; i++)
        for (int32_t axis = 2; axis < k->g->tensors[k->crops[i].weight].rank; axis++) {
            int64_t *side = &sizes[k->coupling.first_axis[k->crops[i].weight] + (uint32_t)axis];
            *side -= 2 * crop_rim(*side, config->cropped[i]);
        }
    return (struct cut){k, sizes, with_indices ? mark_removed(k, config, arena) : NULL, arena};
}

bool cut_removes(const struct cut *cut, uint32_t tensor, int32_t axis, int64_t index) {
    uint32_t class_ = couple_element(&cut->knobs->coupling, tensor, axis, index);
    return class_ != NONE && cut->removed[class_];
}

int64_t cut_before(const struct cut *cut, uint32_t tensor, int32_t axis, int64_t index) {
    int64_t kept = 0;
    for (int64_t i = 0; i < index; i++) kept += !cut_removes(cut, tensor, axis, i);
    return kept;
}

int64_t cut_size(const struct cut *cut, uint32_t tensor, int32_t axis) {
    return cut->sizes[cut->knobs->coupling.first_axis[tensor] + (uint32_t)axis];
}

/* Copies the kept elements, axis by axis from the outside. */
struct slicer {
    const bool *kept[RANK_MAX];
    int64_t sizes[RANK_MAX];
    int32_t rank;
    size_t width; /* bytes of an element */
    const uint8_t *from;
    uint8_t *to;
};

static void slice_axis(struct slicer *s, int32_t axis) {
    if (axis == s->rank) {
        memcpy(s->to, s->from, s->width);
        s->to += s->width;
        s->from += s->width;
        return;
    }
    size_t stride = s->width;
    bool whole = true;
    for (int32_t i = axis + 1; i < s->rank; i++) {
        stride *= (size_t)s->sizes[i];
        whole = whole && !s->kept[i];
    }
    for (int64_t i = 0; i < s->sizes[axis]; i++) {
        if (s->kept[axis] && !s->kept[axis][i])
            s->from += stride;
        else if (whole) {
            memcpy(s->to, s->from, stride);
            s->to += stride;
            s->from += stride;
        } else
            slice_axis(s, axis + 1);
    }
}

static const bool *kept_of(const struct cut *cut, uint32_t tensor, int32_t axis, int64_t size) {
    bool *kept = arena_array(cut->arena, (size_t)size + 1, sizeof *kept), all = true;
    for (int64_t i = 0; i < size; i++) {
        kept[i] = !cut_removes(cut, tensor, axis, i);
        all = all && kept[i];
    }
    return all ? NULL : kept;
}

static void slice_data(const struct cut *cut, uint32_t id, struct tensor *t) {
    const struct tensor *before = &cut->knobs->g->tensors[id];
    struct slicer s = {.rank = t->rank, .width = dtype_bits(t->dtype) / 8, .from = before->data.bytes};
    if (!before->data.bytes || (uint64_t)tensor_bytes(before) > before->data.length) return;
    for (int32_t axis = 0; axis < t->rank; axis++) {
        s.sizes[axis] = before->dims[axis].value;
        s.kept[axis] = kept_of(cut, id, axis, s.sizes[axis]);
    }
    uint8_t *bytes = s.to = arena_alloc(cut->arena, (size_t)tensor_bytes(t) + 1);
    slice_axis(&s, 0);
    t->data = (struct data){ENC_RAW, NONE, 0, (uint64_t)tensor_bytes(t), bytes};
}

/* ---- Sparse weights ---- */

/* Where element i lies in the whole tensor; false when that is nowhere. */
static bool coordinates(const struct tensor *t, const int64_t *places, int64_t i, int64_t *at) {
    int64_t flat = t->sparse->flat ? places[i] : 0;
    for (int32_t axis = t->rank - 1; axis >= 0; axis--) {
        int64_t size = t->dims[axis].value;
        at[axis] = t->sparse->flat ? flat % size : places[i * t->rank + axis];
        if (at[axis] < 0 || at[axis] >= size) return false;
        flat /= size;
    }
    return flat == 0;
}

/* What stays is where the elements before it that stay have left it. */
static bool moved(const struct cut *cut, uint32_t id, int32_t rank, int64_t *at) {
    for (int32_t axis = 0; axis < rank; axis++) {
        if (cut_removes(cut, id, axis, at[axis])) return false;
        at[axis] = cut_before(cut, id, axis, at[axis]);
    }
    return true;
}

static int64_t *put_place(const struct tensor *t, const int64_t *at, int64_t *out) {
    int64_t flat = 0;
    for (int32_t axis = 0; axis < t->rank; axis++)
        if (t->sparse->flat)
            flat = flat * t->dims[axis].value + at[axis];
        else
            *out++ = at[axis];
    if (t->sparse->flat) *out++ = flat;
    return out;
}

/* The places that stay are written over those read before. */
static void slice_sparse(const struct cut *cut, struct graph *g, uint32_t id) {
    struct tensor *t = &g->tensors[id];
    const struct tensor *before = &cut->knobs->g->tensors[id];
    const struct sparse *from = before->sparse;
    size_t width = dtype_bits(t->dtype) / 8;
    struct sparse *kept = arena_copy(cut->arena, from, sizeof *from);
    int64_t *places = arena_array(cut->arena, sparse_place_count(before) + 1, sizeof *places), *end = places;
    uint8_t *values = arena_alloc(cut->arena, (size_t)from->n * width + 1);
    kept->n = 0;
    bool there = from->values.bytes && sparse_places(before, places);
    for (int64_t i = 0; there && i < from->n; i++) {
        int64_t at[RANK_MAX];
        if (!coordinates(before, places, i, at) || !moved(cut, id, t->rank, at)) continue;
        end = put_place(t, at, end);
        memcpy(values + (size_t)kept->n++ * width, from->values.bytes + (size_t)i * width, width);
    }
    kept->values = (struct data){ENC_RAW, NONE, 0, (uint64_t)kept->n * width, values};
    kept->indices = (struct data){ENC_RAW, NONE, 0, (uint64_t)(end - places) * sizeof *places, (uint8_t *)places};
    t->sparse = kept;
}

/* ---- Shapes ---- */

/* The new shape; true when it differs from the old one. */
static bool shrink(const struct cut *cut, struct graph *g, uint32_t id) {
    const struct tensor *t = &g->tensors[id];
    dim dims[RANK_MAX];
    bool changed = false;
    for (int32_t axis = 0; axis < t->rank; axis++) {
        int64_t size = cut_size(cut, id, axis);
        dims[axis] = size < 0 || size == couple_size(&cut->knobs->coupling, id, axis) ? t->dims[axis] : DIM(size);
        changed = changed || !dim_same(dims[axis], t->dims[axis]);
    }
    if (changed) tensor_set_shape(g, id, t->dtype, dims, t->rank);
    return changed;
}

static void shrink_all(const struct cut *cut, struct graph *g) {
    for (uint32_t id = 0; id < cut->knobs->g->n_tensors; id++) {
        struct tensor *t = &g->tensors[id];
        if (!shrink(cut, g, id)) continue;
        t->value = NULL;
        if (!(t->flags & TF_INITIALIZER)) continue;
        t->stored_bytes = (uint64_t)tensor_bytes(t);
        if (!cut->removed)
            t->data = (struct data){.encoding = ENC_NONE, .file = NONE};
        else if (t->sparse)
            slice_sparse(cut, g, id);
        else
            slice_data(cut, id, t);
    }
}

static uint32_t resolve(const uint32_t *alias, uint32_t tensor) {
    while (tensor != NONE && alias[tensor] != tensor) tensor = alias[tensor];
    return tensor;
}

static void bypass(const struct knobs *k, const struct config *config, struct graph *g, struct arena *arena) {
    uint32_t *alias = arena_array(arena, g->n_tensors + 1, sizeof *alias);
    bool any = false;
    for (uint32_t t = 0; t < g->n_tensors; t++) alias[t] = t;
    for (uint32_t i = 0; i < k->n_drops; i++) {
        if (!config->dropped[i]) continue;
        alias[k->drops[i].output] = k->drops[i].keep;
        any = true;
    }
    for (size_t n = 0; n < g->n_nodes && any; n++) {
        uint32_t *inputs = arena_copy(arena, g->nodes[n].inputs, g->nodes[n].n_inputs * sizeof *inputs);
        for (uint32_t i = 0; i < g->nodes[n].n_inputs; i++) inputs[i] = resolve(alias, inputs[i]);
        g->nodes[n].inputs = inputs;
    }
}

/* What reaches no output any more, from the end backwards. */
static void bury(struct graph *g, struct arena *arena) {
    bool *needed = arena_array(arena, g->n_tensors + 1, sizeof *needed);
    const struct body *body = &g->bodies[0];
    for (uint32_t i = 0; i < body->n_outputs; i++) needed[body->outputs[i]] = true;
    for (size_t n = 0; n < g->n_nodes; n++) /* subgraphs may read anything */
        for (uint32_t i = 0; g->nodes[n].body != 0 && i < g->nodes[n].n_inputs; i++)
            if (g->nodes[n].inputs[i] != NONE) needed[g->nodes[n].inputs[i]] = true;
    for (size_t b = body->n_nodes; b-- > 0;) {
        struct node *node = &g->nodes[body->nodes[b]];
        bool used = false;
        for (uint32_t i = 0; i < node->n_outputs; i++)
            used = used || (node->outputs[i] != NONE && needed[node->outputs[i]]);
        if (!used) node->dead = true;
        for (uint32_t i = 0; !node->dead && i < node->n_inputs; i++)
            if (node->inputs[i] != NONE) needed[node->inputs[i]] = true;
    }
}

static struct graph *shrunk(const struct knobs *k, const struct config *config, const struct cut *cut,
                            const struct graph *of) {
    struct graph *g = graph_clone(of, cut->arena);
    bypass(k, config, g, cut->arena);
    bury(g, cut->arena);
    shrink_all(cut, g);
    return g;
}

struct graph *rewrite_shapes(const struct knobs *k, const struct config *config, const struct graph *of,
                             struct arena *arena) {
    struct cut cut = cut_start(k, config, false, arena);
    struct graph *g = shrunk(k, config, &cut, of);
    structure_adjust_convs(g, of);
    return g;
}

static bool *read_in(const struct graph *g, bool living_only, struct arena *arena) {
    bool *read = arena_array(arena, g->n_tensors + 1, sizeof *read);
    for (size_t n = 0; n < g->n_nodes; n++)
        for (uint32_t i = 0; !(living_only && g->nodes[n].dead) && i < g->nodes[n].n_inputs; i++)
            if (g->nodes[n].inputs[i] != NONE) read[g->nodes[n].inputs[i]] = true;
    return read;
}

/* Operands that others took the place of are not written. One that nothing read to begin with is none of ours. */
static void forget_unread(const struct knobs *k, struct graph *g, struct arena *arena) {
    const bool *before = read_in(k->g, false, arena), *now = read_in(g, true, arena);
    for (size_t t = 0; t < k->g->n_tensors; t++)
        if (before[t] && !now[t] && !(g->tensors[t].flags & (TF_OUTPUT | TF_CAPTURED)))
            g->tensors[t].flags &= ~(uint32_t)TF_INITIALIZER;
}

enum status rewrite_apply(const struct knobs *k, const struct config *config, struct arena *arena, struct graph **out,
                          struct diag *diag) {
    struct cut cut = cut_start(k, config, true, arena);
    *out = shrunk(k, config, &cut, k->g);
    TRY(structure_adjust(*out, &cut, diag));
    merge_copies(*out, k, arena);
    forget_unread(k, *out, arena);
    return ST_OK;
}

static bool survives(const struct graph *g, uint32_t id) {
    uint32_t producer = g->tensors[id].producer;
    return producer != NONE && !g->nodes[producer].dead;
}

enum status rewrite_verify(const struct knobs *k, const struct config *config, const struct graph *of,
                           const struct graph *g, struct arena *scratch, struct diag *diag) {
    struct cut cut = cut_start(k, config, false, scratch);
    enum status status = ST_OK;
    for (uint32_t id = 0; id < k->g->n_tensors && status == ST_OK; id++) {
        const struct tensor *t = &g->tensors[id], *before = &k->g->tensors[id];
        if (!survives(g, id) || before->rank < 0) continue;
        for (int32_t axis = 0; axis < before->rank && status == ST_OK; axis++) {
            int64_t size = cut_size(&cut, id, axis);
            dim whole = of->tensors[id].dims[axis];
            if (size == couple_size(&k->coupling, id, axis)) size = dim_is_number(whole) ? whole.value : -1;
            if (size >= 0 && (axis >= t->rank || !dim_is(t->dims[axis], size)))
                status = diag_fail(diag, ST_MODEL, "%s: %s: axis %d of \"%s\" should have %lld elements after the cut",
                                   g->path, node_label((struct graph *)(uintptr_t)g, t->producer), axis, t->name,
                                   (long long)size);
        }
    }
    return status;
}
