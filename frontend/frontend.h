/* frontend: ONNX files to the IR and back.
 *
 * Metadata is decoded by protobuf-c from a slim copy of the message; weights stay in the mapped file and are addressed
 * by offset. ONNX IR versions 3 to 14 (https://github.com/onnx/onnx/blob/main/docs/IR.md). Functions of the model are
 * inlined while reading. What the schema does not know is kept and written back. */
#ifndef FRONTEND_H
#define FRONTEND_H

#include "ir.h"

/* Limits on what a file may claim; each has its own message. */
enum {
    LIMIT_MESSAGE_DEPTH = 200, /* nested messages: subgraphs, functions, types */
    LIMIT_FIELDS = 16 << 20,   /* of all messages of a file, less tensor data */
    LIMIT_INLINE_DEPTH = 64,   /* functions calling functions */
    LIMIT_NODES = 1 << 20,     /* after inlining */
    LIMIT_INLINED = 4 << 20,   /* nodes, inputs, outputs, attributes and the like that inlining may write */
    LIMIT_ATTRIBUTES = 1024,   /* of one node */
    LIMIT_OPSETS = 256         /* imported by the model and its functions together */
};

/* Reads a model into `*out`. Everything is allocated in `arena`; files are mapped and closed by graph_close, which is
 * safe to call after a failure too, and after the arena jumped out of memory (`*out` is set before the first map).
 * External data lies under the model's own folder or is refused (absolute paths, "..", links that lead out). Tensors
 * without data are a failure when `need_weights`, else a warning. */
enum status onnx_read(struct graph **out, const char *path, bool need_weights, struct arena *,
                      struct diag *) MUST_CHECK;
/* The same from memory; `bytes` must outlive the graph. `name` stands for the path in messages. */
enum status onnx_read_bytes(struct graph **out, const void *bytes, size_t length, const char *name, struct arena *,
                            struct diag *) MUST_CHECK;
void graph_close(struct graph *);

/* Writes the graph as it stands: nodes not dead, in body order, and dead ones whose results these read (folded
 * constants); initializers from wherever their data lies, less those that only nodes left out read; whatever of the
 * original message still applies (metadata, doc strings, unknown fields). Tensors changed by rewriting carry arena
 * data. The file appears complete or not at all. `external`: weights of 1 kB and more go to a file beside `path` named
 * `<base>.data`; needed above 2 GB. Otherwise everything is in the model. ST_MODEL when weights are not there. */
enum status onnx_write(const struct graph *, const char *path, bool external, struct diag *) MUST_CHECK;
/* ST_IO where the weights would take the place of a file that the graph reads its own from. */
enum status onnx_can_write(const struct graph *, const char *path, bool external, struct diag *) MUST_CHECK;
/* onnx_write into memory (arena), for runtimes that take a model as bytes. */
enum status onnx_write_bytes(const struct graph *, struct arena *, const uint8_t **bytes, size_t *length,
                             struct diag *) MUST_CHECK;

#endif
