#!/usr/bin/env bash
# Debian packages from the binaries in dist/: unit, configuration, example, man page, completions, SBOM.
#
#   cross/packages.sh [amd64|arm64|armhf ...]      default: all that dist/ has a binary for
#
# Writes dist/myceliumd_VERSION_ARCH.deb. The same commit gives the same bytes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

target_of() {
    case $1 in amd64) echo x86_64 ;; arm64) echo aarch64 ;; armhf) echo armv7 ;; *) return 1 ;; esac
}

architectures=("$@")
if [ ${#architectures[@]} = 0 ]; then
    for arch in amd64 arm64 armhf; do
        [ -x "$ROOT/dist/$(dist_of "$(target_of $arch)")/myceliumd" ] && architectures+=("$arch")
    done
fi
[ ${#architectures[@]} -gt 0 ] || die 66 "no binary in dist/: run cross/build.sh"

cargo_tool cargo-deb "$CARGO_DEB_VERSION" || exit 69
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH CARGO_TARGET_DIR=$ROOT/target/cross
umask 022
for arch in "${architectures[@]}"; do
    target=$(target_of "$arch") || die 64 "unknown architecture $arch: use amd64, arm64 or armhf"
    triple=$(triple_of "$target")
    from=$ROOT/dist/$(dist_of "$target")
    [ -x "$from/myceliumd" ] || die 66 "no $from/myceliumd: run cross/build.sh $target"
    mkdir -p "$CARGO_TARGET_DIR/$triple/release" "$ROOT/target/deb/examples"
    cmp -s "$from/myceliumd" "$CARGO_TARGET_DIR/$triple/release/myceliumd" ||
        install -m 0755 "$from/myceliumd" "$CARGO_TARGET_DIR/$triple/release/myceliumd"
    cp "$from/myceliumd.cdx.json" "$ROOT/target/deb/" 2>/dev/null || die 66 "no $from/myceliumd.cdx.json: run cross/build.sh $target with the SBOM"
    cp "$ROOT/deploy/myceliumd.toml" "$ROOT/target/deb/examples/myceliumd.toml"
    output=$ROOT/dist/myceliumd_$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)_$arch.deb
    "$TOOLS/tools/bin/cargo-deb" deb --quiet --manifest-path "$ROOT/Cargo.toml" --no-build --no-strip --locked --target "$triple" \
        --deb-revision "" --output "$output" >&2
    [ "$(dpkg-deb --field "$output" Architecture 2>/dev/null || echo "$arch")" = "$arch" ] || die 70 "$output is not for $arch"
    printf '%s bytes %s\n' "$(stat -c %s "$output")" "${output##*/}"
done
