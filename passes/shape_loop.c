/* Loop: what is carried is widened until a round changes nothing; then it holds for every round. Where that loses
 * something and the trip count is a small number, the rounds are walked one by one instead, and the body is left with
 * what holds for all of them. */
#include "shape_internal.h"

#include <string.h>

struct loop {
    uint32_t body, n_carried, n_scans;
    struct type *carried; /* what holds before every round: the condition, then the carried values */
    struct type *results; /* of a round: the condition, the carried values, the scan outputs */
    dim trips;            /* unknown: not given, or not known */
    bool endless;         /* no trip count: the condition alone ends it */
    bool exact;           /* nothing was lost by widening */
};

enum { ROUNDS_MOST = 256 };

#define SLOTS(i)   ((uint32_t)(i) * (RANK_MAX + 1))
#define SLOT_ROUND UINT32_C(0x40000000) /* the number of the round */
#define SLOT_TRIPS UINT32_C(0x40000001)
#define SLOT_FINAL UINT32_C(0x20000000)

static enum status loop_open(struct infer *in, struct loop *l) {
    const struct attr *a = node_attr(in->node, "body");
    if (!a || a->type != AT_GRAPH) return infer_fail(in, "it has no body");
    const struct body *b = &in->graph->bodies[a->body];
    l->body = a->body;
    l->n_carried = in->node->n_inputs - 2;
    if (b->n_inputs != l->n_carried + 2)
        return infer_fail(in, "its body has %u inputs, expected %u", b->n_inputs, l->n_carried + 2);
    if (b->n_outputs < l->n_carried + 1 || b->n_outputs - 1 < in->node->n_outputs)
        return infer_fail(in, "its body has %u outputs for %u of the loop", b->n_outputs, in->node->n_outputs);
    l->n_scans = b->n_outputs - 1 - l->n_carried;
    l->carried = arena_array(in->run->scratch, l->n_carried + 1, sizeof *l->carried);
    l->results = arena_array(in->run->scratch, b->n_outputs, sizeof *l->results);
    l->endless = !infer_has(in, 0);
    l->trips = l->endless ? DIM_UNKNOWN : infer_scalar(in, 0);
    return ST_OK;
}

/* Before the first round. */
static void carry_initial(struct infer *in, struct loop *l) {
    infer_value(in, 1);
    if (infer_has(in, 1))
        l->carried[0] = type_of(in, node_in(in->node, 1));
    else
        l->carried[0] = type_scalar(in, DT_BOOL, scalar_dim(DIM(1)));
    for (uint32_t i = 0; i < l->n_carried; i++) {
        infer_value(in, i + 2);
        l->carried[i + 1] = type_of(in, node_in(in->node, i + 2));
    }
}

static enum status run_round(struct infer *in, struct loop *l, dim round) {
    const struct body *b = &in->graph->bodies[l->body];
    struct type number = type_scalar(in, DT_INT64, scalar_dim(round));
    shape_enter(in, b->inputs[0], &number);
    for (uint32_t i = 0; i <= l->n_carried; i++) shape_enter(in, b->inputs[i + 1], &l->carried[i]);
    TRY(shape_body(in, l->body));
    for (uint32_t i = 0; i < b->n_outputs; i++) l->results[i] = type_of(in, b->outputs[i]);
    return ST_OK;
}

static dim any_round(struct infer *in, const struct loop *l) {
    int64_t lo, hi = INT64_MAX;
    if (!dim_is_unknown(l->trips)) dim_bounds(in->graph, l->trips, &lo, &hi);
    return infer_fresh(in, SLOT_ROUND, 0, hi < 1 ? 0 : hi == INT64_MAX ? hi : hi - 1);
}

/* Carried values take in what the last round made of them; true when that changed them. */
static bool widen(struct infer *in, struct loop *l) {
    bool changed = false;
    for (uint32_t i = 0; i <= l->n_carried; i++) {
        struct type wide = type_join(in, &l->carried[i], &l->results[i], JOIN_ROUNDS, SLOTS(i));
        changed |= !type_same(&wide, &l->carried[i]);
        l->carried[i] = wide;
    }
    return changed;
}

static void forget_carried(struct loop *l) {
    for (uint32_t i = 0; i <= l->n_carried; i++) {
        struct type t = type_unknown();
        t.kind = l->carried[i].kind;
        t.dtype = l->carried[i].dtype;
        l->carried[i] = t;
    }
}

static enum status run_to_fixed_point(struct infer *in, struct loop *l) {
    l->exact = true;
    carry_initial(in, l);
    if (shape_tired(in)) forget_carried(l);
    TRY(run_round(in, l, any_round(in, l)));
    for (int passes = 0; widen(in, l); passes++) {
        l->exact = false;
        if (passes >= 3 || shape_tired(in)) forget_carried(l);
        TRY(run_round(in, l, any_round(in, l)));
        if (passes >= 3) break; /* from nothing known, nothing wrong follows */
    }
    return ST_OK;
}

static int read_bool(const struct type *t) {
    if (!t->value || t->value->n < 1 || !dim_is_number(t->value->at[0].d)) return -1;
    return t->value->at[0].d.value != 0;
}

/* ---- Results ---- */

static struct type stacked(struct infer *in, const struct type *each, dim count) {
    struct type t = *each;
    t.value = NULL;
    if (each->rank == RANK_UNKNOWN || each->rank == RANK_MAX) {
        t.rank = RANK_UNKNOWN;
        return t;
    }
    dim *dims = arena_array(in->graph->arena, (size_t)each->rank + 1, sizeof *dims);
    dims[0] = count;
    for (int32_t i = 0; i < each->rank; i++) dims[i + 1] = each->dims[i];
    t.rank = each->rank + 1;
    t.dims = dims;
    return t;
}

/* How many rounds ran, when the condition holds as long as the trip count lasts; else a symbol. */
static dim count_rounds(struct infer *in, const struct loop *l, bool condition_holds) {
    int64_t lo = 0, hi = INT64_MAX;
    if (!dim_is_unknown(l->trips)) dim_bounds(in->graph, l->trips, &lo, &hi);
    if (hi <= 0) return DIM(0);
    if (condition_holds && !dim_is_unknown(l->trips)) return lo >= 0 ? l->trips : dim_max(in->graph, l->trips, DIM(0));
    return infer_fresh(in, SLOT_TRIPS, 0, hi);
}

static void set_outputs(struct infer *in, const struct loop *l, dim rounds, const struct type *finals) {
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        struct type t = o < l->n_carried ? finals[o] : stacked(in, &l->results[o + 1], rounds);
        type_assign(in, node_out(in->node, o), &t);
    }
}

/* A size that grows by the same number every round: what it is after `rounds`; otherwise `*out` stays. */
static void grow(struct infer *in, dim before, dim wide, dim after, dim rounds, dim *out) {
    dim step = dim_sub(in->graph, after, wide);
    if (dim_same(before, wide) || !dim_is_number(step)) return;
    dim total = dim_add(in->graph, before, dim_mul(in->graph, rounds, step));
    if (!dim_is_unknown(total)) *out = total;
}

/* `wide` is what every round may start from, `after` what it then ends with. */
static void grow_type(struct infer *in, const struct type *before, const struct type *wide, const struct type *after,
                      dim rounds, struct type *out) {
    if (before->kind != wide->kind || wide->kind != after->kind || after->kind != out->kind) return;
    if (out->kind == TY_SEQUENCE) grow(in, before->length, wide->length, after->length, rounds, &out->length);
    bool comparable = before->rank == wide->rank && wide->rank == after->rank && after->rank == out->rank;
    if (out->kind != TY_TENSOR || out->rank <= 0 || !comparable) return;
    dim *dims = arena_copy(in->graph->arena, out->dims, (size_t)out->rank * sizeof *dims);
    for (int32_t i = 0; i < out->rank; i++) grow(in, before->dims[i], wide->dims[i], after->dims[i], rounds, &dims[i]);
    out->dims = dims;
}

/* From the fixed point: with at least one round what the last one made, else that or the initial values. */
static void finish_widened(struct infer *in, const struct loop *l, const struct type *initial) {
    bool starts = read_bool(&initial[0]) == 1, holds = read_bool(&l->carried[0]) == 1;
    bool counted = starts && holds && !dim_is_unknown(l->trips);
    dim rounds = count_rounds(in, l, holds);
    bool at_least_one = starts && (l->endless || dim_is_positive(in->graph, l->trips));
    struct type *finals = arena_array(in->run->scratch, l->n_carried + 1, sizeof *finals);
    for (uint32_t i = 0; i < l->n_carried; i++) {
        const struct type *before = &initial[i + 1], *after = &l->results[i + 1];
        if (dim_is(rounds, 0))
            finals[i] = *before;
        else if (at_least_one)
            finals[i] = *after;
        else
            finals[i] = type_join(in, before, after, JOIN_BRANCHES, SLOT_FINAL + SLOTS(i));
        if (counted) grow_type(in, before, &l->carried[i + 1], after, rounds, &finals[i]);
    }
    set_outputs(in, l, rounds, finals);
}

/* ---- Round by round ---- */

static bool is_walkable(struct infer *in, const struct loop *l) {
    if (l->exact && read_bool(&l->carried[0]) == 1) return false; /* nothing to gain */
    if (shape_tired(in)) return false;
    return l->endless || (dim_is_number(l->trips) && l->trips.value <= ROUNDS_MOST);
}

/* Sets the outputs and *done when every round's condition is known. */
static enum status walk_rounds(struct infer *in, struct loop *l, bool *done) {
    int64_t most = l->endless ? ROUNDS_MOST : l->trips.value, n = 0;
    struct type *scans = arena_array(in->run->scratch, l->n_scans, sizeof *scans);
    carry_initial(in, l);
    *done = false;
    for (; n < most && read_bool(&l->carried[0]) == 1; n++) {
        if (shape_tired(in)) return ST_OK;
        TRY(run_round(in, l, DIM(n)));
        memcpy(l->carried, l->results, (l->n_carried + 1) * sizeof *l->carried);
        for (uint32_t i = 0; i < l->n_scans; i++) {
            const struct type *each = &l->results[l->n_carried + 1 + i];
            scans[i] = n == 0 ? *each : type_join(in, &scans[i], each, JOIN_ELEMENTS, 0);
        }
    }
    int condition = read_bool(&l->carried[0]);
    if (condition == 1 ? l->endless : condition != 0 && n < most) return ST_OK;
    if (n > 0) memcpy(&l->results[l->n_carried + 1], scans, l->n_scans * sizeof *scans);
    set_outputs(in, l, DIM(n), &l->carried[1]);
    *done = true;
    return ST_OK;
}

/* A body that may never run may contradict itself. */
static enum status softly(struct infer *in, struct loop *l, bool certain,
                          enum status (*fn)(struct infer *, struct loop *)) {
    in->state->soft += !certain;
    enum status status = fn(in, l);
    in->state->soft -= !certain;
    return status;
}

static enum status run_any_round(struct infer *in, struct loop *l) {
    return run_round(in, l, any_round(in, l));
}

enum status shape_loop(struct infer *in) {
    struct loop l = {0};
    TRY(loop_open(in, &l));
    carry_initial(in, &l);
    struct type *initial = arena_copy(in->run->scratch, l.carried, (l.n_carried + 1) * sizeof *initial);
    bool never = read_bool(&initial[0]) == 0 || (dim_is_number(l.trips) && l.trips.value <= 0);
    bool certain = read_bool(&initial[0]) == 1 && (l.endless || dim_is_positive(in->graph, l.trips)), done = false;
    TRY(softly(in, &l, certain, run_to_fixed_point));
    if (is_walkable(in, &l)) {
        struct type *wide = arena_copy(in->run->scratch, l.carried, (l.n_carried + 1) * sizeof *wide);
        TRY(walk_rounds(in, &l, &done));
        memcpy(l.carried, wide, (l.n_carried + 1) * sizeof *wide);
        TRY(softly(in, &l, certain, run_any_round)); /* the body as it holds for every round */
    }
    if (done) return ST_OK;
    if (never) l.trips = DIM(0);
    finish_widened(in, &l, initial);
    return ST_OK;
}
