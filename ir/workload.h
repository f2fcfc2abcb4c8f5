/* The workload: the kernels a runtime launches for a graph. All that the predictor ever sees; it knows no graphs.
 * Included by ir.h. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

/* ---- What a target's runtime does to a graph ---- */

enum view {             /* which nodes run; study: "graph views" */
            VIEW_KEPT,  /* every node as written */
            VIEW_PRUNE, /* zero constants dropped, dead code removed from the output backwards */
            VIEW_FULL,  /* forward and backward reachability: nothing that only sees zeros */
            VIEW_COUNT
};

const char *view_name(enum view);
bool view_parse(const char *name, enum view *);

enum precision { PREC_AS_WRITTEN, PREC_FP32, PREC_FP16, PREC_INT8, PREC_COUNT };

struct fuse_rule { /* consumer joins producer's kernel when the producer's output has no other user */
    enum kernel_class producer, consumer;
};

struct runtime {
    const char *lowering; /* a row of lowerings.def: "plain", "ort" */
    enum view view;
    enum precision precision; /* what the arithmetic runs in; changes bytes too */
    int64_t block;            /* channel block of blocked layouts; 0: none */
    int threads;
    size_t n_fuse;
    const struct fuse_rule *fuse;
};

/* ---- Kernels ---- */

struct kernel {
    enum kernel_class kind;
    const char *op; /* operator of the first node, e.g. "Conv"; lowerings may name their own ("ReorderInput") */
    uint32_t first_node, n_nodes; /* workload->nodes: the graph's nodes it covers, the one that names it first */
    uint32_t first_pred, n_preds; /* workload->preds: kernels whose results it reads */
    enum dtype dtype;             /* of the main arithmetic */
    int64_t macs, flops; /* flops: 2 a MAC plus one an elementwise, reduction, pooling, normalisation operation */
    int64_t in_bytes, out_bytes; /* activations read and written */
    int64_t weight_bytes;        /* constants read */
    int64_t outer_bytes; /* of the activations, those that are inputs or outputs of the model: no cache holds them */
    int64_t params;
    int64_t count; /* how often it runs (body of a Loop); 1 */
    /* Shape facts. Convolutions and pools: batch, spatial extents (1-D: h = 1; 3-D: depth folded into h). Products:
     * positions = rows, c_in = K, c_out = N, batch = number of products. Others: positions * c_out = elements out. */
    int64_t batch, groups, c_in, c_out;
    int64_t in_h, in_w, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int64_t positions; /* batch * output positions */
    int64_t reduction; /* length of the sum behind one output element: kh*kw*c_in/groups; pool kh*kw; else 0 */
    int32_t n_inputs;  /* data inputs */
    bool has_activation, has_residual; /* fused into it */
    bool second_pass;                  /* over the output, for an activation that its inner loop cannot do ("ort") */
    int32_t variant;                   /* a lowering's own detail (broadcast kind, transposed axes, ...) */
    int64_t chunk; /* elements that move, or are summed up or normalised, in one piece; 0: not said */
    int64_t pairs; /* of boxes compared (NonMaxSuppression), of one of the `batch` lists of c_in boxes */
};

/* Variants of the "ort" lowering. */
enum conv_variant { CONV_IM2COL, CONV_FROM_NCHW, CONV_NCHWC }; /* plain; NCHWc that reads NCHW; NCHWc */
enum broadcast { BCAST_NONE, BCAST_SCALAR, BCAST_LAST, BCAST_CHANNEL, BCAST_OTHER };

struct workload {
    const char *model;
    size_t n_kernels, cap_kernels;
    struct kernel *kernels; /* in execution order */
    size_t n_nodes, cap_nodes;
    uint32_t *nodes;
    size_t n_preds, cap_preds;
    uint32_t *preds;
    int64_t macs, flops, params, weight_bytes, read_bytes, write_bytes, peak_memory_bytes;
    int64_t graph_nodes; /* live nodes */
    size_t n_uncovered, cap_uncovered;
    uint32_t *uncovered;          /* of them, those that neither kernels nor views account for */
    int64_t data_dependent_nodes; /* priced at the upper bound of their sizes, or as expected where there is a `most` */
    int64_t open_nodes;           /* in loops of unknown length, priced as one round */
    const struct workload *least, *most; /* the same where data ask for least and most ("ort"); NULL: nothing does */
};

/* ---- Features: device independent sums over a workload (predictor study, section 1) ---- */

enum feature {
#define FEATURE(id, name, unit) FT_##id,
#include "features.def"
#undef FEATURE
    FT_COUNT
};

const char *feature_name(enum feature);

struct features {
    double x[FT_COUNT];
};

#define FT_LEARNED FT_N_PRODUCT /* features before this one are learned from measurements, the rest by kin */

/* Adds what one kernel contributes by itself (kernel_features.c). */
void kernel_features(const struct kernel *, struct features *);

/* A runtime launches a kernel that sums (a product or a pool) the quicker the sooner one of its kind came before. */
enum sum_kind { SUM_PRODUCT, SUM_POOL, SUM_NONE };

struct launches {
    double n, last[SUM_NONE]; /* of such kernels; which was the last of each kind, 0: none */
};

enum sum_kind kernel_sum(const struct kernel *);
void launch_next(struct launches *, enum sum_kind, struct features *);

struct path { /* the longest chain of dependent kernels, by launches and by MACs (millions) */
    double kernels, macs;
};

struct path kernel_path(const struct kernel *); /* its own length */
/* The longest of the paths to what a kernel reads, `preds`. */
struct path path_before(const uint32_t *preds, size_t n_preds, const struct path *paths);
/* The path through a kernel, which the features' critical path is at least as long as. */
struct path path_through(struct path before, struct path kernel, struct features *);

#endif
