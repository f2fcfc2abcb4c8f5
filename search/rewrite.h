/* rewrite: what can be turned in a model and still leaves a valid one, and turning it.
 *
 * A group is a set of interchangeable units (channels, heads, hidden widths) that many tensors share; any number of its
 * units can go as long as some stay. A drop is a residual block that can be bypassed. A crop is a convolution whose
 * kernel can shrink. Knobs are found in the graph by index coupling (couple.h); graph inputs and outputs keep their
 * shapes by construction. */
#ifndef REWRITE_H
#define REWRITE_H

#include "couple.h"

enum importance { IMPORTANCE_L2, IMPORTANCE_L1, IMPORTANCE_RANDOM };

struct group_axis { /* an axis that shrinks by per_unit when a unit of the group goes */
    uint32_t tensor;
    int32_t axis;
    int64_t per_unit;
};

struct group {
    const char *name; /* of the first weight that has it as output: stable from run to run */
    uint32_t n_units;
    const uint32_t *units; /* classes of the coupling */
    uint32_t n_axes;
    const struct group_axis *axes;
    const float *importance; /* by unit; mean 1 */
    const uint32_t *order;   /* units, least important first */
    int64_t step;            /* units go in multiples of this so that axes stay aligned */
    uint32_t n_steps;        /* how many such multiples may go */
    bool statistics;         /* a mean or variance runs over it: removing units changes what it is taken of */
};

struct drop {              /* the output of a block can be what it starts from */
    uint32_t keep, output; /* tensors: readers of output read keep */
    const char *name;
};

struct crop { /* a convolution's kernel loses its rim, and its padding as much */
    uint32_t weight;
    uint32_t n_steps; /* each takes one row off every side that is long enough */
    const char *name;
};

struct knobs {
    struct graph *g; /* prepared: private copies of initializers, constants in place of what computes them */
    struct coupling coupling;
    uint32_t n_groups, n_drops, n_crops;
    struct group *groups;
    struct drop *drops;
    struct crop *crops;
    const int64_t *sizes; /* by axis (coupling.first_axis): before any cut; -1 when not a number */
    size_t n_axes;
    const uint32_t *copy_of;      /* by tensor: the initializer it is a private copy of; itself otherwise */
    const uint32_t *dequantizers; /* weight_dequantizers of the graph */
    int64_t align;
};

enum coupling_view { /* where either of two factors could be cut: heads or head size, groups or their width */
                     COUPLING_OUTER,
                     COUPLING_INNER,
                     COUPLING_FREER /* the one that leaves more channels free, outer when equal */
};

/* Finds the knobs of a graph whose shapes are known. The graph is changed only in ways that keep what it computes.
 * `align`: multiple that channel counts keep (1: none). Random importance draws from the seed. */
void knobs_find(struct knobs *, struct graph *, enum coupling_view, int64_t align, enum importance, uint64_t seed,
                struct arena *);

struct config {        /* a setting of every knob */
    uint16_t *removed; /* by group: steps removed */
    bool *dropped;     /* by drop */
    uint16_t *cropped; /* by crop: steps */
};

struct config config_new(const struct knobs *, struct arena *);

/* The model with the setting applied, in a clone: weights sliced, stated shapes made to agree. Its tensors have the
 * shapes the coupling predicts; the caller infers them again from scratch and compares (rewrite_verify). */
enum status rewrite_apply(const struct knobs *, const struct config *, struct arena *, struct graph **,
                          struct diag *) MUST_CHECK;
/* The same for pricing only: shapes without weights, and operands that state shapes left as they were. `of` is a clone
 * of the knobs' graph whose open sizes are bound. */
struct graph *rewrite_shapes(const struct knobs *, const struct config *, const struct graph *of, struct arena *);
/* After inference on the result: every live tensor has the predicted shape, or ST_MODEL. What is not cut is as in `of`,
 * the knobs' graph or one of it at another size of its inputs. */
enum status rewrite_verify(const struct knobs *, const struct config *, const struct graph *of, const struct graph *,
                           struct arena *scratch, struct diag *) MUST_CHECK;
/* merge.c: copies of one initializer that a cut left the same become one again. */
void merge_copies(struct graph *g, const struct knobs *, struct arena *);
const char *knob_name(const struct graph *, const struct node *); /* of the node, or of what it makes */
/* drops.c */
void drops_find(struct knobs *, struct arena *);
/* crops.c */
void crops_find(struct knobs *, struct arena *);
int64_t crop_rim(int64_t side, int64_t steps); /* what each end of an axis of the kernel has lost after some steps */
/* prepare.c */
void prepare(struct graph *, struct arena *, const uint32_t **copy_of);
/* cut.c: which elements a setting removes. */
struct cut {
    const struct knobs *knobs;
    const int64_t *sizes; /* by axis: what stays */
    const bool *removed;  /* by class; NULL when only sizes are wanted */
    struct arena *arena;
};
struct cut cut_start(const struct knobs *, const struct config *, bool with_indices, struct arena *);
bool cut_removes(const struct cut *, uint32_t tensor, int32_t axis, int64_t index);
int64_t cut_size(const struct cut *, uint32_t tensor, int32_t axis); /* what stays of an axis; -1 when not a number */
int64_t cut_before(const struct cut *, uint32_t tensor, int32_t axis, int64_t index); /* how many stay below index */
/* structure.c: operands and attributes that state shapes (Reshape targets, Split sizes, group counts, ...) are made to
 * agree. The tensors of `g` have the shapes after the cut, those of the knobs' graph the ones before. */
enum status structure_adjust(struct graph *g, const struct cut *, struct diag *) MUST_CHECK;
void structure_adjust_convs(struct graph *g, const struct graph *before); /* only what prices depend on */

/* ---- weights.c ---- */

bool does_macs(const struct node *);
/* The initializer of two axes or more that such a node reads as `tensor`, itself or through a DequantizeLinear; NONE.
 */
uint32_t weight_behind(const struct graph *, const struct node *, uint32_t tensor);
/* By tensor: the DequantizeLinear that makes numbers of it, NONE. */
const uint32_t *weight_dequantizers(const struct graph *, struct arena *);

struct weight { /* an initializer's numbers as they count */
    const struct tensor *stored;
    const struct tensor *scale, *zero; /* of a quantised one; NULL: 1, 0 */
    int64_t each, n_scales;            /* elements that go with one scale, one after the other; scales */
    bool is_known;                     /* else there are none to be read */
};

struct weight weight_open(const struct graph *, uint32_t tensor, const uint32_t *dequantizers);
int64_t weight_count(const struct tensor *);          /* elements */
double weight_size(const struct weight *, int64_t i); /* magnitude of an element; of weights that are known */

#endif
