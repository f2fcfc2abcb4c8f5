/* couple: which indices of which axes of which tensors must stay or go together.
 *
 * An element is (tensor, axis, index). Operators tie elements into classes (union-find) and freeze those that cannot be
 * removed. Everything that is not provably safe is frozen: a missing rule costs coverage, never correctness.
 * The graph must have its shapes, and a private copy of every initializer a use (prepare.c). */
#ifndef COUPLE_H
#define COUPLE_H

#include "ir.h"

struct axis_use { /* an axis that a node sums over (contraction) or takes statistics of */
    uint32_t node, tensor;
    int32_t axis;
};

enum choice_kind { CHOICE_FACTOR, CHOICE_GROUPED };

struct choice { /* a place where one of several factors of an axis may be cut, not two */
    uint32_t node;
    enum choice_kind kind;
    bool settled;
    int32_t n_factors;
    const int64_t *factors; /* outermost first */
    int32_t n_axes;
    const struct factor_axis {
        uint32_t tensor;
        int32_t axis, first, end;
    } * axes; /* axis is factors first..end-1 */
};

struct coupling {
    struct graph *g;
    struct arena *arena;
    bool inner;           /* settle open choices for the inner factor (head size, width in a group), not the outer */
    uint32_t n;           /* elements */
    uint32_t *parent;     /* union-find */
    bool *frozen;         /* by element; valid at roots */
    uint32_t *first_axis; /* by tensor: into base */
    uint32_t *base;       /* by (tensor, axis): its first element; NONE for sizes 1, open or unknown */
    size_t n_contractions, cap_contractions;
    struct axis_use *contractions;
    size_t n_statistics, cap_statistics;
    struct axis_use *statistics;
    size_t n_choices, cap_choices;
    struct choice *choices;
};

/* The whole analysis. Deterministic. */
void couple(struct coupling *, struct graph *, bool inner, struct arena *);

uint32_t couple_element(const struct coupling *, uint32_t tensor, int32_t axis, int64_t index); /* its class, or NONE */
bool couple_is_frozen(const struct coupling *, uint32_t class_);
bool couple_can_cut(const struct tensor *); /* inside the model, and sliceable where it has data */
int64_t couple_size(const struct coupling *, uint32_t tensor, int32_t axis); /* -1 when not a number */

/* For the rules (couple_rules.c, couple_choice.c). Axes without elements are skipped: tying to one freezes the other.
 */
void tie(struct coupling *, uint32_t a, int32_t axis_a, uint32_t b, int32_t axis_b);
void tie_range(struct coupling *, uint32_t a, int32_t axis_a, int64_t from_a, uint32_t b, int32_t axis_b,
               int64_t from_b, int64_t count);
void join(struct coupling *, uint32_t element_a, uint32_t element_b);
void freeze(struct coupling *, uint32_t tensor, int32_t axis);
void freeze_range(struct coupling *, uint32_t tensor, int32_t axis, int64_t from, int64_t count);
void freeze_all(struct coupling *, uint32_t tensor);
void freeze_node(struct coupling *, uint32_t node);
bool axis_is_frozen(const struct coupling *, uint32_t tensor, int32_t axis); /* every element of it */
void note_contraction(struct coupling *, uint32_t node, uint32_t tensor, int32_t axis);
void note_statistics(struct coupling *, uint32_t node, uint32_t tensor, int32_t axis);

/* couple_rules.c: ties of one node; freezes it when there is no rule. */
void couple_node(struct coupling *, uint32_t node);
/* couple_choice.c */
void couple_reshape(struct coupling *, uint32_t node); /* input 0 and output 0 hold the same elements in order */
void couple_grouped(struct coupling *, uint32_t node, int64_t groups);
void settle_choices(struct coupling *);

#endif
