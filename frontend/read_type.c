#include "reader.h"

#include <inttypes.h>

enum dtype read_dtype(struct reader *r, int32_t data_type, const char *what) {
    if (data_type >= 0 && data_type < DT_COUNT) return (enum dtype)data_type;
    read_warn(r, "data type %" PRId32 " is newer than this program (first in %s)", data_type, what);
    return DT_UNDEFINED;
}

static enum status read_dim(struct reader *r, const Onnx__TensorShapeProto__Dimension *d, const char *name, size_t axis,
                            bool open, bool symbols, dim *out) {
    *out = DIM_UNKNOWN;
    if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
        if (d->dim_value < 0)
            return read_fail(r, ST_MODEL,
                             "tensor \"%s\": dimension %zu is %" PRId64 "; an open size has a name or no value", name,
                             axis, d->dim_value);
        *out = DIM(d->dim_value);
    } else if (symbols && d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && *d->dim_param) {
        *out = dim_symbol(r->graph, d->dim_param);
    } else if (open) {
        *out = dim_symbol(r->graph, arena_printf(r->arena, "%s[%zu]", name, axis));
    }
    return ST_OK;
}

/* A shape whose size in bits does not fit 64 of them is no shape. */
static enum status check_size(struct reader *r, const struct declared *type, const char *name) {
    int64_t size = dtype_bits(type->dtype) ? dtype_bits(type->dtype) : 1;
    for (int32_t i = 0; i < type->rank; i++) {
        if (!dim_is_number(type->dims[i]) || type->dims[i].value == 0) continue;
        if (!num_mul(size, type->dims[i].value, &size))
            return read_fail(r, ST_LIMIT, "tensor \"%s\": its declared shape has more elements than can be counted",
                             name);
    }
    return ST_OK;
}

static enum status read_shape(struct reader *r, const Onnx__TensorShapeProto *shape, const char *name, bool open,
                              bool symbols, struct declared *out) {
    out->rank = RANK_UNKNOWN;
    if (!shape) return ST_OK;
    if (shape->n_dim > RANK_MAX)
        return read_fail(r, ST_LIMIT, "tensor \"%s\" has %zu dimensions, more than %d", name, shape->n_dim, RANK_MAX);
    dim *dims = arena_array(r->arena, shape->n_dim, sizeof *dims);
    for (size_t i = 0; i < shape->n_dim; i++) TRY(read_dim(r, shape->dim[i], name, i, open, symbols, &dims[i]));
    out->rank = (int32_t)shape->n_dim;
    out->dims = dims;
    return check_size(r, out, name);
}

/* The element behind sequences and optionals: the IR keeps the outermost kind and the innermost type. */
static const Onnx__TypeProto *element_of(const Onnx__TypeProto *type) {
    while (type) {
        if (type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
            type = type->sequence_type->elem_type;
        else if (type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE)
            type = type->optional_type->elem_type;
        else
            break;
    }
    return type;
}

static enum type_kind kind_of(const Onnx__TypeProto *type) {
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return TY_SEQUENCE;
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return TY_OPTIONAL;
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return TY_MAP;
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        return TY_SPARSE;
    case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE:
        return TY_OPAQUE;
    default:
        return TY_TENSOR;
    }
}

enum status read_type(struct reader *r, const Onnx__TypeProto *type, const char *name, bool open, bool symbols,
                      struct declared *out) {
    *out = (struct declared){.kind = type ? kind_of(type) : TY_TENSOR, .rank = RANK_UNKNOWN};
    const Onnx__TypeProto *element = element_of(type);
    if (!element) return ST_OK;
    const char *what = arena_printf(r->arena, "tensor \"%s\"", name);
    open = open && out->kind == TY_TENSOR;
    if (element->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        out->dtype = read_dtype(r, element->tensor_type->elem_type, what);
        return read_shape(r, element->tensor_type->shape, name, open, symbols, out);
    }
    if (element->value_case == ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE) {
        out->dtype = read_dtype(r, element->sparse_tensor_type->elem_type, what);
        return read_shape(r, element->sparse_tensor_type->shape, name, open, symbols, out);
    }
    return ST_OK;
}
