/* reader: what the rooms of the reader share. Private to the front end. */
#ifndef READER_H
#define READER_H

#include "frontend.h"
#include "origin.h"
#include "wire.h"

struct call { /* of a function being inlined */
    const struct call *outer;
    unsigned depth;
    const Onnx__NodeProto *node;
    const Onnx__FunctionProto *function;
    const struct scope *caller;
    const char *prefix; /* of the names inside */
    struct map results; /* name of a function output -> the caller's tensor */
};

struct scope {                 /* the names that are visible somewhere */
    const struct scope *outer; /* NULL for the graph and for a function, which sees no name of its caller */
    struct map names;          /* -> tensor; NONE: an input the call leaves out */
    uint32_t body;
    struct call *call; /* the function whose text this is; NULL in the model's own graph */
};

struct reader {
    struct graph *graph;
    struct arena *arena;
    struct diag *diag;
    struct slim slim;
    struct model_origin *origin;
    const Onnx__ModelProto *message;
    bool need_weights, from_file;
    struct map functions; /* domain, name, overload -> index in the message */
    struct map taken;     /* names in use anywhere in the file; filled when there are functions */
    struct map external;  /* location -> file index, NONE: not found */
    const char *folder;   /* of the model, resolved; NULL until needed */
    unsigned depth;       /* of bodies and calls around the one being read */
    unsigned calls;       /* of them, calls */
    uint64_t inlined;     /* what calls have written, against LIMIT_INLINED */
};

/* "PATH: text", with the reader's path. */
enum status read_fail(struct reader *, enum status, const char *fmt, ...) PRINTF_LIKE(3, 4);
void read_warn(struct reader *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Imports a domain, if it is not imported yet. */
enum status read_import(struct reader *, const char *domain, int64_t version) MUST_CHECK;
/* Counts what is written inside a call: functions that call functions can be short and mean millions of nodes. So
 * many bytes of text or data looked at count as one thing written. */
enum { BYTES_A_CHARGE = 16 };
enum status read_charge(struct reader *, uint64_t amount) MUST_CHECK;

/* read_type.c */

/* Converts a type. `name` is the tensor's, for messages; `open` names sizes left open after it ("x[0]"). */
enum status read_type(struct reader *, const Onnx__TypeProto *, const char *name, bool open, bool symbols,
                      struct declared *) MUST_CHECK;
enum dtype read_dtype(struct reader *, int32_t data_type, const char *what);

/* read_data.c */

/* Make tensor `id` an initializer with that content. */
enum status read_dense(struct reader *, uint32_t id, const Onnx__TensorProto *, const char *what) MUST_CHECK;
enum status read_sparse(struct reader *, uint32_t id, const Onnx__SparseTensorProto *, const char *what) MUST_CHECK;

/* external.c */

/* Maps the part of an external file that a tensor names; `bytes` is how much its shape needs, -1 when not known. */
enum status read_external(struct reader *, const Onnx__TensorProto *, const char *what, int64_t bytes,
                          struct data *) MUST_CHECK;

/* read_attr.c */

/* Reads the attributes of a node whose text stands in `scope`. */
enum status read_attrs(struct reader *, const struct scope *, const Onnx__NodeProto *, uint32_t node,
                       const char *label) MUST_CHECK;

/* read_body.c */

enum status read_graph(struct reader *) MUST_CHECK;
/* Reads a subgraph into a new body inside the one that holds `node`. */
enum status read_subgraph(struct reader *, const struct scope *, const Onnx__GraphProto *, uint32_t node,
                          uint32_t *body) MUST_CHECK;
/* The tensor that a name means; NONE for "". */
enum status read_name(struct reader *, const struct scope *, uint32_t user_body, const char *name, const char *label,
                      uint32_t *tensor) MUST_CHECK;
/* Defines the outputs of the nodes, then reads them. */
enum status read_nodes(struct reader *, struct scope *, Onnx__NodeProto *const *, size_t n) MUST_CHECK;
struct tensor_origin *read_tensor_origin(struct reader *, uint32_t tensor);

/* inline.c */

enum status functions_collect(struct reader *) MUST_CHECK;
/* The function a node calls; NULL. */
const Onnx__FunctionProto *function_of(const struct reader *, const Onnx__NodeProto *);
enum status inline_call(struct reader *, const struct scope *, const Onnx__NodeProto *, const Onnx__FunctionProto *,
                        const uint32_t *inputs, const uint32_t *outputs, const char *label) MUST_CHECK;
/* Which attribute a reference means, and in which scope its text stands; NULL when the call leaves it out. */
enum status resolve_attr(struct reader *, const struct scope **, const Onnx__AttributeProto **,
                         const char *label) MUST_CHECK;
/* The name a tensor of this scope gets in the graph: inside functions, one that nothing else has. */
const char *name_in_graph(struct reader *, const struct scope *, const char *name);
/* Gives a node of a function the meaning that the function's own imports say. */
void apply_imports(struct reader *, const struct scope *, uint32_t node);

#endif
