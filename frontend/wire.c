#include "wire.h"
#include "frontend.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    VARINT_MAX = 10,
    TAG_MAX = 5,
    PADDED = 5, /* bytes of a length in the copy: its value is known only after the message */
    FIRST_ROOM = 1 << 15,
    WINDOW = 1 << 14,
    COPIED = 1 << 12, /* raw data of up to a page comes along: to copy costs less than its page's fault later */
    MARK = 9 << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED /* raw_data */
};

struct frame { /* a message being walked */
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
    size_t length_at; /* where the copy holds its length */
    uint32_t seen;    /* message fields met, by descriptor index */
};

struct walk {
    const uint8_t *start, *at;
    int file; /* that `start` maps; -1: bytes in memory */
    size_t window_at, window_length;
    const char *path;
    struct arena *arena;
    struct diag *diag;
    struct slim *slim;
    uint8_t *out;
    size_t n_out, cap_out;
    struct payload payload; /* of the tensor being walked: tensors do not nest */
    size_t cap_gathered;
    uint64_t fields, nodes;
    bool looks_like_a_model;
    unsigned depth;
    struct frame frames[LIMIT_MESSAGE_DEPTH + 1];
    uint8_t window[WINDOW];
};

struct field {
    const uint8_t *start; /* its tag */
    const uint8_t *value;
    const uint8_t *end;
    uint32_t number;
    ProtobufCWireType wire;
    const ProtobufCFieldDescriptor *known; /* NULL: not in the schema */
};

const uint8_t *wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < VARINT_MAX && at < end; i++, at++) {
        sum |= (uint64_t)(*at & 0x7f) << (7 * i);
        if (*at < 0x80) {
            *value = sum;
            return at + 1;
        }
    }
    return NULL;
}

size_t wire_put_varint(uint8_t *out, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

bool wire_count_varints(const uint8_t *bytes, size_t length, uint64_t *count) {
    unsigned run = 0;
    *count = 0;
    for (size_t i = 0; i < length; i++) {
        if (++run > VARINT_MAX) return false;
        if (bytes[i] >= 0x80) continue;
        run = 0;
        (*count)++;
    }
    return run == 0;
}

/* `length` bytes of the message, to be read. Metadata lies between weights that nobody looks at: reading a few pages
 * of a file into the same window costs a tenth of the faults that touching it all over takes. */
static const uint8_t *see(struct walk *w, const uint8_t *at, size_t length) {
    size_t offset = (size_t)(at - w->start);
    if (w->file < 0 || length > WINDOW) return at;
    if (offset < w->window_at || offset + length > w->window_at + w->window_length) {
        ssize_t got = pread(w->file, w->window, WINDOW, (off_t)offset);
        w->window_at = offset;
        w->window_length = got > 0 ? (size_t)got : 0;
        if (w->window_length < length) return at;
    }
    return w->window + (offset - w->window_at);
}

static const uint8_t *see_varint(struct walk *w, const uint8_t *at, const uint8_t *end, uint64_t *value) {
    const uint8_t *seen = see(w, at, (size_t)(end - at < VARINT_MAX ? end - at : VARINT_MAX));
    const uint8_t *next = wire_varint(seen, seen + (end - at < VARINT_MAX ? end - at : VARINT_MAX), value);
    return next ? at + (next - seen) : NULL;
}

static enum status fail(struct walk *w, enum status status, const uint8_t *at, const char *fmt, ...) PRINTF_LIKE(4, 5);

static enum status fail(struct walk *w, enum status status, const uint8_t *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(w->arena, fmt, args);
    va_end(args);
    return diag_fail(w->diag, status, "%s: %sbyte %" PRIu64 ": %s", w->path,
                     w->looks_like_a_model ? "" : "not an ONNX model: ", (uint64_t)(at - w->start), text);
}

static struct frame *top(struct walk *w) {
    return &w->frames[w->depth];
}

static const char *field_name(const struct walk *w, const struct field *f) {
    return f->known ? f->known->name : arena_printf(w->arena, "%" PRIu32, f->number);
}

static enum status malformed(struct walk *w, const struct field *f, const char *what) {
    return fail(w, ST_FORMAT, f->start, "field %s of %s %s", field_name(w, f), top(w)->type->short_name, what);
}

static uint8_t *emit(struct walk *w, const void *from, size_t length) {
    if (w->cap_out - w->n_out < length)
        w->out = arena_grow(w->arena, w->out, w->n_out, &w->cap_out, w->n_out + length, 1);
    uint8_t *to = w->out + w->n_out;
    if (from) memcpy(to, from, length);
    w->n_out += length;
    return to;
}

static void emit_field(struct walk *w, const struct field *f) {
    size_t length = (size_t)(f->end - f->start);
    emit(w, see(w, f->start, length), length);
}

/* The longest numbers of ONNX are below 2^5, but unknown fields may have any. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint32_t number) {
    return number <= INT32_MAX ? protobuf_c_message_descriptor_get_field(type, number) : NULL;
}

static enum status read_tag(struct walk *w, struct field *f) {
    const uint8_t *end = top(w)->end;
    uint64_t tag;
    f->start = w->at;
    f->value = see_varint(w, w->at, end - w->at > TAG_MAX ? w->at + TAG_MAX : end, &tag);
    if (!f->value && end - w->at < TAG_MAX) return fail(w, ST_FORMAT, w->at, "ends inside the number of a field");
    if (!f->value || tag > UINT32_MAX || tag >> 3 == 0) return fail(w, ST_FORMAT, w->at, "no field has this number");
    f->number = (uint32_t)(tag >> 3);
    f->wire = (ProtobufCWireType)(tag & 7);
    f->known = find_field(top(w)->type, f->number);
    return ST_OK;
}

static enum status cut_short(struct walk *w, const struct field *f, uint64_t need) {
    return fail(w, ST_FORMAT, f->start, "field %s of %s needs %" PRIu64 " bytes, %" PRIu64 " are left",
                field_name(w, f), top(w)->type->short_name, need, (uint64_t)(top(w)->end - f->value));
}

/* Finds the end of the value; for a length-delimited one, moves `value` behind the length. */
static enum status read_extent(struct walk *w, struct field *f) {
    const uint8_t *end = top(w)->end;
    uint64_t number, left = (uint64_t)(end - f->value);
    switch ((int)f->wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        f->end = see_varint(w, f->value, end, &number);
        if (!f->end) return left < VARINT_MAX ? cut_short(w, f, left + 1) : malformed(w, f, "is an endless number");
        return ST_OK;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        number = f->wire == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4;
        if (left < number) return cut_short(w, f, number);
        f->end = f->value + number;
        return ST_OK;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED: {
        const uint8_t *value = see_varint(w, f->value, end, &number);
        if (!value) return left < VARINT_MAX ? cut_short(w, f, left + 1) : malformed(w, f, "has an endless length");
        f->value = value;
        if (number > (uint64_t)(end - value)) return cut_short(w, f, number);
        f->end = value + number;
        return ST_OK;
    }
    default:
        return malformed(w, f, "has an encoding that is not in use");
    }
}

static ProtobufCWireType wire_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static bool is_packed(const struct field *f) {
    return f->wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && f->known->label == PROTOBUF_C_LABEL_REPEATED &&
           wire_of(f->known->type) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Numbers packed into one field must be whole ones. */
static enum status check_packed(struct walk *w, const struct field *f) {
    size_t length = (size_t)(f->end - f->value);
    uint64_t count;
    bool whole = true;
    switch (wire_of(f->known->type)) {
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        whole = length % 4 == 0;
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        whole = length % 8 == 0;
        break;
    default:
        whole = wire_count_varints(see(w, f->value, length), length, &count);
    }
    return whole ? ST_OK : malformed(w, f, "ends inside a number");
}

/* ---- Tensors ---- */

static enum encoding encoding_of(const struct field *f) {
    if (f->known->type == PROTOBUF_C_TYPE_BYTES) return f->number == 9 ? ENC_RAW : ENC_STRINGS;
    if (f->known->type == PROTOBUF_C_TYPE_FLOAT) return ENC_FLOATS;
    return f->known->type == PROTOBUF_C_TYPE_DOUBLE ? ENC_DOUBLES : ENC_VARINTS;
}

static bool is_payload(const struct walk *w, const struct field *f) {
    if (w->frames[w->depth].type != &onnx__tensor_proto__descriptor) return false;
    return (f->number >= 4 && f->number <= 7) || (f->number >= 9 && f->number <= 11);
}

/* Typed data may come in pieces: one field a number, or several packed ones. */
static void gather(struct walk *w, const uint8_t *from, size_t length) {
    struct payload *p = &w->payload;
    size_t have = (size_t)p->length;
    uint8_t *joined = (uint8_t *)p->bytes;
    if (!p->gathered) {
        w->cap_gathered = 0;
        joined = arena_grow(w->arena, NULL, 0, &w->cap_gathered, have + length, 1);
        memcpy(joined, p->bytes, have);
        p->gathered = true;
    } else {
        joined = arena_grow(w->arena, joined, have, &w->cap_gathered, have + length, 1);
    }
    memcpy(joined + have, see(w, from, length), length);
    p->bytes = joined;
    p->length += length;
}

static const uint8_t *keep_raw(struct walk *w, const struct field *f, const uint8_t *from, size_t length) {
    bool here = w->file >= 0 && encoding_of(f) == ENC_RAW && length <= COPIED;
    return here ? arena_copy(w->arena, see(w, from, length), length) : from;
}

static enum status take_payload(struct walk *w, const struct field *f) {
    struct payload *p = &w->payload;
    enum encoding encoding = encoding_of(f);
    const uint8_t *from = encoding == ENC_STRINGS ? f->start : f->value;
    size_t length = (size_t)(f->end - from);
    if (length == 0) {
        if (encoding == ENC_RAW) emit_field(w, f); /* it is there, and empty */
        return ST_OK;
    }
    if (p->field && p->field != f->number) return malformed(w, f, "is a second kind of data in one tensor");
    if (is_packed(f) && encoding != ENC_VARINTS) TRY(check_packed(w, f));
    if (!p->field || encoding == ENC_RAW) {
        *p = (struct payload){.field = f->number,
                              .encoding = encoding,
                              .offset = (uint64_t)(from - w->start),
                              .length = length,
                              .bytes = keep_raw(w, f, from, length)};
    } else if (!p->gathered && encoding == ENC_STRINGS && p->bytes + p->length == from) {
        p->length += length;
    } else {
        gather(w, from, length);
    }
    p->count++;
    return ST_OK;
}

static void emit_mark(struct walk *w) {
    if (!w->payload.field) return;
    uint32_t row = (uint32_t)w->slim->n_payloads;
    PUSH(w->arena, w->slim, payloads, w->payload);
    uint8_t *mark = emit(w, NULL, 2 + sizeof row);
    mark[0] = MARK;
    mark[1] = sizeof row;
    memcpy(mark + 2, &row, sizeof row);
}

const struct payload *wire_payload(const struct slim *slim, const Onnx__TensorProto *tensor) {
    uint32_t row;
    if (tensor->raw_data.len != sizeof row) return NULL;
    memcpy(&row, tensor->raw_data.data, sizeof row);
    assert(row < slim->n_payloads);
    return &slim->payloads[row];
}

/* ---- The walk ---- */

static enum status enter(struct walk *w, const struct field *f) {
    struct frame *outer = top(w);
    if (f->known->descriptor == &onnx__node_proto__descriptor && ++w->nodes > LIMIT_NODES)
        return fail(w, ST_LIMIT, f->start, "more than %d nodes", LIMIT_NODES);
    if (f->known->label != PROTOBUF_C_LABEL_REPEATED) {
        /* Merging two halves of a message is allowed by protobuf, written by nobody, and quadratic to decode. */
        uint32_t bit = 1u << (f->known - outer->type->fields);
        if (outer->seen & bit) return malformed(w, f, "occurs twice");
        outer->seen |= bit;
    }
    if (w->depth == LIMIT_MESSAGE_DEPTH)
        return fail(w, ST_LIMIT, f->start,
                    "messages nest deeper than %d: subgraphs inside subgraphs or types inside types",
                    LIMIT_MESSAGE_DEPTH);
    uint8_t tag[VARINT_MAX];
    emit(w, tag, wire_put_varint(tag, f->number << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED));
    emit(w, NULL, PADDED);
    w->depth++;
    *top(w) = (struct frame){.type = f->known->descriptor, .end = f->end, .length_at = w->n_out - PADDED};
    if (top(w)->type == &onnx__tensor_proto__descriptor) w->payload = (struct payload){0};
    w->at = f->value;
    return ST_OK;
}

static enum status leave(struct walk *w) {
    if (top(w)->type == &onnx__tensor_proto__descriptor) emit_mark(w);
    size_t length = w->n_out - top(w)->length_at - PADDED;
    if (length > INT32_MAX) return fail(w, ST_LIMIT, w->at, "more than 2 GB of metadata");
    uint8_t *out = w->out + top(w)->length_at;
    for (unsigned i = 0; i < PADDED; i++, length >>= 7)
        out[i] = (uint8_t)((length & 0x7f) | (i + 1 < PADDED ? 0x80 : 0));
    w->depth--;
    return ST_OK;
}

static bool has_zero(struct walk *w, const struct field *f) {
    size_t length = (size_t)(f->end - f->value);
    return memchr(see(w, f->value, length), 0, length);
}

static enum status take_field(struct walk *w, struct field *f) {
    w->at = f->end;
    if (f->known && f->wire != wire_of(f->known->type) && !is_packed(f))
        return malformed(w, f, "has the encoding of another type");
    if (f->known && is_payload(w, f)) return take_payload(w, f);
    if (++w->fields > LIMIT_FIELDS) return fail(w, ST_LIMIT, f->start, "more than %d fields", LIMIT_FIELDS);
    if (f->known) {
        if (w->depth == 0 && (f->number == 1 || f->number == 7)) w->looks_like_a_model = true;
        if (f->known->type == PROTOBUF_C_TYPE_MESSAGE) return enter(w, f);
        if (is_packed(f)) TRY(check_packed(w, f));
        if (f->known->type == PROTOBUF_C_TYPE_STRING && has_zero(w, f))
            return malformed(w, f, "is a text with a zero byte in it");
    }
    emit_field(w, f);
    return ST_OK;
}

static enum status walk(struct walk *w) {
    for (;;) {
        if (w->at == top(w)->end) {
            if (w->depth == 0) return ST_OK;
            TRY(leave(w));
            continue;
        }
        struct field f = {0};
        TRY(read_tag(w, &f));
        TRY(read_extent(w, &f));
        TRY(take_field(w, &f));
    }
}

enum status wire_slim(struct slim *out, const uint8_t *bytes, size_t length, int file, const char *path,
                      struct arena *arena, struct diag *diag) {
    *out = (struct slim){0};
    struct walk *w = arena_alloc(arena, sizeof *w);
    w->start = w->at = bytes;
    w->file = file;
    w->path = path;
    w->arena = arena;
    w->diag = diag;
    w->slim = out;
    w->frames[0] = (struct frame){.type = &onnx__model_proto__descriptor, .end = bytes + length};
    w->out = arena_grow(arena, NULL, 0, &w->cap_out, length < FIRST_ROOM ? length : FIRST_ROOM, 1);
    TRY(walk(w));
    if (w->n_out > INT32_MAX) return fail(w, ST_LIMIT, w->at, "more than 2 GB of metadata");
    out->bytes = w->out;
    out->length = w->n_out;
    return ST_OK;
}
