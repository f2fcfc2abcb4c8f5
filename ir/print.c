/* The IR as text: declarations, then one node a line in body order, subgraphs indented under their node. */
#include "ir.h"

#include <locale.h>

enum { INDENT = 2, SHOWN_INTS = 16 };

static void print_type(const struct graph *g, const struct tensor *t, FILE *out) {
    static const char *const kinds[] = {"", "sequence of ", "optional ", "map of ", "sparse ", "opaque "};
    char text[256];
    fprintf(out, "%s%s", kinds[t->kind], dtype_name(t->dtype));
    if (t->rank < 0) {
        fputs("[...]", out);
        return;
    }
    fputc('[', out);
    for (int32_t i = 0; i < t->rank; i++) {
        dim_print(g, t->dims[i], text, sizeof text);
        fprintf(out, "%s%s", i ? "," : "", text);
    }
    fputc(']', out);
}

static void print_tensor(const struct graph *g, uint32_t id, FILE *out) {
    if (id == NONE) {
        fputc('_', out);
        return;
    }
    const struct tensor *t = &g->tensors[id];
    if (t->name[0])
        fprintf(out, "%%%s: ", t->name);
    else
        fprintf(out, "%%%u: ", id);
    print_type(g, t, out);
}

static void print_value(const struct graph *g, const struct value *value, FILE *out) {
    char text[256];
    fputs(" = {", out);
    for (uint32_t i = 0; i < value->n && i < SHOWN_INTS; i++) {
        const struct scalar *s = &value->at[i];
        dim_print(g, s->d, text, sizeof text);
        if (!value->is_float)
            fprintf(out, "%s%s", i ? "," : "", text);
        else if (dim_is(s->d, 1))
            fprintf(out, "%s%g", i ? "," : "", s->f);
        else
            fprintf(out, "%s%g*%s", i ? "," : "", s->f, text);
    }
    fputs(value->n > SHOWN_INTS ? ",...}" : "}", out);
}

static void print_ints(const int64_t *ints, size_t n, FILE *out) {
    fputc('[', out);
    for (size_t i = 0; i < n && i < SHOWN_INTS; i++) fprintf(out, "%s%lld", i ? "," : "", (long long)ints[i]);
    fputs(n > SHOWN_INTS ? ",...]" : "]", out);
}

static void print_attr(const struct graph *g, const struct attr *attr, FILE *out) {
    fprintf(out, "%s=", attr->name);
    switch (attr->type) {
    case AT_INT:
        fprintf(out, "%lld", (long long)attr->i);
        break;
    case AT_FLOAT:
        fprintf(out, "%g", (double)attr->f);
        break;
    case AT_STRING:
        fprintf(out, "\"%s\"", attr->s);
        break;
    case AT_INTS:
        print_ints(attr->ints, attr->n, out);
        break;
    case AT_TENSOR:
        print_tensor(g, attr->tensor, out);
        break;
    case AT_GRAPH:
        fprintf(out, "body %u", attr->body);
        break;
    default:
        fprintf(out, "(%zu elements)", attr->n);
        break;
    }
}

static void print_body(const struct graph *g, uint32_t body, int depth, FILE *out);

static void print_bodies(const struct graph *g, const struct node *node, int depth, FILE *out) {
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const struct attr *attr = &node->attrs[i];
        if (attr->type == AT_GRAPH) print_body(g, attr->body, depth + 1, out);
        for (size_t k = 0; attr->type == AT_GRAPHS && k < attr->n; k++) print_body(g, attr->bodies[k], depth + 1, out);
    }
}

static void print_node(const struct graph *g, const struct node *node, int depth, FILE *out) {
    fprintf(out, "%*s", depth * INDENT, "");
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        if (i) fputs(", ", out);
        print_tensor(g, node->outputs[i], out);
        if (node->outputs[i] != NONE && g->tensors[node->outputs[i]].value)
            print_value(g, g->tensors[node->outputs[i]].value, out);
    }
    fprintf(out, " <- %s%s%s(", node->domain, node->domain[0] ? "." : "", node->op_type);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        uint32_t id = node->inputs[i];
        if (id == NONE)
            fprintf(out, "%s_", i ? ", " : "");
        else if (g->tensors[id].name[0])
            fprintf(out, "%s%%%s", i ? ", " : "", g->tensors[id].name);
        else
            fprintf(out, "%s%%%u", i ? ", " : "", id);
    }
    fputc(')', out);
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        fputs(i ? ", " : " {", out);
        print_attr(g, &node->attrs[i], out);
    }
    fputs(node->n_attrs ? "}" : "", out);
    if (node->name[0]) fprintf(out, " \"%s\"", node->name);
    if (node->reason) fprintf(out, " # %s", node->reason);
    fputc('\n', out);
    print_bodies(g, node, depth, out);
}

static void print_body(const struct graph *g, uint32_t id, int depth, FILE *out) {
    const struct body *body = &g->bodies[id];
    fprintf(out, "%*sbody %u (", depth * INDENT, "", id);
    for (uint32_t i = 0; i < body->n_inputs; i++) {
        if (i) fputs(", ", out);
        print_tensor(g, body->inputs[i], out);
    }
    fputs(") -> (", out);
    for (uint32_t i = 0; i < body->n_outputs; i++) {
        if (i) fputs(", ", out);
        print_tensor(g, body->outputs[i], out);
    }
    fputs(")\n", out);
    for (size_t i = 0; i < body->n_nodes; i++)
        if (!g->nodes[body->nodes[i]].dead) print_node(g, &g->nodes[body->nodes[i]], depth + 1, out);
}

void graph_print(const struct graph *g, FILE *out) {
    locale_t outer = uselocale(num_locale());
    fprintf(out, "model \"%s\" ir %lld producer \"%s\"", g->path, (long long)g->ir_version, g->producer);
    for (size_t i = 0; i < g->n_opsets; i++)
        fprintf(out, " opset %s%s%lld", g->opsets[i].domain, g->opsets[i].domain[0] ? " " : "",
                (long long)g->opsets[i].version);
    fputc('\n', out);
    for (uint32_t t = 0; t < g->n_tensors; t++) {
        if (!(g->tensors[t].flags & TF_INITIALIZER)) continue;
        fputs("init ", out);
        print_tensor(g, t, out);
        fprintf(out, " %llu bytes\n", (unsigned long long)g->tensors[t].stored_bytes);
    }
    print_body(g, 0, 0, out);
    uselocale(outer);
}
