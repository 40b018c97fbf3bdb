#!/usr/bin/env bash
# Builds myceliumd as a static musl binary: dist/amd64, dist/arm64, dist/armv7, with SHA256SUMS and a CycloneDX SBOM.
#
#   cross/build.sh [x86_64|aarch64|armv7 ...]        default: x86_64 aarch64
#
# The compiler is rustup's if it has (or can fetch) the target, else Debian's rustc-web. std is built for size from its
# sources if they are installed or can be fetched (rustup's rust-src, Debian's rust-web-src); rustup's prebuilt std is the
# fallback and makes binaries 0.3 MB larger. zig (from PyPI) is linker and C compiler.
# Environment: DIST (output, default dist/), MYCELIUM_TOOLS (private directory for the tools),
# MYCELIUM_STD=rustup|debian selects the source of std, MYCELIUM_SBOM=0 omits the SBOM.
# Same commit, same compiler: same bytes, whatever the directory. cross/reproducible.sh checks that.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DIST=${DIST:-$ROOT/dist}
DEBIAN_BIN=${MYCELIUM_DEBIAN_BIN:-/usr/bin} # where rustc-web and cargo-web are
TARGETS=("$@")
[ ${#TARGETS[@]} -gt 0 ] || TARGETS=(x86_64 aarch64)

for name in "${TARGETS[@]}"; do
    case $name in -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
    triple_of "$name" >/dev/null ||
        die 64 "unknown target $name: use one or more of x86_64 aarch64 armv7, as in cross/build.sh aarch64"
done

# Fail on a read-only dist now, not after a build of minutes. Modes do not bind root, so try to write.
mkdir -p "$DIST" 2>/dev/null && touch "$DIST/.writable" 2>/dev/null && rm -f "$DIST/.writable" ||
    die 73 "cannot write $DIST: free it with chown -R \"\$(id -u)\" $DIST, or set DIST to another directory"

[ -f "$ROOT/Cargo.lock" ] || die 66 "cannot find Cargo.lock in $ROOT: run this from a clone, after git checkout Cargo.lock"

# The path at which build-std finds the library of the compiler in PATH; empty if there are no sources.
rustup_sources() {
    local library
    library=$(rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
    [ -f "$library/std/Cargo.toml" ] && readlink -f "$library"
}

has_rustup_target() { have rustup && rustup target list --installed 2>/dev/null | grep -qx "$1"; }

# Sets STD and puts the chosen compiler first in PATH. Prefers rustup, which most machines have.
choose_std() {
    local triple
    STD=${MYCELIUM_STD:-rustup}
    case $STD in rustup | debian) ;; *) die 64 "MYCELIUM_STD is $STD: use rustup or debian" ;; esac
    if [ "$STD" = rustup ]; then
        for name in "${TARGETS[@]}"; do
            triple=$(triple_of "$name")
            has_rustup_target "$triple" && continue
            if have rustup && timeout 180 rustup target add "$triple" >/dev/null 2>&1 && has_rustup_target "$triple"; then
                say "rustup installed std for $triple"
                continue
            fi
            [ "${MYCELIUM_STD:-}" != rustup ] || die 69 "rustup has no std for $triple and cannot fetch it: run rustup target add $triple on a connected machine, or unset MYCELIUM_STD"
            STD=debian
            break
        done
    fi
    if [ "$STD" = rustup ]; then
        [ -n "$(rustup_sources)" ] || timeout 180 rustup component add rust-src >/dev/null 2>&1 || true
        SOURCES=$(rustup_sources || true)
        [ -n "$SOURCES" ] ||
            say "no sources of std: the binary will be 0.3 MB larger than after rustup component add rust-src"
        return 0
    fi
    if ! debian_std; then
        apt_install rustc-web cargo-web rust-web-src >&2 || true
    fi
    debian_std || die 69 "no std for $(triple_of "${TARGETS[0]}"), neither by rustup nor as Debian sources: run rustup target add $(triple_of "${TARGETS[0]}"), or apt-get install --no-install-recommends rustc-web cargo-web rust-web-src"
    export PATH="$DEBIAN_BIN:$PATH"
    SOURCES=$(debian_sources)
}

debian_std() {
    [ -x "$DEBIAN_BIN/rustc" ] && [ -x "$DEBIAN_BIN/cargo" ] && [ -n "$(debian_sources)" ]
}

# The path at which build-std finds the library: the sysroot's lib/rustlib/src/rust/library, a symlink on Debian.
debian_sources() {
    local library
    library=$("$DEBIAN_BIN/rustc" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
    [ -f "$library/std/Cargo.toml" ] && readlink -f "$library"
}

# Replaces every path that would reach the binary (panic messages, debug info of C) by a fixed name.
reproducible_flags() {
    local sysroot home
    home=${CARGO_HOME:-$HOME/.cargo}
    sysroot=$(rustc --print sysroot)
    FLAGS="--remap-path-prefix=$ROOT=/src --remap-path-prefix=$home=/cargo --remap-path-prefix=$sysroot=/rust"
    # What is left out of the binary, and which functions lie side by side: see the script, whose names are of version 0.
    FLAGS="$FLAGS -C symbol-mangling-version=v0 -C force-unwind-tables=no -C link-arg=-Wl,-T,$ROOT/cross/sections.ld -C link-arg=-Wl,--no-eh-frame-hdr"
    C_FLAGS="-ffile-prefix-map=$ROOT=/src -ffile-prefix-map=$home=/cargo"
    [ -z "$SOURCES" ] || FLAGS="$FLAGS --remap-path-prefix=$SOURCES=/rust/library"
    # zig supplies the C runtime objects; Debian's package does not contain those of rustc.
    [ "$STD" = rustup ] || FLAGS="$FLAGS -C link-self-contained=no"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)}
    export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
}

build_one() {
    local name=$1 triple dir key
    triple=$(triple_of "$name")
    dir=$DIST/$(dist_of "$name")
    key=${triple//-/_}
    say "building $triple with $(rustc --version), std by $STD, zig $ZIG_VERSION"
    local arguments=(zigbuild --locked --release --target "$triple" --bin myceliumd --manifest-path "$ROOT/Cargo.toml")
    [ -z "$SOURCES" ] || arguments+=(-Z "build-std=std,panic_abort" -Z build-std-features=optimize_for_size)
    env RUSTFLAGS="$FLAGS" RUSTC_BOOTSTRAP="$([ -n "$SOURCES" ] && echo 1 || echo 0)" \
        "CFLAGS_$key=$C_FLAGS" CARGO_TARGET_DIR="$ROOT/target/cross" CARGO_INCREMENTAL=0 \
        ZIG_GLOBAL_CACHE_DIR="$TOOLS/zig-cache" CARGO_ZIGBUILD_CACHE_DIR="$TOOLS/zigbuild-cache" \
        cargo "${arguments[@]}" >&2 ||
        die 70 "cannot build $triple: see the compiler's message above; without network run cargo fetch --locked once where there is one"
    mkdir -p "$dir"
    install -m 0755 "$ROOT/target/cross/$triple/release/myceliumd" "$dir/myceliumd.new"
    touch -d "@$SOURCE_DATE_EPOCH" "$dir/myceliumd.new"
    mv -f "$dir/myceliumd.new" "$dir/myceliumd"
    check_static "$dir/myceliumd"
}

# Without an interpreter and shared libraries the file runs in scratch images and beside any libc.
check_static() {
    local headers
    if have readelf; then
        headers=$(readelf -lW "$1" && readelf -dW "$1")
        ! grep -qE 'INTERP|\(NEEDED\)' <<<"$headers" || die 70 "$1 is not static: it names an interpreter or a shared library"
    fi
}

build_sbom() {
    local name=$1 triple dir
    triple=$(triple_of "$name")
    dir=$DIST/$(dist_of "$name")
    cargo_tool cargo-cyclonedx "$CYCLONEDX_VERSION" || die 69 "cannot write the SBOM without cargo-cyclonedx: set MYCELIUM_SBOM=0 to build without one"
    "$TOOLS/tools/bin/cargo-cyclonedx" cyclonedx --quiet --manifest-path "$ROOT/Cargo.toml" --format json --target "$triple" \
        --spec-version 1.5 --override-filename "sbom-$triple" >&2 || die 70 "cannot write the SBOM of $triple"
    normalise_sbom "$(find "$ROOT" -maxdepth 1 -name "*sbom-$triple*" | head -n 1)" "$dir/myceliumd.cdx.json"
    # The tool writes one SBOM for every package of the workspace; that of the binary lists all crates.
    rm -f "$ROOT"/crates/*/sbom-"$triple".json
}

# The tool writes a random serial number and this machine's paths; the same commit must give the same file.
normalise_sbom() {
    python3 - "$1" "$2" "$ROOT" "$SOURCE_DATE_EPOCH" <<'PY'
import json, sys, time, uuid, hashlib
source, target, root, epoch = sys.argv[1:]
text = open(source, encoding="utf-8").read().replace("file://" + root, "file:///src").replace(root, "/src")
bom = json.loads(text)
bom["metadata"]["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch)))
bom.pop("serialNumber", None)
digest = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).digest()[:16]
bom["serialNumber"] = "urn:uuid:%s" % uuid.UUID(bytes=digest, version=5)
with open(target, "w", encoding="utf-8") as out:
    json.dump(bom, out, indent=1, sort_keys=True)
    out.write("\n")
PY
    rm -f "$1"
}

choose_std
zig_venv
[ "$STD" = debian ] && export PATH="$VIRTUAL_ENV/bin:$DEBIAN_BIN:$PATH"
have cargo || die 69 "no cargo in PATH: install Rust by rustup, or run apt-get install cargo-web"
reproducible_flags

for name in "${TARGETS[@]}"; do
    build_one "$name"
    [ "${MYCELIUM_SBOM:-1}" = 0 ] || build_sbom "$name"
done

# For the image: git does not store empty directories.
mkdir -p "$DIST/rootfs/data"

{
    printf 'commit %s\n' "$(git -C "$ROOT" describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)"
    printf 'source-date-epoch %s\n' "$SOURCE_DATE_EPOCH"
    printf 'rustc %s\n' "$(rustc --version)"
    printf 'std %s%s\n' "$STD" "${SOURCES:+, built for size}"
    printf 'zig %s\ncargo-zigbuild %s\n' "$ZIG_VERSION" "$ZIGBUILD_VERSION"
} >"$DIST/BUILDINFO"
cd "$DIST"
LC_ALL=C find . -type f \( -name myceliumd -o -name myceliumd.cdx.json \) -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS
find . -type f -name myceliumd -printf '%s bytes %P\n' | LC_ALL=C sort -k 3
