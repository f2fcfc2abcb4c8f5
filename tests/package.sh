#!/bin/sh
# Installs into an empty prefix and uses the library from there as somebody else would: usage package.sh BUILD SOURCE CC [FLAG...]
set -eu
build=$1 source=$2 cc=$3
shift 3
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null
library=$(find "$prefix" -name libonnx_latency.a)

# Nothing but the public functions is seen by the linker.
if nm -g --defined-only "$library" | awk 'NF == 3 && $3 !~ /^ol_/ { print $3; found = 1 } END { exit !found }'; then
    echo "these names are in a host's way" >&2
    exit 1
fi

cat >"$prefix/host.c" <<'C'
#include <onnx_latency.h>
#include <stdio.h>

int map_get(int key) { return key; } /* names of a host's own */
unsigned cpu_count(void) { return 12345; }
void xerbla_(void) {}

int main(int argc, char **argv) {
    ol_context *context = ol_context_new(&(ol_settings){.target_path = argv[2]});
    ol_target *target;
    ol_model *model;
    const ol_estimate *estimate;
    if (argc != 3 || ol_target_open(context, "measured-raspi4", &target) != OL_OK) return 1;
    if (ol_model_open(context, argv[1], &model) != OL_OK) return 2;
    if (ol_model_predict(model, target, &estimate) != OL_OK) return puts(ol_model_error(model)), 3;
    if (!(estimate->latency_ms > 0) || ol_cpu_count() == cpu_count() || map_get(1) != 1) return 4;
    ol_model_free(model), ol_target_free(target), ol_context_free(context);
    return 0;
}
C
PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs onnx_latency)
# shellcheck disable=SC2086 # flags are words
"$cc" -std=c11 "$@" "$prefix/host.c" -o "$prefix/host" $flags
"$prefix/host" "$source/models/nets/resnet18.onnx" "$prefix/share/onnx-latency/targets"

# An installation finds what belongs to it, wherever it was moved to and though the source tree is there too.
mkdir "$prefix/moved"
mv "$prefix/bin" "$prefix/share" "$prefix/moved"
mv "$prefix/moved/share/onnx-latency/targets/nvidia-t4.json" "$prefix/moved/share/onnx-latency/targets/only-here.json"
"$prefix/moved/bin/onnx-latency" targets -f csv | grep -q '^only-here,'
"$prefix/moved/bin/onnx-latency" targets measured-raspi4 | grep -qF "$prefix/moved/bin/../share"
