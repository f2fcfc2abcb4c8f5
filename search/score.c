/* Retained importance. */
#include "score.h"

#include <math.h>
#include <string.h>

static double squared_norm(const struct tensor *t) {
    int64_t bytes = tensor_bytes(t);
    bool readable = t->dtype == DT_FLOAT && t->data.encoding == ENC_RAW && t->data.bytes && bytes > 0 &&
                    (uint64_t)bytes <= t->data.length;
    double sum = 0;
    if (!readable) return bytes > 0 ? (double)bytes : 0; /* without data every weight counts by its size */
    for (int64_t i = 0; i < bytes; i += (int64_t)sizeof(float)) {
        float value;
        memcpy(&value, t->data.bytes + i, sizeof value);
        sum += (double)value * (double)value;
    }
    return sum;
}

static bool is_weight(const struct graph *g, const struct node *node, uint32_t tensor) {
    enum kernel_class kind = op_table[node->op].kernel;
    return tensor != NONE && g->tensors[tensor].flags & TF_INITIALIZER && g->tensors[tensor].rank >= 2 &&
           (kind == KC_CONV || kind == KC_CONV_TRANSPOSE || kind == KC_GEMM || kind == KC_RNN);
}

static void add_weight(struct score *s, size_t *cap, uint32_t node, uint32_t tensor, struct arena *arena) {
    const struct knobs *k = s->knobs;
    struct weight_score w = {.tensor = tensor, .node = node, .energy = squared_norm(&k->g->tensors[tensor])};
    uint32_t *groups = arena_array(arena, k->n_groups + 1u, sizeof *groups);
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (uint32_t i = 0; i < k->groups[g].n_axes; i++)
            if (k->groups[g].axes[i].tensor == tensor) groups[w.n_groups++] = g, i = k->groups[g].n_axes;
    w.groups = groups;
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
    double total = 0;
    *s = (struct score){.knobs = k};
    for (uint32_t n = 0; n < k->g->n_nodes; n++)
        for (uint32_t i = 0; !k->g->nodes[n].dead && i < k->g->nodes[n].n_inputs; i++)
            if (is_weight(k->g, &k->g->nodes[n], k->g->nodes[n].inputs[i]))
                add_weight(s, &cap, n, k->g->nodes[n].inputs[i], arena);
    for (size_t i = 0; i < s->n_weights; i++) total += s->weights[i].energy;
    for (size_t i = 0; i < s->n_weights; i++) s->weights[i].energy = total > 0 ? s->weights[i].energy / total : 0;
    const double **kept = arena_array(arena, k->n_groups + 1u, sizeof *kept);
    for (uint32_t g = 0; g < k->n_groups; g++) kept[g] = kept_shares(&k->groups[g], arena);
    s->kept = kept;
}

double score_of(const struct score *s, const struct config *config, const struct graph *g) {
    double sum = 0;
    for (size_t i = 0; i < s->n_weights; i++) {
        const struct weight_score *w = &s->weights[i];
        double share = g->nodes[w->node].dead ? 0 : w->energy;
        for (size_t k = 0; k < w->n_groups; k++) share *= s->kept[w->groups[k]][config->removed[w->groups[k]]];
        sum += share;
    }
    return sum;
}
