/* Retained importance. */
#include "score.h"

#include <stdlib.h>

static double square(const struct weight *w, int64_t i) {
    return weight_size(w, i) * weight_size(w, i);
}

/* Without data every weight counts alike. */
static double squared_norm(const struct weight *w) {
    double sum = 0;
    int64_t n = weight_count(w->stored);
    if (!w->is_known) return (double)n;
    for (int64_t i = 0; i < n; i++) sum += square(w, i);
    return sum;
}

/* Does element i of the kernels outlast the steps? */
static bool in_core(const struct tensor *t, int64_t i, uint32_t steps) {
    for (int32_t axis = t->rank - 1; axis > 1; axis--) {
        int64_t side = t->dims[axis].value, rim = crop_rim(side, steps), at = i % side;
        if (at < rim || at >= side - rim) return false;
        i /= side;
    }
    return true;
}

static const double *core_shares(const struct knobs *k, const struct crop *crop, struct arena *arena) {
    struct weight w = weight_open(k->g, crop->weight, k->dequantizers);
    const struct tensor *t = w.stored;
    double *core = arena_array(arena, crop->n_steps + 1u, sizeof *core), total = 0;
    for (int64_t i = 0; i < weight_count(t); i++) {
        double norm = w.is_known ? square(&w, i) : 1;
        total += norm;
        for (uint32_t step = 0; step <= crop->n_steps && in_core(t, i, step); step++) core[step] += norm;
    }
    for (uint32_t step = 0; step <= crop->n_steps; step++) core[step] = total > 0 ? core[step] / total : 1;
    return core;
}

static int by_axis(const void *a, const void *b) {
    const struct axis_part *x = a, *y = b;
    if (x->axis != y->axis) return x->axis < y->axis ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

/* Several groups lie side by side on one axis where tensors were concatenated. */
static void add_parts(const struct knobs *k, struct weight_score *w, struct arena *arena) {
    struct axis_part *parts = NULL;
    size_t cap = 0;
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (uint32_t i = 0; i < k->groups[g].n_axes; i++) {
            const struct group_axis *at = &k->groups[g].axes[i];
            if (at->tensor != w->tensor) continue;
            double units = (double)k->groups[g].n_units * (double)at->per_unit;
            parts = arena_grow(arena, parts, w->n_parts, &cap, w->n_parts + 1, sizeof *parts);
            parts[w->n_parts++] =
                (struct axis_part){at->axis, g, units / (double)couple_size(&k->coupling, at->tensor, at->axis)};
        }
    if (parts) qsort(parts, w->n_parts, sizeof *parts, by_axis);
    w->parts = parts;
}

static void add_weight(struct score *s, size_t *cap, uint32_t node, uint32_t tensor, struct arena *arena) {
    struct weight weight = weight_open(s->knobs->g, tensor, s->knobs->dequantizers);
    struct weight_score w = {.tensor = tensor, .node = node, .crop = NONE, .energy = squared_norm(&weight)};
    for (uint32_t i = 0; i < s->knobs->n_crops; i++)
        if (s->knobs->crops[i].weight == tensor) w.crop = i;
    add_parts(s->knobs, &w, arena);
    s->weights = arena_grow(arena, s->weights, s->n_weights, cap, s->n_weights + 1, sizeof *s->weights);
    s->weights[s->n_weights++] = w;
}

static const double *kept_shares(const struct group *group, struct arena *arena) {
    double *kept = arena_array(arena, group->n_steps + 1u, sizeof *kept), total = 0, lost = 0;
    for (uint32_t i = 0; i < group->n_units; i++) total += (double)group->importance[i];
    for (uint32_t step = 0; step <= group->n_steps; step++) {
        kept[step] = total > 0 ? 1 - lost / total : 1 - (double)(step * group->step) / group->n_units;
        for (int64_t i = step * group->step; i < (step + 1) * group->step && i < group->n_units; i++)
            lost += (double)group->importance[group->order[i]];
    }
    return kept;
}

void score_start(struct score *s, const struct knobs *k, struct arena *arena) {
    size_t cap = 0;
    uint32_t weight;
    double total = 0;
    *s = (struct score){.knobs = k};
    for (uint32_t n = 0; n < k->g->n_nodes; n++)
        for (uint32_t i = 0; !k->g->nodes[n].dead && i < k->g->nodes[n].n_inputs; i++)
            if ((weight = weight_behind(k->g, &k->g->nodes[n], k->g->nodes[n].inputs[i])) != NONE)
                add_weight(s, &cap, n, weight, arena);
    for (size_t i = 0; i < s->n_weights; i++) total += s->weights[i].energy;
    for (size_t i = 0; i < s->n_weights; i++) s->weights[i].energy = total > 0 ? s->weights[i].energy / total : 0;
    const double **kept = arena_array(arena, k->n_groups + 1u, sizeof *kept);
    for (uint32_t g = 0; g < k->n_groups; g++) kept[g] = kept_shares(&k->groups[g], arena);
    s->kept = kept;
    const double **core = arena_array(arena, k->n_crops + 1u, sizeof *core);
    for (uint32_t i = 0; i < k->n_crops; i++) core[i] = core_shares(k, &k->crops[i], arena);
    s->core = core;
}

/* Of each axis what its groups lost is missing; what lies in no group stays. */
static double kept_of(const struct score *s, const struct weight_score *w, const struct config *config) {
    double share = w->crop == NONE ? 1 : s->core[w->crop][config->cropped[w->crop]];
    for (size_t i = 0; i < w->n_parts;) {
        double lost = 0;
        int32_t axis = w->parts[i].axis;
        for (; i < w->n_parts && w->parts[i].axis == axis; i++) {
            uint32_t group = w->parts[i].group;
            lost += w->parts[i].share * (1 - s->kept[group][config->removed[group]]);
        }
        share *= 1 - lost;
    }
    return share;
}

double score_of(const struct score *s, const struct config *config, const struct graph *g) {
    double sum = 0;
    for (size_t i = 0; i < s->n_weights; i++)
        if (!g->nodes[s->weights[i].node].dead) sum += s->weights[i].energy * kept_of(s, &s->weights[i], config);
    return sum;
}
