/* Shapes of elementwise operators, casts and views that keep the elements in order. */
#include "shape_internal.h"

#include <string.h>

enum status shape_same(struct infer *in) {
    for (uint32_t o = 0; o < in->node->n_outputs; o++) TRY(infer_set_like(in, o, 0, DT_UNDEFINED));
    return ST_OK;
}

enum status shape_same_bool(struct infer *in) {
    return infer_set_like(in, 0, 0, DT_BOOL);
}

/* ---- Broadcasting ---- */

/* Before opset 7 (Sum, Mean, Min, Max: 8) the second input was stretched to the first, if at all. */
static enum status broadcast_one_way(struct infer *in, enum dtype dtype) {
    if (infer_rank(in, 0) == RANK_UNKNOWN && in->node->n_inputs > 1 && node_int(in->node, "broadcast", 0) == 0)
        return infer_set_like(in, 0, 1, dtype);
    return infer_set_like(in, 0, 0, dtype);
}

static enum status broadcast_inputs(struct infer *in, enum dtype dtype) {
    if (in->opset < 7 && in->node->domain[0] == '\0') return broadcast_one_way(in, dtype);
    dim dims[RANK_MAX];
    int32_t rank = 0;
    for (uint32_t i = 0; i < in->node->n_inputs; i++) {
        if (!infer_has(in, i)) continue;
        int32_t r = infer_rank(in, i);
        if (r == RANK_UNKNOWN) return infer_set_unknown(in, 0, dtype, NULL);
        TRY(infer_broadcast(in, dims, &rank, infer_in(in, i)->dims, r));
    }
    return infer_set(in, 0, dtype, dims, rank);
}

enum status shape_bcast(struct infer *in) {
    enum dtype dtype = infer_dtype(in, 0);
    bool mixed = strcmp(in->node->op_type, "Pow") == 0; /* the exponent has a type of its own */
    for (uint32_t i = 1; dtype == DT_UNDEFINED && !mixed && i < in->node->n_inputs; i++) dtype = infer_dtype(in, i);
    return broadcast_inputs(in, dtype);
}

enum status shape_bcast_bool(struct infer *in) {
    return broadcast_inputs(in, DT_BOOL);
}

enum status shape_where(struct infer *in) {
    enum dtype dtype = infer_dtype(in, 1);
    return broadcast_inputs(in, dtype == DT_UNDEFINED ? infer_dtype(in, 2) : dtype);
}

/* ---- Casts ---- */

static enum dtype cast_target(struct infer *in) {
    const struct attr *to = node_attr(in->node, "to");
    if (!to) return DT_UNDEFINED;
    if (to->type == AT_INT) return infer_dtype_attr(in, "to", DT_UNDEFINED);
    if (to->type != AT_STRING) return DT_UNDEFINED;
    static const char *const names[DT_COUNT] = {
        /* opsets before 6 spell the type out */
        [DT_FLOAT] = "FLOAT",  [DT_UINT8] = "UINT8",     [DT_INT8] = "INT8",     [DT_UINT16] = "UINT16",
        [DT_INT16] = "INT16",  [DT_INT32] = "INT32",     [DT_INT64] = "INT64",   [DT_STRING] = "STRING",
        [DT_BOOL] = "BOOL",    [DT_FLOAT16] = "FLOAT16", [DT_DOUBLE] = "DOUBLE", [DT_UINT32] = "UINT32",
        [DT_UINT64] = "UINT64"};
    for (int i = 0; i < DT_COUNT; i++)
        if (names[i] && strcmp(names[i], to->s) == 0) return (enum dtype)i;
    return DT_UNDEFINED;
}

enum status shape_cast(struct infer *in) {
    enum dtype to = cast_target(in);
    if (to == DT_UNDEFINED) return infer_fail(in, "attribute \"to\" is missing or names no type");
    return infer_set_like(in, 0, 0, to);
}

enum status shape_cast_like(struct infer *in) {
    TRY(infer_set_like(in, 0, 0, DT_UNDEFINED));
    if (node_out(in->node, 0) != NONE) in->graph->tensors[node_out(in->node, 0)].dtype = infer_dtype(in, 1);
    return ST_OK;
}

/* ---- Views that change nothing ---- */

enum status shape_identity(struct infer *in) {
    struct type t = type_of(in, node_in(in->node, 0));
    t.value = infer_value(in, 0);
    type_assign(in, node_out(in->node, 0), &t);
    return ST_OK;
}

enum status shape_dropout(struct infer *in) {
    TRY(infer_set_like(in, 0, 0, DT_UNDEFINED));
    return infer_set_like(in, 1, 0, in->opset >= 10 ? DT_BOOL : DT_UNDEFINED); /* the mask */
}
