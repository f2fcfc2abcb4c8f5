#include "restore.h"
#include "writer.h"

#include <inttypes.h>

enum { EXTERNAL_MIN = 1024, EXTERNAL_ALIGN = 4096 /* pages, so that a reader may map them */ };

bool is_sparse(const struct writer *w, uint32_t id) {
    return w->graph->tensors[id].sparse != NULL;
}

static Onnx__StringStringEntryProto *entry(struct writer *w, const char *key, const char *value) {
    Onnx__StringStringEntryProto *e = arena_alloc(w->arena, sizeof *e);
    onnx__string_string_entry_proto__init(e);
    e->key = write_text(w, key);
    e->value = write_text(w, value);
    return e;
}

static bool goes_outside(const struct writer *w, const struct data *d) {
    bool plain = d->encoding == ENC_RAW || d->encoding == ENC_FLOATS || d->encoding == ENC_DOUBLES;
    return w->location && plain && d->length >= EXTERNAL_MIN;
}

static void put_outside(struct writer *w, Onnx__TensorProto *t, const struct data *d) {
    uint64_t offset = (w->external_bytes + EXTERNAL_ALIGN - 1) / EXTERNAL_ALIGN * EXTERNAL_ALIGN;
    struct piece piece = {.bytes = d->bytes, .offset = offset, .length = d->length};
    PUSH(w->arena, w, pieces, piece);
    w->external_bytes = offset + d->length;
    t->has_raw_data = 0;
    t->raw_data = (ProtobufCBinaryData){0};
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    t->n_external_data = 3;
    t->external_data = arena_array(w->arena, 3, sizeof(void *));
    t->external_data[0] = entry(w, "location", w->location);
    t->external_data[1] = entry(w, "offset", arena_printf(w->arena, "%" PRIu64, offset));
    t->external_data[2] = entry(w, "length", arena_printf(w->arena, "%" PRIu64, d->length));
}

/* A copy of the message it was read from, without the place of its data. */
static Onnx__TensorProto *start_tensor(struct writer *w, const Onnx__TensorProto *origin) {
    Onnx__TensorProto *t = arena_alloc(w->arena, sizeof *t);
    onnx__tensor_proto__init(t);
    if (!origin) return t;
    *t = *origin;
    if (t->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) return t;
    t->has_data_location = 0;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    t->n_external_data = 0;
    return t;
}

static void put_data(struct writer *w, Onnx__TensorProto *t, const struct data *d, enum dtype dtype) {
    if (goes_outside(w, d))
        put_outside(w, t, d);
    else
        restore_data(t, d, dtype, w->arena);
}

static enum status put_dims(struct writer *w, const struct tensor *from, size_t *n, int64_t **dims) {
    *n = from->rank > 0 ? (size_t)from->rank : 0;
    *dims = arena_array(w->arena, *n, sizeof **dims);
    for (size_t i = 0; i < *n; i++) {
        if (!dim_is_number(from->dims[i]))
            return write_fail(w, ST_MODEL, "initializer \"%s\" has no definite shape", from->name);
        (*dims)[i] = from->dims[i].value;
    }
    return ST_OK;
}

enum status write_dense(struct writer *w, uint32_t id, Onnx__TensorProto **out) {
    const struct tensor *from = &w->graph->tensors[id];
    const struct tensor_origin *origin = from->origin;
    Onnx__TensorProto *t = start_tensor(w, origin ? origin->dense : NULL);
    bool of_attribute = w->use[id] & USE_ATTRIBUTE;
    if (*from->name || !of_attribute) t->name = write_name(w, id);
    TRY(put_dims(w, from, &t->n_dims, &t->dims));
    if (!from->data.bytes && tensor_bytes(from) != 0)
        return write_fail(w, ST_MODEL, "initializer \"%s\" has a shape but no data: nothing to write", from->name);
    if (from->dtype != DT_UNDEFINED) {
        t->has_data_type = 1;
        t->data_type = (int32_t)from->dtype;
    }
    put_data(w, t, &from->data, from->dtype);
    *out = t;
    return ST_OK;
}

/* A list that is as long as there are elements, of one number each or of one an axis. */
static Onnx__TensorProto *write_list(struct writer *w, const Onnx__TensorProto *was, int64_t n, const struct data *data,
                                     enum dtype dtype) {
    Onnx__TensorProto *t = start_tensor(w, was);
    t->dims = arena_copy(w->arena, was->dims, was->n_dims * sizeof *t->dims);
    t->dims[0] = n;
    put_data(w, t, data, dtype);
    return t;
}

enum status write_sparse(struct writer *w, uint32_t id, Onnx__SparseTensorProto **out) {
    const struct tensor *from = &w->graph->tensors[id];
    const struct tensor_origin *origin = from->origin;
    const struct sparse *sparse = from->sparse;
    Onnx__SparseTensorProto *s = *out = arena_copy(w->arena, origin->sparse, sizeof *s);
    s->values = write_list(w, s->values, sparse->n, &sparse->values, from->dtype);
    s->indices = write_list(w, s->indices, sparse->n, &sparse->indices, DT_INT64);
    if (!(w->use[id] & USE_ATTRIBUTE)) s->values->name = write_name(w, id);
    return put_dims(w, from, &s->n_dims, &s->dims);
}
