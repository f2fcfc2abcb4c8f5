/* The ONNX backend cases as an exam in shape inference: declared output shapes are taken away, integer, bool and scalar
 * inputs become initializers with the stored values, and what inference says of every output is compared with the
 * stored one. What depends on data must be unknown, never a guess. */
#include "frontend.h"
#include "onnx.pb-c.h"
#include "passes.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DATA "/usr/share/libonnx-testdata/data"

enum verdict { EXACT, UNKNOWN, WRONG };

/* ---- Stored values: TensorProto, SequenceProto, OptionalProto ---- */

struct stored { /* a tensor, or the tensors of a sequence or optional */
    bool readable;
    size_t n;
    Onnx__TensorProto **at;
};

static const uint8_t *varint(const uint8_t *at, const uint8_t *end, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        *out |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) return at;
    }
    return NULL;
}

/* The length-delimited fields of a message, by number. */
static const uint8_t *next_field(const uint8_t *at, const uint8_t *end, uint64_t *number, const uint8_t **payload,
                                 uint64_t *length) {
    uint64_t tag;
    while (at && at < end) {
        at = varint(at, end, &tag);
        if (!at) return NULL;
        if ((tag & 7) == 2) {
            at = varint(at, end, length);
            if (!at || *length > (uint64_t)(end - at)) return NULL;
            *number = tag >> 3;
            *payload = at;
            return at + *length;
        }
        if ((tag & 7) != 0) return NULL;
        at = varint(at, end, &tag);
    }
    return NULL;
}

static void add_tensor(struct arena *arena, struct stored *s, const uint8_t *bytes, size_t length) {
    Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, length, bytes);
    s->readable &= t != NULL;
    if (!t) return;
    Onnx__TensorProto **all = arena_array(arena, s->n + 1, sizeof(Onnx__TensorProto *));
    if (s->n) memcpy(all, s->at, s->n * sizeof(Onnx__TensorProto *));
    all[s->n++] = t;
    s->at = all;
}

/* SequenceProto.tensor_values and OptionalProto.tensor_value are field 3; an optional's sequence_value is 5. */
static void add_members(struct arena *arena, struct stored *s, const uint8_t *at, size_t length) {
    const uint8_t *end = at + length, *payload;
    uint64_t number, n;
    while ((at = next_field(at, end, &number, &payload, &n))) {
        if (number == 3) add_tensor(arena, s, payload, n);
        if (number == 5) add_members(arena, s, payload, n);
    }
}

static struct stored read_stored(struct arena *arena, const char *folder, const char *what, size_t i, bool tensor) {
    struct diag diag;
    struct file_map map;
    struct stored s = {.readable = true};
    diag_init(&diag, arena);
    if (file_map_open(&map, arena_printf(arena, "%s/test_data_set_0/%s_%zu.pb", folder, what, i), &diag) != ST_OK)
        return (struct stored){.readable = false};
    if (tensor)
        add_tensor(arena, &s, map.bytes, map.length);
    else if (map.length)
        add_members(arena, &s, map.bytes, map.length);
    file_map_close(&map);
    return s;
}

static void free_stored(struct stored *s) {
    for (size_t i = 0; i < s->n; i++) onnx__tensor_proto__free_unpacked(s->at[i], NULL);
}

/* ---- Inputs ---- */

static void put_elements(uint8_t *out, const Onnx__TensorProto *t, size_t n, unsigned width) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        if (i < t->n_int64_data)
            bits = (uint64_t)t->int64_data[i];
        else if (i < t->n_int32_data)
            bits = (uint64_t)(int64_t)t->int32_data[i];
        else if (i < t->n_uint64_data)
            bits = t->uint64_data[i];
        else if (i < t->n_float_data)
            memcpy(&bits, &t->float_data[i], 4);
        else if (i < t->n_double_data)
            memcpy(&bits, &t->double_data[i], 8);
        for (unsigned b = 0; b < width; b++) out[i * width + b] = (uint8_t)(bits >> 8 * b);
    }
}

/* Gives an input its stored value, if it is of a kind that shapes are made of. */
static void fix_input(struct graph *g, uint32_t id, const Onnx__TensorProto *value) {
    struct tensor *t = &g->tensors[id];
    enum dtype dtype = (enum dtype)value->data_type;
    if (!dtype_is_integer(dtype) && value->n_dims > 0) return;
    if (dtype_bits(dtype) < 8) return;
    size_t n = 1;
    dim dims[RANK_MAX];
    for (size_t i = 0; i < value->n_dims; i++) {
        n *= (size_t)value->dims[i];
        dims[i] = DIM(value->dims[i]);
    }
    tensor_set_shape(g, id, dtype, dims, (int32_t)value->n_dims);
    unsigned width = dtype_bits(dtype) / 8;
    uint8_t *bytes = arena_alloc(g->arena, n * width + 1);
    if (value->has_raw_data && value->raw_data.len <= n * width && value->raw_data.len > 0)
        memcpy(bytes, value->raw_data.data, value->raw_data.len);
    else
        put_elements(bytes, value, n, width);
    t->flags = (t->flags & ~(uint32_t)TF_INPUT) | TF_INITIALIZER;
    t->data = (struct data){.encoding = ENC_RAW, .file = NONE, .length = n * width, .bytes = bytes};
}

static void fix_inputs(struct graph *g, struct arena *arena, const char *folder) {
    struct body *main = &g->bodies[0];
    uint32_t *left = arena_array(arena, main->n_inputs, sizeof *left), n = 0;
    for (uint32_t i = 0; i < main->n_inputs; i++) {
        bool tensor = g->tensors[main->inputs[i]].kind == TY_TENSOR;
        struct stored s = read_stored(arena, folder, "input", i, tensor);
        if (tensor && s.readable && s.n == 1) fix_input(g, main->inputs[i], s.at[0]);
        if (g->tensors[main->inputs[i]].flags & TF_INPUT) left[n++] = main->inputs[i];
        free_stored(&s);
    }
    main->inputs = left;
    main->n_inputs = n;
}

static void forget_outputs(struct graph *g) {
    for (uint32_t i = 0; i < g->bodies[0].n_outputs; i++) {
        struct tensor *t = &g->tensors[g->bodies[0].outputs[i]];
        if (t->flags & (TF_INPUT | TF_INITIALIZER)) continue;
        t->flags &= ~(uint32_t)TF_DECLARED;
        t->rank = RANK_UNKNOWN;
        t->dtype = DT_UNDEFINED;
    }
}

/* ---- Outputs ---- */

static enum verdict worse(enum verdict a, enum verdict b) {
    return a > b ? a : b;
}

/* `alike[axis]`: all elements of the sequence have this size; where they differ nothing can be said. */
static enum verdict compare_shape(const struct tensor *t, const Onnx__TensorProto *truth, const bool *alike) {
    /* numpy had no bfloat16: these are stored as their bits, or widened */
    bool stand_in = t->dtype == DT_BFLOAT16 && (truth->data_type == DT_UINT16 || truth->data_type == DT_FLOAT);
    if (t->dtype != DT_UNDEFINED && (int)t->dtype != truth->data_type && !stand_in) return WRONG;
    if (t->rank != RANK_UNKNOWN && t->rank != (int32_t)truth->n_dims) return WRONG;
    enum verdict v = t->dtype == DT_UNDEFINED || t->rank == RANK_UNKNOWN ? UNKNOWN : EXACT;
    for (int32_t i = 0; i < t->rank; i++) {
        if (!dim_is_number(t->dims[i]))
            v = worse(v, alike[i] ? UNKNOWN : EXACT);
        else if (t->dims[i].value != truth->dims[i])
            v = WRONG;
    }
    return v;
}

static enum verdict compare_output(const struct tensor *t, const struct stored *truth) {
    bool alike[RANK_MAX], same_rank = true;
    for (int32_t i = 0; i < RANK_MAX; i++) alike[i] = true;
    for (size_t k = 1; k < truth->n; k++) {
        same_rank &= truth->at[k]->n_dims == truth->at[0]->n_dims;
        for (size_t i = 0; same_rank && i < truth->at[0]->n_dims; i++)
            alike[i] &= truth->at[k]->dims[i] == truth->at[0]->dims[i];
    }
    if (t->kind == TY_SEQUENCE && dim_is_number(t->length) && t->length.value != (int64_t)truth->n) return WRONG;
    enum verdict v = EXACT; /* the length of a sequence is no part of its type */
    for (size_t k = 0; k < truth->n; k++) {
        if (!same_rank && t->rank == RANK_UNKNOWN) continue;
        v = worse(v, compare_shape(t, truth->at[k], alike));
    }
    return v;
}

/* ---- A case ---- */

struct exam {
    size_t n[3];         /* by verdict: cases whose outputs are tensors */
    size_t n_members[3]; /* the others: sequences and optionals */
};

static bool gives_tensors(const struct graph *g) {
    for (uint32_t i = 0; i < g->bodies[0].n_outputs; i++)
        if (g->tensors[g->bodies[0].outputs[i]].kind != TY_TENSOR) return false;
    return true;
}

static enum verdict take(const char *folder, struct arena *arena, const char **why, bool *tensors) {
    struct diag diag;
    struct graph *g;
    diag_init(&diag, arena);
    *why = "";
    *tensors = true;
    if (onnx_read(&g, arena_printf(arena, "%s/model.onnx", folder), true, arena, &diag) != ST_OK) {
        *why = diag.message;
        return WRONG;
    }
    *tensors = gives_tensors(g);
    fix_inputs(g, arena, folder);
    forget_outputs(g);
    struct run run = {.graph = g, .scratch = arena, .diag = &diag};
    enum verdict v = EXACT;
    if (passes_run(&run, PASSES_ANALYSIS) != ST_OK) {
        *why = diag.message;
        v = WRONG;
    }
    for (uint32_t i = 0; v != WRONG && i < g->bodies[0].n_outputs; i++) {
        const struct tensor *t = &g->tensors[g->bodies[0].outputs[i]];
        struct stored truth = read_stored(arena, folder, "output", i, t->kind == TY_TENSOR);
        enum verdict one = truth.readable ? compare_output(t, &truth) : UNKNOWN;
        if (one > v) *why = arena_printf(arena, "output \"%s\"", t->name);
        v = worse(v, one);
        free_stored(&truth);
    }
    graph_close(g);
    return v;
}

static bool has_truth(struct arena *arena, const char *folder) {
    struct stat st;
    return stat(arena_printf(arena, "%s/model.onnx", folder), &st) == 0 &&
           stat(arena_printf(arena, "%s/test_data_set_0/output_0.pb", folder), &st) == 0;
}

static void take_all(const char *suite, struct exam *exam) {
    struct dirent **names;
    char folder[1024];
    snprintf(folder, sizeof folder, DATA "/%s", suite);
    int n = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct arena arena;
        const char *why;
        arena_init(&arena, NULL, NULL);
        snprintf(folder, sizeof folder, DATA "/%s/%s", suite, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && has_truth(&arena, folder)) {
            bool tensors;
            enum verdict v = take(folder, &arena, &why, &tensors);
            (tensors ? exam->n : exam->n_members)[v]++;
            if (v != EXACT) printf("%s: %s/%s: %s\n", v == WRONG ? "wrong" : "unknown", suite, names[i]->d_name, why);
        }
        arena_free(&arena);
        free(names[i]);
    }
    if (n >= 0) free(names);
}

Test(exam, backend_cases) {
    static const char *const suites[] = {"node", "pytorch-converted", "pytorch-operator", "simple"};
    struct exam exam = {{0}, {0}};
    for (size_t i = 0; i < COUNT_OF(suites); i++) take_all(suites[i], &exam);
    size_t all = exam.n[EXACT] + exam.n[UNKNOWN] + exam.n[WRONG];
    if (all == 0) cr_skip_test("no backend cases under " DATA);
    const size_t *m = exam.n_members;
    printf("exam: %zu cases, %zu exact, %zu unknown, %zu wrong\n", all, exam.n[EXACT], exam.n[UNKNOWN], exam.n[WRONG]);
    printf("exam, sequences and optionals: %zu exact, %zu unknown, %zu wrong\n", m[EXACT], m[UNKNOWN], m[WRONG]);
    cr_assert(exam.n[WRONG] == 0 && m[WRONG] == 0);
    cr_assert(exam.n[EXACT] * 100 >= all * 96);
}
