/* Families of convolutional probes. */
#include "probes.h"

enum { MOST_LAYERS = 14 };

static int64_t side(struct probe *p) {
    return PICK(p, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14, 7, 7, 160, 80, 40, 20, 10, 150, 75, 35, 17, 8);
}

static int64_t multiple(struct probe *p) {
    return PICK(p, 4, 8, 8, 16, 16, 16, 32, 32);
}

/* Large images have few channels, as in networks people use. */
static int64_t width_at(struct probe *p, int64_t size) {
    int64_t high = 28672 / size;
    return probe_log_uniform(p, 16, high > 1536 ? 1536 : high, multiple(p));
}

static void start(struct probe *p) {
    int64_t size = side(p);
    probe_image(p, width_at(p, size), size);
}

static int64_t stride_at(struct probe *p) {
    return p->h > 8 && probe_chance(p, 0.2) ? 2 : 1;
}

static void residual(struct probe *p, uint32_t x, int64_t c, int64_t h) {
    if (p->c == c && p->h == h && p->x != x) probe_binary(p, "Add", x);
}

void family_chain(struct probe *p) {
    start(p);
    for (int i = 0; i < MOST_LAYERS && !probe_full(p); i++) {
        uint32_t x = p->x;
        int64_t c = p->c, h = p->h, kernel = PICK(p, 1, 1, 1, 3, 3, 3, 3, 5, 7);
        bool strip = kernel == 7 && probe_chance(p, 0.7), across = probe_chance(p, 0.5);
        struct conv_layer l = {.out = probe_chance(p, 0.4) ? p->c : width_at(p, p->h),
                               .kernel_h = strip && across ? 1 : kernel,
                               .kernel_w = strip && !across ? 1 : kernel,
                               .stride = stride_at(p),
                               .groups = 1};
        probe_conv(p, &l);
        bool adds = probe_chance(p, 0.4);
        if (adds) residual(p, x, c, h);
        probe_activation(p, PICK(p, 1, 1, 1, 1, 0, 2, 3, 4));
        if (p->h > 8 && probe_chance(p, 0.15))
            probe_pool(p, probe_chance(p, 0.6) ? "MaxPool" : "AveragePool", PICK(p, 2, 3), PICK(p, 1, 2, 2));
    }
}

void family_inverted(struct probe *p) {
    int64_t size = side(p), act = PICK(p, 1, 2, 2, 3, 4), kernel = PICK(p, 3, 3, 5, 5, 7);
    int64_t most = INT64_C(400000) / (size * size); /* six times as many in between */
    probe_image(p, probe_log_uniform(p, most < 16 ? most : 16, most > 256 ? 256 : most, multiple(p)), size);
    for (int i = 0; i < MOST_LAYERS / 2 && !probe_full(p); i++) {
        uint32_t x = p->x;
        int64_t c = p->c, h = p->h;
        probe_conv_square(p, c * PICK(p, 2, 3, 4, 6, 6), 1, 1, 1);
        probe_activation(p, act);
        probe_conv_square(p, p->c, kernel, stride_at(p), p->c);
        probe_activation(p, act);
        if (probe_chance(p, 0.5)) probe_squeeze_excite(p, c >= 16 ? c / 4 : 4, act == 4 ? 5 : 6);
        probe_conv_square(p, probe_chance(p, 0.6) ? c : p->h < h ? 2 * c : c + 8, 1, 1, 1);
        residual(p, x, c, h);
    }
}

void family_grouped(struct probe *p) {
    int64_t group_width = PICK(p, 4, 8, 8, 16, 16, 24, 32, 40, 48), size = PICK(p, 112, 56, 56, 28, 28, 14, 14, 7);
    int64_t channels = probe_log_uniform(p, group_width, 14336 / size, group_width);
    probe_image(p, channels, size);
    for (int i = 0; i < MOST_LAYERS / 2 && !probe_full(p); i++) {
        uint32_t x = p->x;
        int64_t c = p->c, h = p->h;
        probe_conv_square(p, channels, 1, 1, 1);
        probe_activation(p, 1);
        probe_conv_square(p, channels, 3, stride_at(p), channels / group_width);
        probe_activation(p, 1);
        if (probe_chance(p, 0.4)) probe_squeeze_excite(p, channels >= 32 ? channels / 4 : 8, 5);
        probe_conv_square(p, c, 1, 1, 1);
        residual(p, x, c, h);
        probe_activation(p, 1);
    }
}

static uint32_t branch(struct probe *p, uint32_t x, int64_t c, int64_t out, int64_t kernel) {
    p->x = x;
    p->c = c;
    if (kernel > 1 && probe_chance(p, 0.7)) {
        probe_conv_square(p, out, 1, 1, 1);
        probe_activation(p, 1);
    }
    probe_conv_square(p, out, kernel, 1, 1);
    probe_activation(p, 1);
    return p->x;
}

/* Branches joined along the channels: inception, fire. */
void family_inception(struct probe *p) {
    start(p);
    for (int i = 0; i < 4 && !probe_full(p); i++) {
        uint32_t parts[4], x = p->x;
        int64_t c = p->c, sum = 0, n = PICK(p, 2, 3, 4), step = PICK(p, 8, 16, 16);
        for (int64_t k = 0; k < n; k++) {
            int64_t out = probe_log_uniform(p, 16, 7168 / p->h > 384 ? 384 : 7168 / p->h, step);
            parts[k] = branch(p, x, c, out, PICK(p, 1, 1, 3, 3, 5));
            sum += out;
        }
        probe_concat(p, parts, (uint32_t)n, 1);
        p->c = sum;
        if (p->h > 8 && probe_chance(p, 0.3)) probe_pool(p, "MaxPool", 3, 2);
    }
}

static void norm(struct probe *p) {
    const struct attr epsilon = attr_float(&p->b, "epsilon", 1e-5);
    p->x = build_batchnorm(&p->b, p->x, p->c);
    struct node *node = &p->b.graph->nodes[p->b.graph->tensors[p->x].producer];
    node->attrs = arena_copy(p->b.graph->arena, &epsilon, sizeof epsilon); /* the runtime's rules ask for it */
    node->n_attrs = 1;
}

void family_dense(struct probe *p) {
    int64_t growth = PICK(p, 16, 24, 32, 32, 32, 48), size = PICK(p, 56, 28, 28, 14, 14, 7);
    probe_image(p, probe_log_uniform(p, 64, 7168 / size, growth), size);
    probe_conv_square(p, probe_log_uniform(p, 64, 7168 / size, 16), 1, 1, 1);
    uint32_t parts[8] = {p->x};
    int64_t first = p->c;
    for (uint32_t i = 1; i < 7 && !probe_full(p); i++) {
        if (i > 1) probe_concat(p, parts, i, 1);
        p->c = first + growth * ((int64_t)i - 1);
        norm(p);
        probe_activation(p, 1);
        probe_conv_square(p, 4 * growth, 1, 1, 1);
        norm(p);
        probe_activation(p, 1);
        probe_conv_square(p, growth, 3, 1, 1);
        parts[i] = p->x;
    }
    norm(p);
    probe_activation(p, 1);
    if (p->h > 7) probe_pool(p, "AveragePool", 2, 2);
}

void family_shuffle(struct probe *p) {
    int64_t size = PICK(p, 56, 28, 28, 14, 14, 7);
    int64_t half = probe_log_uniform(p, 16, 3584 / size, PICK(p, 2, 2, 4, 8, 16));
    probe_image(p, 2 * half, size);
    for (int i = 0; i < 5 && !probe_full(p); i++) {
        uint32_t keep = probe_slice(p, p->x, 1, 0, half);
        p->x = probe_slice(p, p->x, 1, half, 2 * half);
        p->c = half;
        probe_conv_square(p, half, 1, 1, 1);
        probe_activation(p, 1);
        probe_conv_square(p, half, 3, 1, half);
        probe_conv_square(p, half, 1, 1, 1);
        probe_activation(p, 1);
        probe_concat(p, (uint32_t[]){keep, p->x}, 2, 1);
        probe_reshape(p, (int64_t[]){1, 2, half, size, size}, 5);
        probe_transpose(p, (int64_t[]){0, 2, 1, 3, 4}, 5);
        probe_reshape(p, (int64_t[]){1, 2 * half, size, size}, 4);
        p->c = 2 * half;
    }
}

void family_stem(struct probe *p) {
    int64_t size = PICK(p, 224, 224, 224, 192, 160, 256, 299), act = PICK(p, 0, 1, 1, 2, 3, 4);
    int64_t kernel = PICK(p, 3, 3, 3, 7, 7, 11, 4);
    probe_image(p, PICK(p, 3, 3, 3, 3, 1, 4), size);
    probe_conv_square(p, PICK(p, 16, 16, 24, 32, 32, 40, 48, 64, 64, 96), kernel,
                      kernel == 3 ? PICK(p, 1, 2, 2, 2) : 4 - 2 * (kernel == 7), 1);
    probe_activation(p, act);
    if (probe_chance(p, 0.4)) probe_pool(p, "MaxPool", 3, 2);
    if (p->c <= 64 && p->h <= 160) {
        probe_conv_square(p, p->c, 3, 1, p->c);
        probe_activation(p, act);
        probe_conv_square(p, PICK(p, 16, 16, 24, 32), 1, 1, 1);
        probe_conv_square(p, PICK(p, 64, 72, 96), 1, 1, 1);
        probe_activation(p, act);
        probe_conv_square(p, p->c, 3, 2, p->c);
        probe_activation(p, act);
        probe_conv_square(p, PICK(p, 24, 32, 40), 1, 1, 1);
    }
}

static void resize(struct probe *p, int64_t factor, bool linear) {
    float scales[] = {1, 1, (float)factor, (float)factor};
    int64_t four = 4;
    uint32_t ids = build_weight(&p->b, DT_FLOAT, &four, 1, 1);
    probe_set_data(p, ids, scales, sizeof scales);
    uint32_t inputs[] = {p->x, NONE, ids};
    struct attr attrs[] = {attr_string(&p->b, "mode", linear ? "linear" : "nearest"),
                           attr_string(&p->b, "coordinate_transformation_mode", linear ? "half_pixel" : "asymmetric"),
                           attr_string(&p->b, "nearest_mode", "floor")};
    p->x = build_node(&p->b, "Resize", inputs, 3, attrs, linear ? 2 : 3);
    p->h *= factor;
    p->w *= factor;
}

/* To twice the size. */
static void conv_transpose(struct probe *p, int64_t out) {
    int64_t kernel = PICK(p, 2, 2, 2, 3, 4), pad = (kernel - 1) / 2, extra = kernel == 3;
    const int64_t dims[] = {p->c, out, kernel, kernel};
    uint32_t inputs[] = {p->x, probe_constant(p, dims, 4, 0.1), probe_constant(p, &out, 1, 0.1)};
    struct attr attrs[] = {attr_ints(&p->b, "kernel_shape", (int64_t[]){kernel, kernel}, 2),
                           attr_ints(&p->b, "strides", (int64_t[]){2, 2}, 2),
                           attr_ints(&p->b, "pads", (int64_t[]){pad, pad, pad, pad}, 4),
                           attr_ints(&p->b, "output_padding", (int64_t[]){extra, extra}, 2)};
    p->x = build_node(&p->b, "ConvTranspose", inputs, 3, attrs, COUNT_OF(attrs));
    p->macs += (double)(p->c * out * kernel * kernel * p->h * p->w);
    p->weights += (double)(p->c * out * kernel * kernel);
    p->c = out;
    p->h *= 2;
    p->w *= 2;
}

static void instance_norm(struct probe *p) {
    uint32_t inputs[] = {p->x, probe_constant(p, &p->c, 1, 1), probe_constant(p, &p->c, 1, 1)};
    p->x = build_node(&p->b, "InstanceNormalization", inputs, 3, NULL, 0);
}

/* Segmentation and generation: dilated and transposed convolutions, resizes, a softmax over channels. */
void family_decoder(struct probe *p) {
    int64_t size = PICK(p, 14, 14, 28, 28, 56);
    probe_image(p, probe_log_uniform(p, 32, 7168 / size, 16), size);
    for (int i = 0; i < 6 && !probe_full(p) && p->h < 230; i++) {
        int64_t kind = PICK(p, 0, 0, 1, 1, 2, 2, 2, 3), out = probe_log_uniform(p, 16, 7168 / p->h, 16);
        if (kind == 0)
            probe_conv(p, &(struct conv_layer){out, 3, 3, 1, 1, PICK(p, 2, 4, 6, 12, 18, 24, 36), false});
        else if (kind == 1) {
            resize(p, PICK(p, 2, 2, 4), probe_chance(p, 0.6));
            probe_conv_square(p, probe_log_uniform(p, 16, 7168 / p->h, 16), 3, 1, 1);
        } else if (kind == 2)
            conv_transpose(p, out);
        else {
            probe_conv_square(p, out, 3, 1, 1);
            instance_norm(p);
        }
        probe_activation(p, PICK(p, 1, 1, 8));
    }
    probe_conv_square(p, PICK(p, 2, 16, 19, 21, 64), 1, 1, 1);
    if (probe_chance(p, 0.5)) resize(p, 2, true);
    if (probe_chance(p, 0.6)) probe_softmax(p, 1);
}
