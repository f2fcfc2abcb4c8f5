/* Axes made of factors. A Reshape that splits or merges axes keeps a cut consistent if exactly one factor is cut; a
 * grouped convolution can lose whole groups or the same channels of every group. Which one is settled by what is frozen
 * already, and where that leaves a choice, by preference. */
#include "couple.h"

enum { MAX_AXES = 16, LEAST_OUTER = 4 }; /* splits such as channel shuffle's 2 are no heads */

static dim product(struct graph *g, const struct tensor *t, int32_t from, int32_t to) {
    dim size = DIM(1);
    for (int32_t i = from; i < to; i++) size = dim_mul(g, size, t->dims[i]);
    return size;
}

/* The smallest next blocks of axes of both shapes that hold equally many elements. */
static bool next_block(struct graph *g, const struct tensor *in, const struct tensor *out, int32_t i, int32_t o,
                       int32_t *i_end, int32_t *o_end) {
    for (int32_t total = 2; total <= in->rank - i + out->rank - o; total++)
        for (int32_t a = 1; a < total; a++) {
            int32_t b = total - a;
            if (i + a > in->rank || o + b > out->rank) continue;
            if (!dim_same(product(g, in, i, i + a), product(g, out, o, o + b))) continue;
            *i_end = i + a;
            *o_end = o + b;
            return true;
        }
    return false;
}

static void freeze_axes(struct coupling *c, uint32_t tensor, int32_t from, int32_t to) {
    for (int32_t axis = from; axis < to; axis++) freeze(c, tensor, axis);
}

/* Cumulative products from the inside, merged from both sides: the common refinement. 0 when they do not nest. */
static int32_t refine(const struct coupling *c, uint32_t in, int32_t i, int32_t i_end, uint32_t out, int32_t o,
                      int32_t o_end, int64_t *factors) {
    int64_t cuts[2 * MAX_AXES + 1];
    int32_t n = 0, a = i_end - 1, b = o_end - 1;
    int64_t size_a = 1, size_b = 1;
    while (a >= i || b >= o) {
        int64_t next_a = a >= i ? size_a * couple_size(c, in, a) : INT64_MAX;
        int64_t next_b = b >= o ? size_b * couple_size(c, out, b) : INT64_MAX;
        int64_t next = next_a < next_b ? next_a : next_b;
        if (next_a == next) size_a = next_a, a--;
        if (next_b == next) size_b = next_b, b--;
        if (n == 2 * MAX_AXES || (n && next % cuts[n - 1])) return 0;
        if (!n || next > cuts[n - 1]) cuts[n++] = next;
    }
    for (int32_t k = 0; k < n; k++) factors[n - 1 - k] = k ? cuts[k] / cuts[k - 1] : cuts[0];
    return n;
}

static int32_t place_axes(const struct coupling *c, uint32_t tensor, int32_t from, int32_t to, const int64_t *factors,
                          int32_t n_factors, struct factor_axis *axes) {
    int32_t n = 0, at = 0;
    for (int32_t axis = from; axis < to; axis++) {
        int64_t size = couple_size(c, tensor, axis), covered = 1;
        int32_t first = at;
        while (at < n_factors && covered < size) covered *= factors[at++];
        axes[n++] = (struct factor_axis){tensor, axis, first, at};
    }
    return n;
}

static bool all_numbers(const struct coupling *c, uint32_t tensor, int32_t from, int32_t to) {
    for (int32_t axis = from; axis < to; axis++)
        if (couple_size(c, tensor, axis) < 1) return false;
    return to - from < MAX_AXES;
}

static void add_block(struct coupling *c, uint32_t node, uint32_t in, int32_t i, int32_t i_end, uint32_t out, int32_t o,
                      int32_t o_end) {
    int64_t factors[2 * MAX_AXES + 1];
    int32_t n = 0;
    if (all_numbers(c, in, i, i_end) && all_numbers(c, out, o, o_end))
        n = refine(c, in, i, i_end, out, o, o_end, factors);
    if (!n) {
        freeze_axes(c, in, i, i_end);
        freeze_axes(c, out, o, o_end);
        return;
    }
    struct factor_axis axes[2 * MAX_AXES];
    int32_t n_axes = place_axes(c, in, i, i_end, factors, n, axes);
    n_axes += place_axes(c, out, o, o_end, factors, n, axes + n_axes);
    struct choice choice = {.node = node,
                            .kind = CHOICE_FACTOR,
                            .n_factors = n,
                            .factors = arena_copy(c->arena, factors, (size_t)n * sizeof *factors),
                            .n_axes = n_axes,
                            .axes = arena_copy(c->arena, axes, (size_t)n_axes * sizeof *axes)};
    PUSH(c->arena, c, choices, choice);
}

void couple_reshape(struct coupling *c, uint32_t node) {
    uint32_t in = node_in(&c->g->nodes[node], 0), out = node_out(&c->g->nodes[node], 0);
    const struct tensor *a = &c->g->tensors[in], *b = &c->g->tensors[out];
    int32_t i = 0, o = 0, i_end, o_end;
    while (i < a->rank || o < b->rank) {
        bool one_in = i < a->rank && dim_is(a->dims[i], 1), one_out = o < b->rank && dim_is(b->dims[o], 1);
        if (one_in || one_out) {
            i += one_in;
            o += one_out && !one_in;
            continue;
        }
        if (i >= a->rank || o >= b->rank || !next_block(c->g, a, b, i, o, &i_end, &o_end)) {
            freeze_axes(c, in, i, a->rank);
            freeze_axes(c, out, o, b->rank);
            return;
        }
        if (i_end - i == 1 && o_end - o == 1)
            tie(c, in, i, out, o);
        else
            add_block(c, node, in, i, i_end, out, o, o_end);
        i = i_end;
        o = o_end;
    }
}

/* Channels of a grouped convolution as (group, offset): input, weight rows, bias and output share the first factor. */
void couple_grouped(struct coupling *c, uint32_t node, int64_t groups) {
    const struct node *n = &c->g->nodes[node];
    uint32_t x = n->inputs[0], w = n->inputs[1], y = n->outputs[0];
    int64_t in = couple_size(c, x, 1), out = couple_size(c, w, 0);
    if (in < 0 || out < 0 || in % groups || out % groups) {
        freeze_node(c, node);
        return;
    }
    tie(c, w, 0, y, 1);
    if (node_in(n, 2) != NONE) tie(c, node_in(n, 2), 0, y, 1);
    struct choice choice = {.node = node, .kind = CHOICE_GROUPED};
    PUSH(c->arena, c, choices, choice);
}

/* ---- Settling ---- */

static bool contains(const struct factor_axis *axis, int32_t factor) {
    return factor >= axis->first && factor < axis->end;
}

static bool factor_is_viable(const struct coupling *c, const struct choice *choice, int32_t factor) {
    if (choice->factors[factor] < 2) return false;
    for (int32_t k = 0; k < choice->n_axes; k++)
        if (contains(&choice->axes[k], factor) && axis_is_frozen(c, choice->axes[k].tensor, choice->axes[k].axis))
            return false;
    return true;
}

/* Elements with the same digit at the factor are one class; axes without the factor stay whole. */
static void commit_factor(struct coupling *c, const struct choice *choice, int32_t factor) {
    int64_t size = choice->factors[factor];
    uint32_t *first = arena_array(c->arena, (size_t)size, sizeof *first);
    for (int64_t d = 0; d < size; d++) first[d] = NONE;
    for (int32_t k = 0; k < choice->n_axes; k++) {
        const struct factor_axis *axis = &choice->axes[k];
        if (!contains(axis, factor)) {
            freeze(c, axis->tensor, axis->axis);
            continue;
        }
        int64_t inner = 1;
        for (int32_t f = factor + 1; f < axis->end; f++) inner *= choice->factors[f];
        for (int64_t i = 0; i < couple_size(c, axis->tensor, axis->axis); i++) {
            uint32_t element = couple_element(c, axis->tensor, axis->axis, i), *digit = &first[i / inner % size];
            if (*digit == NONE)
                *digit = element;
            else
                join(c, *digit, element);
        }
    }
}

static void freeze_choice(struct coupling *c, const struct choice *choice) {
    for (int32_t k = 0; k < choice->n_axes; k++) freeze(c, choice->axes[k].tensor, choice->axes[k].axis);
}

static int32_t preferred_factor(const struct coupling *c, const struct choice *choice) {
    int32_t best = -1;
    for (int32_t f = 0; f < choice->n_factors; f++) {
        if (!factor_is_viable(c, choice, f)) continue;
        if (c->inner)
            best = f;
        else if (choice->factors[f] >= LEAST_OUTER)
            return f;
        else if (best < 0 || choice->factors[f] > choice->factors[best])
            best = f;
    }
    return best;
}

static bool settle_factor(struct coupling *c, struct choice *choice, bool force) {
    int32_t viable = 0, last = -1;
    for (int32_t f = 0; f < choice->n_factors; f++)
        if (factor_is_viable(c, choice, f)) viable++, last = f;
    if (viable > 1 && !force) return false;
    if (!viable)
        freeze_choice(c, choice);
    else
        commit_factor(c, choice, viable == 1 ? last : preferred_factor(c, choice));
    return choice->settled = true;
}

/* Outer: a group goes with all its inputs and outputs, the width of a group stays. Inner: the same offset of every
 * group goes; the weight's second axis is the input offset. */
static void commit_grouped(struct coupling *c, uint32_t node, bool inner) {
    const struct node *n = &c->g->nodes[node];
    uint32_t x = n->inputs[0], w = n->inputs[1];
    int64_t groups = node_int(n, "group", 1), in = couple_size(c, x, 1) / groups, out = couple_size(c, w, 0) / groups;
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t i = 0; i < in; i++)
            join(c, couple_element(c, x, 1, g * in + i),
                 inner ? couple_element(c, x, 1, i) : couple_element(c, x, 1, g * in));
        for (int64_t o = 0; o < out; o++)
            join(c, couple_element(c, w, 0, g * out + o),
                 inner ? couple_element(c, w, 0, o) : couple_element(c, x, 1, g * in));
    }
    if (!inner) {
        freeze(c, w, 1);
        return;
    }
    tie_range(c, x, 1, 0, w, 1, 0, in);
    note_contraction(c, node, w, 1);
}

static bool settle_grouped(struct coupling *c, struct choice *choice, bool force) {
    const struct node *n = &c->g->nodes[choice->node];
    bool frozen = axis_is_frozen(c, n->inputs[0], 1) || axis_is_frozen(c, n->inputs[1], 0);
    bool inner_viable = !axis_is_frozen(c, n->inputs[1], 1);
    if (!frozen && !force && inner_viable) return false;
    if (frozen)
        freeze_node(c, choice->node);
    else
        commit_grouped(c, choice->node, c->inner && inner_viable);
    return choice->settled = true;
}

static bool settle(struct coupling *c, struct choice *choice, bool force) {
    return choice->kind == CHOICE_FACTOR ? settle_factor(c, choice, force) : settle_grouped(c, choice, force);
}

void settle_choices(struct coupling *c) {
    bool open = true;
    while (open) {
        bool changed = false;
        open = false;
        for (size_t i = 0; i < c->n_choices; i++)
            if (!c->choices[i].settled && settle(c, &c->choices[i], false)) changed = true;
        for (size_t i = 0; i < c->n_choices && !changed; i++)
            if (!c->choices[i].settled) changed = settle(c, &c->choices[i], true);
        for (size_t i = 0; i < c->n_choices; i++) open = open || !c->choices[i].settled;
    }
}
