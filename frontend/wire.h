/* wire: the protobuf encoding below the messages (https://protobuf.dev/programming-guides/encoding/). Private to the
 * front end.
 *
 * A model is checked and slimmed in one walk over its bytes: metadata is copied, the payload of every tensor is left
 * where it lies and listed in a table, and the copy holds in its place a raw_data field with the 4 bytes of its row in
 * that table. Everything that could make decoding the copy fail, recurse deeply or cost more than linear time is
 * refused here, with the offset of the byte in the file. */
#ifndef WIRE_H
#define WIRE_H

#include "base.h"
#include "ir.h"
#include "onnx.pb-c.h"

struct payload {    /* of one TensorProto */
    uint32_t field; /* its number: which of raw_data, float_data, ... holds it */
    enum encoding encoding;
    bool gathered;        /* it lay in several pieces: `bytes` is a copy in the arena, `offset` that of the first */
    uint64_t offset;      /* in the message, bytes */
    uint64_t length;      /* bytes; ENC_STRINGS: of the fields, tags included */
    uint64_t count;       /* ENC_STRINGS: how many */
    const uint8_t *bytes; /* in the message, or a copy in the arena: gathered, or short and of a file */
};

struct slim {
    const uint8_t *bytes;
    size_t length;
    struct payload *payloads;
    size_t n_payloads, cap_payloads;
};

/* `file`, where not -1, is what `bytes` maps. `path` stands in messages. The result borrows from `bytes` and from the
 * arena. */
enum status wire_slim(struct slim *out, const uint8_t *bytes, size_t length, int file, const char *path, struct arena *,
                      struct diag *) MUST_CHECK;

/* The payload that a TensorProto decoded from the slim copy stands for; NULL when it has none. */
const struct payload *wire_payload(const struct slim *, const Onnx__TensorProto *);

/* Reads a varint that ends before `end`; returns its last byte's successor, NULL when there is none. */
const uint8_t *wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);
/* Writes a varint in the shortest form into `out` (10 bytes at most) and returns its length. */
size_t wire_put_varint(uint8_t *out, uint64_t value);
/* How many varints `length` bytes hold; false when they are not whole varints. */
bool wire_count_varints(const uint8_t *bytes, size_t length, uint64_t *count) MUST_CHECK;

#endif
