/* ir: the graph of a model, the operator table, and what the layers above share about targets.
 *
 * Flat arrays of nodes, tensors and bodies addressed by 32-bit ids; NONE is the id of nothing. Names are interned.
 * Arrays reached through a pointer in a node or tensor (dims, inputs, attributes, values) are never changed in place:
 * assign a new one. A clone of the graph is therefore a copy of the flat arrays (graph_clone). */
#ifndef IR_H
#define IR_H

#include "base.h"

/* ---- Dimensions and integer values (dim.c) ----
 * A number, an expression over symbols, or unknown; never a silent 0 or 1. Expressions are kept in one normal form
 * (a polynomial over symbols and the functions floordiv, ceildiv, mod, min, max), hash-consed in the graph, so equal
 * expressions are equal ids. Also the element type of propagated integer values, which may be negative. */

typedef struct dim {
    int64_t value; /* when expr == 0 */
    uint32_t expr; /* 0: a number; NONE: unknown; else an expression of the graph */
} dim;

struct graph;

#define DIM(n)      ((dim){.value = (n), .expr = 0})
#define DIM_UNKNOWN ((dim){.value = 0, .expr = NONE})

static inline bool dim_is_number(dim d) {
    return d.expr == 0;
}
static inline bool dim_is_unknown(dim d) {
    return d.expr == NONE;
}
static inline bool dim_is_symbolic(dim d) {
    return d.expr != 0 && d.expr != NONE;
}
static inline bool dim_is(dim d, int64_t n) {
    return d.expr == 0 && d.value == n;
}
/* Provably the same; unknown is the same as nothing, not even itself. */
static inline bool dim_same(dim a, dim b) {
    return a.expr == b.expr && a.expr != NONE && a.value == b.value;
}

/* How what data decide is priced. As written: sizes at their upper bound, the rest as expected. */
enum data_case { DATA_BOUND, DATA_EXPECTED, DATA_LEAST, DATA_MOST };

dim dim_symbol(struct graph *, const char *name); /* the symbol of that name; >= 1 unless said otherwise later */
/* A new symbol for a size that depends on data, named after `hint` ("nonzero_12"), within lo..hi (INT64_MAX: none). */
dim dim_fresh(struct graph *, const char *hint, int64_t lo, int64_t hi);
dim dim_add(struct graph *, dim, dim);
dim dim_sub(struct graph *, dim, dim);
dim dim_mul(struct graph *, dim, dim);
dim dim_floordiv(struct graph *, dim, dim); /* exact polynomial division where it is one; unknown for a zero divisor */
dim dim_ceildiv(struct graph *, dim, dim);
dim dim_mod(struct graph *, dim, dim);
dim dim_min(struct graph *, dim, dim);
dim dim_max(struct graph *, dim, dim);
void dim_bounds(const struct graph *, dim, int64_t *lo, int64_t *hi); /* by interval arithmetic over the symbols */
int64_t dim_expected(const struct graph *, dim); /* with the sizes that depend on data where they are expected */
void dim_expect(struct graph *, dim fresh, int64_t expected); /* instead of the middle of its bounds */
bool dim_is_positive(const struct graph *, dim);              /* provably >= 1 */
dim dim_substitute(struct graph *, dim, const char *symbol, int64_t number);
size_t dim_print(const struct graph *, dim, char *out, size_t size); /* "2*seq+1", "?"; as snprintf */
/* The named symbols an expression mentions, appended to `names`; returns how many. */
size_t dim_symbols(const struct graph *, dim, const char **names, size_t max);
bool dim_is_data_dependent(const struct graph *, dim); /* mentions a dim_fresh symbol */
void dim_settle(struct graph *, enum data_case); /* of a clone to be priced: every size gets its number in one case */

/* ---- Propagated values (value.c) ----
 * What is known of a small tensor's elements while shapes are inferred. */

#define VALUE_MAX 4096 /* elements; larger tensors carry no value */

struct scalar {
    dim d;    /* integers and booleans: the element (symbolic or unknown allowed) */
    double f; /* floating point: the element is f * d; a plain number has d = DIM(1); NaN d unknown = not known */
};

struct value {
    bool is_float;
    uint32_t n;
    struct scalar at[];
};

/* ---- Types (dtype.c) ---- */

/* clang-format off */
enum dtype { /* TensorProto.DataType, ONNX IR version 14 */
    DT_UNDEFINED = 0, DT_FLOAT, DT_UINT8, DT_INT8, DT_UINT16, DT_INT16, DT_INT32, DT_INT64, DT_STRING, DT_BOOL,
    DT_FLOAT16, DT_DOUBLE, DT_UINT32, DT_UINT64, DT_COMPLEX64, DT_COMPLEX128, DT_BFLOAT16, DT_FLOAT8E4M3FN,
    DT_FLOAT8E4M3FNUZ, DT_FLOAT8E5M2, DT_FLOAT8E5M2FNUZ, DT_UINT4, DT_INT4, DT_FLOAT4E2M1, DT_FLOAT8E8M0, DT_UINT2,
    DT_INT2, DT_COUNT
};
/* clang-format on */

const char *dtype_name(enum dtype);       /* "float32", "int64", ...; "undefined" */
enum dtype dtype_parse(const char *name); /* DT_UNDEFINED if none */
unsigned dtype_bits(enum dtype);          /* of one element; 0 for strings and undefined */
bool dtype_is_float(enum dtype);
bool dtype_is_integer(enum dtype); /* bool included */

enum type_kind { TY_TENSOR, TY_SEQUENCE, TY_OPTIONAL, TY_MAP, TY_SPARSE, TY_OPAQUE };

/* ---- Weights and constants ---- */

enum encoding {
    ENC_NONE,    /* no data */
    ENC_RAW,     /* little endian, packed 4-bit and 2-bit types low nibble first */
    ENC_FLOATS,  /* packed float_data: 4 bytes each (complex64: pairs) */
    ENC_DOUBLES, /* packed double_data */
    ENC_VARINTS, /* packed int32_data, int64_data or uint64_data: varints; float16 and the like as bit patterns */
    ENC_STRINGS  /* string_data: not looked at */
};

struct data { /* where a tensor's elements lie; bytes are borrowed from a mapped file or an arena */
    enum encoding encoding;
    uint32_t file;        /* graph->files; NONE: `bytes` is in the arena */
    uint64_t offset;      /* in the file */
    uint64_t length;      /* bytes */
    const uint8_t *bytes; /* NULL: a model in memory, whose external files are not looked at */
};

struct sparse {                  /* elements that are not zero; the others take no room */
    int64_t n;                   /* of them */
    bool flat;                   /* indices: a position in the flat tensor for each, or a coordinate for each axis */
    struct data values, indices; /* int64 */
};

struct source_file {      /* the model itself (index 0) and its external data files */
    const char *path;     /* as opened */
    const char *location; /* as the model names it; NULL for the model itself */
    struct file_map map;
};

/* ---- Tensors, nodes, bodies ---- */

enum tensor_flags {
    TF_INPUT = 1,       /* of the main body */
    TF_OUTPUT = 2,      /* of the main body */
    TF_INITIALIZER = 4, /* has data (or had: sparse) and no producer */
    TF_CONSTANT = 8,    /* does not depend on any graph input: initializer, or computed from such */
    TF_PRIVATE = 16,    /* input of a body, not of the graph */
    TF_CAPTURED = 32,   /* read by a body inside the one that defines it */
    TF_DECLARED = 64    /* its type came from the file (input, output or value_info) */
};

#define RANK_UNKNOWN (-1)
#define RANK_MAX     64

struct tensor {
    const char *name; /* interned, "" for an unnamed one */
    enum type_kind kind;
    enum dtype dtype; /* of the elements, also inside a sequence or optional */
    int32_t rank;     /* RANK_UNKNOWN; for a sequence or optional: of its element */
    uint32_t flags;
    const dim *dims;           /* rank of them */
    const struct value *value; /* NULL: not known */
    struct data data;          /* initializers, but for those that are */
    const struct sparse *sparse;
    uint64_t stored_bytes; /* initializers: what the weights take in the file(s), sparse ones as stored */
    uint32_t producer;     /* node, or NONE */
    uint32_t body;         /* that defines it */
    dim length;            /* sequences: how many elements; else unused */
    const void *origin;    /* frontend's own: the message it was read from */
};

/* clang-format off */
enum attr_type { /* AttributeProto.AttributeType */
    AT_UNDEFINED, AT_FLOAT, AT_INT, AT_STRING, AT_TENSOR, AT_GRAPH, AT_FLOATS, AT_INTS, AT_STRINGS, AT_TENSORS, AT_GRAPHS,
    AT_SPARSE_TENSOR, AT_SPARSE_TENSORS, AT_TYPE_PROTO, AT_TYPE_PROTOS
};
/* clang-format on */

struct attr {
    const char *name; /* interned */
    enum attr_type type;
    size_t n; /* elements of a list; bytes of a string */
    union {
        int64_t i;
        float f;
        const char *s; /* n bytes and a NUL */
        const int64_t *ints;
        const float *floats;
        const char *const *strings;
        uint32_t tensor; /* id: an initializer of the body that holds the node */
        const uint32_t *tensors;
        uint32_t body; /* id */
        const uint32_t *bodies;
    };
    enum dtype type_dtype; /* AT_TYPE_PROTO: what the type says */
    int32_t type_rank;
    const dim *type_dims;
    enum type_kind type_kind;
};

struct node {
    const char *name;             /* interned; "" when the file gives none */
    const char *op_type, *domain; /* interned; the default domain is "" */
    uint16_t op;                  /* row of ops.def; OP_UNKNOWN */
    bool dead;                    /* not part of the graph any more (passes mark, nothing is renumbered) */
    uint32_t body;
    uint32_t n_inputs, n_outputs, n_attrs;
    const uint32_t *inputs, *outputs; /* tensors; NONE for an optional one left out */
    const struct attr *attrs;
    const char *reason; /* why shapes of its outputs stay unknown; NULL */
    const void *origin; /* frontend's own; NULL for nodes made by passes and for those of an inlined function */
};

struct body { /* the graph (id 0) or a subgraph of If, Loop, Scan, SequenceMap */
    const char *name;
    uint32_t parent; /* NONE for the main one */
    uint32_t owner;  /* the node that has it as attribute; NONE for the main one */
    size_t n_nodes, cap_nodes;
    uint32_t *nodes; /* ids in order; topological after the topo pass */
    uint32_t n_inputs, n_outputs;
    const uint32_t *inputs, *outputs; /* inputs without the initializers that IR version 3 lists among them */
};

struct opset {
    const char *domain; /* "ai.onnx" is "" */
    int64_t version;
};

struct graph {
    struct arena *arena;
    struct strtab *names;
    struct dims *exprs; /* dim.c */
    const char *path;   /* as the user gave it */
    int64_t ir_version;
    const char *producer; /* "pytorch 1.13.1" */
    size_t n_opsets;
    const struct opset *opsets;
    size_t n_tensors, cap_tensors;
    struct tensor *tensors;
    size_t n_nodes, cap_nodes;
    struct node *nodes;
    size_t n_bodies, cap_bodies;
    struct body *bodies;
    size_t n_files, cap_files;
    struct source_file *files;
    const void *origin; /* frontend's own */
    enum data_case data_case;
};

/* ---- The operator table (op.c, ops.def) ---- */

enum kernel_class {
#define CLASS(id, name) KC_##id,
#include "classes.def"
#undef CLASS
    KC_COUNT
};

const char *kernel_class_name(enum kernel_class);
enum kernel_class kernel_class_parse(const char *name); /* KC_COUNT if none */

enum op_flags {
    F_NONE = 0,
    F_VIEW = 1,    /* no kernel: the output shares the input's memory (Reshape, Squeeze, Identity, ...) */
    F_SHAPE = 2,   /* reads only its input's shape (Shape, Size) */
    F_RANDOM = 4,  /* never folded */
    F_CONTROL = 8, /* owns bodies (If, Loop, Scan, SequenceMap) */
    F_HOST = 16    /* works on sequences, strings, optionals: no device kernel */
};

enum op {
    OP_UNKNOWN,
#define OP(id, name, domain, since, min_in, max_in, class_, flags, shape, fold, cost) OP_##id,
#include "ops.def"
#undef OP
    OP_COUNT
};

struct op_info {
    const char *name, *domain;
    int16_t since;          /* first opset version with this meaning */
    int16_t min_in, max_in; /* inputs; max -1: any number */
    enum kernel_class kernel;
    uint32_t flags;
};

extern const struct op_info op_table[OP_COUNT];
/* The row with the greatest since-version not above the model's; OP_UNKNOWN. */
uint16_t op_find(const char *domain, const char *name, int64_t opset_version);
int64_t graph_opset(const struct graph *, const char *domain); /* 0 when not imported */

/* ---- Building and reading a graph (graph.c) ---- */

struct graph *graph_new(struct arena *, const char *path);
struct graph *graph_clone(const struct graph *, struct arena *); /* shares what pointers reach: `of` must outlive it */
uint32_t graph_add_tensor(struct graph *, uint32_t body, const char *name); /* rank unknown, no producer */
uint32_t graph_add_body(struct graph *, uint32_t parent, uint32_t owner, const char *name);
/* Appends a node to a body and makes it the producer of its outputs. The arrays are copied. */
uint32_t graph_add_node(struct graph *, uint32_t body, const char *op_type, const char *domain, const char *name,
                        const uint32_t *inputs, uint32_t n_inputs, const uint32_t *outputs, uint32_t n_outputs,
                        const struct attr *attrs, uint32_t n_attrs);
const struct attr *node_attr(const struct node *, const char *name);
int64_t node_int(const struct node *, const char *name, int64_t otherwise);
double node_float(const struct node *, const char *name, double otherwise);
const char *node_string(const struct node *, const char *name, const char *otherwise);
const int64_t *node_ints(const struct node *, const char *name, size_t *n); /* NULL and 0 when absent */
static inline uint32_t node_in(const struct node *n, uint32_t i) {
    return i < n->n_inputs ? n->inputs[i] : NONE;
}
static inline uint32_t node_out(const struct node *n, uint32_t i) {
    return i < n->n_outputs ? n->outputs[i] : NONE;
}
const char *node_label(const struct graph *, uint32_t node); /* `node "Conv_3" (Conv)`, for messages; in the arena */
void tensor_set_shape(struct graph *, uint32_t tensor, enum dtype, const dim *dims, int32_t rank); /* copies dims */
dim tensor_elements(struct graph *, const struct tensor *); /* product of the dims; unknown if any is */
/* Bytes of a dense tensor; saturates; -1 when a dim is not a number. */
int64_t tensor_bytes(const struct tensor *);
/* The elements of an initializer as a value (decoding any encoding), NULL when absent, too large or strings. */
const struct value *tensor_read(struct graph *, const struct tensor *);
/* Dense numbers of a byte or more each that lie one after the other: elements are read where they are. */
bool tensor_has_numbers(const struct tensor *);
double tensor_number(const struct tensor *, int64_t at);
struct value *value_new(struct arena *, uint32_t n, bool is_float); /* all unknown */
/* Numbers that say where the elements of a sparse tensor lie, and how many there are. `out` NULL: only looks whether
 * they can be read. */
bool sparse_places(const struct tensor *, int64_t *out);
size_t sparse_place_count(const struct tensor *);
/* Users of every tensor over all bodies, as CSR: users of t are list[start[t] .. start[t+1]). Dead nodes left out. */
struct users {
    const uint32_t *start, *list;
};
struct users graph_users(const struct graph *, struct arena *);

/* ---- Making models in memory (build.c): search spaces, probe networks, tests ----
 * Every call adds one node with a fresh name and returns its output tensor. Weights are drawn from the seed, He-scaled,
 * and held in the arena. */

struct builder {
    struct graph *graph;
    struct rng rng;
    bool weightless; /* initializers get shapes but no data: for pricing only */
    uint32_t serial;
};

void build_start(struct builder *, struct arena *, const char *name, int64_t opset, uint64_t seed, bool weightless);
uint32_t build_input(struct builder *, const char *name, enum dtype, const int64_t *dims, int32_t rank);
uint32_t build_weight(struct builder *, enum dtype, const int64_t *dims, int32_t rank, double scale); /* N(0, scale) */
uint32_t build_ints(struct builder *, const int64_t *values, int64_t n); /* 1-D int64 initializer */
uint32_t build_node(struct builder *, const char *op_type, const uint32_t *inputs, uint32_t n_inputs,
                    const struct attr *attrs, uint32_t n_attrs);
uint32_t build_conv(struct builder *, uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel, int64_t stride,
                    int64_t groups, bool bias); /* "same" padding: kernel / 2 */
uint32_t build_batchnorm(struct builder *, uint32_t x, int64_t channels);
uint32_t build_unary(struct builder *, const char *op_type, uint32_t x);
uint32_t build_binary(struct builder *, const char *op_type, uint32_t a, uint32_t b);
uint32_t build_gemm(struct builder *, uint32_t x, int64_t in, int64_t out, bool bias);
struct attr attr_int(struct builder *, const char *name, int64_t);
struct attr attr_float(struct builder *, const char *name, double);
struct attr attr_ints(struct builder *, const char *name, const int64_t *, size_t n);
struct attr attr_string(struct builder *, const char *name, const char *);
void build_output(struct builder *, uint32_t tensor, const char *name);

/* ---- What the user said about open sizes ---- */

struct bindings { /* what the user said about open sizes */
    size_t n_dims;
    const struct dim_binding {
        const char *symbol;
        int64_t value;
    } * dims; /* --dim */
    size_t n_shapes;
    const struct shape_binding {
        const char *input;
        int32_t rank;
        const int64_t *dims;
    } * shapes;    /* --shape */
    int64_t batch; /* --batch: the leading dim of every input that has an open one; 0: not given */
};

/* ---- Looking (print.c) and checking (check.c) ---- */

void graph_print(const struct graph *, FILE *); /* the IR as text, one node a line, bodies indented */
/* The invariants, as a numbered list in check.c; ST_MODEL and a message on the first that fails. */
enum status graph_check(const struct graph *, struct diag *) MUST_CHECK;

#include "workload.h"

#endif
