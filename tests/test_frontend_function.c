/* Functions of a model: they are inlined where they are called. */
#include "messages.h"

static const int64_t IMAGE[] = {1, 3, 8, 8};

/* A model with input x and output y, and a node that calls F in domain "f" with them. */
static Node *start(struct file *f, const char *inputs) {
    file_start(f, 10);
    import(f, "f", 1);
    add_input(f, f->graph, "x", DT_FLOAT, IMAGE, 4);
    add_output(f, f->graph, "y");
    Node *call = add_node(f, f->graph, "F", inputs, "y");
    call->domain = text(f, "f");
    call->name = text(f, "call");
    return call;
}

static void import_default(struct file *f, Function *function, int64_t version) {
    Onnx__OperatorSetIdProto *set = make(f, &onnx__operator_set_id_proto__descriptor);
    set->has_version = 1;
    set->version = version;
    APPEND(f, function, opset_import, set);
}

Test(function, inlined) {
    struct file f;
    start(&f, "x");
    Function *function = add_function(&f, "f", "F", "a", "b");
    import_default(&f, function, 17);
    add_function_node(&f, function, "Relu", "a", "m")->name = text(&f, "inside");
    add_function_node(&f, function, "Neg", "m", "b");
    expect_read(&f);
    cr_assert_eq(f.read->bodies[0].n_nodes, 2);
    const struct node *relu = node_at(f.read, 0, 0), *neg = node_at(f.read, 0, 1);
    cr_assert_str_eq(relu->op_type, "Relu");
    cr_assert_str_eq(relu->name, "call/inside");
    cr_assert_eq(relu->op, OP_Relu);
    cr_assert_eq(relu->inputs[0], find(f.read, "x"));
    cr_assert_eq(neg->inputs[0], find(f.read, "call/m"));
    cr_assert_eq(neg->outputs[0], find(f.read, "y"));
    Onnx__ModelProto *again = written(&f);
    cr_assert_eq(again->n_functions, 0);
    cr_assert_eq(again->graph->n_node, 2);
    onnx__model_proto__free_unpacked(again, NULL);
    file_end(&f);
}

Test(function, attributes_of_the_call) {
    struct file f;
    Node *call = start(&f, "x");
    add_int(&f, call, "where", 3);
    Function *function = add_function(&f, "f", "F", "a", "b");
    Node *first = add_function_node(&f, function, "Softmax", "a", "m");
    add_reference(&f, first, "axis", "where", AT_INT);
    Node *second = add_function_node(&f, function, "Softmax", "m", "n");
    add_reference(&f, second, "axis", "defaulted", AT_INT);
    Node *third = add_function_node(&f, function, "Softmax", "n", "b");
    add_reference(&f, third, "axis", "absent", AT_INT);
    Attr *otherwise = make(&f, &onnx__attribute_proto__descriptor);
    otherwise->name = text(&f, "defaulted");
    otherwise->has_type = otherwise->has_i = 1;
    otherwise->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    otherwise->i = 2;
    APPEND(&f, function, attribute_proto, otherwise);
    expect_read(&f);
    cr_assert_eq(node_int(node_at(f.read, 0, 0), "axis", -9), 3);
    cr_assert_eq(node_int(node_at(f.read, 0, 1), "axis", -9), 2);
    cr_assert_eq(node_int(node_at(f.read, 0, 2), "axis", -9), -9);
    file_end(&f);
}

Test(function, references_pass_through_calls) {
    struct file f;
    Node *call = start(&f, "x");
    add_int(&f, call, "outer", 1);
    Function *outer = add_function(&f, "f", "F", "a", "b");
    Node *inner_call = add_function_node(&f, outer, "G", "a", "b");
    inner_call->domain = text(&f, "f");
    add_reference(&f, inner_call, "inner", "outer", AT_INT);
    Function *inner = add_function(&f, "f", "G", "p", "q");
    add_reference(&f, add_function_node(&f, inner, "Softmax", "p", "q"), "axis", "inner", AT_INT);
    expect_read(&f);
    cr_assert_eq(f.read->bodies[0].n_nodes, 1);
    cr_assert_eq(node_int(node_at(f.read, 0, 0), "axis", -9), 1);
    file_end(&f);
}

Test(function, overloads) {
    struct file f;
    Node *call = start(&f, "x");
    call->overload = text(&f, "second");
    add_function_node(&f, add_function(&f, "f", "F", "a", "b"), "Relu", "a", "b");
    Function *second = add_function(&f, "f", "F", "a", "b");
    second->overload = text(&f, "second");
    add_function_node(&f, second, "Neg", "a", "b");
    expect_read(&f);
    cr_assert_str_eq(node_at(f.read, 0, 0)->op_type, "Neg");
    file_end(&f);
}

/* An output that is an input, and inputs that are left out. */
Test(function, edges) {
    struct file f;
    start(&f, "x");
    add_function_node(&f, add_function(&f, "f", "F", "a missing", "a"), "Clip", "a missing", "unused");
    expect_read(&f);
    cr_assert_eq(f.read->bodies[0].n_nodes, 2);
    cr_assert_eq(node_at(f.read, 0, 0)->inputs[1], NONE);
    cr_assert_str_eq(node_at(f.read, 0, 1)->op_type, "Identity");
    cr_assert_eq(node_at(f.read, 0, 1)->outputs[0], find(f.read, "y"));
    file_end(&f);
}

Test(function, names_stay_unique) {
    struct file f;
    start(&f, "x");
    add_node(&f, f.graph, "Abs", "x", "call/m"); /* the name that inlining would choose */
    Node *twin = add_node(&f, f.graph, "F", "x", "z");
    twin->domain = text(&f, "f");
    twin->name = text(&f, "call"); /* nodes may share a name */
    Function *function = add_function(&f, "f", "F", "a", "b");
    add_function_node(&f, function, "Relu", "a", "m");
    add_function_node(&f, function, "Neg", "m", "b");
    expect_read(&f);
    cr_assert_eq(f.read->bodies[0].n_nodes, 5);
    for (uint32_t i = 0; i < f.read->n_tensors; i++)
        cr_assert_eq(find(f.read, f.read->tensors[i].name), i, "\"%s\" is there twice", f.read->tensors[i].name);
    file_end(&f);
}

/* A subgraph inside a function sees the function's names and not the caller's; one that the call passes sees the
 * caller's and not the function's. */
Test(function, subgraphs) {
    struct file f;
    Node *call = start(&f, "x");
    add_input(&f, f.graph, "c", DT_BOOL, NULL, 0);
    add_node(&f, f.graph, "Abs", "x", "m");
    APPEND(&f, call, input, text(&f, "c"));
    Graph *passed = add_subgraph(&f, call, "otherwise");
    add_node(&f, passed, "Neg", "m", "r"); /* the caller's m */
    add_output(&f, passed, "r");
    Function *function = add_function(&f, "f", "F", "a k", "b");
    add_function_node(&f, function, "Relu", "a", "m"); /* the function's m */
    Node *branch = add_function_node(&f, function, "If", "k", "b");
    Graph *own = add_subgraph(&f, branch, "then_branch");
    add_node(&f, own, "Sqrt", "m", "r");
    add_output(&f, own, "r");
    add_reference(&f, branch, "else_branch", "otherwise", AT_GRAPH);
    expect_read(&f);
    const struct graph *g = f.read;
    cr_assert_eq(g->bodies[0].n_nodes, 3);
    const struct node *node = node_at(g, 0, 1);
    cr_assert_str_eq(node->op_type, "If");
    uint32_t then_body = node_attr(node, "then_branch")->body, else_body = node_attr(node, "else_branch")->body;
    cr_assert_eq(node_at(g, then_body, 0)->inputs[0], find(g, "call/m"));
    cr_assert_eq(node_at(g, else_body, 0)->inputs[0], find(g, "m"));
    cr_assert_eq(node_at(g, else_body, 0)->outputs[0], g->bodies[else_body].outputs[0]);
    cr_assert(tensor_named(g, "m")->flags & TF_CAPTURED);
    cr_assert(tensor_named(g, "call/m")->flags & TF_CAPTURED);
    file_end(&f);

    start(&f, "x");
    add_node(&f, f.graph, "Abs", "x", "m");
    add_function_node(&f, add_function(&f, "f", "F", "a", "b"), "Relu", "m", "b");
    expect_error(&f, ST_MODEL, "\"m\"");
}

Test(function, operator_sets) {
    struct file f; /* what only the function imports is the model's afterwards */
    start(&f, "x");
    Function *function = add_function(&f, "f", "F", "a", "b");
    Onnx__OperatorSetIdProto *set = make(&f, &onnx__operator_set_id_proto__descriptor);
    set->domain = text(&f, "com.microsoft");
    set->has_version = 1, set->version = 1;
    APPEND(&f, function, opset_import, set);
    add_function_node(&f, function, "FastGelu", "a", "b")->domain = text(&f, "com.microsoft");
    expect_read(&f);
    cr_assert_eq(graph_opset(f.read, "com.microsoft"), 1);
    cr_assert_neq(node_at(f.read, 0, 0)->op, OP_UNKNOWN);
    file_end(&f);

    start(&f, "x"); /* Softmax means another thing before version 13 */
    function = add_function(&f, "f", "F", "a", "b");
    import_default(&f, function, 11);
    add_function_node(&f, function, "Softmax", "a", "b");
    expect_read(&f);
    cr_assert_eq(node_at(f.read, 0, 0)->op, op_find("", "Softmax", 11));
    file_end(&f);
}

/* ---- What is refused ---- */

Test(function, recursion) {
    struct file f;
    start(&f, "x");
    add_function_node(&f, add_function(&f, "f", "F", "a", "b"), "G", "a", "b")->domain = text(&f, "f");
    add_function_node(&f, add_function(&f, "f", "G", "a", "b"), "F", "a", "b")->domain = text(&f, "f");
    expect_error(&f, ST_MODEL, "calls itself");
}

static void add_chain(struct file *f, unsigned length, unsigned calls_each) {
    for (unsigned i = 0; i < length; i++) {
        char name[16], next[16];
        snprintf(name, sizeof name, i ? "F%u" : "F", i);
        snprintf(next, sizeof next, "F%u", i + 1);
        Function *function = add_function(f, "f", name, "a", "b");
        for (unsigned k = 0; k < calls_each; k++) {
            Node *node = add_function_node(f, function, i + 1 < length ? next : "Relu", "a", k ? "-" : "b");
            if (i + 1 < length) node->domain = text(f, "f");
        }
    }
}

Test(function, depth_and_size) {
    struct file f;
    start(&f, "x");
    add_chain(&f, LIMIT_INLINE_DEPTH, 1);
    expect_read(&f);
    file_end(&f);
    start(&f, "x");
    add_chain(&f, LIMIT_INLINE_DEPTH + 1, 1);
    expect_error(&f, ST_LIMIT, "deeper than 64");
    start(&f, "x");
    add_chain(&f, LIMIT_INLINE_DEPTH, 2); /* 2^63 nodes in 10 kB */
    expect_error(&f, ST_LIMIT, "more than");
}

Test(function, wrong_calls) {
    struct file f;
    start(&f, "x x");
    add_function_node(&f, add_function(&f, "f", "F", "a", "b"), "Relu", "a", "b");
    expect_error(&f, ST_MODEL, "2 inputs for a function of 1");
    start(&f, "x");
    add_function_node(&f, add_function(&f, "f", "F", "a", "b"), "Relu", "a", "c");
    expect_error(&f, ST_MODEL, "\"b\"");
    start(&f, "x");
    add_function(&f, "f", "F", "a", "b");
    add_function(&f, "f", "F", "a", "b");
    expect_error(&f, ST_MODEL, "defined twice");
    start(&f, "x");
    add_reference(&f, f.graph->node[0], "axis", "other", AT_INT);
    expect_error(&f, ST_MODEL, "outside of any");
}
