/* Scan (opset 8: batched; since opset 9: axes) and SequenceMap: bodies that run once per slice or per element. */
#include "shape_internal.h"

#include <string.h>

/* ---- Scan ---- */

struct scan {
    uint32_t body, first; /* the first input that counts: opset 8 has sequence_lens before */
    uint32_t n_states, n_slices, n_stacks;
    bool batched;
    dim batch, rounds;
};

static enum status scan_open(struct infer *in, struct scan *s) {
    const struct attr *a = node_attr(in->node, "body");
    if (!a || a->type != AT_GRAPH) return infer_fail(in, "it has no body");
    const struct body *b = &in->graph->bodies[a->body];
    int64_t slices = node_int(in->node, "num_scan_inputs", 0);
    *s = (struct scan){.body = a->body, .batched = in->opset < 9, .batch = DIM_UNKNOWN, .rounds = DIM_UNKNOWN};
    s->first = s->batched ? 1 : 0;
    uint32_t n = in->node->n_inputs > s->first ? in->node->n_inputs - s->first : 0;
    if (slices < 1 || slices > n) return infer_fail(in, "num_scan_inputs is %lld of %u", (long long)slices, n);
    s->n_slices = (uint32_t)slices;
    s->n_states = n - s->n_slices;
    if (b->n_inputs != n) return infer_fail(in, "its body has %u inputs, expected %u", b->n_inputs, n);
    if (b->n_outputs < s->n_states || b->n_outputs < in->node->n_outputs)
        return infer_fail(in, "its body has %u outputs for %u of the scan", b->n_outputs, in->node->n_outputs);
    s->n_stacks = b->n_outputs - s->n_states;
    return ST_OK;
}

/* Without the dims `axis` (and, batched, the one before all): what one round sees. */
static struct type slice_type(struct infer *in, const struct type *whole, bool batched, int32_t axis) {
    struct type t = *whole;
    int32_t n = 0;
    t.value = NULL;
    if (whole->rank == RANK_UNKNOWN) return t;
    dim *dims = arena_array(in->graph->arena, (size_t)whole->rank, sizeof *dims);
    for (int32_t i = 0; i < whole->rank; i++)
        if (i != axis && !(batched && i == 0)) dims[n++] = whole->dims[i];
    t.rank = n;
    t.dims = dims;
    return t;
}

static enum status scan_axis(struct infer *in, const char *name, uint32_t i, int32_t rank, int32_t *axis) {
    size_t n;
    const int64_t *axes = node_ints(in->node, name, &n);
    return infer_axis(in, axes && i < n ? axes[i] : 0, rank, axis);
}

static enum status enter_slice(struct infer *in, struct scan *s, uint32_t i) {
    uint32_t input = s->first + s->n_states + i, to = in->graph->bodies[s->body].inputs[s->n_states + i];
    struct type whole = type_of(in, node_in(in->node, input));
    int32_t axis = 1;
    if (whole.rank != RANK_UNKNOWN) {
        if (s->batched)
            TRY(infer_want_rank(in, input, "scan input", 2, -1));
        else
            TRY(scan_axis(in, "scan_input_axes", i, whole.rank, &axis));
        TRY(infer_unify(in, s->rounds, whole.dims[axis], "lengths of the scan inputs", &s->rounds));
        if (s->batched) TRY(infer_unify(in, s->batch, whole.dims[0], "batch sizes", &s->batch));
    }
    struct type slice = slice_type(in, &whole, s->batched, axis);
    shape_enter(in, to, &slice);
    return ST_OK;
}

static struct type initial_state(struct infer *in, const struct scan *s, uint32_t i) {
    infer_value(in, s->first + i);
    struct type t = type_of(in, node_in(in->node, s->first + i));
    return s->batched ? slice_type(in, &t, true, -1) : t;
}

/* States are carried as in a Loop, but the operator holds their shapes the same in every round. */
static enum status run_scan(struct infer *in, const struct scan *s) {
    const struct body *b = &in->graph->bodies[s->body];
    struct type *states = arena_array(in->run->scratch, s->n_states, sizeof *states);
    for (uint32_t i = 0; i < s->n_states; i++) states[i] = initial_state(in, s, i);
    for (int pass = 0; pass < 4; pass++) {
        bool changed = false;
        for (uint32_t i = 0; i < s->n_states; i++) shape_enter(in, b->inputs[i], &states[i]);
        TRY(shape_body(in, s->body));
        for (uint32_t i = 0; i < s->n_states; i++) {
            struct type after = type_of(in, b->outputs[i]);
            struct type wide = type_join(in, &states[i], &after, JOIN_ROUNDS, i * (RANK_MAX + 1));
            changed |= !type_same(&wide, &states[i]);
            states[i] = wide;
            if (pass >= 2 || shape_tired(in)) states[i].rank = RANK_UNKNOWN, states[i].value = NULL;
        }
        if (!changed) break;
    }
    return ST_OK;
}

/* With `size` put in at `axis`, and the batch before all. */
static enum status stack_type(struct infer *in, const struct scan *s, uint32_t i, struct type *t) {
    int32_t axis = 1, n = 0, rank = t->rank + (s->batched ? 2 : 1);
    t->value = NULL;
    if (t->rank == RANK_UNKNOWN || rank > RANK_MAX) {
        t->rank = RANK_UNKNOWN;
        return ST_OK;
    }
    if (!s->batched) TRY(scan_axis(in, "scan_output_axes", i, rank, &axis));
    dim *dims = arena_array(in->graph->arena, (size_t)rank, sizeof *dims);
    for (int32_t k = 0; k < rank; k++) dims[k] = k == axis ? s->rounds : s->batched && k == 0 ? s->batch : t->dims[n++];
    t->rank = rank;
    t->dims = dims;
    return ST_OK;
}

static struct type batched_state(struct infer *in, const struct scan *s, struct type t) {
    if (!s->batched || t.rank == RANK_UNKNOWN || t.rank == RANK_MAX) return t;
    dim *dims = arena_array(in->graph->arena, (size_t)t.rank + 1, sizeof *dims);
    dims[0] = s->batch;
    for (int32_t k = 0; k < t.rank; k++) dims[k + 1] = t.dims[k];
    t.dims = dims;
    t.rank++;
    t.value = NULL;
    return t;
}

enum status shape_scan(struct infer *in) {
    struct scan s;
    TRY(scan_open(in, &s));
    for (uint32_t i = 0; i < s.n_slices; i++) TRY(enter_slice(in, &s, i));
    TRY(run_scan(in, &s));
    const struct body *b = &in->graph->bodies[s.body];
    bool once = dim_is_positive(in->graph, s.rounds);
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        struct type t = type_of(in, b->outputs[o]);
        if (o >= s.n_states) {
            TRY(stack_type(in, &s, o - s.n_states, &t));
        } else {
            struct type before = initial_state(in, &s, o);
            if (!once) t = type_join(in, &before, &t, JOIN_BRANCHES, (s.n_states + o) * (RANK_MAX + 1));
            if (!dim_is(s.rounds, 1)) t.value = type_same(&before, &t) ? t.value : NULL; /* of one round only */
            t = batched_state(in, &s, t);
        }
        type_assign(in, node_out(in->node, o), &t);
    }
    return ST_OK;
}

/* ---- SequenceMap (opset 17) ---- */

/* What input `i` hands to round `round` of the body: an element of a sequence, or a tensor as it is. */
static struct type mapped_input(struct infer *in, uint32_t i, uint32_t round) {
    infer_value(in, i);
    struct type t = type_of(in, node_in(in->node, i));
    if (t.kind != TY_SEQUENCE) return t;
    if (t.elements && round < t.elements->n) return t.elements->at[round];
    t.kind = TY_TENSOR;
    t.length = DIM_UNKNOWN;
    t.elements = NULL;
    return t.rank == RANK_UNKNOWN ? t : type_settle(in, t, i * (RANK_MAX + 1));
}

static enum status map_round(struct infer *in, uint32_t body, uint32_t round) {
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        struct type t = mapped_input(in, i, round);
        shape_enter(in, in->graph->bodies[body].inputs[i], &t);
    }
    return shape_body(in, body);
}

enum status shape_sequence_map(struct infer *in) {
    const struct attr *a = node_attr(in->node, "body");
    if (!a || a->type != AT_GRAPH) return infer_fail(in, "it has no body");
    const struct body *b = &in->graph->bodies[a->body];
    if (b->n_inputs != in->node->n_inputs || b->n_outputs != in->node->n_outputs)
        return infer_fail(in, "its body has %u inputs and %u outputs, expected %u and %u", b->n_inputs, b->n_outputs,
                          in->node->n_inputs, in->node->n_outputs);
    struct type sequence = type_of(in, node_in(in->node, 0));
    bool one_by_one = sequence.elements && sequence.elements->n > 0 && !shape_tired(in);
    uint32_t rounds = one_by_one ? sequence.elements->n : 1;
    struct type *results = arena_array(in->run->scratch, (size_t)rounds * b->n_outputs, sizeof *results);
    for (uint32_t r = 0; r < rounds; r++) {
        TRY(map_round(in, a->body, r));
        for (uint32_t o = 0; o < b->n_outputs; o++) results[o * rounds + r] = type_of(in, b->outputs[o]);
    }
    for (uint32_t o = 0; o < b->n_outputs; o++) {
        struct type t = type_sequence(in, &results[o * rounds], rounds);
        if (!one_by_one) {
            t.elements = NULL;
            t.length = sequence.length;
        }
        type_assign(in, node_out(in->node, o), &t);
    }
    return ST_OK;
}
