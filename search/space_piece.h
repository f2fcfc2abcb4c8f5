/* space_piece: architectures priced from the parts that they are made of. */
#ifndef SPACE_PIECE_H
#define SPACE_PIECE_H

#include "space.h"

/* Parts of networks that were lowered before, so that each different one takes the passes once. It changes how long
 * features take, never what they are. For one thread. */
struct space_cache {
    struct arena arena;
    struct map index; /* bytes of a struct block to its place in `pieces` */
    struct piece **pieces;
    size_t n_pieces, cap_pieces;
    bool busy; /* still set at the next call: memory ran out on the way, and what is kept may be half made */
};

void space_cache_init(struct space_cache *, const struct allocator *, jmp_buf *on_oom);
void space_cache_free(struct space_cache *);

/* As space_features in one view, with the same numbers to the last bit. */
enum status space_features_cached(struct space_cache *, const struct space *, const struct arch *, int64_t batch,
                                  enum view, struct features *, struct arena *scratch, struct diag *) MUST_CHECK;

#endif
