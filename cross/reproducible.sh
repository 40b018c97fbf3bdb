#!/usr/bin/env bash
# Builds one target from clean copies of HEAD in two directories of different depth and compares every byte.
#
#   cross/reproducible.sh [x86_64|aarch64|armv7]
#
# dist/ is used as the first build if it was built from the same commit without changes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

target=${1:-x86_64}
arch=$(dist_of "$target") || die 64 "unknown target $target: use x86_64, aarch64 or armv7"
commit=$(git -C "$ROOT" rev-parse HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct)

build_in() {
    mkdir -p "$1"
    git clone --quiet --no-hardlinks "$ROOT" "$1/clone"
    git -C "$1/clone" checkout --quiet "$commit"
    (cd "$1/clone" && cross/build.sh "$target" >/dev/null 2>"$work/log") || { tail -n 20 "$work/log" >&2; exit 70; }
}

first=$ROOT/dist
if ! { grep -qx "commit $commit" "$ROOT/dist/BUILDINFO" && [ -f "$ROOT/dist/$arch/myceliumd" ]; } 2>/dev/null; then
    build_in "$work/one"
    first=$work/one/clone/dist
fi
# The choice of std depends on the targets that are built together, and dist/ may have been built for several.
MYCELIUM_STD=$(sed -n 's/^std \([a-z]*\).*/\1/p' "$first/BUILDINFO")
export MYCELIUM_STD
build_in "$work/another/and/deeper"
second=$work/another/and/deeper/clone/dist

diff "$first/BUILDINFO" "$second/BUILDINFO" || die 1 "the two builds did not use the same tools"
for file in myceliumd myceliumd.cdx.json; do
    if ! cmp "$first/$arch/$file" "$second/$arch/$file"; then
        die 1 "two builds of $commit differ in $arch/$file: look for paths with strings -n 8 FILE | grep /"
    fi
done
! grep -aqE "$ROOT|$work|${CARGO_HOME:-$HOME/.cargo}/registry" "$first/$arch/myceliumd" || die 1 "$arch/myceliumd holds a path of this machine"
sha256sum "$first/$arch/myceliumd" | sed "s|$first/||"
echo "two builds in different directories agree in every byte"
