#include "writer.h"

enum { NAME_MAX_BYTES = 4096 };

static Onnx__TensorShapeProto__Dimension *write_dim(struct writer *w, dim d) {
    Onnx__TensorShapeProto__Dimension *out = arena_alloc(w->arena, sizeof *out);
    onnx__tensor_shape_proto__dimension__init(out);
    if (dim_is_number(d)) {
        out->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        out->dim_value = d.value;
    } else if (dim_is_symbolic(d)) {
        char text[NAME_MAX_BYTES];
        dim_print(w->graph, d, text, sizeof text);
        out->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        out->dim_param = write_text(w, text);
    }
    return out;
}

static Onnx__TensorShapeProto *write_shape(struct writer *w, int32_t rank, const dim *dims) {
    if (rank < 0) return NULL;
    Onnx__TensorShapeProto *out = arena_alloc(w->arena, sizeof *out);
    onnx__tensor_shape_proto__init(out);
    out->n_dim = (size_t)rank;
    out->dim = arena_array(w->arena, out->n_dim, sizeof(void *));
    for (int32_t i = 0; i < rank; i++) out->dim[i] = write_dim(w, dims[i]);
    return out;
}

static Onnx__TypeProto *new_type(struct writer *w, Onnx__TypeProto__ValueCase kind) {
    Onnx__TypeProto *type = arena_alloc(w->arena, sizeof *type);
    onnx__type_proto__init(type);
    type->value_case = kind;
    return type;
}

static Onnx__TypeProto *write_tensor_type(struct writer *w, enum dtype dtype, int32_t rank, const dim *dims) {
    Onnx__TypeProto__Tensor *tensor = arena_alloc(w->arena, sizeof *tensor);
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)dtype;
    tensor->shape = write_shape(w, rank, dims);
    Onnx__TypeProto *type = new_type(w, ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE);
    type->tensor_type = tensor;
    return type;
}

Onnx__TypeProto *write_type(struct writer *w, enum type_kind kind, enum dtype dtype, int32_t rank, const dim *dims) {
    if (dtype == DT_UNDEFINED) return NULL;
    Onnx__TypeProto *element = write_tensor_type(w, dtype, rank, dims), *type;
    if (kind == TY_SEQUENCE) {
        type = new_type(w, ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE);
        type->sequence_type = arena_alloc(w->arena, sizeof *type->sequence_type);
        onnx__type_proto__sequence__init(type->sequence_type);
        type->sequence_type->elem_type = element;
        return type;
    }
    if (kind == TY_OPTIONAL) {
        type = new_type(w, ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE);
        type->optional_type = arena_alloc(w->arena, sizeof *type->optional_type);
        onnx__type_proto__optional__init(type->optional_type);
        type->optional_type->elem_type = element;
        return type;
    }
    return kind == TY_TENSOR ? element : NULL; /* maps, sparse and opaque types come from files only */
}
