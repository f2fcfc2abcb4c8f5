/* Resize (opsets 10, 11, 13, 18, 19) and its ancestor Upsample (1, 7, 9). */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

/* floor(size * scale), in the float arithmetic of the operator; unknown when it is no exact expression. */
static dim scale_dim(struct infer *in, dim size, struct scalar scale) {
    if (dim_is_number(size) && scalar_is_number(scale, true)) {
        double out = floor((double)((float)size.value * (float)scalar_to_double(scale, true)));
        return out >= 0 && out < 9e15 ? DIM((int64_t)out) : DIM_UNKNOWN;
    }
    dim whole = dim_mul(in->graph, size, scale.d);
    for (int64_t q = 1; q <= 1024; q *= 2) { /* p / q, exact in binary */
        double p = scale.f * (double)q;
        if (p > 0 && p < 1 << 24 && p == floor(p))
            return dim_floordiv(in->graph, dim_mul(in->graph, whole, DIM((int64_t)p)), DIM(q));
    }
    return DIM_UNKNOWN;
}

static dim scaled_or_fresh(struct infer *in, int32_t axis, dim out) {
    if (!dim_is_unknown(out)) return out;
    return dim_is_unknown(infer_dim(in, 0, axis)) ? out : infer_fresh(in, (uint32_t)axis, 0, INT64_MAX);
}

struct resize {
    int64_t axes[RANK_MAX]; /* the ones the scales or sizes are for */
    size_t n_axes;
    dim dims[RANK_MAX];
    int32_t rank;
};

static enum status read_resize_axes(struct infer *in, struct resize *r) {
    size_t n;
    const int64_t *axes = node_ints(in->node, "axes", &n);
    r->n_axes = axes ? n : (size_t)r->rank;
    if (r->n_axes > (size_t)r->rank) return infer_fail(in, "axes has %zu values for rank %d", n, r->rank);
    for (size_t i = 0; i < r->n_axes; i++) {
        int32_t axis = (int32_t)i;
        if (axes) TRY(infer_axis(in, axes[i], r->rank, &axis));
        r->axes[i] = axis;
    }
    return ST_OK;
}

/* Since opset 18 sizes can be bounds that keep the aspect ratio: one scale for all axes. */
static void keep_aspect(struct infer *in, struct resize *r, const struct value *sizes, bool not_larger) {
    double scale = 0;
    bool known = true;
    for (size_t i = 0; i < r->n_axes; i++) {
        dim from = infer_dim(in, 0, r->axes[i]), to = sizes->at[i].d;
        known = known && dim_is_number(from) && dim_is_number(to) && from.value > 0;
        if (!known) break;
        double s = (double)((float)to.value / (float)from.value);
        if (i == 0 || (not_larger ? s < scale : s > scale)) scale = s;
    }
    for (size_t i = 0; i < r->n_axes; i++) {
        dim from = infer_dim(in, 0, r->axes[i]);
        r->dims[r->axes[i]] = known ? infer_floor((double)((float)scale * (float)from.value) + 0.5) : DIM_UNKNOWN;
    }
}

static enum status resize_to_sizes(struct infer *in, struct resize *r, uint32_t input) {
    const struct value *sizes = infer_value(in, input);
    const char *policy = node_string(in->node, "keep_aspect_ratio_policy", "stretch");
    if (sizes && sizes->n != r->n_axes) return infer_fail(in, "sizes has %u values, expected %zu", sizes->n, r->n_axes);
    if (sizes && strcmp(policy, "stretch") != 0) {
        keep_aspect(in, r, sizes, strcmp(policy, "not_larger") == 0);
        return ST_OK;
    }
    for (size_t i = 0; i < r->n_axes; i++)
        r->dims[r->axes[i]] = sizes && !sizes->is_float ? sizes->at[i].d : DIM_UNKNOWN;
    return ST_OK;
}

/* The part of an axis that tf_crop_and_resize keeps: roi is starts then ends, a pair an axis. */
static struct scalar roi_extent(struct infer *in, const struct resize *r, size_t i) {
    const struct value *roi = infer_value(in, 1);
    if (!roi || !roi->is_float || roi->n != 2 * r->n_axes) return scalar_unknown();
    struct scalar start = roi->at[i], end = roi->at[r->n_axes + i];
    if (!scalar_is_number(start, true) || !scalar_is_number(end, true)) return scalar_unknown();
    return scalar_number((double)((float)scalar_to_double(end, true) - (float)scalar_to_double(start, true)));
}

static enum status resize_by_scales(struct infer *in, struct resize *r, const struct value *scales) {
    bool crop = strcmp(node_string(in->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0;
    if (scales && scales->n != r->n_axes)
        return infer_fail(in, "scales has %u values, expected %zu", scales->n, r->n_axes);
    for (size_t i = 0; i < r->n_axes; i++) {
        dim from = infer_dim(in, 0, r->axes[i]), *to = &r->dims[r->axes[i]];
        struct scalar scale = scales && scales->is_float ? scales->at[i] : scalar_unknown();
        struct scalar extent = crop ? roi_extent(in, r, i) : scalar_number(1);
        if (!scalar_is_number(scale, true) || !scalar_is_number(extent, true))
            *to = DIM_UNKNOWN;
        else if (scalar_to_double(extent, true) == 1)
            *to = scale_dim(in, from, scale);
        else if (!dim_is_number(from))
            *to = DIM_UNKNOWN;
        else {
            float kept = (float)from.value * (float)scalar_to_double(extent, true);
            *to = infer_floor((double)(kept * (float)scalar_to_double(scale, true)));
        }
    }
    return ST_OK;
}

enum status shape_resize(struct infer *in) {
    struct resize r = {.rank = infer_rank(in, 0)};
    if (r.rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    infer_dims(in, 0, r.dims);
    uint32_t at_scales = in->opset < 11 ? 1 : 2;
    TRY(read_resize_axes(in, &r));
    /* An empty scales tensor stands for one left out when sizes are given (opsets 11 and 12). */
    if (in->opset >= 11 && infer_has(in, 3))
        TRY(resize_to_sizes(in, &r, 3));
    else
        TRY(resize_by_scales(in, &r, infer_value(in, at_scales)));
    for (int32_t i = 0; i < r.rank; i++) r.dims[i] = scaled_or_fresh(in, i, r.dims[i]);
    return infer_set(in, 0, infer_dtype(in, 0), r.dims, r.rank);
}

/* ---- Upsample ---- */

static struct scalar attr_scale(const struct attr *a, size_t i) {
    if (a->type == AT_FLOATS) return scalar_number(a->floats[i]);
    return a->type == AT_INTS ? scalar_number((double)a->ints[i]) : scalar_unknown();
}

enum status shape_upsample(struct infer *in) {
    int32_t rank = infer_rank(in, 0);
    dim dims[RANK_MAX];
    if (rank == RANK_UNKNOWN) return infer_set_unknown(in, 0, infer_dtype(in, 0), NULL);
    const struct attr *a = node_attr(in->node, "scales");
    const struct value *v = infer_value(in, 1);
    size_t n = a ? a->n : v ? v->n : (size_t)rank;
    bool by_name = node_attr(in->node, "height_scale") && rank == 4; /* opset 1 */
    if (n != (size_t)rank) return infer_fail(in, "scales has %zu values for rank %d", n, rank);
    for (int32_t i = 0; i < rank; i++) {
        struct scalar scale = a ? attr_scale(a, (size_t)i) : v && v->is_float ? v->at[i] : scalar_unknown();
        if (by_name)
            scale = scalar_number(i < 2 ? 1 : node_float(in->node, i == 2 ? "height_scale" : "width_scale", 1));
        dims[i] = scaled_or_fresh(in, i, scale_dim(in, infer_dim(in, 0, i), scale));
    }
    return infer_set(in, 0, infer_dtype(in, 0), dims, rank);
}
