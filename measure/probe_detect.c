/* Families of detectors' ends: boxes that suppress each other, the best of them, regions cut out of feature maps. */
#include "probes.h"

#include <math.h>

/* A constant of small numbers that `fill` makes; a network without weights does without. */
static uint32_t numbers(struct probe *p, const int64_t *dims, int32_t rank, int64_t n,
                        void (*fill)(struct probe *, float *, int64_t n)) {
    uint32_t id = build_weight(&p->b, DT_FLOAT, dims, rank, 1);
    if (p->b.weightless) return id;
    float *data = arena_array(p->b.graph->arena, (size_t)n * 4, sizeof *data);
    fill(p, data, n);
    probe_set_data(p, id, data, (size_t)n * 4 * sizeof *data);
    return id;
}

/* None touches another: detectors keep the boxes of different classes apart, so that most that are compared do not. */
static void fill_apart(struct probe *p, float *box, int64_t n) {
    int64_t row = (int64_t)ceil(sqrt((double)n));
    (void)p;
    for (int64_t i = 0; i < n; i++, box += 4) {
        box[0] = (float)(i / row * 20);
        box[1] = (float)(i % row * 20);
        box[2] = box[0] + 10;
        box[3] = box[1] + 10;
    }
}

static void fill_regions(struct probe *p, float *box, int64_t n) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (int64_t i = 0; i < n; i++, box += 4) {
        box[0] = (float)(rng_unit(&rng) * 0.7 * (double)p->w);
        box[1] = (float)(rng_unit(&rng) * 0.7 * (double)p->h);
        box[2] = box[0] + (float)((0.1 + 0.2 * rng_unit(&rng)) * (double)p->w);
        box[3] = box[1] + (float)((0.1 + 0.2 * rng_unit(&rng)) * (double)p->h);
    }
}

/* What the rest of a detector is to its end: weights that pass through the caches. */
static void image_of(struct probe *p, int64_t c, int64_t size) {
    int64_t out = probe_log_uniform(p, 1024, 8000000 / c, 16);
    probe_image(p, c, size);
    uint32_t x = p->x;
    probe_global_pool(p);
    probe_unary(p, "Flatten");
    build_output(&p->b, build_gemm(&p->b, p->x, c, out, true), "rest");
    p->x = x;
}

/* All boxes are kept, so that it is known how many are compared. */
static void suppress(struct probe *p, uint32_t scores, int64_t n, int64_t most) {
    uint32_t boxes = numbers(p, (int64_t[]){1, n, 4}, 3, n, fill_apart);
    uint32_t inputs[] = {boxes, scores, build_ints(&p->b, &most, 1), probe_scalar(p, 1)};
    uint32_t kept = build_node(&p->b, "NonMaxSuppression", inputs, 4, NULL, 0);
    build_output(&p->b, kept, arena_printf(p->b.graph->arena, "kept_%u", kept));
}

/* Scores of `lists` classes for every place of an image, lists that are suppressed each by itself. */
void family_suppression(struct probe *p) {
    int64_t size = PICK(p, 10, 14, 20, 20, 28, 40), c = PICK(p, 32, 64, 96);
    image_of(p, c, size);
    uint32_t x = p->x;
    for (int i = 0; i < 3; i++) {
        int64_t anchors = PICK(p, 1, 2, 3, 6, 9), n = anchors * size * size, lists = PICK(p, 1, 1, 1, 2, 5, 20);
        int64_t most = probe_chance(p, 0.7) ? n : PICK(p, 100, 200, 300);
        if (most > n) most = n;
        while (lists > 1 && lists * most * most > INT64_C(30000000)) lists /= 2;
        p->x = x;
        p->c = c;
        probe_conv_square(p, anchors * lists, 1, 1, 1);
        probe_reshape(p, (int64_t[]){1, lists, n}, 3);
        probe_unary(p, "Sigmoid");
        suppress(p, p->x, n, most);
    }
}

/* The k best of n scores, with their places. */
static uint32_t best(struct probe *p, int64_t k, uint32_t *places) {
    struct graph *g = p->b.graph;
    uint32_t scores = build_node(&p->b, "TopK", (uint32_t[]){p->x, build_ints(&p->b, &k, 1)}, 2, NULL, 0);
    struct node *node = &g->nodes[g->tensors[scores].producer];
    *places = graph_add_tensor(g, 0, arena_printf(g->arena, "places_%u", scores));
    node->outputs = arena_copy(g->arena, (uint32_t[]){scores, *places}, 2 * sizeof *places);
    node->n_outputs = 2;
    g->tensors[*places].producer = g->tensors[scores].producer;
    return scores;
}

static void reshape(struct probe *p, uint32_t *x, int64_t rows, int64_t columns) {
    uint32_t before = p->x;
    p->x = *x;
    probe_reshape(p, (int64_t[]){rows, columns}, 2);
    *x = p->x;
    p->x = before;
}

/* Corners of boxes, taken apart and put together. */
static uint32_t corners(struct probe *p, uint32_t boxes) {
    uint32_t part[4];
    for (int64_t i = 0; i < 4; i++) part[i] = probe_slice(p, boxes, 1, i, i + 1);
    part[2] = build_binary(&p->b, "Add", part[0], part[2]);
    part[3] = build_binary(&p->b, "Add", part[1], part[3]);
    probe_concat(p, part, 4, 1);
    return p->x;
}

static uint32_t head(struct probe *p, uint32_t x, int64_t c, int64_t out, int64_t n) {
    p->x = x;
    p->c = c;
    probe_conv_square(p, out, 1, 1, 1);
    probe_reshape(p, (int64_t[]){out, n}, 2);
    probe_transpose(p, (int64_t[]){1, 0}, 2);
    return p->x;
}

static uint32_t widened(struct probe *p, uint32_t column, int64_t rows, int64_t width) {
    uint32_t shape = build_ints(&p->b, (int64_t[]){rows, width}, 2);
    return build_node(&p->b, "Expand", (uint32_t[]){column, shape}, 2, NULL, 0);
}

/* The k best scores written, each over a whole row, into the table of all n. */
static void scatter(struct probe *p, uint32_t all, int64_t n, uint32_t rows, uint32_t scores, int64_t k) {
    int64_t width = PICK(p, 16, 64, 256, 1024);
    uint32_t inputs[] = {widened(p, all, n, width), widened(p, rows, k, width), widened(p, scores, k, width)};
    struct attr axis = attr_int(&p->b, "axis", 0);
    uint32_t written = build_node(&p->b, "ScatterElements", inputs, 3, &axis, 1);
    build_output(&p->b, written, arena_printf(p->b.graph->arena, "written_%u", written));
}

/* The best of all anchors: picked, decoded, their scores written into a table. */
void family_best(struct probe *p) {
    int64_t size = PICK(p, 10, 20, 20, 40, 56), c = PICK(p, 16, 32, 64), n = size * size;
    image_of(p, c, size);
    uint32_t x = p->x;
    for (int i = 0; i < 4; i++) {
        int64_t k = PICK(p, 50, 100, 300, 1000);
        uint32_t boxes = head(p, x, c, 4, n), rows;
        if (k > n) k = n;
        uint32_t all = head(p, x, c, 1, n);
        probe_reshape(p, &n, 1);
        uint32_t whole = p->x, scores = best(p, k, &rows);
        uint32_t picked = build_node(&p->b, "Gather", (uint32_t[]){boxes, rows}, 2, NULL, 0);
        reshape(p, &rows, k, 1);
        uint32_t again = build_node(&p->b, "GatherND", (uint32_t[]){whole, rows}, 2, NULL, 0);
        uint32_t moved = build_node(&p->b, "GatherND", (uint32_t[]){boxes, rows}, 2, NULL, 0);
        scores = build_binary(&p->b, "Mul", scores, again);
        reshape(p, &scores, k, 1);
        scatter(p, all, n, rows, scores, k);
        uint32_t decoded = corners(p, build_binary(&p->b, "Add", picked, moved));
        if (i < 3) build_output(&p->b, decoded, arena_printf(p->b.graph->arena, "decoded_%u", decoded));
    }
}

/* Regions of a feature map, each brought to one size. */
void family_regions(struct probe *p) {
    int64_t size = PICK(p, 10, 14, 20, 28, 40), c = probe_log_uniform(p, 16, 5120 / size, 16);
    image_of(p, c, size);
    probe_conv_square(p, c, 1, 1, 1);
    for (int i = 0; i < 3; i++) {
        int64_t n = probe_log_uniform(p, 10, 200000 / (c * 7), 1), side = PICK(p, 7, 7, 14);
        int64_t *image = arena_array(p->b.graph->arena, (size_t)n, sizeof *image);
        uint32_t inputs[] = {p->x, numbers(p, (int64_t[]){n, 4}, 2, n, fill_regions), build_ints(&p->b, image, n)};
        struct attr attrs[] = {attr_int(&p->b, "output_height", side), attr_int(&p->b, "output_width", side),
                               attr_int(&p->b, "sampling_ratio", PICK(p, 1, 2, 2, 2))};
        uint32_t cut = build_node(&p->b, "RoiAlign", inputs, 3, attrs, 3);
        reshape(p, &cut, n, c * side * side);
        build_output(&p->b, build_unary(&p->b, "Relu", cut), arena_printf(p->b.graph->arena, "regions_%d", i));
    }
}
