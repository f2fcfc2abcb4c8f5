/* writer: what the rooms of the writer share. Private to the front end.
 *
 * The graph becomes a tree of messages that borrows from the graph, from the messages it was read from and from the
 * mapped files; protobuf-c then writes it in one go. */
#ifndef WRITER_H
#define WRITER_H

#include "frontend.h"
#include "origin.h"

enum tensor_use {                    /* bits */
                  USE_READ = 1,      /* by a node that is written, or an output */
                  USE_FORGOTTEN = 2, /* by a node that is not written */
                  USE_ATTRIBUTE = 4  /* it is the value of an attribute */
};

struct piece { /* of the external data file */
    const uint8_t *bytes;
    uint64_t offset, length;
};

struct writer {
    const struct graph *graph;
    struct arena *arena;
    struct diag *diag;
    const struct model_origin *origin; /* NULL: the graph was made in memory */
    uint8_t *use;                      /* by tensor */
    bool *written;                     /* by node */
    uint32_t *body_start, *body_list;  /* tensors of a body, as CSR */
    const char *location;              /* of external data; NULL: everything goes into the model */
    uint64_t external_bytes;
    struct piece *pieces;
    size_t n_pieces, cap_pieces;
};

enum status write_fail(struct writer *, enum status, const char *fmt, ...) PRINTF_LIKE(3, 4);
char *write_text(struct writer *, const char *); /* protobuf-c takes no const */
char *write_name(struct writer *, uint32_t tensor);

/* write_plan.c: what of the graph is written. */
void write_plan(struct writer *);

/* write_type.c */
Onnx__TypeProto *write_type(struct writer *, enum type_kind, enum dtype, int32_t rank, const dim *);

/* write_tensor.c */
enum status write_dense(struct writer *, uint32_t tensor, Onnx__TensorProto **) MUST_CHECK;
enum status write_sparse(struct writer *, uint32_t tensor, Onnx__SparseTensorProto **) MUST_CHECK;
bool is_sparse(const struct writer *, uint32_t tensor);

/* write_attr.c */
enum status write_attrs(struct writer *, const struct node *, Onnx__NodeProto *) MUST_CHECK;

/* write_body.c */
enum status write_body(struct writer *, uint32_t body, Onnx__GraphProto **) MUST_CHECK;

#endif
