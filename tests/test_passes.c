/* Whole passes on small graphs: order, binding, chains of sizes, control flow, declared types, folding. */
#include "passes.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena arena;
static struct diag diag;
static struct graph *g;
static struct run run;

static void setup(void) {
    arena_init(&arena, NULL, NULL);
    diag_init(&diag, &arena);
    g = graph_new(&arena, "net.onnx");
    struct opset *opset = arena_alloc(&arena, sizeof *opset);
    *opset = (struct opset){"", 17};
    g->opsets = opset;
    g->n_opsets = 1;
    run = (struct run){.graph = g, .scratch = &arena, .diag = &diag};
}

static void teardown(void) {
    arena_free(&arena);
}

TestSuite(passes, .init = setup, .fini = teardown);

/* ---- Making graphs ---- */

static uint32_t add_to_list(const uint32_t **list, uint32_t *n, uint32_t id) {
    uint32_t *longer = arena_array(&arena, *n + 1, sizeof *longer);
    if (*n) memcpy(longer, *list, *n * sizeof *longer);
    longer[(*n)++] = id;
    *list = longer;
    return id;
}

static uint32_t input(const char *name, enum dtype dtype, int32_t rank, const dim *dims) {
    uint32_t id = graph_add_tensor(g, 0, name);
    tensor_set_shape(g, id, dtype, dims, rank);
    g->tensors[id].flags = TF_INPUT | TF_DECLARED;
    return add_to_list(&g->bodies[0].inputs, &g->bodies[0].n_inputs, id);
}

static uint32_t output(uint32_t id) {
    g->tensors[id].flags |= TF_OUTPUT;
    return add_to_list(&g->bodies[0].outputs, &g->bodies[0].n_outputs, id);
}

static uint32_t ints(int32_t rank, const int64_t *values, int64_t n) {
    uint32_t id = graph_add_tensor(g, 0, "constant");
    dim d = DIM(n);
    tensor_set_shape(g, id, DT_INT64, &d, rank);
    g->tensors[id].flags = TF_INITIALIZER;
    g->tensors[id].data = (struct data){.encoding = ENC_RAW, .file = NONE, .length = 8 * (uint64_t)n};
    g->tensors[id].data.bytes = arena_copy(&arena, values, 8 * (size_t)n);
    return id;
}

static uint32_t one(int64_t value) {
    return ints(1, &value, 1);
}
static uint32_t scalar(int64_t value) {
    return ints(0, &value, 1);
}

static uint32_t number(float value) {
    uint32_t id = graph_add_tensor(g, 0, "number");
    tensor_set_shape(g, id, DT_FLOAT, NULL, 0);
    g->tensors[id].flags = TF_INITIALIZER;
    g->tensors[id].data = (struct data){.encoding = ENC_RAW, .file = NONE, .length = 4};
    g->tensors[id].data.bytes = arena_copy(&arena, &value, 4);
    return id;
}

static struct attr int_attr(const char *name, int64_t i) {
    return (struct attr){.name = intern_str(g->names, name), .type = AT_INT, .i = i};
}

static struct attr body_attr(const char *name, uint32_t body) {
    return (struct attr){.name = intern_str(g->names, name), .type = AT_GRAPH, .body = body};
}

enum { MOST = 8 };

/* One output; inputs end with a negative number. */
static uint32_t node_in_body(uint32_t body, const char *op, const int64_t *inputs, const struct attr *attrs,
                             uint32_t n_attrs) {
    uint32_t ids[MOST], n = 0, out = graph_add_tensor(g, body, op);
    while (inputs[n] >= 0) {
        ids[n] = (uint32_t)inputs[n];
        n++;
    }
    graph_add_node(g, body, op, "", op, ids, n, &out, 1, attrs, n_attrs);
    return out;
}

#define NODE(op, ...)          node_in_body(0, op, (const int64_t[]){__VA_ARGS__, -1}, NULL, 0)
#define NODE_IN(body, op, ...) node_in_body(body, op, (const int64_t[]){__VA_ARGS__, -1}, NULL, 0)

static uint32_t cast(uint32_t x, enum dtype to) {
    struct attr a = int_attr("to", to);
    return node_in_body(0, "Cast", (const int64_t[]){x, -1}, &a, 1);
}

static uint32_t private_input(uint32_t body, const char *name) {
    uint32_t id = graph_add_tensor(g, body, name);
    g->tensors[id].flags = TF_PRIVATE;
    return add_to_list(&g->bodies[body].inputs, &g->bodies[body].n_inputs, id);
}

static void body_output(uint32_t body, uint32_t id) {
    add_to_list(&g->bodies[body].outputs, &g->bodies[body].n_outputs, id);
}

/* The sizes of axis `axis` of an NCHW input, through Shape and Gather. */
static uint32_t size_of(uint32_t x, int64_t axis) {
    return NODE("Gather", NODE("Shape", x), scalar(axis));
}

/* ---- Looking ---- */

static const char *shape_of(uint32_t id) {
    static char out[512];
    const struct tensor *t = &g->tensors[id];
    size_t n = 0;
    if (t->rank == RANK_UNKNOWN) return "*";
    out[0] = '\0';
    for (int32_t i = 0; i < t->rank; i++) {
        if (i) out[n++] = ',';
        n += dim_print(g, t->dims[i], out + n, sizeof out - n);
    }
    return out;
}

static void infer(void) {
    enum status status = passes_run(&run, PASSES_ANALYSIS);
    cr_assert_eq(status, ST_OK, "%s", diag.message);
}

static void fails_with(const char *message) {
    cr_assert_neq(passes_run(&run, PASSES_ANALYSIS), ST_OK);
    cr_assert_str_eq(diag.message, message);
}

static void symbolic_image(dim dims[4]) {
    dims[0] = dim_symbol(g, "batch");
    dims[1] = DIM(3);
    dims[2] = dim_symbol(g, "h");
    dims[3] = dim_symbol(g, "w");
}

/* ---- Order ---- */

Test(passes, nodes_in_any_order) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), late = graph_add_tensor(g, 0, "late"), first[] = {x};
    uint32_t y = NODE("Relu", late), z = NODE("Transpose", y);
    graph_add_node(g, 0, "Abs", "", "abs", first, 1, &late, 1, NULL, 0);
    output(z);
    infer();
    cr_assert_str_eq(shape_of(z), "3,2");
    cr_assert_eq(g->bodies[0].nodes[0], g->tensors[late].producer);
}

Test(passes, order_in_the_file_is_kept) {
    dim d[] = {DIM(2)};
    uint32_t x = input("x", DT_FLOAT, 1, d);
    for (int i = 0; i < 100; i++) NODE("Relu", x);
    infer();
    for (uint32_t i = 0; i < 100; i++) cr_assert_eq(g->bodies[0].nodes[i], i);
}

Test(passes, a_cycle_is_an_error) {
    uint32_t a = graph_add_tensor(g, 0, "a"), b = graph_add_tensor(g, 0, "b");
    graph_add_node(g, 0, "Relu", "", "first", &b, 1, &a, 1, NULL, 0);
    graph_add_node(g, 0, "Relu", "", "second", &a, 1, &b, 1, NULL, 0);
    fails_with("net.onnx: node \"first\" (Relu) is part of a cycle: it needs its own result");
}

Test(passes, captured_values_count_as_read) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), c = input("c", DT_BOOL, 0, NULL), late = graph_add_tensor(g, 0, "late");
    uint32_t then_body = graph_add_body(g, 0, NONE, "then"), else_body = graph_add_body(g, 0, NONE, "else");
    body_output(then_body, NODE_IN(then_body, "Relu", late));
    body_output(else_body, NODE_IN(else_body, "Abs", late));
    struct attr attrs[] = {body_attr("then_branch", then_body), body_attr("else_branch", else_body)};
    uint32_t y = node_in_body(0, "If", (const int64_t[]){c, -1}, attrs, 2);
    g->bodies[then_body].owner = g->bodies[else_body].owner = g->tensors[y].producer;
    graph_add_node(g, 0, "Transpose", "", "t", &x, 1, &late, 1, NULL, 0);
    infer();
    cr_assert_str_eq(shape_of(y), "3,2");
}

/* ---- Chains of sizes ---- */

Test(passes, sizes_flow_through_shape_arithmetic) {
    dim d[4];
    symbolic_image(d);
    uint32_t x = input("x", DT_FLOAT, 4, d);
    uint32_t h = size_of(x, 2), w = size_of(x, 3);
    uint32_t area = NODE("Unsqueeze", NODE("Mul", h, w), one(0)), rows[] = {one(0), one(3), area}, target;
    target = node_in_body(0, "Concat", (const int64_t[]){rows[0], rows[1], rows[2], -1},
                          (struct attr[]){int_attr("axis", 0)}, 1);
    uint32_t y = NODE("Reshape", x, target);
    infer();
    cr_assert_str_eq(shape_of(y), "batch,3,h*w");
}

/* What torchvision's detectors do to the size of an image. */
Test(passes, sizes_flow_through_floating_point) {
    dim d[4];
    symbolic_image(d);
    uint32_t x = input("x", DT_FLOAT, 4, d);
    uint32_t f = cast(size_of(x, 2), DT_FLOAT);
    uint32_t half = cast(NODE("Floor", NODE("Mul", f, number(0.5f))), DT_INT64);
    uint32_t y = NODE("ConstantOfShape", NODE("Unsqueeze", half, one(0)));
    uint32_t third = cast(NODE("Floor", NODE("Mul", f, number(0.3f))), DT_INT64);
    uint32_t z = NODE("ConstantOfShape", NODE("Unsqueeze", third, one(0)));
    infer();
    cr_assert_str_eq(shape_of(y), "floor(h/2)");
    cr_assert(dim_is_data_dependent(g, g->tensors[z].dims[0])); /* 0.3 is no short fraction: a symbol, not a guess */
}

Test(passes, numbers_round_as_the_type_does) {
    dim d[] = {DIM(302)};
    uint32_t x = input("x", DT_FLOAT, 1, d);
    uint32_t f = cast(size_of(x, 0), DT_FLOAT);
    uint32_t n = cast(NODE("Floor", NODE("Mul", f, number(2.6490066f))), DT_INT64);
    uint32_t y = NODE("ConstantOfShape", NODE("Unsqueeze", n, one(0)));
    infer();
    cr_assert_str_eq(shape_of(y), "800"); /* in double precision 799.999995 */
}

Test(passes, data_dependent_sizes_keep_their_bound_and_go_on) {
    dim d[] = {dim_symbol(g, "n"), DIM(4)};
    uint32_t x = input("x", DT_FLOAT, 2, d), found = NODE("NonZero", x), y = NODE("Transpose", found);
    uint32_t z = NODE("Slice", y, one(0), one(100));
    dim limit[] = {DIM(50), DIM(4)};
    uint32_t bounded = NODE("NonZero", input("b", DT_FLOAT, 2, limit));
    infer();
    cr_assert(dim_is_data_dependent(g, g->tensors[y].dims[0]));
    cr_assert(dim_is(g->tensors[y].dims[1], 2));
    int64_t lo, hi;
    dim_bounds(g, g->tensors[z].dims[0], &lo, &hi);
    cr_assert(lo == 0 && hi == 100);
    dim_bounds(g, g->tensors[bounded].dims[1], &lo, &hi);
    cr_assert(lo == 0 && hi == 200);
    for (size_t i = 0; i < g->n_nodes; i++) cr_assert_null(g->nodes[i].reason);
}

/* ---- Control flow ---- */

/* A loop whose body appends `step` rows of x to what it carries. */
static uint32_t appending_loop(uint32_t trips, uint32_t start, uint32_t step) {
    uint32_t body = graph_add_body(g, 0, NONE, "body");
    private_input(body, "i");
    uint32_t condition = private_input(body, "c"), carried = private_input(body, "v");
    body_output(body, NODE_IN(body, "Identity", condition));
    body_output(body, node_in_body(body, "Concat", (const int64_t[]){carried, step, -1},
                                   (struct attr[]){int_attr("axis", 0)}, 1));
    struct attr attr = body_attr("body", body);
    uint32_t ids[] = {trips, NONE, start}, out = graph_add_tensor(g, 0, "loop");
    g->bodies[body].owner = graph_add_node(g, 0, "Loop", "", "loop", ids, 3, &out, 1, &attr, 1);
    return out;
}

Test(passes, loops_that_grow) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), step = input("step", DT_FLOAT, 2, d);
    uint32_t five = appending_loop(scalar(5), x, step), none = appending_loop(scalar(0), x, step);
    uint32_t open = appending_loop(input("n", DT_INT64, 0, NULL), x, step);
    dim batch[] = {dim_symbol(g, "batch")};
    uint32_t counted = appending_loop(size_of(input("y", DT_FLOAT, 1, batch), 0), x, step);
    infer();
    cr_assert_str_eq(shape_of(counted), "2*batch+2,3");
    cr_assert_str_eq(shape_of(five), "12,3");
    cr_assert_str_eq(shape_of(none), "2,3");
    cr_assert(dim_is_data_dependent(g, g->tensors[open].dims[0]));
    cr_assert(dim_is(g->tensors[open].dims[1], 3));
}

/* Each body holds the next loop, and every one carries a value that changes its shape: work must not double a level. */
Test(passes, deeply_nested_loops_end) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t carried = input("x", DT_FLOAT, 2, d), trips = input("n", DT_INT64, 0, NULL), outer = 0, innermost = 0;
    for (int level = 0; level < 60; level++) {
        uint32_t body = graph_add_body(g, outer, NONE, "body"), out = graph_add_tensor(g, outer, "loop");
        uint32_t ids[] = {trips, NONE, carried};
        struct attr attr = body_attr("body", body);
        g->bodies[body].owner = graph_add_node(g, outer, "Loop", "", "loop", ids, 3, &out, 1, &attr, 1);
        if (level) body_output(outer, out);
        private_input(body, "i");
        body_output(body, NODE_IN(body, "Identity", private_input(body, "c")));
        carried = NODE_IN(body, "Transpose", private_input(body, "v"));
        outer = innermost = body;
    }
    body_output(innermost, carried);
    infer();
}

Test(passes, a_branch_that_cannot_run_does_not_fail_the_model) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), c = input("c", DT_BOOL, 0, NULL), wrong = one(0);
    uint32_t then_body = graph_add_body(g, 0, NONE, "then"), else_body = graph_add_body(g, 0, NONE, "else");
    uint32_t squeezed = NODE_IN(then_body, "Squeeze", x, wrong);
    body_output(then_body, squeezed);
    body_output(else_body, NODE_IN(else_body, "Relu", x));
    struct attr attrs[] = {body_attr("then_branch", then_body), body_attr("else_branch", else_body)};
    uint32_t y = node_in_body(0, "If", (const int64_t[]){c, -1}, attrs, 2);
    g->bodies[then_body].owner = g->bodies[else_body].owner = g->tensors[y].producer;
    infer();
    cr_assert_str_eq(shape_of(y), "*");
    cr_assert_str_eq(g->nodes[g->tensors[squeezed].producer].reason, "dimension 0 is 2, only a 1 can be squeezed");
}

/* ---- Declared types ---- */

Test(passes, declared_shapes_fill_what_inference_leaves_open) {
    dim d[] = {DIM(2), DIM(3)}, declared[] = {DIM(7), dim_symbol(g, "k")};
    uint32_t x = input("x", DT_FLOAT, 2, d), custom = graph_add_tensor(g, 0, "custom"), ids[] = {x};
    graph_add_node(g, 0, "Mystery", "org.example", "m", ids, 1, &custom, 1, NULL, 0);
    uint32_t y = NODE("Transpose", custom);
    tensor_set_shape(g, custom, DT_FLOAT, declared, 2);
    g->tensors[custom].flags |= TF_DECLARED;
    infer();
    cr_assert_str_eq(shape_of(y), "k,7");
    cr_assert_str_eq(g->nodes[0].reason, "operator Mystery of domain org.example is not known");
}

Test(passes, stale_declared_shapes_are_not_used) {
    dim d[] = {DIM(2), DIM(3)}, stale[] = {DIM(9), DIM(9)};
    uint32_t y = NODE("Relu", input("x", DT_FLOAT, 2, d));
    tensor_set_shape(g, y, DT_FLOAT, stale, 2);
    g->tensors[y].flags |= TF_DECLARED;
    infer();
    cr_assert_str_eq(shape_of(y), "2,3");
    cr_assert_eq(diag.n_warnings, 1);
    cr_assert_str_eq(diag.warnings[0],
                     "net.onnx: 1 declared shape differs from what the operators give, first at \"Relu\"; not used");
}

Test(passes, unknown_operators_do_not_stop_the_rest) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), custom = graph_add_tensor(g, 0, "custom"), ids[] = {x};
    graph_add_node(g, 0, "Mystery", "", "m", ids, 1, &custom, 1, NULL, 0);
    uint32_t lost = NODE("Relu", custom), known = NODE("Relu", x);
    infer();
    cr_assert_str_eq(shape_of(known), "2,3");
    cr_assert_str_eq(shape_of(lost), "*");
    cr_assert_str_eq(g->nodes[g->tensors[lost].producer].reason, "input \"custom\" has an unknown type");
}

Test(passes, too_few_inputs) {
    dim d[] = {DIM(2)};
    NODE("Add", input("x", DT_FLOAT, 1, d));
    fails_with("net.onnx: node \"Add\" (Add): it has 1 inputs, needs at least 2");
}

/* ---- Binding ---- */

static uint32_t bind_image(void) {
    dim d[4], second[2];
    symbolic_image(d);
    second[0] = d[0];
    second[1] = DIM_UNKNOWN;
    input("image", DT_FLOAT, 4, d);
    input("other", DT_FLOAT, 2, second);
    return NODE("Relu", g->bodies[0].inputs[0]);
}

static const char *second_shape(void) {
    return shape_of(g->bodies[0].inputs[1]);
}

Test(passes, binds_symbols) {
    uint32_t y = bind_image();
    struct dim_binding dims[] = {{"batch", 4}, {"h", 32}};
    struct bindings b = {.n_dims = 2, .dims = dims};
    run.bind = &b;
    infer();
    cr_assert_str_eq(shape_of(y), "4,3,32,w");
    cr_assert_str_eq(second_shape(), "4,?");
    const char *open[4];
    cr_assert_eq(open_symbols(g, open, 4), 1);
    cr_assert_str_eq(open[0], "w");
}

Test(passes, binds_shapes_and_the_symbols_in_them) {
    uint32_t y = bind_image();
    int64_t sizes[] = {2, 3, 8, 9};
    struct shape_binding shapes[] = {{"image", 4, sizes}};
    struct bindings b = {.n_shapes = 1, .shapes = shapes};
    run.bind = &b;
    infer();
    cr_assert_str_eq(shape_of(y), "2,3,8,9");
    cr_assert_str_eq(second_shape(), "2,?");
}

Test(passes, binds_a_batch) {
    uint32_t y = bind_image();
    struct bindings b = {.batch = 16};
    run.bind = &b;
    infer();
    cr_assert_str_eq(shape_of(y), "16,3,h,w");
    cr_assert_str_eq(second_shape(), "16,?");
}

Test(passes, refuses_bindings_that_do_not_fit) {
    static const int64_t sizes[] = {2, 3};
    static const struct dim_binding nobody[] = {{"depth", 3}}, zero[] = {{"h", 0}};
    static const struct shape_binding flat[] = {{"image", 2, sizes}}, missing[] = {{"picture", 2, sizes}};
    const struct {
        struct bindings b;
        const char *message;
    } cases[] = {
        {{.n_dims = 1, .dims = nobody}, "net.onnx: no dimension is called depth (open: batch, h, w)"},
        {{.n_dims = 1, .dims = zero}, "net.onnx: dimension h cannot be 0"},
        {{.n_shapes = 1, .shapes = flat}, "net.onnx: input \"image\" has rank 4, the shape given for it has 2"},
        {{.n_shapes = 1, .shapes = missing}, "net.onnx: no input is called \"picture\""},
        {{.batch = -1}, "net.onnx: a batch cannot be -1"},
    };
    bind_image();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        run.bind = &cases[i].b;
        diag_init(&diag, &arena);
        fails_with(cases[i].message);
        cr_assert_eq(diag.status, ST_USAGE);
    }
}

/* Bound anew, everything is inferred anew. */
Test(passes, runs_again) {
    uint32_t y = bind_image();
    struct dim_binding dims[] = {{"batch", 4}};
    struct bindings b = {.n_dims = 1, .dims = dims};
    infer();
    run.bind = &b;
    infer();
    cr_assert_str_eq(shape_of(y), "4,3,h,w");
}

/* ---- Folding and the runner ---- */

Test(passes, what_depends_on_no_input_is_folded) {
    dim d[] = {DIM(2), DIM(3)};
    uint32_t x = input("x", DT_FLOAT, 2, d), two = NODE("Add", scalar(1), scalar(1)), size = NODE("Shape", x);
    uint32_t y = output(NODE("Relu", x));
    infer();
    cr_assert_eq(pass_fold(&run), ST_OK);
    cr_assert(g->nodes[g->tensors[two].producer].dead);
    cr_assert(g->nodes[g->tensors[size].producer].dead);
    cr_assert_not(g->nodes[g->tensors[y].producer].dead);
    cr_assert(dim_is(g->tensors[two].value->at[0].d, 2));
}

static void count_passes(void *user, enum pass pass, const struct graph *graph) {
    (void)pass, (void)graph;
    (*(int *)user)++;
}

Test(passes, the_runner_reports_each_pass) {
    int n = 0;
    dim d[] = {DIM(2)};
    NODE("Relu", input("x", DT_FLOAT, 1, d));
    run.after = count_passes;
    run.user = &n;
    infer();
    cr_assert_eq(n, 3);
    cr_assert_eq(run.facts, P_BOUND | P_TOPO | P_SHAPES);
    cr_assert_eq(pass_parse("S"), PASS_shape);
    cr_assert_eq(pass_parse("shape"), PASS_shape);
    cr_assert_eq(pass_parse("nothing"), PASS_COUNT);
    cr_assert_str_eq(pass_name(PASS_memory), "memory");
}
