/* From coupled indices to knobs: classes that hold the same axes are units of one group. */
#include "rewrite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_UNITS = 2 }; /* an axis of one would broadcast where it did not before */

struct axis_place {
    uint32_t tensor;
    int32_t axis;
};

static bool next_axis(const struct graph *g, struct axis_place *at) {
    at->axis++;
    while (at->tensor < g->n_tensors && at->axis >= g->tensors[at->tensor].rank) {
        at->tensor++;
        at->axis = 0;
    }
    return at->tensor < g->n_tensors;
}

static uint64_t mix(uint64_t hash, uint64_t with) {
    hash ^= with + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
    return hash * 0xff51afd7ed558ccdu;
}

/* Weights of convolutions, matrix products and recurrent cells: what pruning is about. */
static bool *mac_weights(const struct graph *g, struct arena *arena) {
    bool *is = arena_array(arena, g->n_tensors + 1, sizeof *is);
    for (size_t n = 0; n < g->n_nodes; n++) {
        const struct node *node = &g->nodes[n];
        uint32_t weight;
        for (uint32_t i = 0; !node->dead && i < node->n_inputs; i++)
            if ((weight = weight_behind(g, node, node->inputs[i])) != NONE) is[weight] = true;
    }
    return is;
}

struct signature {
    uint64_t hash;
    uint32_t class_;
};

static int by_signature(const void *a, const void *b) {
    const struct signature *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->class_ > y->class_) - (x->class_ < y->class_);
}

/* One signature a class that may go and has an element of a weight; axes come in one order, so equal multisets hash
 * alike. */
static size_t sign_classes(const struct coupling *c, const bool *weights, struct signature *out, struct arena *arena) {
    uint64_t *hashes = arena_array(arena, (size_t)c->n + 1, sizeof *hashes);
    bool *weighs = arena_array(arena, (size_t)c->n + 1, sizeof *weighs);
    struct axis_place at = {0, -1};
    for (uint64_t axis_id = 1; next_axis(c->g, &at); axis_id++)
        for (int64_t i = 0; i < couple_size(c, at.tensor, at.axis); i++) {
            uint32_t class_ = couple_element(c, at.tensor, at.axis, i);
            if (class_ == NONE) break;
            hashes[class_] = mix(hashes[class_], axis_id);
            weighs[class_] = weighs[class_] || weights[at.tensor];
        }
    size_t n = 0;
    for (uint32_t e = 0; e < c->n; e++)
        if (hashes[e] && weighs[e] && !couple_is_frozen(c, e)) out[n++] = (struct signature){hashes[e], e};
    return n;
}

/* Axes of every group at once, from the first unit of each. */
static void find_axes(struct knobs *k, struct arena *arena) {
    const struct coupling *c = &k->coupling;
    uint32_t *group_of = arena_array(arena, (size_t)c->n + 1, sizeof *group_of);
    size_t *caps = arena_array(arena, k->n_groups + 1u, sizeof *caps);
    for (uint32_t e = 0; e < c->n; e++) group_of[e] = NONE;
    for (uint32_t i = 0; i < k->n_groups; i++) group_of[k->groups[i].units[0]] = i;
    struct axis_place at = {0, -1};
    while (next_axis(c->g, &at)) {
        for (int64_t i = 0; i < couple_size(c, at.tensor, at.axis); i++) {
            uint32_t class_ = couple_element(c, at.tensor, at.axis, i);
            if (class_ == NONE) break;
            if (group_of[class_] == NONE) continue;
            struct group *group = &k->groups[group_of[class_]];
            struct group_axis *axes = (struct group_axis *)(uintptr_t)group->axes;
            bool again =
                group->n_axes && axes[group->n_axes - 1].tensor == at.tensor && axes[group->n_axes - 1].axis == at.axis;
            if (again) {
                axes[group->n_axes - 1].per_unit++;
                continue;
            }
            axes = arena_grow(arena, axes, group->n_axes, &caps[group_of[class_]], group->n_axes + 1u, sizeof *axes);
            axes[group->n_axes++] = (struct group_axis){at.tensor, at.axis, 1};
            group->axes = axes;
        }
    }
}

static const char *name_of(const struct knobs *k, const struct group *group, const bool *weights) {
    for (uint32_t i = 0; i < group->n_axes; i++)
        if (weights[group->axes[i].tensor]) return k->g->tensors[k->copy_of[group->axes[i].tensor]].name;
    return "";
}

/* The fewest units whose removal keeps every axis of a weight a multiple of `align`, as far as it was one. Other axes
 * say nothing: heads, or the groups of a group normalisation, are counted and not multiplied. */
static void align_group(struct knobs *k, struct group *group, const bool *weights) {
    int64_t step = 1;
    for (uint32_t i = 0; i < group->n_axes; i++) {
        if (!weights[group->axes[i].tensor]) continue;
        int64_t size = couple_size(&k->coupling, group->axes[i].tensor, group->axes[i].axis);
        int64_t unit = group->axes[i].per_unit, align = num_gcd(k->align, size);
        int64_t need = align / num_gcd(align, unit);
        step = step / num_gcd(step, need) * need;
    }
    int64_t keep = step > MIN_UNITS ? step : MIN_UNITS;
    int64_t most = ((int64_t)group->n_units - keep) / step;
    group->step = step;
    group->n_steps = most > 0 ? (uint32_t)(most < UINT16_MAX ? most : UINT16_MAX) : 0;
}

static void mark_statistics(struct knobs *k) {
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (uint32_t i = 0; i < k->groups[g].n_axes; i++)
            for (size_t s = 0; s < k->coupling.n_statistics; s++)
                if (k->coupling.statistics[s].tensor == k->groups[g].axes[i].tensor &&
                    k->coupling.statistics[s].axis == k->groups[g].axes[i].axis)
                    k->groups[g].statistics = true;
}

static int by_first_unit(const void *a, const void *b) {
    const struct group *x = a, *y = b;
    return (x->units[0] > y->units[0]) - (x->units[0] < y->units[0]);
}

static void find_groups(struct knobs *k, struct arena *arena) {
    const bool *weights = mac_weights(k->g, arena);
    struct signature *signatures = arena_array(arena, (size_t)k->coupling.n + 1, sizeof *signatures);
    size_t n = sign_classes(&k->coupling, weights, signatures, arena), cap = 0, count = 0;
    qsort(signatures, n, sizeof *signatures, by_signature);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && signatures[to].hash == signatures[from].hash;) to++;
        if (to - from < MIN_UNITS + 1) continue;
        uint32_t *units = arena_array(arena, to - from, sizeof *units);
        for (size_t i = from; i < to; i++) units[i - from] = signatures[i].class_;
        k->groups = arena_grow(arena, k->groups, count, &cap, count + 1, sizeof *k->groups);
        k->groups[count++] = (struct group){.n_units = (uint32_t)(to - from), .units = units};
    }
    if (count) qsort(k->groups, count, sizeof *k->groups, by_first_unit);
    k->n_groups = (uint32_t)count;
    find_axes(k, arena);
    for (uint32_t i = 0; i < k->n_groups; i++) {
        k->groups[i].name = name_of(k, &k->groups[i], weights);
        align_group(k, &k->groups[i], weights);
    }
    mark_statistics(k);
}

/* ---- Importance: the norm of what goes, Torch-Pruning's group norm (CVPR 2023) ---- */

/* Adds |v|^p of every weight to the indices of its axes. `sums[axis]` has the axis's size. */
static void sum_axes(const struct weight *w, double p, double **sums) {
    const struct tensor *t = w->stored;
    int64_t index[RANK_MAX] = {0};
    int64_t n = weight_count(t);
    for (int64_t i = 0; i < n; i++) {
        double size = weight_size(w, i), power = p == 1 ? size : size * size;
        for (int32_t axis = 0; axis < t->rank; axis++)
            if (sums[axis]) sums[axis][index[axis]] += power;
        for (int32_t axis = t->rank - 1; axis >= 0; axis--) {
            if (++index[axis] < t->dims[axis].value) break;
            index[axis] = 0;
        }
    }
}

struct unit_sums {
    double *sum;      /* by class: sum over parameters of the slice's norm */
    uint32_t *params; /* by class: parameters seen */
};

static void add_tensor(const struct knobs *k, uint32_t id, double p, struct unit_sums *units, struct arena *scratch) {
    struct weight w = weight_open(k->g, id, k->dequantizers);
    const struct tensor *t = w.stored;
    double *sums[RANK_MAX] = {NULL};
    bool any = false;
    if (!w.is_known) return;
    for (int32_t axis = 0; axis < t->rank; axis++) {
        if (axis_is_frozen(&k->coupling, id, axis)) continue;
        sums[axis] = arena_array(scratch, (size_t)t->dims[axis].value, sizeof **sums);
        any = true;
    }
    if (!any) return;
    sum_axes(&w, p, sums);
    for (int32_t axis = 0; axis < t->rank; axis++)
        for (int64_t i = 0; sums[axis] && i < t->dims[axis].value; i++) {
            uint32_t class_ = couple_element(&k->coupling, id, axis, i);
            units->sum[class_] += sums[axis][i];
            units->params[class_]++;
        }
}

struct ranked {
    float importance;
    uint32_t unit;
};

static int by_importance(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->importance != y->importance) return x->importance < y->importance ? -1 : 1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

static void rank_units(struct group *group, float *importance, struct arena *arena, struct arena *scratch) {
    struct ranked *ranked = arena_array(scratch, group->n_units, sizeof *ranked);
    uint32_t *order = arena_array(arena, group->n_units, sizeof *order);
    double mean = 0;
    for (uint32_t i = 0; i < group->n_units; i++) mean += (double)importance[i] / group->n_units;
    for (uint32_t i = 0; i < group->n_units; i++) {
        if (mean > 0) importance[i] = (float)((double)importance[i] / mean);
        ranked[i] = (struct ranked){importance[i], i};
    }
    qsort(ranked, group->n_units, sizeof *ranked, by_importance);
    for (uint32_t i = 0; i < group->n_units; i++) order[i] = ranked[i].unit;
    group->importance = importance;
    group->order = order;
}

static void weigh_groups(struct knobs *k, enum importance how, uint64_t seed, struct arena *arena) {
    struct arena *scratch = arena_inside(arena);
    struct rng rng;
    rng_seed(&rng, seed);
    struct unit_sums units = {arena_array(arena, (size_t)k->coupling.n + 1, sizeof(double)),
                              arena_array(arena, (size_t)k->coupling.n + 1, sizeof(uint32_t))};
    for (uint32_t t = 0; t < k->g->n_tensors && how != IMPORTANCE_RANDOM; t++) {
        const struct tensor *tensor = &k->g->tensors[t];
        if (!(tensor->flags & TF_INITIALIZER) || tensor->rank < 2) continue;
        add_tensor(k, t, how == IMPORTANCE_L1 ? 1 : 2, &units, scratch);
        arena_reset(scratch);
    }
    for (uint32_t g = 0; g < k->n_groups; g++) {
        struct group *group = &k->groups[g];
        float *importance = arena_array(arena, group->n_units, sizeof *importance);
        for (uint32_t i = 0; i < group->n_units; i++) {
            uint32_t class_ = group->units[i], n = units.params[class_];
            importance[i] = how == IMPORTANCE_RANDOM ? (float)rng_unit(&rng) : n ? (float)(units.sum[class_] / n) : 1;
        }
        rank_units(group, importance, arena, scratch);
    }
    arena_free(scratch);
}

static void keep_sizes(struct knobs *k, struct arena *arena) {
    struct axis_place at = {0, -1};
    size_t n = 0;
    while (next_axis(k->g, &at)) n++;
    int64_t *sizes = arena_array(arena, n + 1, sizeof *sizes);
    at = (struct axis_place){0, -1};
    for (n = 0; next_axis(k->g, &at); n++) sizes[n] = couple_size(&k->coupling, at.tensor, at.axis);
    k->sizes = sizes;
    k->n_axes = n;
}

struct config config_new(const struct knobs *k, struct arena *arena) {
    return (struct config){arena_array(arena, k->n_groups + 1u, sizeof(uint16_t)),
                           arena_array(arena, k->n_drops + 1u, sizeof(bool)),
                           arena_array(arena, k->n_crops + 1u, sizeof(uint16_t))};
}

const char *knob_name(const struct graph *g, const struct node *node) {
    return node->name[0] ? node->name : g->tensors[node->outputs[0]].name;
}

/* Elements of weights that may go. */
static int64_t free_channels(const struct coupling *c, const bool *weights) {
    int64_t n = 0;
    for (uint32_t t = 0; t < c->g->n_tensors; t++)
        for (int32_t axis = 0; weights[t] && axis < c->g->tensors[t].rank; axis++)
            for (int64_t i = 0; i < couple_size(c, t, axis); i++)
                n += !couple_is_frozen(c, couple_element(c, t, axis, i));
    return n;
}

static void couple_view(struct knobs *k, enum coupling_view view, struct arena *arena) {
    struct coupling inner;
    couple(&k->coupling, k->g, view == COUPLING_INNER, arena);
    if (view != COUPLING_FREER || !k->coupling.n_choices) return;
    const bool *weights = mac_weights(k->g, arena);
    couple(&inner, k->g, true, arena);
    if (free_channels(&inner, weights) > free_channels(&k->coupling, weights)) k->coupling = inner;
}

/* Settings name knobs, so a name that was there already gets a number: groups of one weight, nodes named alike. */
static const char *unlike(struct map *names, const char *name, struct arena *arena) {
    const char *own = name;
    uint32_t id;
    for (unsigned n = 2; map_get(names, own, strlen(own), &id); n++) own = arena_printf(arena, "%s#%u", name, n);
    map_put(names, own, strlen(own), 0);
    return own;
}

static void name_apart(struct knobs *k, struct arena *arena) {
    struct map names;
    map_init(&names, arena);
    for (uint32_t i = 0; i < k->n_groups; i++) k->groups[i].name = unlike(&names, k->groups[i].name, arena);
    for (uint32_t i = 0; i < k->n_drops; i++) k->drops[i].name = unlike(&names, k->drops[i].name, arena);
    for (uint32_t i = 0; i < k->n_crops; i++) k->crops[i].name = unlike(&names, k->crops[i].name, arena);
}

void knobs_find(struct knobs *k, struct graph *g, enum coupling_view view, int64_t align, enum importance how,
                uint64_t seed, struct arena *arena) {
    *k = (struct knobs){.g = g, .align = align};
    prepare(g, arena, &k->copy_of);
    k->dequantizers = weight_dequantizers(g, arena);
    couple_view(k, view, arena);
    keep_sizes(k, arena);
    find_groups(k, arena);
    weigh_groups(k, how, seed, arena);
    drops_find(k, arena);
    crops_find(k, arena);
    name_apart(k, arena);
}
