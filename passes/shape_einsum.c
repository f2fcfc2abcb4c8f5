/* Shape of Einsum-12: every label has one size; sizes behind "..." broadcast. */
#include "shape_nn.h"

static enum status merge(struct infer *in, const struct einsum *e, dim sizes[EINSUM_LABELS]) {
    bool seen[EINSUM_LABELS] = {false};
    for (uint32_t i = 0; i < e->n_inputs; i++)
        for (int32_t k = 0; k < e->in[i].n; k++) {
            int label = e->in[i].label[k];
            dim d = infer_dim(in, i, k), *known = &sizes[label];
            /* Runtimes let an axis of 1 broadcast behind letters too, as numpy does. */
            if (!seen[label])
                *known = d;
            else
                TRY(infer_broadcast_dim(in, *known, d, (uint32_t)label, known));
            seen[label] = true;
        }
    return ST_OK;
}

enum status shape_einsum(struct infer *in) {
    struct einsum e;
    struct why why;
    dim sizes[EINSUM_LABELS], out[EINSUM_TERM];
    for (uint32_t i = 0; i < in->node->n_inputs; i++)
        if (infer_rank(in, i) == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    if (!einsum_read(in->graph, in->node, &e, &why)) return infer_fail(in, "%s", why.text);
    TRY(merge(in, &e, sizes));
    for (int32_t k = 0; k < e.out.n; k++) out[k] = sizes[e.out.label[k]];
    return infer_set(in, 0, infer_dtype(in, 0), out, e.out.n);
}
