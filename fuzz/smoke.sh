#!/usr/bin/env bash
# Builds the fuzz targets and runs each for a short time from its committed corpus. Needs a nightly toolchain.
#
#   fuzz/smoke.sh [TARGET ...]      FUZZ_SECONDS (10) for each
#
# New inputs are kept in fuzz/corpus.found, crashes in fuzz/artifacts: minimise a crash (cargo fuzz tmin), put it into
# fuzz/corpus/TARGET under a descriptive name, and write the regression test.
set -euo pipefail
. "$(dirname "$0")/../cross/lib.sh"

cd "$ROOT"
if have rustup && rustup toolchain list 2>/dev/null | grep -q ^nightly; then
    toolchain=(+nightly)
elif rustc --version | grep -q nightly; then
    toolchain=()
else
    die 69 "no nightly toolchain, which the sanitizer's coverage needs: run rustup toolchain install nightly"
fi
cargo_tool cargo-fuzz "$CARGO_FUZZ_VERSION"
export PATH="$TOOLS/tools/bin:$PATH"
have c++ || apt_install g++

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)
# Without a sanitizer, which is four times as fast: the code forbids unsafe, so only panics and hangs can be found.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo "${toolchain[@]}" fuzz build --sanitizer none >"$log" 2>&1 || { grep -A 12 '^error' "$log" >&2; die 70 "cannot build the fuzz targets"; }
built=fuzz/target/$(rustc "${toolchain[@]}" -vV | sed -n 's/^host: //p')/release
for target in "${targets[@]}"; do
    corpus=fuzz/corpus/$target
    [ -n "$(ls "$corpus" 2>/dev/null)" ] || die 66 "no corpus for $target: put a few small inputs into $corpus"
    mkdir -p "fuzz/corpus.found/$target" "fuzz/artifacts/$target"
    "$built/$target" "fuzz/corpus.found/$target" "$corpus" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=5 -rss_limit_mb=1024 \
        -max_len=16384 -verbosity=0 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" >"$log" 2>&1 || {
        tail -n 25 "$log" >&2
        die 1 "$target found an input that fails: it is in fuzz/artifacts/$target"
    }
    printf '%-20s %8d inputs run from %d\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(find "$corpus" -type f | wc -l)"
done
echo "${#targets[@]} fuzz targets, ${FUZZ_SECONDS:-10} s each, no finding"
