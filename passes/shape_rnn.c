/* Shapes of RNN-22, GRU-22, LSTM-22 and DynamicQuantizeLSTM. */
#include "shape_nn.h"

#include <string.h>

static enum status directions(const struct infer *in, int64_t *out) {
    const char *direction = node_string(in->node, "direction", "forward");
    bool one = strcmp(direction, "forward") == 0 || strcmp(direction, "reverse") == 0;
    *out = one ? 1 : 2;
    if (one || strcmp(direction, "bidirectional") == 0) return ST_OK;
    return infer_fail(in, "direction is \"%.40s\"", direction);
}

static enum status hidden_size(struct infer *in, dim *out) {
    int64_t given = node_int(in->node, "hidden_size", 0);
    bool transposed = in->node->op == OP_MsDynamicQuantizeLSTM; /* R: (directions, hidden, 4 * hidden) */
    return infer_unify(in, given > 0 ? DIM(given) : DIM_UNKNOWN, infer_dim(in, 2, transposed ? 1 : 2),
                       "hidden_size and the recurrence weight", out);
}

static enum status check_input_size(struct infer *in) {
    dim size;
    bool transposed = in->node->op == OP_MsDynamicQuantizeLSTM;
    return infer_unify(in, infer_dim(in, 0, 2), infer_dim(in, 1, transposed ? 1 : 2), "the input and the weight",
                       &size);
}

enum status shape_rnn(struct infer *in) {
    int64_t dirs;
    dim hidden;
    enum dtype dtype = infer_dtype(in, 0);
    TRY(infer_want_rank(in, 0, "the input", 3, 3));
    TRY(infer_want_rank(in, 1, "the weight", 3, 3));
    TRY(infer_want_rank(in, 2, "the recurrence weight", 3, 3));
    TRY(directions(in, &dirs));
    TRY(hidden_size(in, &hidden));
    TRY(check_input_size(in));
    bool batch_first = node_int(in->node, "layout", 0) != 0;
    dim length = infer_dim(in, 0, batch_first ? 1 : 0), batch = infer_dim(in, 0, batch_first ? 0 : 1);
    const dim y[] = {length, DIM(dirs), batch, hidden}, y_first[] = {batch, length, DIM(dirs), hidden};
    const dim state[] = {DIM(dirs), batch, hidden}, state_first[] = {batch, DIM(dirs), hidden};
    TRY(infer_set(in, 0, dtype, batch_first ? y_first : y, 4));
    TRY(infer_set(in, 1, dtype, batch_first ? state_first : state, 3));
    return infer_set(in, 2, dtype, batch_first ? state_first : state, 3);
}
