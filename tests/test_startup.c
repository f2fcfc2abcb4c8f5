/* A prediction starts fast because it loads little: neither LLVM nor ONNX Runtime, whatever the target. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL SOURCE_DIR "/models/nets/mobilenet_v2.onnx"

/* What the dynamic loader says it loads, at start and later. */
static char *loaded_by(const char *arguments) {
    char command[2048], chunk[4096], *text = NULL;
    size_t length = 0, n;
    snprintf(command, sizeof command, "LD_DEBUG=files %s %s 2>&1", PROGRAM, arguments);
    FILE *in = popen(command, "r"), *out = open_memstream(&text, &length);
    cr_assert(in && out);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) fwrite(chunk, 1, n, out);
    fclose(out);
    cr_assert_eq(pclose(in), 0, "%s", text);
    return text;
}

static void check(const char *arguments) {
    static const char *const heavy[] = {"libLLVM", "libonnxruntime", "libopenblas"};
    char *text = loaded_by(arguments);
    if (!strstr(text, "calling init:")) cr_skip_test("this loader does not say what it loads");
    for (size_t i = 0; i < sizeof heavy / sizeof *heavy; i++)
        cr_expect_null(strstr(text, heavy[i]), "%s: %s is loaded", arguments, heavy[i]);
    free(text);
}

Test(startup, prediction_loads_neither_llvm_nor_onnxruntime) {
    check("predict -q " MODEL " -t llvm:cortex-a76@2.8GHz,cores=1,bw=14");
}

Test(startup, profiles_load_neither) {
    check("profile -q " MODEL);
}
