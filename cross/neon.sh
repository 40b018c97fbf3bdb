#!/usr/bin/env bash
# Shows that the aarch64 binary computes the field with NEON: counts the arithmetic on vectors of four f32 and of two
# f64 in its disassembly. Nothing else in the daemon computes with vectors of floating-point numbers.
#
#   cross/neon.sh            after cross/build.sh aarch64
#
# Fails when there are fewer than a tenth of the 314 and 624 instructions of 25 November 2026.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

binary=$ROOT/dist/arm64/myceliumd
[ -f "$binary" ] || die 66 "no $binary: run cross/build.sh aarch64"
objdump=aarch64-linux-gnu-objdump
have $objdump || apt_install binutils-aarch64-linux-gnu ||
    die 69 "no $objdump: run apt-get install --no-install-recommends binutils-aarch64-linux-gnu"

counts=$($objdump --disassemble --no-show-raw-insn "$binary" |
    awk '$2 ~ /^f(add|sub|mul|mla|mls|div|max|min|maxnm|minnm|cmgt|cmge)$/ && $3 ~ /^v[0-9]+\.(4s|2d),/ {
             split($3, register, /[.,]/); count[register[2]]++; each[$2 " " register[2]]++ }
         END { for (name in each) print each[name], name > "/dev/stderr"; print count["4s"] + 0, count["2d"] + 0 }' 2> >(sort -rn >&2))
read -r f32 f64 <<<"$counts"
echo "NEON arithmetic in $(stat -c %s "$binary") bytes: $f32 on four f32, $f64 on two f64"
[ "$f32" -ge 40 ] && [ "$f64" -ge 70 ] || die 1 "the loops of the aarch64 binary are hardly vectorised: see what changed in crates/mycelium-core or the profile of Cargo.toml"
