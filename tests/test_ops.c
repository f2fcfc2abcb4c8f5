/* Shapes, values and costs of single operators, a line a case, in tests/data/ops/ (README.md there gives the syntax).
 * Every row of the operator table must have a case. */
#include "passes.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define LATEST_OPSET 26

enum { MAX_IO = 64, MAX_ATTRS = 24 };

struct test_case {
    struct arena arena;
    struct graph *graph;
    struct run run;
    struct diag diag;
    const char *at;      /* in the line */
    const char *problem; /* of the line itself */
    int64_t opset;
    const char *op, *domain;
    uint32_t inputs[MAX_IO], outputs[MAX_IO], n_inputs, n_outputs;
    struct attr attrs[MAX_ATTRS];
    uint32_t n_attrs;
    uint32_t node; /* the one under test */
};

/* ---- Words of a line ---- */

/* The next word; quotes and brackets of any kind keep spaces together. NULL at the end. */
static char *next_word(struct test_case *c) {
    while (*c->at == ' ') c->at++;
    const char *start = c->at;
    int depth = 0;
    bool quoted = false;
    for (; *c->at && (*c->at != ' ' || quoted || depth); c->at++) {
        if (*c->at == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (strchr("[({", *c->at))
            depth++;
        else if (strchr("])}", *c->at))
            depth--;
    }
    return c->at == start ? NULL : arena_strndup(&c->arena, start, (size_t)(c->at - start));
}

static enum dtype parse_dtype(const char *text) {
    static const struct {
        const char *shorthand, *name;
    } names[] = {{"f32", "float32"}, {"f16", "float16"}, {"f64", "float64"},   {"i8", "int8"},      {"u8", "uint8"},
                 {"i16", "int16"},   {"u16", "uint16"},  {"i32", "int32"},     {"u32", "uint32"},   {"i64", "int64"},
                 {"u64", "uint64"},  {"str", "string"},  {"bf16", "bfloat16"}, {"c64", "complex64"}};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(text, names[i].shorthand) == 0) return dtype_parse(names[i].name);
    return dtype_parse(text);
}

/* ---- Inputs ---- */

/* "1x3xHxW", "()" for rank 0, "*" for an unknown rank. */
static int32_t parse_dims(struct test_case *c, char *text, dim *dims) {
    int32_t rank = 0;
    if (strcmp(text, "*") == 0) return RANK_UNKNOWN;
    if (strcmp(text, "()") == 0) return 0;
    for (char *save, *part = strtok_r(text, "x", &save); part; part = strtok_r(NULL, "x", &save)) {
        int64_t n;
        if (num_parse_i64(part, &n))
            dims[rank++] = DIM(n);
        else
            dims[rank++] = *part == '?' ? DIM_UNKNOWN : dim_symbol(c->graph, part);
    }
    return rank;
}

static void store(uint8_t *bytes, enum dtype dtype, size_t i, double number) {
    int64_t whole = (int64_t)number;
    float single = (float)number;
    size_t size = dtype_bits(dtype) / 8;
    if (dtype == DT_DOUBLE)
        memcpy(bytes + i * size, &number, size);
    else if (dtype == DT_FLOAT)
        memcpy(bytes + i * size, &single, size);
    else
        memcpy(bytes + i * size, &whole, size); /* little endian, as the file format */
}

/* "[1,-1]" is 1-D, "2x2[1,2,3,4]" and "()[5]" have a shape; integers are int64, others float32, unless a type says. */
static void parse_constant(struct test_case *c, uint32_t id, char *shape, char *numbers, enum dtype dtype) {
    double values[256];
    size_t n = 0;
    dim dims[RANK_MAX];
    if (dtype == DT_UNDEFINED) dtype = strchr(numbers, '.') ? DT_FLOAT : DT_INT64;
    for (char *save, *part = strtok_r(numbers, ",", &save); part && n < COUNT_OF(values);
         part = strtok_r(NULL, ",", &save))
        values[n++] = strtod(part, NULL);
    int32_t rank = *shape ? parse_dims(c, shape, dims) : 1;
    if (!*shape) dims[0] = DIM((int64_t)n);
    uint8_t *bytes = arena_alloc(&c->arena, n * 8 + 1);
    for (size_t i = 0; i < n; i++) store(bytes, dtype, i, values[i]);
    tensor_set_shape(c->graph, id, dtype, dims, rank);
    struct tensor *t = &c->graph->tensors[id];
    t->flags = TF_INITIALIZER | TF_CONSTANT;
    t->stored_bytes = n * dtype_bits(dtype) / 8;
    t->data = (struct data){ENC_RAW, NONE, 0, t->stored_bytes, bytes};
}

static void add_graph_input(struct test_case *c, uint32_t id) {
    struct body *body = &c->graph->bodies[0];
    uint32_t *longer = arena_array(&c->arena, body->n_inputs + 1, sizeof *longer);
    if (body->n_inputs) memcpy(longer, body->inputs, body->n_inputs * sizeof *longer);
    longer[body->n_inputs++] = id;
    body->inputs = longer;
    c->graph->tensors[id].flags = TF_INPUT | TF_DECLARED;
}

static uint32_t add_input(struct test_case *c, const char *name, char *value) {
    if (strcmp(value, "-") == 0) return NONE;
    uint32_t id = graph_add_tensor(c->graph, 0, name);
    enum dtype dtype = DT_UNDEFINED;
    dim dims[RANK_MAX];
    size_t last = strlen(value) - 1;
    bool weight = value[last] == '!';
    if (weight) value[last] = '\0';
    char *colon = strrchr(value, ':'), *bracket = strchr(value, '[');
    if (colon) {
        *colon = '\0';
        dtype = parse_dtype(colon + 1);
    }
    enum type_kind kind = strncmp(value, "seq", 3) == 0   ? TY_SEQUENCE
                          : strncmp(value, "opt", 3) == 0 ? TY_OPTIONAL
                                                          : TY_TENSOR;
    if (kind == TY_TENSOR && bracket) {
        *bracket = '\0';
        bracket[strcspn(bracket + 1, "]") + 1] = '\0';
        parse_constant(c, id, value, bracket + 1, dtype);
        return id;
    }
    if (kind != TY_TENSOR) { /* seq(2x3), opt(2x3) */
        value = strchr(value, '(') + 1;
        value[strlen(value) - 1] = '\0';
    }
    int32_t rank = parse_dims(c, *value ? value : "()", dims);
    tensor_set_shape(c->graph, id, dtype ? dtype : DT_FLOAT, dims, rank);
    c->graph->tensors[id].kind = kind;
    if (kind != TY_TENSOR) c->graph->tensors[id].length = DIM_UNKNOWN;
    if (weight)
        c->graph->tensors[id].flags = TF_INITIALIZER | TF_CONSTANT;
    else
        add_graph_input(c, id);
    return id;
}

/* ---- Attributes ---- */

static uint32_t find_tensor(struct test_case *c, uint32_t body, const char *name) {
    for (; body != NONE; body = c->graph->bodies[body].parent)
        for (uint32_t t = 0; t < c->graph->n_tensors; t++)
            if (c->graph->tensors[t].body == body && strcmp(c->graph->tensors[t].name, name) == 0) return t;
    return NONE;
}

static uint32_t parse_names(struct test_case *c, uint32_t body, char *text, bool make, uint32_t *ids) {
    uint32_t n = 0;
    for (char *save, *name = strtok_r(text, " ", &save); name && n < MAX_IO; name = strtok_r(NULL, " ", &save)) {
        ids[n] = make ? graph_add_tensor(c->graph, body, name) : find_tensor(c, body, name);
        if (ids[n++] == NONE) c->problem = "a body reads a name that nobody defines";
    }
    return n;
}

static void parse_body_node(struct test_case *c, uint32_t body, char *text) {
    uint32_t in[MAX_IO], out[MAX_IO];
    char *arrow = strchr(text, '>'), *op = text + strspn(text, " ");
    if (!arrow) return;
    *arrow = '\0';
    char *rest = strchr(op, ' ');
    *rest++ = '\0';
    uint32_t n_in = parse_names(c, body, rest, false, in), n_out = parse_names(c, body, arrow + 1, true, out);
    graph_add_node(c->graph, body, op, "", op, in, n_in, out, n_out, NULL, 0);
}

/* "{i c v | Identity c > d | Relu v > w | d w}": inputs, nodes, outputs. */
static uint32_t parse_body(struct test_case *c, char *text) {
    uint32_t ids[MAX_IO], body = graph_add_body(c->graph, 0, NONE, "body"); /* its owner comes after it */
    text[strlen(text) - 1] = '\0';
    char *section = text + 1, *bar = strchr(section, '|');
    *bar = '\0';
    uint32_t n = parse_names(c, body, section, true, ids);
    for (uint32_t i = 0; i < n; i++) c->graph->tensors[ids[i]].flags |= TF_PRIVATE;
    c->graph->bodies[body].inputs = arena_copy(&c->arena, ids, n * sizeof *ids);
    c->graph->bodies[body].n_inputs = n;
    for (section = bar + 1; (bar = strchr(section, '|')); section = bar + 1) {
        *bar = '\0';
        parse_body_node(c, body, section);
    }
    n = parse_names(c, body, section, false, ids);
    c->graph->bodies[body].outputs = arena_copy(&c->arena, ids, n * sizeof *ids);
    c->graph->bodies[body].n_outputs = n;
    return body;
}

static struct attr parse_numbers(struct test_case *c, char *text) {
    int64_t *ints = arena_array(&c->arena, strlen(text) + 1, sizeof *ints);
    float *floats = arena_array(&c->arena, strlen(text) + 1, sizeof *floats);
    bool whole = strchr(text, '.') == NULL, list = strchr(text, ',') != NULL;
    size_t n = 0;
    for (char *save, *part = strtok_r(text, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        floats[n] = (float)strtod(part, NULL);
        ints[n++] = strtoll(part, NULL, 10);
    }
    if (!list)
        return whole ? (struct attr){.type = AT_INT, .i = ints[0]} : (struct attr){.type = AT_FLOAT, .f = floats[0]};
    return whole ? (struct attr){.type = AT_INTS, .n = n, .ints = ints}
                 : (struct attr){.type = AT_FLOATS, .n = n, .floats = floats};
}

/* 3 | 1.5 | 1,2 (a lone one: 1,) | "text" | "a","b" | {body} | tensor[1,2] | type(2x3:f32). */
static struct attr parse_attr(struct test_case *c, char *value) {
    if (*value == '{') return (struct attr){.type = AT_GRAPH, .body = parse_body(c, value)};
    if (strncmp(value, "tensor", 6) == 0) {
        uint32_t id = add_input(c, "value", value + 6);
        return (struct attr){.type = AT_TENSOR, .tensor = id};
    }
    if (strncmp(value, "type(", 5) == 0) {
        dim *dims = arena_array(&c->arena, RANK_MAX, sizeof *dims);
        value[strlen(value) - 1] = '\0';
        int32_t rank = parse_dims(c, value + 5, dims);
        return (struct attr){.type = AT_TYPE_PROTO,
                             .type_dtype = DT_FLOAT,
                             .type_rank = rank,
                             .type_dims = dims,
                             .type_kind = TY_TENSOR};
    }
    if (*value != '"') return parse_numbers(c, value);
    size_t n = 0;
    const char **strings = arena_array(&c->arena, strlen(value), sizeof *strings);
    bool list = strstr(value, "\",\"") != NULL;
    for (char *save, *part = strtok_r(value, "\"", &save); part; part = strtok_r(NULL, "\"", &save))
        if (!list || strcmp(part, ",") != 0) strings[n++] = part;
    if (list) return (struct attr){.type = AT_STRINGS, .n = n, .strings = strings};
    return (struct attr){.type = AT_STRING, .n = n ? strlen(strings[0]) : 0, .s = n ? strings[0] : ""};
}

/* A value with an x, a colon, a bracket or a star is an input; "-" is one left out. */
static bool is_input(const char *value) {
    if (*value == '"' || *value == '{' || strncmp(value, "tensor", 6) == 0 || strncmp(value, "type(", 5) == 0)
        return false;
    return strcmp(value, "-") == 0 || strpbrk(value, "x:[*(") != NULL;
}

static void parse_argument(struct test_case *c, char *word) {
    char *equals = strchr(word, '=');
    if (!equals) {
        c->problem = "a word is neither name=input nor name=attribute";
        return;
    }
    *equals = '\0';
    if (is_input(equals + 1) && c->n_inputs < MAX_IO) {
        c->inputs[c->n_inputs++] = add_input(c, word, equals + 1);
    } else if (c->n_attrs < MAX_ATTRS) {
        struct attr a = parse_attr(c, equals + 1);
        a.name = intern_str(c->graph->names, word);
        c->attrs[c->n_attrs++] = a;
    }
}

/* ---- What the case expects ---- */

static void print_tensor(struct test_case *c, const struct tensor *t, const char *expected, char *out, size_t size) {
    size_t n = 0;
    if (t->kind == TY_SEQUENCE && strchr(expected, '{')) {
        char length[64];
        dim_print(c->graph, t->length, length, sizeof length);
        n += (size_t)snprintf(out + n, size - n, "seq{%s}(", length);
    } else if (t->kind != TY_TENSOR) {
        n += (size_t)snprintf(out + n, size - n, t->kind == TY_SEQUENCE ? "seq(" : "opt(");
    }
    if (t->rank == RANK_UNKNOWN) n += (size_t)snprintf(out + n, size - n, "*");
    if (t->rank == 0) n += (size_t)snprintf(out + n, size - n, "()");
    for (int32_t i = 0; i < t->rank && n < size; i++) {
        if (i) out[n++] = 'x';
        n += dim_print(c->graph, t->dims[i], out + n, size - n);
    }
    if (t->kind != TY_TENSOR) n += (size_t)snprintf(out + n, size - n, ")");
    if (strchr(expected, ':')) n += (size_t)snprintf(out + n, size - n, ":%s", dtype_name(t->dtype));
    if (!strchr(expected, '=')) return;
    n += (size_t)snprintf(out + n, size - n, "=[");
    for (uint32_t i = 0; t->value && i < t->value->n && n < size; i++) {
        if (i) out[n++] = ',';
        const struct scalar *s = &t->value->at[i];
        if (t->value->is_float)
            n += (size_t)snprintf(out + n, size - n, "%g", s->f * (double)s->d.value);
        else
            n += dim_print(c->graph, s->d, out + n, size - n);
    }
    snprintf(out + n, size - n, t->value ? "]" : "?]");
}

/* With short names of types written out. */
static char *full_names(struct test_case *c, char *expected) {
    char *colon = strchr(expected, ':');
    if (!colon) return expected;
    size_t length = strcspn(colon + 1, "=");
    char *type = arena_strndup(&c->arena, colon + 1, length);
    return arena_printf(&c->arena, "%.*s:%s%s", (int)(colon - expected), expected, dtype_name(parse_dtype(type)),
                        colon + 1 + length);
}

static bool check_output(struct test_case *c, uint32_t o, char *expected, char *problem, size_t size) {
    char got[1024];
    if (strcmp(expected, "-") == 0) return true;
    print_tensor(c, &c->graph->tensors[c->outputs[o]], expected, got, sizeof got);
    if (strcmp(got, full_names(c, expected)) == 0) return true;
    const char *reason = c->graph->nodes[c->node].reason;
    snprintf(problem, size, "output %u is %s, expected %s%s%s", o, got, expected, reason ? "; " : "",
             reason ? reason : "");
    return false;
}

static bool check_cost(struct test_case *c, const char *name, int64_t expected, char *problem, size_t size) {
    const struct cost *costs = c->run.costs;
    struct cost sum = {0};
    for (size_t i = 0; i < c->graph->n_nodes; i++) {
        sum.macs += costs[i].macs;
        sum.flops += costs[i].flops;
        sum.params += costs[i].params;
        sum.read_bytes += costs[i].read_bytes;
        sum.write_bytes += costs[i].write_bytes;
        sum.weight_bytes += costs[i].weight_bytes;
    }
    const struct {
        const char *name;
        int64_t is;
    } fields[] = {{"macs", sum.macs},       {"flops", sum.flops},       {"params", sum.params},
                  {"read", sum.read_bytes}, {"write", sum.write_bytes}, {"weights", sum.weight_bytes}};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (strcmp(fields[i].name, name) != 0) continue;
        if (fields[i].is == expected) return true;
        snprintf(problem, size, "%s is %lld, expected %lld", name, (long long)fields[i].is, (long long)expected);
        return false;
    }
    snprintf(problem, size, "no cost is named \"%s\"", name);
    return false;
}

/* ---- A case ---- */

static void set_opsets(struct test_case *c) {
    struct opset *opsets = arena_array(&c->arena, 2, sizeof *opsets);
    opsets[0] = (struct opset){"", c->opset};
    opsets[1] = (struct opset){c->domain, 1};
    c->graph->opsets = opsets;
    c->graph->n_opsets = *c->domain ? 2 : 1;
    c->graph->ir_version = 10;
}

static bool start_case(struct test_case *c, const char *line) {
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, NULL, NULL);
    diag_init(&c->diag, &c->arena);
    c->graph = graph_new(&c->arena, "case.onnx");
    c->at = line;
    c->opset = LATEST_OPSET;
    char *word = next_word(c);
    if (word && *word == '@') {
        c->opset = strtoll(word + 1, NULL, 10);
        word = next_word(c);
    }
    if (!word) return false;
    char *dot = strrchr(word, '.');
    c->domain = dot ? arena_strndup(&c->arena, word, (size_t)(dot - word)) : "";
    c->op = dot ? dot + 1 : word;
    set_opsets(c);
    return true;
}

static int64_t domain_opset(const struct test_case *c) {
    return *c->domain ? 1 : c->opset;
}

static void read_expected_outputs(struct test_case *c, char **expected) {
    for (char *word; (word = next_word(c)) && !strchr("!", *word);) {
        char *semicolon = word + strlen(word) - 1;
        bool more = *semicolon == ';';
        if (more) *semicolon = '\0';
        expected[c->n_outputs] = word;
        char *name = arena_printf(&c->arena, "out%u", c->n_outputs);
        c->outputs[c->n_outputs++] = graph_add_tensor(c->graph, 0, name);
        if (!more || c->n_outputs == MAX_IO) break;
    }
}

static void add_the_node(struct test_case *c) {
    uint32_t n = strcmp(c->op, "If") == 0 && c->n_inputs ? 1 : c->n_inputs; /* the others are for its bodies to see */
    c->node = graph_add_node(c->graph, 0, c->op, c->domain, "case", c->inputs, n, c->outputs, c->n_outputs, c->attrs,
                             c->n_attrs);
    for (uint32_t b = 1; b < c->graph->n_bodies; b++) c->graph->bodies[b].owner = c->node;
    c->graph->bodies[0].outputs = c->outputs;
    c->graph->bodies[0].n_outputs = c->n_outputs;
    for (uint32_t o = 0; o < c->n_outputs; o++) c->graph->tensors[c->outputs[o]].flags |= TF_OUTPUT;
}

static enum status run_passes(struct test_case *c) {
    c->run = (struct run){.graph = c->graph, .scratch = &c->arena, .diag = &c->diag};
    return passes_run(&c->run, PASSES_PROFILE);
}

static bool check_failure(struct test_case *c, const char *fragment, char *problem, size_t size) {
    if (run_passes(c) == ST_OK)
        snprintf(problem, size, "no failure, expected \"%s\"", fragment);
    else if (!strstr(c->diag.message, fragment))
        snprintf(problem, size, "the failure is: %s", c->diag.message);
    else
        return true;
    return false;
}

static bool check_success(struct test_case *c, char **expected, char *problem, size_t size) {
    if (run_passes(c) != ST_OK) {
        snprintf(problem, size, "%s", c->diag.message);
        return false;
    }
    for (uint32_t o = 0; o < c->n_outputs; o++)
        if (!check_output(c, o, expected[o], problem, size)) return false;
    for (char *word; (word = next_word(c));) {
        char *equals = strchr(word, '=');
        int64_t number;
        if (equals) *equals = '\0';
        if (!equals || !num_parse_i64(equals + 1, &number)) {
            snprintf(problem, size, "\"%s\" is no cost", word);
            return false;
        }
        if (!check_cost(c, word, number, problem, size)) return false;
    }
    return true;
}

static bool run_case(const char *line, uint16_t *row, char *problem, size_t size) {
    struct test_case c;
    char *expected[MAX_IO], *word;
    if (!start_case(&c, line)) return true;
    *row = op_find(c.domain, c.op, domain_opset(&c));
    while ((word = next_word(&c)) && strcmp(word, "->") != 0) parse_argument(&c, word);
    if (!word) c.problem = "there is no \"->\"";
    const char *failure = word ? strstr(line, "-> !") : NULL;
    if (failure) {
        c.outputs[c.n_outputs++] = graph_add_tensor(c.graph, 0, "out0");
    } else if (word) {
        read_expected_outputs(&c, expected);
    }
    bool fine = false;
    if (c.problem) {
        snprintf(problem, size, "%s", c.problem);
    } else {
        add_the_node(&c);
        fine = failure ? check_failure(&c, failure + 4, problem, size) : check_success(&c, expected, problem, size);
    }
    arena_free(&c.arena);
    return fine;
}

static size_t run_file(const char *path, bool covered[OP_COUNT]) {
    char line[4096], problem[2048];
    size_t failures = 0, number = 0;
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        uint16_t row = OP_UNKNOWN;
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (*line == '#' || *line == '\0') continue;
        if (!run_case(line, &row, problem, sizeof problem)) {
            failures++;
            cr_log_error("%s:%zu: %s\n    %s", path, number, problem, line);
        }
        covered[row] = true;
    }
    fclose(file);
    return failures;
}

Test(ops, cases) {
    glob_t files;
    bool covered[OP_COUNT] = {false};
    size_t failures = 0, missing = 0;
    cr_assert_eq(glob(SOURCE_DIR "/tests/data/ops/*.test", 0, NULL, &files), 0, "no cases found");
    for (size_t i = 0; i < files.gl_pathc; i++) failures += run_file(files.gl_pathv[i], covered);
    globfree(&files);
    for (int op = OP_UNKNOWN + 1; op < OP_COUNT; op++) {
        if (covered[op]) continue;
        missing++;
        cr_log_error("%s%s%s (since %d) has no case", op_table[op].domain, *op_table[op].domain ? "." : "",
                     op_table[op].name, op_table[op].since);
    }
    cr_assert_eq(failures, 0, "%zu cases fail", failures);
    cr_assert_eq(missing, 0, "%zu rows of the operator table have no case", missing);
}
