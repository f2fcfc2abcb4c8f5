/* How a node's attributes and input shapes define its work. Shape inference, cost and lowering read the same facts.
 * Private to passes/, but for windows, which rewriting changes. Nothing here fails loudly: a reader returns false and
 * says why in words ready for a message. */
#ifndef GEOMETRY_H
#define GEOMETRY_H

#include "ir.h"

#define SPATIAL_MAX 8

struct why { /* of a reader that returned false */
    char text[200];
};

static inline const struct tensor *node_tensor(const struct graph *graph, const struct node *node, uint32_t input) {
    uint32_t id = node_in(node, input);
    return id == NONE ? NULL : &graph->tensors[id];
}

/* ---- Sliding windows (window.c): Conv, ConvTranspose, pools ---- */

enum auto_pad { PAD_EXPLICIT, PAD_SAME_UPPER, PAD_SAME_LOWER, PAD_VALID };

struct window {
    int32_t n; /* spatial axes; RANK_UNKNOWN */
    bool ceil_mode, channels_last;
    enum auto_pad auto_pad;
    dim kernel[SPATIAL_MAX];
    int64_t stride[SPATIAL_MAX], dilation[SPATIAL_MAX];
    int64_t begin[SPATIAL_MAX], end[SPATIAL_MAX]; /* explicit padding */
};

/* Which inputs of a convolution, product or pool are the data and the weight: quantised forms interleave scales. */
struct operands {
    uint32_t data, weight; /* NONE: no weight */
};
struct operands node_operands(const struct node *);

bool window_read(const struct graph *, const struct node *, struct window *, struct why *);
/* Axis of the tensor that holds spatial axis i, and the channels. */
static inline int32_t window_axis(const struct window *w, int32_t i) {
    return i + (w->channels_last ? 1 : 2);
}
static inline int32_t window_channel_axis(const struct window *w) {
    return w->channels_last ? w->n + 1 : 1;
}
/* Output size along spatial axis i of a convolution or pool. Unknown when a part is. */
dim window_out(struct graph *, const struct window *, int32_t i, dim in);
/* The padding that auto_pad comes to. */
void window_pads(const struct window *, int32_t i, int64_t in, int64_t out, int64_t *begin, int64_t *end);

/* ---- Einsum (einsum.c) ---- */

enum { EINSUM_OPERANDS = 16, EINSUM_TERM = 64, EINSUM_LABELS = 52 + RANK_MAX };

struct einsum_term {
    int32_t n;
    uint8_t label[EINSUM_TERM]; /* 0..51: letters; 52 + k: k-th of the dims behind "...", counted from the right */
};

struct einsum {
    uint32_t n_inputs;
    struct einsum_term in[EINSUM_OPERANDS], out;
};

/* The equation with its ellipses resolved against the ranks of the inputs (all must be known). */
bool einsum_read(const struct graph *, const struct node *, struct einsum *, struct why *);

/* ---- Attention (attention.c): Attention of opset 23 and the com.microsoft family ---- */

struct attention {
    dim batch, q_heads, kv_heads;
    dim q_len, kv_len; /* rows of the query; rows of new keys */
    dim past_len;      /* rows already cached; DIM(0) without a past */
    dim total_len;     /* rows attended to: past + new, or the length of a shared buffer */
    dim head, v_head;  /* sizes of one head of Q and K, and of V */
    dim hidden;        /* input columns that the fused projection of Q, K and V reads; DIM(0): no projection */
    dim out_hidden;    /* q_heads * v_head where given as one number */
    bool flat;         /* the main output is (batch, length, heads * size), not 4-D */
    bool packed;       /* tokens of all sequences in one axis: (tokens, hidden) */
};

/* Sizes that cannot be told stay unknown. */
void attention_read(struct graph *, const struct node *, struct attention *);

/* ---- Boxes (shape_index.c) ---- */

/* A NonMaxSuppression whose threshold no overlap exceeds. */
bool suppresses_nothing(struct graph *, const struct node *);

#endif
