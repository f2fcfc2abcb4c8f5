/* Inputs for a session, made from the types it declares: ones for integers (valid as token, index, mask and segment),
 * normal numbers for floating point. */
#include "ort.h"

#include <string.h>

/* Numbers of ONNXTensorElementDataType, in the order of TensorProto.DataType up to bfloat16. */
static const enum dtype element_types[] = {
    DT_UNDEFINED,      DT_FLOAT,      DT_UINT8,          DT_INT8,       DT_UINT16,   DT_INT16,
    DT_INT32,          DT_INT64,      DT_STRING,         DT_BOOL,       DT_FLOAT16,  DT_DOUBLE,
    DT_UINT32,         DT_UINT64,     DT_COMPLEX64,      DT_COMPLEX128, DT_BFLOAT16, DT_FLOAT8E4M3FN,
    DT_FLOAT8E4M3FNUZ, DT_FLOAT8E5M2, DT_FLOAT8E5M2FNUZ, DT_UINT4,      DT_INT4};

static uint16_t half_of(float value) { /* normal range only: what rng_normal gives, flushed to zero below */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)((bits >> 23) & 0xff) - 127 + 15;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (exponent <= 0) return sign;
    if (exponent >= 31) return (uint16_t)(sign | 0x7bff);
    return (uint16_t)(sign | exponent << 10 | (bits >> 13 & 0x3ff));
}

static void fill_floats(enum dtype type, uint8_t *out, size_t n, struct rng *rng) {
    for (size_t i = 0; i < n; i++) {
        double number = rng_normal(rng);
        float single = (float)number;
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        uint16_t half = type == DT_BFLOAT16 ? (uint16_t)(bits >> 16) : half_of(single);
        if (type == DT_DOUBLE || type == DT_COMPLEX128)
            memcpy(out + i * 8, &number, 8);
        else if (type == DT_FLOAT || type == DT_COMPLEX64)
            memcpy(out + i * 4, &single, 4);
        else
            memcpy(out + i * 2, &half, 2);
    }
}

static void fill(enum dtype type, uint8_t *out, size_t bytes, struct rng *rng) {
    size_t width = dtype_bits(type) / 8;
    bool complex_type = type == DT_COMPLEX64 || type == DT_COMPLEX128;
    if (dtype_is_float(type) && width >= 2)
        fill_floats(type, out, bytes / width, rng);
    else if (complex_type)
        fill_floats(type, out, bytes / (width / 2), rng);
    else if (width <= 1)
        memset(out, type == DT_UINT4 || type == DT_INT4 ? 0x11 : 1, bytes);
    else
        for (size_t i = 0; i < bytes; i += width) out[i] = 1; /* little endian */
}

static const struct shape_binding *bound_shape(const struct bindings *bind, const char *input) {
    for (size_t i = 0; bind && i < bind->n_shapes; i++)
        if (!strcmp(bind->shapes[i].input, input)) return &bind->shapes[i];
    return NULL;
}

/* The sizes to make an input in: those asked for, else those the model states. */
static enum status input_dims(const struct ort *ort, const struct ort_shape *shape, const struct bindings *bind,
                              const char *model, const char *input, struct arena *arena, int64_t **dims, size_t *rank,
                              struct diag *diag) {
    const struct shape_binding *bound = bound_shape(bind, input);
    if (bound) {
        *dims = arena_copy(arena, bound->dims, (size_t)bound->rank * sizeof **dims);
        *rank = (size_t)bound->rank;
        return ST_OK;
    }
    TRY(ort_check(ort, ort->GetDimensionsCount(shape, rank), model, diag));
    *dims = arena_array(arena, *rank + 1, sizeof **dims);
    TRY(ort_check(ort, ort->GetDimensions(shape, *dims, *rank), model, diag));
    for (size_t i = 0; i < *rank; i++)
        if ((*dims)[i] < 0) return diag_fail(diag, ST_SHAPE, "%s: input \"%s\": axis %zu is open", model, input, i);
    return ST_OK;
}

static enum status value_bytes(enum dtype type, const int64_t *dims, size_t rank, const char *model, const char *input,
                               size_t *bytes, struct diag *diag) {
    int64_t total = dtype_bits(type);
    for (size_t i = 0; i < rank; i++)
        if (!num_mul(total, dims[i], &total) || total > (int64_t)1 << 40)
            return diag_fail(diag, ST_LIMIT, "%s: input \"%s\" is too large to make", model, input);
    *bytes = ((size_t)total + 7) / 8;
    return ST_OK;
}

static enum status make_input(const struct ort *ort, const struct ort_shape *shape, struct ort_memory *memory,
                              struct ort_allocator *allocator, const struct measure_options *options, const char *model,
                              const char *input, struct rng *rng, struct arena *arena, struct ort_value **value,
                              struct diag *diag) {
    size_t rank = 0, bytes = 0;
    int64_t *dims;
    int element = 0;
    TRY(ort_check(ort, ort->GetTensorElementType(shape, &element), model, diag));
    TRY(input_dims(ort, shape, options->bind, model, input, arena, &dims, &rank, diag));
    enum dtype type = (size_t)element < COUNT_OF(element_types) ? element_types[element] : DT_UNDEFINED;
    if (type == DT_STRING) /* made by the runtime, as empty strings */
        return ort_check(ort, ort->CreateTensorAsOrtValue(allocator, dims, rank, element, value), model, diag);
    if (type == DT_UNDEFINED)
        return diag_fail(diag, ST_MODEL, "%s: input \"%s\" has element type %d, which cannot be made", model, input,
                         element);
    TRY(value_bytes(type, dims, rank, model, input, &bytes, diag));
    uint8_t *data = arena_alloc(arena, bytes + 1);
    fill(type, data, bytes, rng);
    return ort_check(ort, ort->CreateTensorWithDataAsOrtValue(memory, data, bytes, dims, rank, element, value), model,
                     diag);
}

enum status ort_make_inputs(const struct ort *ort, const struct ort_session *session,
                            const struct measure_options *options, const char *model, struct arena *arena,
                            struct ort_inputs *inputs, struct diag *diag) {
    struct ort_allocator *allocator;
    struct ort_memory *memory;
    struct rng rng;
    rng_seed(&rng, options->seed);
    TRY(ort_check(ort, ort->GetAllocatorWithDefaultOptions(&allocator), model, diag));
    TRY(ort_check(ort, ort->CreateCpuMemoryInfo(1, 0, &memory), model, diag));
    TRY(ort_check(ort, ort->SessionGetInputCount(session, &inputs->n), model, diag));
    inputs->names = arena_array(arena, inputs->n + 1, sizeof *inputs->names);
    inputs->values = arena_array(arena, inputs->n + 1, sizeof *inputs->values);
    enum status status = ST_OK;
    for (size_t i = 0; i < inputs->n && status == ST_OK; i++) {
        struct ort_type *type = NULL;
        const struct ort_shape *shape = NULL;
        char *name = NULL;
        TRY(ort_check(ort, ort->SessionGetInputName(session, i, allocator, &name), model, diag));
        inputs->names[i] = arena_printf(arena, "%s", name);
        TRY(ort_check(ort, ort->AllocatorFree(allocator, name), model, diag));
        TRY(ort_check(ort, ort->SessionGetInputTypeInfo(session, i, &type), model, diag));
        TRY(ort_check(ort, ort->CastTypeInfoToTensorInfo(type, &shape), model, diag));
        status = shape ? make_input(ort, shape, memory, allocator, options, model, inputs->names[i], &rng, arena,
                                    &inputs->values[i], diag)
                       : diag_fail(diag, ST_MODEL, "%s: input \"%s\" is no tensor: it cannot be made", model,
                                   inputs->names[i]);
        ort->ReleaseTypeInfo(type);
    }
    ort->ReleaseMemoryInfo(memory);
    return status;
}
