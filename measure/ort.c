/* Finding and opening the runtime. */
#include "ort.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { API_VERSION = 11 }; /* the oldest that holds every slot we use; newer libraries answer it too */

typedef void (*any_fn)(void);

struct api_base {
    const any_fn *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

#if defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "x64"
#endif

/* node_modules of the working folder or of one above it, as Node itself looks for packages. */
static const char *find_node_package(struct arena *arena) {
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder)) return NULL;
    for (;;) {
        const char *pattern = arena_printf(
            arena, "%s/node_modules/onnxruntime-node/bin/napi-v*/linux/" ARCHITECTURE "/libonnxruntime.so*", folder);
        glob_t found;
        const char *path = NULL;
        if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc)
            path = arena_printf(arena, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
        char *slash = strrchr(folder, '/');
        if (path || !slash || !folder[0]) return path;
        *slash = '\0';
    }
}

static void *open_named(const char *path) {
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *find_library(struct arena *arena, const char **path) {
    *path = getenv("ORT_DYLIB_PATH");
    if (*path && **path) return open_named(*path);
    static const char *const known[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        void *library = open_named(*path = known[i]);
        if (library) return library;
    }
    *path = find_node_package(arena);
    return *path ? open_named(*path) : NULL;
}

enum status ort_open(struct ort *ort, struct arena *arena, struct diag *diag) {
    const char *path;
    memset(ort, 0, sizeof *ort);
    ort->library = find_library(arena, &path);
    if (!ort->library && path) return diag_fail(diag, ST_MISSING, "ONNX Runtime could not be loaded: %s", dlerror());
    if (!ort->library)
        return diag_fail(diag, ST_MISSING,
                         "ONNX Runtime was not found: install it with \"npm i onnxruntime-node --ignore-scripts\" in "
                         "this folder, or name libonnxruntime.so in ORT_DYLIB_PATH");
    const struct api_base *(*get_base)(void);
    void *symbol = dlsym(ort->library, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof get_base);
    if (!symbol) return diag_fail(diag, ST_MISSING, "%s: not an ONNX Runtime library (no OrtGetApiBase)", path);
    const any_fn *slots = get_base()->get_api(API_VERSION);
    ort->version = get_base()->get_version();
    if (!slots)
        return diag_fail(diag, ST_MISSING, "%s: ONNX Runtime %s is too old: 1.%d or newer is needed", path,
                         ort->version, API_VERSION);
#define SLOT(number, name, result, arguments) ort->name = (result(*) arguments)slots[number];
#include "ort_slots.def"
#undef SLOT
    return ST_OK;
}

enum status ort_check(const struct ort *ort, struct ort_status *status, const char *name, struct diag *diag) {
    if (!status) return ST_OK;
    diag_fail(diag, ST_MODEL, "%s: ONNX Runtime %s: %s", name, ort->version, ort->GetErrorMessage(status));
    ort->ReleaseStatus(status);
    return ST_MODEL;
}
