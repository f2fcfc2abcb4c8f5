/* Elements of initializers as values, whatever the encoding. */
#include "ir.h"

#include <math.h>
#include <string.h>

struct value *value_new(struct arena *arena, uint32_t n, bool is_float) {
    struct value *value = arena_alloc(arena, sizeof *value + (size_t)n * sizeof value->at[0]);
    value->is_float = is_float;
    value->n = n;
    for (uint32_t i = 0; i < n; i++) value->at[i] = (struct scalar){DIM_UNKNOWN, 0};
    return value;
}

/* A binary float of `exponent_bits` and `mantissa_bits` below a sign; without infinities where `finite`. */
static double small_float(uint32_t bits, unsigned exponent_bits, unsigned mantissa_bits, int bias, bool finite) {
    uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
    uint32_t exponent = bits >> mantissa_bits & ((1u << exponent_bits) - 1);
    double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1 : 1;
    if (!finite && exponent == (1u << exponent_bits) - 1) return mantissa ? NAN : sign * INFINITY;
    double fraction = ldexp(mantissa, -(int)mantissa_bits);
    return sign * (exponent ? ldexp(1 + fraction, (int)exponent - bias) : ldexp(fraction, 1 - bias));
}

static double float_of_bits(enum dtype type, uint64_t bits) {
    float single;
    double number;
    uint32_t low = (uint32_t)bits;
    switch (type) {
    case DT_FLOAT:
        memcpy(&single, &low, sizeof single);
        return (double)single;
    case DT_DOUBLE:
        memcpy(&number, &bits, sizeof number);
        return number;
    case DT_BFLOAT16:
        return small_float(low, 8, 7, 127, false);
    case DT_FLOAT16:
        return small_float(low, 5, 10, 15, false);
    case DT_FLOAT8E4M3FN:
        return (low & 0x7f) == 0x7f ? NAN : small_float(low, 4, 3, 7, true);
    case DT_FLOAT8E4M3FNUZ:
        return low == 0x80 ? NAN : small_float(low, 4, 3, 8, true);
    case DT_FLOAT8E5M2:
        return small_float(low, 5, 2, 15, false);
    case DT_FLOAT8E5M2FNUZ:
        return low == 0x80 ? NAN : small_float(low, 5, 2, 16, true);
    case DT_FLOAT4E2M1:
        return small_float(low, 2, 1, 1, true);
    case DT_FLOAT8E8M0:
        return low == 0xff ? NAN : ldexp(1, (int)low - 127);
    default:
        return NAN;
    }
}

static int64_t integer_of_bits(enum dtype type, uint64_t bits) {
    unsigned width = dtype_bits(type);
    bool is_signed = type == DT_INT8 || type == DT_INT16 || type == DT_INT32 || type == DT_INT64 || type == DT_INT4 ||
                     type == DT_INT2;
    if (width >= 64) return (int64_t)bits;
    bits &= (UINT64_C(1) << width) - 1;
    bool negative = is_signed && bits >> (width - 1);
    return negative ? (int64_t)(bits | ~((UINT64_C(1) << width) - 1)) : (int64_t)bits;
}

static struct scalar scalar_of_bits(enum dtype type, uint64_t bits) {
    if (dtype_is_float(type)) return (struct scalar){DIM(1), float_of_bits(type, bits)};
    if (type == DT_UINT64 && bits > INT64_MAX) return (struct scalar){DIM_UNKNOWN, 0};
    return (struct scalar){DIM(type == DT_BOOL ? bits != 0 : integer_of_bits(type, bits)), 0};
}

static uint64_t little_endian(const uint8_t *bytes, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

bool tensor_has_numbers(const struct tensor *t) {
    enum encoding own = t->dtype == DT_FLOAT ? ENC_FLOATS : t->dtype == DT_DOUBLE ? ENC_DOUBLES : ENC_RAW;
    int64_t bytes = tensor_bytes(t);
    return (dtype_is_float(t->dtype) || dtype_is_integer(t->dtype)) && dtype_bits(t->dtype) >= 8 &&
           (t->data.encoding == ENC_RAW || t->data.encoding == own) && t->data.bytes && bytes > 0 &&
           (uint64_t)bytes <= t->data.length;
}

double tensor_number(const struct tensor *t, int64_t i) {
    size_t width = dtype_bits(t->dtype) / 8;
    const uint8_t *at = t->data.bytes + (size_t)i * width;
    float single;
    if (dtype_is_integer(t->dtype)) return (double)integer_of_bits(t->dtype, little_endian(at, width));
    if (t->dtype != DT_FLOAT) return float_of_bits(t->dtype, little_endian(at, width));
    memcpy(&single, at, sizeof single); /* by far the most common */
    return (double)single;
}

static bool read_raw(struct value *value, enum dtype type, const struct data *data) {
    unsigned width = dtype_bits(type);
    if (((uint64_t)value->n * width + 7) / 8 > data->length) return false;
    for (uint32_t i = 0; i < value->n; i++) {
        size_t bit = (size_t)i * width;
        uint64_t bits =
            width < 8 ? (uint64_t)data->bytes[bit / 8] >> bit % 8 : little_endian(data->bytes + bit / 8, width / 8);
        value->at[i] = scalar_of_bits(type, width < 8 ? bits & ((1u << width) - 1) : bits);
    }
    return true;
}

static bool next_varint(const uint8_t **at, const uint8_t *end, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

/* int32_data holds sub-byte types too, as many to an entry as fit in a byte. */
static bool read_varints(struct value *value, enum dtype type, const struct data *data) {
    const uint8_t *at = data->bytes, *end = at + data->length;
    unsigned width = dtype_bits(type), each = width < 8 ? 8 / width : 1;
    uint64_t entry = 0;
    for (uint32_t i = 0; i < value->n; i++) {
        if (i % each == 0 && !next_varint(&at, end, &entry)) return false;
        uint64_t bits = width < 8 ? entry >> i % each * width & ((1u << width) - 1) : entry;
        value->at[i] = scalar_of_bits(type, bits);
    }
    return true;
}

static bool read_elements(struct value *value, enum dtype type, const struct data *data) {
    switch (data->encoding) {
    case ENC_RAW:
        return read_raw(value, type, data);
    case ENC_FLOATS:
        return type == DT_FLOAT && read_raw(value, DT_FLOAT, data);
    case ENC_DOUBLES:
        return type == DT_DOUBLE && read_raw(value, DT_DOUBLE, data);
    case ENC_VARINTS:
        return read_varints(value, type, data);
    default:
        return false;
    }
}

const struct value *tensor_read(struct graph *g, const struct tensor *tensor) {
    bool is_float = dtype_is_float(tensor->dtype);
    if (tensor->rank < 0 || (!is_float && !dtype_is_integer(tensor->dtype))) return NULL;
    int64_t n = 1;
    for (int32_t i = 0; i < tensor->rank; i++) {
        if (!dim_is_number(tensor->dims[i])) return NULL;
        n = num_mul_sat(n, tensor->dims[i].value);
    }
    if (n < 0 || n > VALUE_MAX) return NULL;
    struct value *value = value_new(g->arena, (uint32_t)n, is_float);
    if (!n) return value;
    return tensor->data.bytes && read_elements(value, tensor->dtype, &tensor->data) ? value : NULL;
}

size_t sparse_place_count(const struct tensor *t) {
    return (size_t)t->sparse->n * (t->sparse->flat ? 1 : (size_t)t->rank);
}

bool sparse_places(const struct tensor *t, int64_t *out) {
    const struct data *data = &t->sparse->indices;
    size_t n = sparse_place_count(t);
    bool raw = data->encoding == ENC_RAW;
    if (!n) return true;
    if (!data->bytes || (!raw && data->encoding != ENC_VARINTS)) return false;
    if (raw && n > data->length / sizeof *out) return false;
    const uint8_t *at = data->bytes, *end = at + data->length;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        if (raw)
            bits = little_endian(at + i * sizeof *out, sizeof *out);
        else if (!next_varint(&at, end, &bits))
            return false;
        if (out) out[i] = (int64_t)bits;
    }
    return true;
}
