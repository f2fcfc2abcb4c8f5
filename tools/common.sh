# Shared by tools/run, tools/test and tools/bench: packages and builds. Sourced, with `root` set to the source tree.

say() { printf 'onnx-latency: %s\n' "$*" >&2; }

# The lines of the sections named, comments and blanks left out.
package_lines() {
    local section
    for section in "$@"; do
        sed -n "/^\[$section\]/,/^\[/p" "$root/tools/packages.txt" | sed -e '/^\[/d' -e '/^#/d' -e '/^$/d'
    done
}

# Of the sections named, the packages that are neither installed nor stood in for by a command.
missing_packages() {
    local name command installed
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p')
    package_lines "$@" | while read -r name command; do
        if grep -qxF "$name" <<<"$installed"; then continue; fi
        if [ -n "$command" ] && command -v "$command" >/dev/null; then continue; fi
        printf '%s\n' "$name"
    done
}

apt() {
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" </dev/null
}

# Installs what is missing of the sections named; package lists that are absent or stale are fetched first.
install_packages() {
    local missing log
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ]; then return 0; fi
    if ! command -v apt-get >/dev/null; then
        say "needs these Debian packages or their like, and this machine has no apt-get: ${missing[*]}"
        return 1
    fi
    say "installing ${missing[*]}"
    log=$(mktemp)
    if apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
        { apt update && apt install --no-install-recommends "${missing[@]}"; } >>"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 15 "$log" >&2
    rm -f "$log"
    say "could not install: ${missing[*]}"
    return 1
}

# build DIR TARGET [CMAKE OPTION...]: configures where the options are new, builds, and shows the log only on failure.
build() {
    local directory=$1 target=$2 log="$1/build.log" generator=(-G Ninja)
    shift 2
    mkdir -p "$directory"
    if [ -e "$directory/CMakeCache.txt" ]; then generator=(); fi # what it was configured for stays
    if [ ! -e "$directory/CMakeCache.txt" ] || [ $# -gt 0 ]; then
        cmake -S "$root" -B "$directory" "${generator[@]}" "$@" >"$log" 2>&1 || { show_failure "$log"; return 1; }
    fi
    if [ ! -e "$directory/bin/onnx-latency" ]; then say "building in $(basename "$directory")"; fi
    cmake --build "$directory" --target "$target" >"$log" 2>&1 || { show_failure "$log"; return 1; }
}

show_failure() {
    grep -B 2 -A 12 -E 'error:|FAILED:|CMake Error|undefined reference' "$1" | head -n 80 >&2 || tail -n 40 "$1" >&2
    say "build failed; the whole log is $1"
}
