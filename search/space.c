/* The registry of search spaces, and the text form of architectures made of numbers. */
#include "space.h"

#include "passes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct space *const spaces[] = {&space_nasbench201, &space_nasbench201_10, &space_fbnet, &space_ofa,
                                             &space_mobilenetv2};

size_t space_count(void) {
    return COUNT_OF(spaces);
}

const struct space *space_at(size_t i) {
    return spaces[i];
}

const struct space *space_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        if (strcmp(spaces[i]->name, name) == 0 || (spaces[i]->alias && strcmp(spaces[i]->alias, name) == 0))
            return spaces[i];
    return NULL;
}

static const struct field *field_of(const struct space *s, size_t gene) {
    size_t f = 0;
    while (gene >= s->fields[f].n) gene -= s->fields[f++].n;
    return &s->fields[f];
}

enum status space_named(const char *name, const struct space **space, struct diag *diag) {
    *space = name ? space_find(name) : NULL;
    if (*space) return ST_OK;
    const char *all = "";
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        all = arena_printf(diag->arena, "%s%s%s", all, i ? ", " : "", spaces[i]->name);
    if (!name) return diag_fail(diag, ST_USAGE, "name a search space: %s", all);
    return diag_fail(diag, ST_USAGE, "no search space is called \"%s\"; there are %s", name, all);
}

size_t space_genes(const struct space *s) {
    size_t n = 0;
    for (size_t f = 0; f < s->n_fields; f++) n += s->fields[f].n;
    return n;
}

size_t space_options(const struct space *s, size_t gene) {
    return field_of(s, gene)->n_options;
}

int16_t space_value(const struct space *s, const struct arch *a, size_t gene) {
    return field_of(s, gene)->options[a->gene[gene]];
}

static bool option_of(const struct field *f, long number, uint8_t *gene) {
    for (size_t i = 0; i < f->n_options; i++)
        if (f->options[i] == number) {
            *gene = (uint8_t)i;
            return true;
        }
    return false;
}

static const char *list_options(const struct field *f, struct arena *arena) {
    const char *list = "";
    for (size_t i = 0; i < f->n_options; i++) list = arena_printf(arena, "%s%s%d", list, i ? ", " : "", f->options[i]);
    return list;
}

/* "7-5-3": exactly the field's count of numbers, each one of its options. `text` ends at `end`. */
static enum status parse_numbers(const struct space *s, const struct field *f, const char *whole, const char *text,
                                 const char *end, uint8_t *genes, struct diag *diag) {
    const char *at = text;
    for (size_t i = 0; i < f->n; i++) {
        char *after;
        long number = at < end && *at >= '0' && *at <= '9' ? strtol(at, &after, 10) : -1;
        int position = (int)(at - whole) + 1;
        if (number < 0)
            return diag_fail(diag, ST_DATA, "%s architecture \"%s\": position %d: number %zu of %zu of %s expected",
                             s->name, whole, position, i + 1, f->n, f->column);
        if (!option_of(f, number, &genes[i]))
            return diag_fail(diag, ST_DATA, "%s architecture \"%s\": position %d: %ld is no option of %s: %s", s->name,
                             whole, position, number, f->column, list_options(f, diag->arena));
        at = after;
        if (i + 1 < f->n && at < end && *at == '-') at++;
    }
    if (at == end) return ST_OK;
    return diag_fail(diag, ST_DATA, "%s architecture \"%s\": position %d: nothing expected after the %zu numbers of %s",
                     s->name, whole, (int)(at - whole) + 1, f->n, f->column);
}

enum status space_parse(const struct space *s, const char *text, struct arch *a, struct diag *diag) {
    *a = (struct arch){{0}};
    if (s->parse) return s->parse(s, text, a, diag);
    const char *at = text;
    size_t gene = 0;
    for (size_t f = 0; f < s->n_fields; f++) {
        const char *end = f + 1 < s->n_fields ? strchr(at, ':') : at + strlen(at);
        if (!end)
            return diag_fail(diag, ST_DATA, "%s architecture \"%s\": ':' and %s expected after %s", s->name, text,
                             s->fields[f + 1].column, s->fields[f].column);
        TRY(parse_numbers(s, &s->fields[f], text, at, end, a->gene + gene, diag));
        gene += s->fields[f].n;
        at = end + 1;
    }
    return ST_OK;
}

static enum status parse_row(const struct space *s, const struct csv *table, size_t row, struct arch *a,
                             struct diag *diag) {
    *a = (struct arch){{0}};
    size_t gene = 0;
    for (size_t f = 0; f < s->n_fields; f++) {
        uint32_t column = csv_column(table, s->fields[f].column);
        if (column == NONE)
            return diag_fail(diag, ST_DATA, "the table has no column \"%s\", which holds %s architectures",
                             s->fields[f].column, s->name);
        const char *cell = table->cells[row * table->n_columns + column];
        enum status status =
            s->parse ? s->parse(s, cell, a, diag)
                     : parse_numbers(s, &s->fields[f], cell, cell, cell + strlen(cell), a->gene + gene, diag);
        TRY(status);
        gene += s->fields[f].n;
    }
    return ST_OK;
}

enum status space_read_archs(const struct space *s, const struct csv *csv, const char *path, struct arch *archs,
                             struct diag *diag) {
    for (size_t i = 0; i < csv->n_rows; i++) {
        struct diag row;
        diag_init(&row, diag->arena);
        if (parse_row(s, csv, i, &archs[i], &row) != ST_OK) return diag_fail_at(diag, &row, path, csv->lines[i]);
    }
    return ST_OK;
}

char *space_print(const struct space *s, const struct arch *a, struct arena *arena) {
    if (s->print) return s->print(s, a, arena);
    char *text = arena_printf(arena, "%s", "");
    size_t gene = 0;
    for (size_t f = 0; f < s->n_fields; f++)
        for (size_t i = 0; i < s->fields[f].n; i++, gene++) {
            const char *separator = i > 0 ? "-" : f > 0 ? ":" : "";
            text = arena_printf(arena, "%s%s%d", text, separator, space_value(s, a, gene));
        }
    return text;
}

void space_random(const struct space *s, struct rng *rng, struct arch *a) {
    *a = (struct arch){{0}};
    for (size_t i = 0, n = space_genes(s); i < n; i++) a->gene[i] = (uint8_t)rng_below(rng, space_options(s, i));
}

void space_cover(const struct space *s, struct rng *rng, struct arch *at, size_t n) {
    memset(at, 0, n * sizeof *at);
    for (size_t g = 0; g < space_genes(s); g++) {
        for (size_t i = 0; i < n; i++) { /* a shuffle that starts from options in order */
            size_t other = (size_t)rng_below(rng, i + 1);
            at[i].gene[g] = at[other].gene[g];
            at[other].gene[g] = (uint8_t)(i * space_options(s, g) / n);
        }
    }
}

void space_parts(const struct space *s, const struct arch *a, int64_t batch, enum view view, struct parts *list) {
    list->n_blocks = list->n_parts = 0;
    s->split(s, a, batch, view, list);
}

/* As a model file must: inferred on a copy, so that the rest of the graph stays as it was built. */
static void declare_scores(struct graph *g, struct arena *arena) {
    struct diag diag;
    struct graph *copy = graph_clone(g, arena);
    struct run run = {.graph = copy, .scratch = arena, .diag = &diag};
    uint32_t scores = g->bodies[0].outputs[0];
    diag_init(&diag, arena);
    enum status status = passes_run(&run, PASSES_ANALYSIS);
    assert(status == ST_OK);
    (void)status;
    const struct tensor *t = &copy->tensors[scores];
    tensor_set_shape(g, scores, t->dtype, t->dims, t->rank);
}

struct graph *space_graph(const struct space *s, const struct arch *a, int64_t batch, uint64_t seed, bool weightless,
                          struct arena *arena) {
    struct builder b;
    struct parts parts;
    uint32_t made[PARTS_MAX];
    space_parts(s, a, batch, VIEW_KEPT, &parts);
    build_start(&b, arena, s->name, SPACE_OPSET, seed, weightless);
    const int64_t shape[] = {batch, parts.block[0].c_in, parts.block[0].side, parts.block[0].side};
    uint32_t image = build_input(&b, "image", DT_FLOAT, shape, 4);
    for (size_t i = 0; i < parts.n_parts; i++) {
        const struct part *part = &parts.part[i];
        const struct block *block = &parts.block[part->block];
        const uint32_t x[] = {part->x[0] == NO_PART ? image : made[part->x[0]], block->two ? made[part->x[1]] : NONE};
        made[i] = block->build(&b, x, block);
    }
    build_output(&b, made[parts.n_parts - 1], "scores");
    if (!weightless) declare_scores(b.graph, arena);
    return b.graph;
}

size_t space_encoding(const struct space *s) {
    size_t size = 0;
    for (size_t f = 0; f < s->n_fields; f++) size += s->fields[f].n * s->fields[f].n_options;
    return size;
}

void space_encode(const struct space *s, const struct arch *a, double *onehot) {
    memset(onehot, 0, space_encoding(s) * sizeof *onehot);
    for (size_t i = 0, n = space_genes(s); i < n; i++) {
        onehot[a->gene[i]] = 1;
        onehot += space_options(s, i);
    }
}
