#!/usr/bin/env bash
# What cross/build.sh says when it cannot build: one message, the command that helps, and its exit code.
# Runs in a copy of the scripts, with PATHs in which the missing thing is missing; builds nothing, fetches nothing.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
passed=0
failed=0

# Only the tools that build.sh itself needs; a case adds or fakes the rest.
bare_path() {
    mkdir -p "$work/$1"
    local tool
    for tool in bash sh env dirname basename sed grep awk cut head tail tr sort find xargs cat mkdir rm mv cp touch chmod install \
        id stat date mktemp timeout readlink readelf sha256sum git sleep uname tee printf; do
        ln -sf "$(command -v "$tool")" "$work/$1/$tool" 2>/dev/null || true
    done
}
fake() { # DIR NAME BODY
    printf '#!/bin/sh\n%s\n' "$3" >"$work/$1/$2"
    chmod +x "$work/$1/$2"
}

# expect NAME CODE WORDS.. -- COMMAND..: the exit code, every one of the words, and no more than two lines of our own.
expect() {
    local name=$1 code=$2 words=() got=0 word
    shift 2
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    "$@" >"$work/out" 2>&1 || got=$?
    local why=
    [ "$got" = "$code" ] || why="exit code $got instead of $code"
    for word in "${words[@]}"; do grep -qF -- "$word" "$work/out" || why="no '$word' in the message"; done
    [ "$(grep -c '^build.sh: ' "$work/out")" = 1 ] || why="not exactly one message of build.sh"
    if [ -z "$why" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "$name: $why"
        sed 's/^/    /' "$work/out" >&2
    fi
}

copy=$work/clone
mkdir -p "$copy"
cp -r "$ROOT/cross" "$ROOT/Cargo.toml" "$ROOT/Cargo.lock" "$copy/"
build=("$copy/cross/build.sh")

expect "a wrong target is named with those there are" 64 riscv64 "x86_64 aarch64 armv7" \
    -- "${build[@]}" riscv64
expect "a wrong target among good ones stops before anything is built" 64 sparc \
    -- "${build[@]}" x86_64 sparc
expect "a forced std that does not exist" 64 "rustup or debian" \
    -- env MYCELIUM_STD=gentoo "${build[@]}" x86_64

touch "$work/a-file"
expect "dist cannot be written (root may write anywhere, so a file stands in its way)" 73 "cannot write $work/a-file/dist" "DIST" \
    -- env DIST="$work/a-file/dist" "${build[@]}" x86_64

mkdir "$work/no-lock" && cp -r "$ROOT/cross" "$work/no-lock/"
expect "no sources: not a clone" 66 Cargo.lock "git checkout" \
    -- "$work/no-lock/cross/build.sh" x86_64

# std: rustup has no musl target, and Debian's sources are missing (this cargo is elsewhere, apt finds nothing).
bare_path nostd
fake nostd rustup 'case "$2" in list) echo x86_64-unknown-linux-gnu ;; *) exit 1 ;; esac'
fake nostd apt-get 'exit 100'
fake nostd dpkg-query 'exit 1'
fake nostd dpkg 'exit 0'
sed -i 's/sleep \$((try \* 3))/sleep 0/' "$copy/cross/lib.sh"
expect "no std sources and no network" 69 "rustup target add x86_64-unknown-linux-musl" "apt-get install" "rust-web-src" \
    -- env -i HOME="$work" PATH="$work/nostd" MYCELIUM_DEBIAN_BIN="$work" "${build[@]}" x86_64
expect "rustup forced, target not there and not to be fetched" 69 "rustup target add aarch64-unknown-linux-musl" \
    -- env -i HOME="$work" PATH="$work/nostd" MYCELIUM_STD=rustup "${build[@]}" aarch64

# zig: std is available (says the fake rustup), PyPI is not.
bare_path nozig
fake nozig rustup 'echo x86_64-unknown-linux-musl'
expect "no python to fetch zig with" 69 "apt-get install python3" \
    -- env -i HOME="$work" PATH="$work/nozig" "${build[@]}" x86_64
fake nozig python3 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; printf "#!/bin/sh\necho no route to host >&2; exit 1\n" >"$3/bin/pip"; chmod +x "$3/bin/pip"; fi'
expect "no network to fetch zig from" 69 "cannot fetch zig" "PyPI" "network" \
    -- env -i HOME="$work" PATH="$work/nozig" "${build[@]}" x86_64
[ ! -e "$work/.cache/mycelium-edge/zig-$ZIG_VERSION-$ZIGBUILD_VERSION" ] || { failed=$((failed + 1)); say "a half-made zig was left behind"; }
fake nozig python3 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; for t in pip python; do printf "#!/bin/sh\n[ \$0 = \"$3/bin/pip\" ]\n" >"$3/bin/$t"; chmod +x "$3/bin/$t"; done; fi'
expect "a zig that does not run" 69 "cannot run zig" "remove that directory" \
    -- env -i HOME="$work" PATH="$work/nozig" "${build[@]}" x86_64
expect "private directory cannot be written" 73 "MYCELIUM_TOOLS" \
    -- env -i HOME="$work" MYCELIUM_TOOLS="$work/a-file/tools" PATH="$work/nozig" "${build[@]}" x86_64

echo "$passed passed, $failed failed"
[ $failed = 0 ]
