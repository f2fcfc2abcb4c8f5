#include "restore.h"
#include "writer.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { IR_DEFAULT = 8, SLICE = 1 << 20 };

enum status write_fail(struct writer *w, enum status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(w->arena, fmt, args);
    va_end(args);
    return diag_fail(w->diag, status, "%s: %s", w->graph->path, text);
}

char *write_text(struct writer *w, const char *text) {
    return arena_strndup(w->arena, text, strlen(text));
}

char *write_name(struct writer *w, uint32_t tensor) {
    const char *name = w->graph->tensors[tensor].name;
    return *name ? (char *)name : arena_printf(w->arena, "unnamed_%" PRIu32, tensor);
}

/* ---- The model around the graph ---- */

static Onnx__OperatorSetIdProto *write_opset(struct writer *w, const struct opset *set) {
    for (size_t i = 0; w->origin && i < w->origin->message->n_opset_import; i++) {
        Onnx__OperatorSetIdProto *was = w->origin->message->opset_import[i];
        if (was->version == set->version && strcmp(domain_of(was->domain), set->domain) == 0) return was;
    }
    Onnx__OperatorSetIdProto *out = arena_alloc(w->arena, sizeof *out);
    onnx__operator_set_id_proto__init(out);
    out->domain = write_text(w, set->domain);
    out->has_version = 1;
    out->version = set->version;
    return out;
}

static void put_opsets(struct writer *w, Onnx__ModelProto *m) {
    m->n_opset_import = w->graph->n_opsets;
    m->opset_import = arena_array(w->arena, w->graph->n_opsets, sizeof(void *));
    for (size_t i = 0; i < w->graph->n_opsets; i++) m->opset_import[i] = write_opset(w, &w->graph->opsets[i]);
}

static enum status write_model(struct writer *w, Onnx__ModelProto *m) {
    write_plan(w);
    onnx__model_proto__init(m);
    if (w->origin) {
        *m = *w->origin->message;
    } else {
        m->producer_name = write_text(w, *w->graph->producer ? w->graph->producer : "onnx-latency");
        m->has_ir_version = 1;
        m->ir_version = w->graph->ir_version ? w->graph->ir_version : IR_DEFAULT;
    }
    m->n_functions = 0; /* inlined, or called by nobody */
    put_opsets(w, m);
    return write_body(w, 0, &m->graph);
}

static struct writer start(const struct graph *g, struct arena *arena, struct diag *diag) {
    return (struct writer){.graph = g, .arena = arena, .diag = diag, .origin = g->origin};
}

static enum status check_size(struct writer *w, const Onnx__ModelProto *m, size_t *size) {
    *size = onnx__model_proto__get_packed_size(m);
    if (*size <= INT32_MAX) return ST_OK;
    return write_fail(w, ST_LIMIT,
                      "the model is %zu bytes, a message holds 2 GB: write its weights to a file of their own", *size);
}

/* ---- Files ---- */

struct to_file {
    ProtobufCBuffer base;
    FILE *stream; /* its error state says whether all went well */
    const struct graph *graph;
};

/* Lets go of mapped pages that were copied, so that a model passes through memory and does not stay in it. */
static void let_go(const struct graph *g, const uint8_t *bytes, size_t length) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)bytes + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)bytes + length) / page * page;
    for (size_t i = 0; i < g->n_files && from < to; i++) {
        uintptr_t map = (uintptr_t)g->files[i].map.bytes;
        if (map && from >= map && to <= map + g->files[i].map.length) madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

static void copy_out(FILE *stream, const struct graph *g, const uint8_t *bytes, size_t length) {
    for (size_t step; length; bytes += step, length -= step) {
        step = length < SLICE ? length : SLICE;
        fwrite(bytes, 1, step, stream);
        if (step == SLICE) let_go(g, bytes, step);
    }
}

static void append(ProtobufCBuffer *buffer, size_t length, const uint8_t *bytes) {
    const struct to_file *out = (struct to_file *)buffer;
    copy_out(out->stream, out->graph, bytes, length);
}

static void fill(FILE *stream, uint64_t bytes) {
    for (; bytes; bytes--) fputc(0, stream);
}

static enum status write_pieces(const struct writer *w, const char *path, struct diag *diag) {
    if (w->n_pieces == 0) return ST_OK;
    struct file_out out;
    uint64_t at = 0;
    TRY(file_out_open(&out, path, diag));
    for (size_t i = 0; i < w->n_pieces; i++) {
        const struct piece *p = &w->pieces[i];
        fill(out.stream, p->offset - at);
        copy_out(out.stream, w->graph, p->bytes, (size_t)p->length);
        at = p->offset + p->length;
    }
    return file_out_commit(&out, diag);
}

static const char *data_path_of(const char *path, struct diag *diag) {
    return arena_printf(diag->arena, "%s.data", path);
}

/* A model that is replaced itself takes its weights along. */
enum status onnx_can_write(const struct graph *g, const char *path, bool external, struct diag *diag) {
    const char *data_path = data_path_of(path, diag);
    if (!external || (g->n_files && file_same(path, g->files[0].path))) return ST_OK;
    for (size_t i = 1; i < g->n_files; i++)
        if (file_same(data_path, g->files[i].path))
            return diag_fail(diag, ST_IO,
                             "%s: its weights would replace %s, which holds those of %s: choose another name or folder",
                             path, data_path, g->path);
    return ST_OK;
}

enum status onnx_write(const struct graph *g, const char *path, bool external, struct diag *diag) {
    struct writer w = start(g, diag->arena, diag);
    const char *data_path = data_path_of(path, diag);
    const char *slash = strrchr(data_path, '/');
    if (external) w.location = slash ? slash + 1 : data_path;
    Onnx__ModelProto m;
    size_t size;
    TRY(onnx_can_write(g, path, external, diag));
    TRY(write_model(&w, &m));
    TRY(check_size(&w, &m, &size));
    TRY(write_pieces(&w, data_path, diag));
    struct file_out out;
    TRY(file_out_open(&out, path, diag));
    struct to_file file = {.base.append = append, .stream = out.stream, .graph = g};
    onnx__model_proto__pack_to_buffer(&m, &file.base);
    return file_out_commit(&out, diag);
}

enum status onnx_write_bytes(const struct graph *g, struct arena *arena, const uint8_t **bytes, size_t *length,
                             struct diag *diag) {
    struct writer w = start(g, arena, diag);
    Onnx__ModelProto m;
    TRY(write_model(&w, &m));
    TRY(check_size(&w, &m, length));
    uint8_t *out = arena_alloc(arena, *length);
    onnx__model_proto__pack(&m, out);
    *bytes = out;
    return ST_OK;
}
