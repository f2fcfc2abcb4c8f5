/* The nodes that an answer leaves out, and why. */
#include "cli.h"

void json_unresolved(struct json *j, const ol_unresolved *list, size_t n) {
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(j, '{');
        json_key(j, "node"), json_text(j, list[i].node);
        json_key(j, "op"), json_text(j, list[i].op);
        json_key(j, "reason"), json_text(j, list[i].reason);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void print_unresolved(FILE *out, const ol_unresolved *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        fprintf(out, "unresolved: node \"%s\" (%s): %s\n", list[i].node, list[i].op, list[i].reason);
}

char *render_unresolved(const struct options *o, const ol_estimate *e) {
    struct buffer b;
    buffer_open(&b);
    if (o->format == FORMAT_JSON) {
        struct json j;
        json_start(&j, b.stream);
        j.depth = 3; /* of the place the text goes to: no line breaks */
        json_unresolved(&j, e->unresolved, e->n_unresolved);
    } else if (e->n_unresolved) {
        fprintf(b.stream, "\n%s: the latency leaves out what is unresolved (%zu)\n", e->model, e->n_unresolved);
        print_unresolved(b.stream, e->unresolved, e->n_unresolved);
    }
    buffer_close(&b);
    return b.bytes;
}
