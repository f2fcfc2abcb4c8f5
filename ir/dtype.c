/* Element types: one row each, in the order of TensorProto.DataType. */
#include "ir.h"

#include <string.h>

enum family { OTHER, FLOATING, INTEGER };

static const struct dtype_row {
    const char *name;
    unsigned bits;
    enum family family;
} rows[DT_COUNT] = {
    [DT_UNDEFINED] = {"undefined", 0, OTHER},
    [DT_FLOAT] = {"float32", 32, FLOATING},
    [DT_UINT8] = {"uint8", 8, INTEGER},
    [DT_INT8] = {"int8", 8, INTEGER},
    [DT_UINT16] = {"uint16", 16, INTEGER},
    [DT_INT16] = {"int16", 16, INTEGER},
    [DT_INT32] = {"int32", 32, INTEGER},
    [DT_INT64] = {"int64", 64, INTEGER},
    [DT_STRING] = {"string", 0, OTHER},
    [DT_BOOL] = {"bool", 8, INTEGER},
    [DT_FLOAT16] = {"float16", 16, FLOATING},
    [DT_DOUBLE] = {"float64", 64, FLOATING},
    [DT_UINT32] = {"uint32", 32, INTEGER},
    [DT_UINT64] = {"uint64", 64, INTEGER},
    [DT_COMPLEX64] = {"complex64", 64, OTHER},
    [DT_COMPLEX128] = {"complex128", 128, OTHER},
    [DT_BFLOAT16] = {"bfloat16", 16, FLOATING},
    [DT_FLOAT8E4M3FN] = {"float8e4m3fn", 8, FLOATING},
    [DT_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 8, FLOATING},
    [DT_FLOAT8E5M2] = {"float8e5m2", 8, FLOATING},
    [DT_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 8, FLOATING},
    [DT_UINT4] = {"uint4", 4, INTEGER},
    [DT_INT4] = {"int4", 4, INTEGER},
    [DT_FLOAT4E2M1] = {"float4e2m1", 4, FLOATING},
    [DT_FLOAT8E8M0] = {"float8e8m0", 8, FLOATING},
    [DT_UINT2] = {"uint2", 2, INTEGER},
    [DT_INT2] = {"int2", 2, INTEGER},
};

const char *dtype_name(enum dtype type) {
    return rows[type].name;
}
unsigned dtype_bits(enum dtype type) {
    return rows[type].bits;
}
bool dtype_is_float(enum dtype type) {
    return rows[type].family == FLOATING;
}
bool dtype_is_integer(enum dtype type) {
    return rows[type].family == INTEGER;
}

enum dtype dtype_parse(const char *name) {
    for (int i = 1; i < DT_COUNT; i++)
        if (!strcmp(rows[i].name, name)) return (enum dtype)i;
    return DT_UNDEFINED;
}
