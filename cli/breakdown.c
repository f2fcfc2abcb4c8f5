/* Where the time goes, in the output's format. Made while the model is open, kept as text. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void kernels_json(const ol_estimate *e, FILE *out) {
    struct json j;
    json_start(&j, out);
    j.depth = 3; /* of the place the text goes to: no line breaks */
    fputc('[', out);
    for (size_t i = 0; i < e->n_kernels; i++) {
        const ol_kernel *k = &e->kernels[i];
        json_open(&j, '{');
        json_key(&j, "nodes"), json_open(&j, '[');
        for (size_t n = 0; n < k->n_nodes; n++) json_text(&j, k->nodes[n]);
        json_close(&j, ']');
        json_key(&j, "class"), json_text(&j, k->kind);
        json_key(&j, "op"), json_text(&j, k->op);
        json_key(&j, "ms"), json_double(&j, k->ms);
        json_key(&j, "bound"), json_text(&j, k->bound);
        json_key(&j, "macs"), json_count(&j, k->macs);
        json_key(&j, "bytes"), json_count(&j, k->bytes);
        json_close(&j, '}');
    }
    fputc(']', out);
}

static char *join_nodes(const ol_kernel *k, const char *between) {
    struct buffer b;
    buffer_open(&b);
    for (size_t n = 0; n < k->n_nodes; n++) fprintf(b.stream, "%s%s", n ? between : "", k->nodes[n]);
    buffer_close(&b);
    return b.bytes;
}

void kernels_csv_header(FILE *out) {
    csv_row(out, 10,
            (const char *const[]){"model", "target", "kernel", "class", "op", "nodes", "ms", "bound", "macs", "bytes"});
}

static void kernels_csv(const ol_estimate *e, FILE *out) {
    for (size_t i = 0; i < e->n_kernels; i++) {
        const ol_kernel *k = &e->kernels[i];
        char ms[NUMBER_SIZE], index[NUMBER_SIZE], macs[NUMBER_SIZE], bytes[NUMBER_SIZE], *nodes = join_nodes(k, " ");
        snprintf(index, sizeof index, "%zu", i + 1);
        snprintf(macs, sizeof macs, "%lld", (long long)k->macs);
        snprintf(bytes, sizeof bytes, "%lld", (long long)k->bytes);
        csv_row(out, 10,
                (const char *const[]){e->model, e->target, index, k->kind, k->op, nodes, format_double(ms, k->ms),
                                      k->bound, macs, bytes});
        free(nodes);
    }
}

/* ---- Tables ---- */

static void kernel_table(const ol_estimate *e, FILE *out) {
    struct table *t = table_new(">#<class<op>ms>share<bound>MACs>bytes<nodes");
    for (size_t i = 0; i < e->n_kernels; i++) {
        const ol_kernel *k = &e->kernels[i];
        char ms[NUMBER_SIZE], share[NUMBER_SIZE], macs[NUMBER_SIZE], bytes[NUMBER_SIZE], *nodes = join_nodes(k, " + ");
        table_cell(t, "%zu", i + 1);
        table_text(t, k->kind);
        table_text(t, k->op);
        table_text(t, format_ms(ms, k->ms));
        table_text(t, format_percent(share, k->ms / e->latency_ms));
        table_text(t, k->bound);
        table_text(t, format_count(macs, k->macs));
        table_text(t, format_bytes(bytes, k->bytes));
        table_text(t, nodes);
        free(nodes);
    }
    table_print(t, out, "  ");
}

struct part {
    const char *kind;
    size_t n;
    double ms;
    int64_t macs, bytes;
};

static int by_time(const void *pa, const void *pb) {
    const struct part *a = pa, *b = pb;
    if (a->ms != b->ms) return a->ms > b->ms ? -1 : 1;
    return strcmp(a->kind, b->kind);
}

/* Counts end at the largest number there is. */
static int64_t add_up(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static size_t sum_by_class(const ol_estimate *e, struct part *parts) {
    size_t n = 0;
    for (size_t i = 0; i < e->n_kernels; i++) {
        const ol_kernel *k = &e->kernels[i];
        size_t p = 0;
        while (p < n && strcmp(parts[p].kind, k->kind) != 0) p++;
        if (p == n) parts[n++] = (struct part){.kind = k->kind};
        parts[p].n++;
        parts[p].ms += k->ms;
        parts[p].macs = add_up(parts[p].macs, k->macs);
        parts[p].bytes = add_up(parts[p].bytes, k->bytes);
    }
    qsort(parts, n, sizeof *parts, by_time);
    return n;
}

static void class_table(const ol_estimate *e, FILE *out) {
    struct part *parts = xrealloc(NULL, e->n_kernels * sizeof *parts);
    size_t n = sum_by_class(e, parts);
    struct table *t = table_new("<class>kernels>ms>share>MACs>bytes");
    for (size_t i = 0; i < n; i++) {
        char ms[NUMBER_SIZE], share[NUMBER_SIZE], macs[NUMBER_SIZE], bytes[NUMBER_SIZE];
        table_text(t, parts[i].kind);
        table_cell(t, "%zu", parts[i].n);
        table_text(t, format_ms(ms, parts[i].ms));
        table_text(t, format_percent(share, parts[i].ms / e->latency_ms));
        table_text(t, format_count(macs, parts[i].macs));
        table_text(t, format_bytes(bytes, parts[i].bytes));
    }
    table_print(t, out, "  ");
    free(parts);
}

char *render_kernels(const struct options *o, const ol_estimate *e) {
    struct buffer b;
    buffer_open(&b);
    if (o->format == FORMAT_JSON)
        kernels_json(e, b.stream);
    else if (o->format == FORMAT_CSV)
        kernels_csv(e, b.stream);
    else {
        kernel_table(e, b.stream);
        fputc('\n', b.stream);
        class_table(e, b.stream);
    }
    buffer_close(&b);
    return b.bytes;
}
