/* The operator table, expanded from ops.def, and its lookup by binary search. */
#include "ir.h"

#include <string.h>

const struct op_info op_table[OP_COUNT] = {
    [OP_UNKNOWN] = {.name = "", .domain = "", .max_in = -1, .kernel = KC_OTHER},
#define OP(id, name, domain, since, min_in, max_in, class_, flags, shape, fold, cost)                                  \
    [OP_##id] = {name, domain, since, min_in, max_in, KC_##class_, flags},
#include "ops.def"
#undef OP
};

static int compare(const struct op_info *row, const char *domain, const char *name, int64_t version) {
    int order = strcmp(row->domain, domain);
    if (!order) order = strcmp(row->name, name);
    if (!order) order = row->since > version;
    return order;
}

uint16_t op_find(const char *domain, const char *name, int64_t opset_version) {
    if (!strcmp(domain, "ai.onnx")) domain = "";
    size_t low = 1, high = OP_COUNT; /* rows before `low` are not above what is sought */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&op_table[middle], domain, name, opset_version) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct op_info *row = &op_table[low - 1];
    bool found = low > 1 && !strcmp(row->name, name) && !strcmp(row->domain, domain);
    return found ? (uint16_t)(low - 1) : OP_UNKNOWN;
}

int64_t graph_opset(const struct graph *g, const char *domain) {
    for (size_t i = 0; i < g->n_opsets; i++)
        if (!strcmp(g->opsets[i].domain, domain)) return g->opsets[i].version;
    return 0;
}
