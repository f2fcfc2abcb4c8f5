/* Puts data back into the messages that hold it. Nothing is copied but what cannot be pointed at: a message restored
 * this way borrows from the mapped file, and protobuf-c writes it from there. */
#include "restore.h"

#include <string.h>

enum { FIELD_INT32_DATA = 5, FIELD_STRING_DATA = 6, FIELD_INT64_DATA = 7, FIELD_UINT64_DATA = 11, LENGTH_MAX = 10 };

static uint32_t varint_field(enum dtype dtype) {
    if (dtype == DT_INT64) return FIELD_INT64_DATA;
    return dtype == DT_UINT32 || dtype == DT_UINT64 ? FIELD_UINT64_DATA : FIELD_INT32_DATA;
}

/* protobuf-c writes a field that is unknown to it as the bytes it is made of: no decoding, no copy. */
static void put_unknown(Onnx__TensorProto *t, uint32_t field, const uint8_t *bytes, size_t length,
                        struct arena *arena) {
    ProtobufCMessageUnknownField *fields = arena_array(arena, t->base.n_unknown_fields + 1, sizeof *fields);
    if (t->base.n_unknown_fields) memcpy(fields, t->base.unknown_fields, t->base.n_unknown_fields * sizeof *fields);
    fields[t->base.n_unknown_fields++] = (ProtobufCMessageUnknownField){
        .tag = field, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = length, .data = (uint8_t *)bytes};
    t->base.unknown_fields = fields;
}

static void put_varints(Onnx__TensorProto *t, const struct data *d, enum dtype dtype, struct arena *arena) {
    uint8_t prefix[LENGTH_MAX];
    size_t n = wire_put_varint(prefix, d->length);
    uint8_t *field = arena_alloc(arena, n + (size_t)d->length);
    memcpy(field, prefix, n);
    memcpy(field + n, d->bytes, (size_t)d->length);
    put_unknown(t, varint_field(dtype), field, n + (size_t)d->length, arena);
}

void restore_data(Onnx__TensorProto *t, const struct data *d, enum dtype dtype, struct arena *arena) {
    uint64_t tag;
    const uint8_t *rest;
    if (!d->bytes) return;
    t->has_raw_data = 0;
    t->raw_data = (ProtobufCBinaryData){0};
    switch (d->encoding) {
    case ENC_NONE:
        break;
    case ENC_RAW:
        t->has_raw_data = 1;
        t->raw_data = (ProtobufCBinaryData){.len = (size_t)d->length, .data = (uint8_t *)d->bytes};
        break;
    case ENC_FLOATS: /* little endian on the wire and here */
        t->n_float_data = (size_t)d->length / sizeof(float);
        t->float_data = (void *)d->bytes;
        break;
    case ENC_DOUBLES:
        t->n_double_data = (size_t)d->length / sizeof(double);
        t->double_data = (void *)d->bytes;
        break;
    case ENC_VARINTS:
        put_varints(t, d, dtype, arena);
        break;
    case ENC_STRINGS: /* whole fields, of which protobuf-c writes the first tag */
        rest = wire_varint(d->bytes, d->bytes + d->length, &tag);
        put_unknown(t, FIELD_STRING_DATA, rest, (size_t)(d->bytes + d->length - rest), arena);
        break;
    }
}

static void restore_tensor(const struct slim *slim, Onnx__TensorProto *t, struct arena *arena) {
    const struct payload *p = wire_payload(slim, t);
    if (!p) return;
    struct data d = {.encoding = p->encoding, .length = p->length, .bytes = p->bytes};
    bool known = t->data_type > 0 && t->data_type < DT_COUNT;
    restore_data(t, &d, known ? (enum dtype)t->data_type : DT_UNDEFINED, arena);
}

void restore_message(const struct slim *slim, ProtobufCMessage *message, struct arena *arena) {
    if (message->descriptor == &onnx__tensor_proto__descriptor) {
        restore_tensor(slim, (Onnx__TensorProto *)message, arena);
        return;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        void *member = (char *)message + f->offset;
        const unsigned *quantity = (const unsigned *)((char *)message + f->quantifier_offset);
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n;
            memcpy(&n, quantity, sizeof n);
            ProtobufCMessage **list = *(ProtobufCMessage ***)member;
            for (size_t k = 0; k < n; k++) restore_message(slim, list[k], arena);
        } else if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(ProtobufCMessage **)member) {
            restore_message(slim, *(ProtobufCMessage **)member, arena); /* no oneof leads to a tensor */
        }
    }
}
