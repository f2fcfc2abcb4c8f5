/* space: architecture search spaces whose networks are rebuilt as graphs, so that they take the same road as a file.
 *
 * An architecture is a list of genes, each a choice among a few options. A space is described by its fields: the
 * columns of a measured table, or the parts of an architecture string, which joins them by ':'. */
#ifndef SPACE_H
#define SPACE_H

#include "ir.h"

#define SPACE_GENES_MAX  64
#define SPACE_FIELDS_MAX 5
#define SPACE_OPSET      17

struct field { /* `n` genes that share their options; written as numbers joined by '-' */
    const char *column;
    size_t n, n_options;
    const int16_t *options;
};

struct arch {
    uint8_t gene[SPACE_GENES_MAX]; /* index of the option */
};

/* A kind of part that networks are made of: equal bytes are equal parts, which depend on nothing else. The runtime of
 * space_runtime fuses nothing across the tensors between parts but what `joins` says. */
struct block {
    uint32_t (*build)(struct builder *, const uint32_t *x, const struct block *); /* returns its output */
    int64_t batch, c_in, side;                                                    /* of the input: N, C, H = W */
    int64_t c_middle, c_out, kernel, stride, groups; /* what the part's builder reads of them */
    const char *activation;                          /* operator name, "Relu6", NULL for none */
    uint8_t squeeze;
    uint8_t two;       /* reads a second tensor, like the first */
    uint8_t joins;     /* its first node, an activation, joins the convolution before it */
    uint8_t unused[5]; /* no padding: bytes that are compared must all be set */
};

#define BLOCKS_MAX 40
#define PARTS_MAX  160
#define NO_PART    UINT8_MAX /* the image; or zeros, which no kernel makes */

struct parts { /* parts in the order they run, the last one gives the scores; none: nothing runs */
    size_t n_blocks, n_parts;
    struct block block[BLOCKS_MAX];
    struct part {
        uint8_t block, x[2]; /* x: the parts whose outputs it reads */
    } part[PARTS_MAX];
};

struct space {
    const char *name, *alias, *description; /* alias: also called so; NULL: not */
    size_t n_fields;
    struct field fields[SPACE_FIELDS_MAX];
    int64_t classes; /* outputs of the classifier */
    bool views;      /* graph views differ: an architecture can hold dead code */
    /* Own text form; NULL: numbers. parse gets the text of the space's only field. */
    enum status (*parse)(const struct space *, const char *text, struct arch *, struct diag *);
    char *(*print)(const struct space *, const struct arch *, struct arena *);
    /* The network's parts, or what a graph view leaves of them. */
    void (*split)(const struct space *, const struct arch *, int64_t batch, enum view, struct parts *);
};

extern const struct space space_nasbench201, space_nasbench201_10, space_fbnet, space_ofa, space_mobilenetv2;

/* ---- space.c ---- */

size_t space_count(void);
const struct space *space_at(size_t i);
const struct space *space_find(const char *name);                                           /* NULL if none */
enum status space_named(const char *name, const struct space **, struct diag *) MUST_CHECK; /* ST_USAGE lists them */
size_t space_genes(const struct space *);
size_t space_options(const struct space *, size_t gene);
int16_t space_value(const struct space *, const struct arch *, size_t gene); /* the option's number */
/* Messages name the string and the position in it. */
enum status space_parse(const struct space *, const char *text, struct arch *, struct diag *) MUST_CHECK;
/* The architecture of every row, from the space's columns; a message names the file and the line. */
enum status space_read_archs(const struct space *, const struct csv *, const char *path, struct arch *,
                             struct diag *) MUST_CHECK;
char *space_print(const struct space *, const struct arch *, struct arena *);
void space_random(const struct space *, struct rng *, struct arch *); /* every gene uniform */
/* n architectures in which every option of a gene comes up equally often, give or take one: their means are closer to
 * the space's than those of as many random ones. */
void space_cover(const struct space *, struct rng *, struct arch *, size_t n);
/* The whole network. Weights are drawn from the seed, or left out of a weightless graph, which serves pricing. */
struct graph *space_graph(const struct space *, const struct arch *, int64_t batch, uint64_t seed, bool weightless,
                          struct arena *);
/* The network's parts from the image to the scores, every one on image tensors of four axes. */
void space_parts(const struct space *, const struct arch *, int64_t batch, enum view, struct parts *);
/* One-hot encoding: a number an option of every gene, in order. */
size_t space_encoding(const struct space *);
void space_encode(const struct space *, const struct arch *, double *onehot);

/* ---- space_price.c ---- */

extern const struct runtime space_runtime; /* how graphs of measured networks are lowered: the view is set apart */

/* Rows of learned features of an architecture in the graph views that its space tells apart (the others are left out):
 * the graph is built and takes the passes a file takes. Nothing of `scratch` is used afterwards. */
enum status space_features(const struct space *, const struct arch *, int64_t batch, struct features[VIEW_COUNT],
                           struct arena *scratch, struct diag *) MUST_CHECK;
static inline size_t space_views(const struct space *s) {
    return s->views ? VIEW_COUNT : 1;
}

/* ---- What the builders share (space_block.c) ---- */

/* A constant with its value, also in a weightless graph. */
uint32_t float_scalar(struct builder *, float number);
int64_t round_channels(double channels); /* nearest multiple of 8, never below 90 % */
uint32_t conv_bn(struct builder *, uint32_t x, int64_t c_in, int64_t c_out, int64_t kernel, int64_t stride,
                 int64_t groups, const char *activation); /* activation: operator name, "Relu6", NULL for none */
/* The linear classifier: global average pool, flatten, Gemm. */
uint32_t classifier(struct builder *, uint32_t x, int64_t channels, int64_t classes);

/* Appends a kind, or a part; return its place. */
uint8_t add_kind(struct parts *, const struct block *);
uint8_t add_part(struct parts *, uint8_t block, uint8_t x, uint8_t second);
/* Appends a kind and a part of it that reads what the last one wrote: `block` without the sizes of its input. The first
 * one's input is set by the space. */
void add_block(struct parts *, struct block);
int64_t last_channels(const struct parts *); /* of what the last part wrote */
/* Inverted residual block of MobileNetV2 and V3. */
uint32_t inverted_block(struct builder *, const uint32_t *x, const struct block *);

#endif
