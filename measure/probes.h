/* probes: random networks whose profiles calibrate a machine (calibration study, section 3). Private to measure/.
 *
 * A probe is a pure function of the seed and its number. Families come in a fixed order in which every kind of network
 * appears early, so any prefix covers all kernel classes. */
#ifndef PROBES_H
#define PROBES_H

#include "ir.h"

enum { PROBE_VERSION = 6 }; /* raised when a seed gives other networks than before */

struct probe { /* a network while it grows */
    struct builder b;
    struct rng rng;
    uint32_t x;                   /* what the next layer reads */
    int64_t c, h, w;              /* its channels and sizes */
    double macs, limit;           /* so far; layers are added until then */
    double weights, most_weights; /* parameters so far; most */
};

/* The numbers of probes in the order they are measured in. */
uint32_t probe_number(uint32_t place);
bool probe_exists(uint32_t number);
/* The graph lives in the arena. `weightless`: the same network without the weights, for looking at its kernels. */
struct graph *probe_build(uint64_t seed, uint32_t number, bool weightless, struct arena *);
/* One fixed small convolutional network: its time tells whether the machine is disturbed. */
struct graph *probe_canary(struct arena *);

/* probe_layers.c: what the families are made of */
int64_t probe_pick(struct probe *, const int64_t *choices, size_t n);
#define PICK(p, ...) probe_pick((p), (const int64_t[]){__VA_ARGS__}, COUNT_OF(((const int64_t[]){__VA_ARGS__})))
bool probe_chance(struct probe *, double share);
int64_t probe_log_uniform(struct probe *, int64_t low, int64_t high, int64_t multiple);
void probe_image(struct probe *, int64_t channels, int64_t size);
bool probe_full(const struct probe *);

struct conv_layer {
    int64_t out, kernel_h, kernel_w, stride, groups, dilation;
    bool no_bias;
};
void probe_conv(struct probe *, const struct conv_layer *);
void probe_conv_square(struct probe *, int64_t out, int64_t kernel, int64_t stride, int64_t groups);
void probe_activation(struct probe *, int64_t which); /* 0 none, 1 Relu, 2 Relu6, 3 HardSwish, 4 SiLU, 5 Sigmoid, ... */
void probe_pool(struct probe *, const char *op, int64_t kernel, int64_t stride);
void probe_unary(struct probe *, const char *op);
void probe_binary(struct probe *, const char *op, uint32_t other);
uint32_t probe_constant(struct probe *, const int64_t *dims, int32_t rank, double scale);
/* A value that matters, held even by a network without weights. */
void probe_set_data(struct probe *, uint32_t tensor, const void *bytes, size_t length);
uint32_t probe_scalar(struct probe *, float value);
void probe_global_pool(struct probe *);
void probe_squeeze_excite(struct probe *, int64_t squeezed, int64_t gate); /* gate as of probe_activation */
void probe_reshape(struct probe *, const int64_t *dims, int32_t rank);
void probe_transpose(struct probe *, const int64_t *perm, int32_t rank);
uint32_t probe_slice(struct probe *, uint32_t x, int64_t axis, int64_t from, int64_t to);
void probe_concat(struct probe *, const uint32_t *parts, uint32_t n, int64_t axis);
void probe_matmul(struct probe *, int64_t rows, int64_t in, int64_t out,
                  bool bias); /* by a constant; last axis is in */
void probe_layer_norm(struct probe *, int64_t width);
void probe_gelu(struct probe *);
void probe_softmax(struct probe *, int64_t axis);

/* probe_conv.c, probe_misc.c, probe_detect.c: one function a family */
typedef void probe_family(struct probe *);
probe_family family_chain, family_inverted, family_grouped, family_inception, family_dense, family_shuffle, family_stem,
    family_decoder, family_transformer, family_windows, family_convnext, family_vectors, family_head, family_recurrent,
    family_elementwise, family_movement, family_suppression, family_best, family_regions;

#endif
