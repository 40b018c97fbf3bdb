#!/usr/bin/env bash
# The core of the test suite on another architecture: built for it, run under qemu-user.
#
#   cross/qemu-suite.sh [aarch64|armv7]       default: aarch64
#
# Golden values, known answers, crash simulation, damage, file formats, delivery in virtual time, framing. Tests that
# start the daemon as a process are left to cross/qemu-tests.sh.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Whole test binaries, then modules of others that start no process: binary and name.
SUITES=(core outbox)
MODULES=("delivery scheduler::" "api framing::" "api json::")

target=${1:-aarch64}
triple=$(triple_of "$target") || die 64 "unknown target $target: use aarch64 or armv7"
case $target in
    aarch64) qemu="qemu-aarch64-static" ;;
    armv7) qemu="qemu-arm-static" ;;
    *) die 64 "$target needs no emulation: use aarch64 or armv7" ;;
esac
have $qemu || apt_install qemu-user-static || exit 69
have rustup && rustup target list --installed | grep -qx "$triple" || rustup target add "$triple" ||
    die 69 "no std for $triple with test support: run rustup target add $triple"
zig_venv

key=${triple^^}
suite_test() {
    env "CARGO_TARGET_${key//-/_}_RUNNER=$qemu" CARGO_TARGET_DIR="$ROOT/target/qemu-suite" CARGO_INCREMENTAL=0 \
        ZIG_GLOBAL_CACHE_DIR="$TOOLS/zig-cache" CARGO_ZIGBUILD_CACHE_DIR="$TOOLS/zigbuild-cache" \
        cargo-zigbuild test --locked --target "$triple" -p myceliumd "$@"
}
arguments=()
for suite in "${SUITES[@]}"; do arguments+=(--test "$suite"); done
suite_test "${arguments[@]}"
for row in "${MODULES[@]}"; do suite_test --test "${row% *}" "${row#* }"; done
