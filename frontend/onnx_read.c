#include "reader.h"
#include "restore.h"

#include <inttypes.h>
#include <string.h>

enum { IR_OLDEST = 3, IR_NEWEST = 14, WARNINGS_MAX = 50 };

enum status read_fail(struct reader *r, enum status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(r->arena, fmt, args);
    va_end(args);
    return diag_fail(r->diag, status, "%s: %s", r->graph->path, text);
}

void read_warn(struct reader *r, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(r->arena, fmt, args);
    va_end(args);
    diag_warn(r->diag, "%s: %s", r->graph->path,
              r->diag->n_warnings < WARNINGS_MAX ? text : "more warnings are left out");
}

/* ---- protobuf-c in the arena ---- */

static void *proto_alloc(void *arena, size_t bytes) {
    return arena_alloc(arena, bytes);
}

static void proto_free(void *arena, void *block) {
    (void)arena;
    (void)block;
}

static enum status decode(struct reader *r, const uint8_t *bytes, size_t length, int file) {
    if (length == 0) return read_fail(r, ST_FORMAT, "the file is empty");
    TRY(wire_slim(&r->slim, bytes, length, file, r->graph->path, r->arena, r->diag));
    ProtobufCAllocator allocator = {.alloc = proto_alloc, .free = proto_free, .allocator_data = r->arena};
    r->message = onnx__model_proto__unpack(&allocator, r->slim.length, r->slim.bytes);
    if (!r->message) return read_fail(r, ST_FORMAT, "not an ONNX model: it cannot be decoded");
    r->origin->message = r->message;
    return ST_OK;
}

/* ---- The model around the graph ---- */

enum status read_charge(struct reader *r, uint64_t amount) {
    if (r->calls == 0) return ST_OK;
    r->inlined += amount;
    if (r->inlined <= LIMIT_INLINED) return ST_OK;
    return read_fail(r, ST_LIMIT, "its functions make more than %d nodes, inputs and outputs of it", LIMIT_INLINED);
}

enum status read_import(struct reader *r, const char *domain, int64_t version) {
    struct graph *g = r->graph;
    if (graph_opset(g, domain) > 0) return ST_OK;
    if (g->n_opsets == LIMIT_OPSETS)
        return read_fail(r, ST_LIMIT, "more than %d operator sets are imported", LIMIT_OPSETS);
    struct opset *opsets = arena_array(r->arena, g->n_opsets + 1, sizeof *opsets);
    if (g->n_opsets) memcpy(opsets, g->opsets, g->n_opsets * sizeof *opsets);
    opsets[g->n_opsets] = (struct opset){.domain = intern_str(g->names, domain), .version = version};
    g->opsets = opsets;
    g->n_opsets++;
    return ST_OK;
}

/* The same domain twice: the higher version binds (onnx.proto, ModelProto.opset_import). */
static enum status read_imports(struct reader *r) {
    const Onnx__ModelProto *m = r->message;
    if (m->n_opset_import > LIMIT_OPSETS)
        return read_fail(r, ST_LIMIT, "more than %d operator sets are imported", LIMIT_OPSETS);
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const char *domain = domain_of(m->opset_import[i]->domain);
        int64_t version = m->opset_import[i]->version;
        if (version <= 0)
            return read_fail(r, ST_MODEL, "version %" PRId64 " of operator set \"%s\" is imported", version, domain);
        for (size_t k = 0; k < m->n_opset_import; k++)
            if (strcmp(domain, domain_of(m->opset_import[k]->domain)) == 0 && m->opset_import[k]->version > version)
                version = m->opset_import[k]->version;
        TRY(read_import(r, domain, version));
    }
    return ST_OK;
}

static const char *producer_of(struct reader *r) {
    const char *name = text_or(r->message->producer_name, ""), *version = text_or(r->message->producer_version, "");
    return *version ? arena_printf(r->arena, "%s %s", name, version) : name;
}

static enum status read_model(struct reader *r) {
    const Onnx__ModelProto *m = r->message;
    if (!m->graph) return read_fail(r, ST_FORMAT, "not an ONNX model: there is no graph in it");
    if (!m->has_ir_version) return read_fail(r, ST_FORMAT, "not an ONNX model: it gives no IR version");
    if (m->ir_version < IR_OLDEST)
        return read_fail(r, ST_MODEL, "IR version %" PRId64 " is older than %d, the first stable one", m->ir_version,
                         IR_OLDEST);
    if (m->ir_version > IR_NEWEST)
        read_warn(r, "IR version %" PRId64 " is newer than %d: what is new in it is kept and not understood",
                  m->ir_version, IR_NEWEST);
    r->graph->ir_version = m->ir_version;
    r->graph->producer = producer_of(r);
    TRY(read_imports(r));
    TRY(functions_collect(r));
    TRY(read_graph(r));
    /* Nothing reads the training graphs: they are made ready to be written back. */
    for (size_t i = 0; i < m->n_training_info; i++) restore_message(&r->slim, &m->training_info[i]->base, r->arena);
    return ST_OK;
}

/* ---- Entry points ---- */

static struct reader start(struct graph **out, const char *path, struct arena *arena, struct diag *diag) {
    struct reader r = {.graph = graph_new(arena, path), .arena = arena, .diag = diag};
    r.origin = arena_alloc(arena, sizeof *r.origin);
    r.graph->origin = r.origin;
    map_init(&r.external, arena);
    struct source_file model = {.path = r.graph->path};
    PUSH(arena, r.graph, files, model);
    *out = r.graph;
    return r;
}

enum status onnx_read(struct graph **out, const char *path, bool need_weights, struct arena *arena, struct diag *diag) {
    *out = NULL;
    struct reader r = start(out, path, arena, diag);
    r.need_weights = need_weights;
    r.from_file = true;
    struct file_map *map = &r.graph->files[0].map;
    TRY(file_map_open(map, path, diag));
    TRY(decode(&r, map->bytes, map->length, map->file));
    file_map_shut(map);
    return read_model(&r);
}

enum status onnx_read_bytes(struct graph **out, const void *bytes, size_t length, const char *name, struct arena *arena,
                            struct diag *diag) {
    *out = NULL;
    struct reader r = start(out, name, arena, diag);
    TRY(decode(&r, bytes, length, -1));
    return read_model(&r);
}

void graph_close(struct graph *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n_files; i++) file_map_close(&g->files[i].map);
}
