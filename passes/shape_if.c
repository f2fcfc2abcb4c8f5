/* If: what both branches agree on. A condition that is known picks one; a branch that may never run may contradict
 * itself without the model being wrong. */
#include "shape_internal.h"

enum { UNKNOWN = -1 };

static int read_condition(const struct infer *in) {
    const struct value *v = infer_value(in, 0);
    if (!v || v->n < 1 || v->is_float || !dim_is_number(v->at[0].d)) return UNKNOWN;
    return v->at[0].d.value != 0;
}

static enum status branch_of(struct infer *in, const char *name, uint32_t *body) {
    const struct attr *a = node_attr(in->node, name);
    if (!a || a->type != AT_GRAPH) return infer_fail(in, "it has no %s", name);
    if (in->graph->bodies[a->body].n_outputs != in->node->n_outputs)
        return infer_fail(in, "%s has %u outputs, expected %u", name, in->graph->bodies[a->body].n_outputs,
                          in->node->n_outputs);
    *body = a->body;
    return ST_OK;
}

static enum status run_branch(struct infer *in, uint32_t body, bool certain) {
    in->state->soft += !certain;
    enum status status = shape_body(in, body);
    in->state->soft -= !certain;
    return status;
}

enum status shape_if(struct infer *in) {
    int condition = read_condition(in);
    uint32_t then_body, else_body;
    TRY(branch_of(in, "then_branch", &then_body));
    TRY(branch_of(in, "else_branch", &else_body));
    TRY(run_branch(in, then_body, condition == 1));
    TRY(run_branch(in, else_body, condition == 0));
    for (uint32_t o = 0; o < in->node->n_outputs; o++) {
        struct type then_type = type_of(in, in->graph->bodies[then_body].outputs[o]);
        struct type else_type = type_of(in, in->graph->bodies[else_body].outputs[o]);
        struct type out = condition == 1 ? then_type : else_type;
        if (condition == UNKNOWN) out = type_join(in, &then_type, &else_type, JOIN_BRANCHES, o * (RANK_MAX + 1));
        type_assign(in, node_out(in->node, o), &out);
    }
    return ST_OK;
}
