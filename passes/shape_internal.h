/* What the shape and fold functions share (shape_help.c, value_help.c). Private to passes/.
 *
 * A shape function reads its inputs with infer_*, decides, and sets every output it is sure of with infer_set. Outputs
 * it does not set stay unknown. Dims may be unknown or symbolic anywhere: compute with dim_*, which carry that through.
 * Its node has at least the inputs the operator table asks for (the driver checks the counts; a required input may
 * still be left out with an empty name: infer_in gives NULL). */
#ifndef SHAPE_INTERNAL_H
#define SHAPE_INTERNAL_H

#include "passes.h"

/* ---- Inputs ---- */

/* Input i; NULL when left out. */
struct tensor *infer_in(const struct infer *, uint32_t i);
static inline bool infer_has(const struct infer *in, uint32_t i) {
    return node_in(in->node, i) != NONE;
}
int32_t infer_rank(const struct infer *, uint32_t i); /* RANK_UNKNOWN also when left out */
/* Dim of input i; a negative axis counts from the end; unknown when the rank is, or the axis is outside. */
dim infer_dim(const struct infer *, uint32_t i, int64_t axis);
void infer_dims(const struct infer *, uint32_t i, dim *out); /* all of an input whose rank is known */
enum dtype infer_dtype(const struct infer *, uint32_t i);    /* DT_UNDEFINED when left out or not known */
/* What is known of the elements of input i (initializers are read on demand); NULL: nothing. */
const struct value *infer_value(const struct infer *, uint32_t i);
int64_t infer_elements(const struct tensor *); /* a product of number dims; -1 */
/* An initializer small enough to have a value, or of no elements; its data is not touched. */
bool infer_is_readable(const struct tensor *);
/* An attribute that holds a TensorProto.DataType; DT_UNDEFINED for what is none. */
enum dtype infer_dtype_attr(const struct infer *, const char *name, enum dtype otherwise);
/* Input i as integers, when it is at most 1-D and every element is a number. False: not known (or more than max). */
bool infer_ints(const struct infer *, uint32_t i, int64_t *out, size_t max, size_t *n);
bool infer_int(const struct infer *, uint32_t i, int64_t *out); /* the same for one element */
dim infer_floor(double size);                                   /* unknown when no int64_t holds it */
dim infer_scalar(const struct infer *, uint32_t i);             /* one integer element, symbolic allowed; unknown */
int64_t infer_count(const struct infer *, uint32_t i);          /* infer_elements of input i; -1 when left out */

/* ---- Outputs ---- */

/* Sets output `o` (nothing when the node leaves it out), a dense tensor. The dims are copied. Where an inferred dim is
 * unknown, what the file declared stays. rank may be RANK_UNKNOWN (dims unused). */
enum status infer_set(struct infer *, uint32_t o, enum dtype, const dim *dims, int32_t rank) MUST_CHECK;
/* Output o is like input i, of type dtype (DT_UNDEFINED: also the type of input i). */
enum status infer_set_like(struct infer *, uint32_t o, uint32_t i, enum dtype) MUST_CHECK;
/* Only the type is known, or nothing (DT_UNDEFINED). `reason` says why, for the node; NULL when nothing is wrong. */
enum status infer_set_unknown(struct infer *, uint32_t o, enum dtype, const char *reason) MUST_CHECK;
/* A size that depends on data: the same symbol whenever this node asks again for the same slot and bounds. */
dim infer_fresh(struct infer *, uint32_t slot, int64_t lo, int64_t hi);
/* A size read from a value: d itself, or such a symbol within 0..hi when d is unknown. */
dim infer_size(struct infer *, dim d, uint32_t slot, int64_t hi);

/* ---- Checks; failures read `net.onnx: node "x" (Op): ...` with status ST_SHAPE ---- */

enum status infer_fail(const struct infer *, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Fails when the rank of input i is known and outside lo..hi (hi -1: any). `what` names the input: "weight". */
enum status infer_want_rank(const struct infer *, uint32_t i, const char *what, int32_t lo, int32_t hi) MUST_CHECK;
/* Axis in -rank..rank-1 to 0..rank-1; fails outside. */
enum status infer_axis(const struct infer *, int64_t axis, int32_t rank, int32_t *out) MUST_CHECK;
/* Both must be the same size: the better known of the two; fails when they are different numbers. */
enum status infer_unify(const struct infer *, dim a, dim b, const char *what, dim *out) MUST_CHECK;
/* Numpy broadcasting of two dims; `slot` as in infer_fresh, for two sizes of which nobody knows which one is 1. */
enum status infer_broadcast_dim(struct infer *, dim a, dim b, uint32_t slot, dim *out) MUST_CHECK;
/* Numpy broadcasting of shapes: `dims` holds *rank dims and takes the result. Start with *rank 0. */
enum status infer_broadcast(struct infer *, dim dims[RANK_MAX], int32_t *rank, const dim *other,
                            int32_t other_rank) MUST_CHECK;

/* ---- Values, for fold functions (value_help.c) ---- */

/* True when each of the first n inputs, if present, has a value or small initializer data; reads the latter. */
bool fold_ready(const struct infer *, uint32_t n);
/* The new value of output o with the number of elements its shape says; NULL when that is not a number, too many, or
 * the type carries no value. All elements unknown. */
struct value *fold_new(struct infer *, uint32_t o);
void fold_set(struct infer *, uint32_t o, const struct value *);
/* The dims of a tensor whose value is known, as numbers; false when value and shape do not fit together. */
bool fold_dims(const struct infer *, uint32_t tensor, int64_t dims[RANK_MAX]);
/* Coordinates of element `k` (row-major) of a tensor of these dims. */
void fold_position(int64_t k, const int64_t *dims, int32_t rank, int64_t *at);
struct scalar scalar_unknown(void);
struct scalar scalar_number(double); /* floating point */
struct scalar scalar_dim(dim);       /* integer */
bool scalar_is_number(struct scalar, bool is_float);
double scalar_to_double(struct scalar, bool is_float); /* only if scalar_is_number */
double round_to_dtype(double, enum dtype);             /* as storing it in that floating-point type does */

/* ---- Types of values, for control flow and sequences (shape_type.c) ---- */

struct elements;

struct type { /* what is known of a tensor, sequence or optional */
    enum type_kind kind;
    enum dtype dtype;
    int32_t rank; /* of a sequence: what all its elements share */
    const dim *dims;
    dim length;                      /* sequences */
    const struct value *value;       /* tensors; NULL: not known */
    const struct elements *elements; /* of a sequence, or what an optional holds (0 or 1); NULL: not known */
};

struct elements {
    uint32_t n;
    struct type at[];
};

#define ELEMENTS_MAX 1024 /* longer sequences know only what their elements share */

enum join {
    JOIN_ELEMENTS, /* elements of one sequence: sizes that differ are unknown */
    JOIN_BRANCHES, /* either of two: sizes that differ become a symbol between them */
    JOIN_ROUNDS    /* before or after a round of a loop: sizes that differ become an unbounded symbol */
};

struct type type_unknown(void);
struct type type_scalar(struct infer *, enum dtype, struct scalar);
struct type type_of(const struct infer *, uint32_t tensor); /* initializers are read; NONE: unknown */
void type_assign(struct infer *, uint32_t tensor, const struct type *);
/* The type of both; `slot` keys the symbols it makes (RANK_MAX + 1 of them), as in infer_fresh. */
struct type type_join(struct infer *, const struct type *, const struct type *, enum join, uint32_t slot);
bool type_same(const struct type *, const struct type *);
/* A sequence of the given elements (copied). */
struct type type_sequence(struct infer *, const struct type *elements, uint32_t n);
/* Without what only holds for one element: dims that are unknown become symbols of this node. */
struct type type_settle(struct infer *, struct type, uint32_t slot);

/* ---- The driver (shape.c) as seen by control flow ---- */

#define SCALARS_MOST (UINT64_C(8) << 20)

struct shape_state {
    struct map fresh; /* (node, slot) to entries */
    struct fresh_entry {
        dim symbol;
        int64_t lo, hi;
    } * entries;
    size_t n_entries, cap_entries;
    uint32_t n_symbols;
    uint64_t n_scalars;               /* of all values made; beyond SCALARS_MOST no more are */
    const struct type *declared;      /* by tensor: what the file says */
    const struct elements **elements; /* by tensor; NULL until a sequence or optional turns up */
    uint64_t work, work_limit;        /* nodes inferred; beyond the limit loops are not repeated for precision */
    uint32_t soft;                    /* > 0: in a branch that may never run; failures become reasons */
    size_t n_stale;                   /* declared types that inference contradicts */
    uint32_t stale;                   /* the first of them */
    int64_t opset;                    /* of the default domain */
};

/* Infers the nodes of a body whose inputs were entered. */
enum status shape_body(struct infer *, uint32_t body) MUST_CHECK;
/* Sets an input of a body, completed by what the file declares. */
void shape_enter(struct infer *, uint32_t tensor, const struct type *);
static inline bool shape_tired(const struct infer *in) {
    return in->state->work > in->state->work_limit;
}

/* ---- One declaration a name in the shape and fold columns of ops.def ---- */

shape_fn shape_affine_grid, shape_arg_reduce, shape_attention, shape_batch_norm, shape_bcast, shape_bcast_bool,
    shape_cast, shape_cast_like, shape_center_crop_pad, shape_col2im, shape_compress, shape_concat,
    shape_concat_from_sequence, shape_constant, shape_constant_of_shape, shape_conv, shape_conv_transpose,
    shape_depth_to_space, shape_dequantize, shape_det, shape_dft, shape_dropout, shape_dynamic_quantize, shape_einsum,
    shape_embed_layer_norm, shape_expand, shape_eye_like, shape_flatten, shape_gather, shape_gather_elements,
    shape_gather_nd, shape_gemm, shape_global_pool, shape_grid_sample, shape_identity, shape_if, shape_image_decoder,
    shape_irfft, shape_layer_norm, shape_loop, shape_matmul, shape_matmul_nbits, shape_max_roi_pool, shape_max_unpool,
    shape_mel_weight_matrix, shape_ms_attention, shape_multinomial, shape_nll_loss, shape_nms, shape_nonzero,
    shape_one_hot, shape_opaque, shape_optimizer, shape_optional, shape_optional_get_element,
    shape_optional_has_element, shape_pad, shape_pool, shape_qgemm, shape_qlinear_bcast, shape_qlinear_concat,
    shape_qlinear_conv, shape_qlinear_matmul, shape_quantize, shape_random, shape_random_like, shape_range,
    shape_reduce, shape_reorder_input, shape_reorder_output, shape_reshape, shape_resize, shape_rfft, shape_rnn,
    shape_roi_align, shape_same, shape_same_bool, shape_scan, shape_sequence_at, shape_sequence_construct,
    shape_sequence_empty, shape_sequence_erase, shape_sequence_insert, shape_sequence_length, shape_sequence_map,
    shape_shape, shape_size, shape_slice, shape_softmax_loss, shape_space_to_depth, shape_split,
    shape_split_to_sequence, shape_squeeze, shape_stft, shape_string_normalizer, shape_string_split, shape_tfidf,
    shape_tile, shape_topk, shape_transpose, shape_unique, shape_unsqueeze, shape_upsample, shape_where, shape_window;

fold_fn fold_arith, fold_cast, fold_clip, fold_compare, fold_concat, fold_constant, fold_constant_of_shape, fold_cumsum,
    fold_expand, fold_gather, fold_gather_elements, fold_gather_nd, fold_identity, fold_matmul, fold_nonzero, fold_pad,
    fold_range, fold_reduce, fold_scatter_nd, fold_sequence_length, fold_shape, fold_size, fold_slice, fold_split,
    fold_tile, fold_transpose, fold_unary, fold_where;

#endif
