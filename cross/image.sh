#!/usr/bin/env bash
# Builds an image for every architecture in dist/, and one manifest over them.
#
#   cross/image.sh [NAME]          default name: localhost/myceliumd
#   cross/image.sh --export FILE   also writes the manifest with its images as an OCI archive
#
# Needs buildah; works as root without a running engine (vfs storage, chroot isolation).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

NAME=localhost/myceliumd
EXPORT=
while [ $# -gt 0 ]; do
    case $1 in
        --export) EXPORT=${2:?--export needs a file}; shift ;;
        -*) die 64 "unknown option $1: use cross/image.sh [NAME] [--export FILE]" ;;
        *) NAME=$1 ;;
    esac
    shift
done

have buildah || apt_install buildah || die 69 "no buildah: run apt-get install --no-install-recommends buildah"
BUILDAH=(buildah --storage-driver vfs)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
revision=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown)
# The same binaries give the same image: its times are the commit's.
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)}

"${BUILDAH[@]}" manifest rm "$NAME:$version" >/dev/null 2>&1 || "${BUILDAH[@]}" rmi "$NAME:$version" >/dev/null 2>&1 || true
"${BUILDAH[@]}" manifest create "$NAME:$version" >/dev/null

built=0
limit=$(budget image)
for arch in amd64 arm64 armv7; do
    [ -x "$ROOT/dist/$arch/myceliumd" ] || continue
    platform=linux/$arch
    [ "$arch" = armv7 ] && platform=linux/arm/v7
    "${BUILDAH[@]}" bud --quiet --isolation chroot --format docker --platform "$platform" --timestamp "$epoch" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
        --tag "$NAME:$version-$arch" --file "$ROOT/Dockerfile" "$ROOT" >/dev/null
    "${BUILDAH[@]}" manifest add "$NAME:$version" "$NAME:$version-$arch" >/dev/null
    size=$("${BUILDAH[@]}" inspect --type image --format '{{.Manifest}}' "$NAME:$version-$arch" |
        python3 -c 'import json, sys; m = json.load(sys.stdin); print(m["config"]["size"] + sum(layer["size"] for layer in m["layers"]))')
    say "$NAME:$version-$arch $size bytes (limit $limit)"
    [ "$size" -le "$limit" ] || die 1 "the image for $arch has $size bytes, the budget allows $limit: see cross/size-report.sh"
    built=$((built + 1))
done
[ $built -gt 0 ] || die 66 "no binary in dist/: run cross/build.sh x86_64 aarch64"

"${BUILDAH[@]}" manifest inspect "$NAME:$version" | python3 -c '
import json, sys
for m in json.load(sys.stdin)["manifests"]:
    p = m["platform"]
    print(p["os"] + "/" + p["architecture"] + ("/" + p["variant"] if p.get("variant") else ""), m["digest"])'
if [ -n "$EXPORT" ]; then
    rm -f "$EXPORT"
    "${BUILDAH[@]}" manifest push --all "$NAME:$version" "oci-archive:$EXPORT:$version" >/dev/null
    say "wrote $EXPORT"
fi
