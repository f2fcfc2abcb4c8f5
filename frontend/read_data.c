#include "reader.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Longer integer data is checked by its length alone, so that no weights are touched. */
enum { COUNT_EXACTLY = 10 * VALUE_MAX /* what may become a value is exact */ };

struct content { /* of a TensorProto */
    enum dtype dtype;
    int32_t rank;
    const dim *dims;
    int64_t elements;
    struct data data;
};

static enum status read_dims(struct reader *r, const int64_t *from, size_t n, const char *what, struct content *out) {
    if (n > RANK_MAX) return read_fail(r, ST_LIMIT, "%s has %zu dimensions, more than %d", what, n, RANK_MAX);
    dim *dims = arena_array(r->arena, n, sizeof *dims);
    int64_t elements = 1;
    bool empty = false, fits = true;
    for (size_t i = 0; i < n; i++) {
        if (from[i] < 0) return read_fail(r, ST_MODEL, "%s: dimension %zu is %" PRId64, what, i, from[i]);
        dims[i] = DIM(from[i]);
        empty = empty || from[i] == 0;
        fits = fits && (from[i] == 0 || num_mul(elements, from[i], &elements));
    }
    int64_t bits;
    if (!fits || !num_mul(elements, dtype_bits(out->dtype), &bits))
        return read_fail(r, ST_LIMIT, "%s has more elements than can be counted", what);
    out->dims = dims;
    out->rank = (int32_t)n;
    out->elements = empty ? 0 : elements;
    return ST_OK;
}

static int64_t packed_bytes(enum dtype dtype, int64_t elements) {
    return num_ceildiv(elements * (int64_t)dtype_bits(dtype), 8);
}

/* Which typed field holds which type (onnx.proto, TensorProto); raw_data holds any but strings. */
static bool field_fits(uint32_t field, enum dtype dtype) {
    switch (field) {
    case 4:
        return dtype == DT_FLOAT || dtype == DT_COMPLEX64;
    case 6:
        return dtype == DT_STRING;
    case 7:
        return dtype == DT_INT64;
    case 10:
        return dtype == DT_DOUBLE || dtype == DT_COMPLEX128;
    case 11:
        return dtype == DT_UINT32 || dtype == DT_UINT64;
    case 5:
        return dtype_bits(dtype) <= 32 && dtype != DT_FLOAT && dtype != DT_UINT32 && dtype != DT_STRING;
    default:
        return dtype != DT_STRING;
    }
}

static enum status wrong_length(struct reader *r, const char *what, int64_t want, const char *unit, uint64_t have) {
    return read_fail(r, ST_MODEL, "%s: its shape needs %" PRId64 " %s of data, %" PRIu64 " are there", what, want, unit,
                     have);
}

/* int32_data holds types of less than a byte packed to bytes, one byte a number. */
static enum status check_varints(struct reader *r, const char *what, const struct content *c, const struct payload *p) {
    int64_t want = dtype_bits(c->dtype) < 8 ? packed_bytes(c->dtype, c->elements) : c->elements;
    if (p->length > COUNT_EXACTLY) {
        bool possible = p->length / 10 <= (uint64_t)want && (uint64_t)want <= p->length;
        return possible ? ST_OK : wrong_length(r, what, want, "numbers", p->length);
    }
    uint64_t count;
    TRY(read_charge(r, p->length / BYTES_A_CHARGE));
    if (!wire_count_varints(p->bytes, (size_t)p->length, &count))
        return read_fail(r, ST_FORMAT, "%s: byte %" PRIu64 ": the data ends inside a number", what, p->offset);
    return count == (uint64_t)want ? ST_OK : wrong_length(r, what, want, "numbers", count);
}

static enum status check_payload(struct reader *r, const char *what, const struct content *c, const struct payload *p) {
    if (c->dtype == DT_UNDEFINED) return ST_OK; /* a type newer than this program: its size is not known */
    if (!field_fits(p->field, c->dtype))
        return read_fail(r, ST_MODEL, "%s: %s data stands in a field for another type", what, dtype_name(c->dtype));
    if (p->encoding == ENC_VARINTS) return check_varints(r, what, c, p);
    if (p->encoding == ENC_STRINGS)
        return p->count == (uint64_t)c->elements ? ST_OK : wrong_length(r, what, c->elements, "strings", p->count);
    int64_t want = packed_bytes(c->dtype, c->elements);
    return p->length == (uint64_t)want ? ST_OK : wrong_length(r, what, want, "bytes", p->length);
}

static enum status read_payload(struct reader *r, const Onnx__TensorProto *t, const char *what, struct content *c) {
    const struct payload *p = wire_payload(&r->slim, t);
    if (p) {
        c->data = (struct data){.encoding = p->encoding,
                                .file = p->gathered ? NONE : 0,
                                .offset = p->gathered ? 0 : p->offset,
                                .length = p->length,
                                .bytes = p->bytes};
        return check_payload(r, what, c, p);
    }
    if (c->elements == 0) return ST_OK;
    if (r->need_weights) return read_fail(r, ST_MODEL, "%s has no data", what);
    read_warn(r, "some tensors have a shape but no data");
    return ST_OK;
}

/* Finds the data of a tensor and checks it against the shape; `what` names it in messages. */
static enum status read_content(struct reader *r, const Onnx__TensorProto *t, const char *what, struct content *c) {
    *c = (struct content){.data.file = NONE};
    if (t->segment) return read_fail(r, ST_MODEL, "%s is stored in segments, which is not supported", what);
    if (t->data_type == DT_UNDEFINED) return read_fail(r, ST_MODEL, "%s has no data type", what);
    c->dtype = read_dtype(r, t->data_type, what);
    TRY(read_dims(r, t->dims, t->n_dims, what, c));
    if (t->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) return read_payload(r, t, what, c);
    if (c->dtype == DT_STRING) return read_fail(r, ST_MODEL, "%s: strings cannot be external data", what);
    return read_external(r, t, what, c->dtype == DT_UNDEFINED ? -1 : packed_bytes(c->dtype, c->elements), &c->data);
}

static uint64_t stored_bytes(const struct content *c) {
    return c->data.length ? c->data.length : (uint64_t)packed_bytes(c->dtype, c->elements);
}

static void make_initializer(struct reader *r, uint32_t id, const struct content *c) {
    struct tensor_origin *origin = read_tensor_origin(r, id);
    origin->type = (struct declared){.kind = TY_TENSOR, .dtype = c->dtype, .rank = c->rank, .dims = c->dims};
    tensor_set_shape(r->graph, id, c->dtype, c->dims, c->rank);
    r->graph->tensors[id].flags |= TF_INITIALIZER | TF_CONSTANT;
}

enum status read_dense(struct reader *r, uint32_t id, const Onnx__TensorProto *t, const char *what) {
    struct content c;
    TRY(read_content(r, t, what, &c));
    make_initializer(r, id, &c);
    read_tensor_origin(r, id)->dense = t;
    struct tensor *tensor = &r->graph->tensors[id];
    tensor->data = c.data;
    tensor->stored_bytes = stored_bytes(&c);
    return ST_OK;
}

/* Indices are [NNZ] positions in the flat tensor, or [NNZ, rank] coordinates (IR.md, "SparseTensorProto"). */
static bool indices_fit(const struct content *indices, const struct content *values, int32_t rank) {
    if (indices->dtype != DT_INT64 || values->rank != 1 || indices->rank < 1 || indices->rank > 2) return false;
    if (indices->dims[0].value != values->dims[0].value) return false;
    return indices->rank == 1 || indices->dims[1].value == rank;
}

/* ONNX Runtime writes indices in the least type that holds them, where the format says int64. */
static void widen_indices(struct reader *r, struct content *c) {
    size_t width = dtype_bits(c->dtype) / 8;
    bool is_narrow = c->dtype == DT_INT8 || c->dtype == DT_INT16 || c->dtype == DT_INT32;
    if (!is_narrow || c->data.encoding != ENC_RAW || !c->data.bytes) return;
    int64_t *wide = arena_array(r->arena, (size_t)c->elements + 1, sizeof *wide);
    for (int64_t i = 0; i < c->elements; i++) { /* little endian, both */
        uint8_t *to = (uint8_t *)&wide[i];
        memcpy(to, c->data.bytes + (size_t)i * width, width);
        if (to[width - 1] & 0x80) memset(to + width, 0xff, sizeof *wide - width);
    }
    c->dtype = DT_INT64;
    c->data = (struct data){.encoding = ENC_RAW,
                            .file = NONE,
                            .bytes = (const uint8_t *)wide,
                            .length = (uint64_t)c->elements * sizeof *wide};
}

enum status read_sparse(struct reader *r, uint32_t id, const Onnx__SparseTensorProto *s, const char *what) {
    if (!s->values || !s->indices) return read_fail(r, ST_MODEL, "%s: a sparse tensor needs values and indices", what);
    struct content values, indices, whole = {.data.file = NONE};
    TRY(read_content(r, s->values, arena_printf(r->arena, "%s: values", what), &values));
    TRY(read_content(r, s->indices, arena_printf(r->arena, "%s: indices", what), &indices));
    uint64_t stored = stored_bytes(&values) + stored_bytes(&indices);
    widen_indices(r, &indices);
    whole.dtype = values.dtype;
    TRY(read_dims(r, s->dims, s->n_dims, what, &whole));
    if (!indices_fit(&indices, &values, whole.rank) || values.elements > whole.elements)
        return read_fail(r, ST_MODEL, "%s: values, indices and shape do not fit each other", what);
    make_initializer(r, id, &whole);
    read_tensor_origin(r, id)->sparse = s;
    struct sparse sparse = {values.elements, indices.rank == 1, values.data, indices.data};
    r->graph->tensors[id].sparse = arena_copy(r->arena, &sparse, sizeof sparse);
    r->graph->tensors[id].stored_bytes = stored;
    return ST_OK;
}
