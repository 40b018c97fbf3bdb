#!/usr/bin/env bash
# Everything of one release in one directory: archives, packages, SBOMs, checksums, installer, apt repository, Homebrew
# formula, and on request the image.
#
#   cross/release.sh [--build] [--image] [--url URL] [DIRECTORY]     default directory: dist/release
#
#   --build   builds all targets first (cross/build.sh x86_64 aarch64 armv7); else takes what is in dist/
#   --image   adds an OCI archive of all architectures (cross/image.sh)
#   --url     where the directory will be published: written into install.sh and the formula, which is left out without it
#
# MYCELIUM_SIGN_KEY names a PEM private key that signs SHA256SUMS (openssl); MYCELIUM_GPG_KEY a key of gpg that signs the apt
# repository. The same binaries give the same bytes, signatures excepted.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

BUILD=0 IMAGE=0 URL='' OUT=$ROOT/dist/release
while [ $# -gt 0 ]; do
    case $1 in
        --build) BUILD=1 ;;
        --image) IMAGE=1 ;;
        --url) URL=${2:?--url needs an address}; URL=${URL%/}; shift ;;
        -*) die 64 "unknown option $1: use cross/release.sh [--build] [--image] [--url URL] [DIRECTORY]" ;;
        *) OUT=$1 ;;
    esac
    shift
done
case $URL in '' | https://*) ;; *) die 64 "$URL is no https address" ;; esac
[ ! -e "$OUT" ] || [ -f "$OUT/SHA256SUMS" ] || [ -z "$(ls -A "$OUT")" ] ||
    die 73 "$OUT is not empty and no release: choose another directory"

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH LC_ALL=C
umask 022

# archive ARCH: what deploy/install.sh installs.
archive() {
    local name=myceliumd-$VERSION-linux-$1 tree
    tree=$work/$name
    mkdir -p "$tree/completions"
    install -m 0755 "$ROOT/dist/$1/myceliumd" "$tree/myceliumd"
    cp "$ROOT/dist/$1/myceliumd.cdx.json" "$ROOT/LICENSE" "$ROOT/deploy/myceliumd.service" "$ROOT/deploy/socket-activation/myceliumd.socket" \
        "$ROOT/deploy/man/myceliumd.1" "$tree/"
    cp "$ROOT/deploy/debian/myceliumd.toml" "$tree/myceliumd.toml"
    cp "$ROOT/deploy/myceliumd.toml" "$tree/example.toml"
    cp "$ROOT"/deploy/completions/* "$tree/completions/"
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work" -cf - "$name" |
        gzip -9n >"$OUT/$name.tar.gz"
    cp "$ROOT/dist/$1/myceliumd.cdx.json" "$OUT/$name.cdx.json"
}

# The add-on of Home Assistant with its binaries, to be unpacked in /addons.
home_assistant_addon() {
    local tree=$work/addon/myceliumd arch
    mkdir -p "$tree"
    cp "$ROOT"/deploy/home-assistant-addon/* "$tree/"
    for arch in amd64 arm64:aarch64 armv7; do
        [ -x "$ROOT/dist/${arch%:*}/myceliumd" ] || continue
        mkdir -p "$tree/${arch#*:}"
        install -m 0755 "$ROOT/dist/${arch%:*}/myceliumd" "$tree/${arch#*:}/myceliumd"
    done
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work/addon" -cf - myceliumd |
        gzip -9n >"$OUT/myceliumd-$VERSION-home-assistant-addon.tar.gz"
}

# A repository for apt: the packages, an index of each architecture, and the checksums of the indexes.
apt_repository() {
    local apt=$OUT/apt arch index
    mkdir -p "$apt/pool"
    cp "$OUT"/*.deb "$apt/pool/"
    for arch in amd64 arm64 armhf; do
        [ -e "$apt/pool/myceliumd_${VERSION}_$arch.deb" ] || continue
        index=$apt/dists/stable/main/binary-$arch
        mkdir -p "$index"
        (cd "$apt" && dpkg-scanpackages --multiversion --arch "$arch" pool 2>/dev/null) >"$index/Packages"
        gzip -9nk "$index/Packages"
    done
    (
        cd "$apt/dists/stable"
        local codes file
        codes=$(find main -mindepth 1 -maxdepth 1 -name 'binary-*' | sed 's/.*binary-//' | sort | paste -sd ' ')
        printf 'Origin: Mycelium Edge\nLabel: myceliumd\nSuite: stable\nCodename: stable\nVersion: %s\n' "$VERSION"
        printf 'Date: %s\nArchitectures: %s\nComponents: main\nSHA256:\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" "$codes"
        find main -type f | sort | while read -r file; do
            printf ' %s %s %s\n' "$(sha256sum "$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
        done
    ) >"$apt/Release"
    mv "$apt/Release" "$apt/dists/stable/Release"
    if [ -n "${MYCELIUM_GPG_KEY:-}" ]; then
        gpg --batch --yes --local-user "$MYCELIUM_GPG_KEY" --clearsign --output "$apt/dists/stable/InRelease" "$apt/dists/stable/Release"
        gpg --batch --yes --export "$MYCELIUM_GPG_KEY" >"$apt/myceliumd.gpg"
    fi
    # One file, for forges whose releases have no directories.
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$OUT" -cf - apt |
        gzip -9n >"$OUT/myceliumd-$VERSION-apt.tar.gz"
}

# The static binaries run on Linux only, and so does the formula.
homebrew_formula() {
    local arch name part
    {
        printf 'class Myceliumd < Formula\n'
        printf '  desc "Field simulation, features and a durable outbox for gateways"\n'
        printf '  homepage "%s"\n  version "%s"\n  license "MIT"\n  depends_on :linux\n' "$URL" "$VERSION"
        for arch in amd64 arm64; do
            name=myceliumd-$VERSION-linux-$arch.tar.gz
            [ -f "$OUT/$name" ] || continue
            case $arch in amd64) part=intel ;; *) part=arm ;; esac
            printf '\n  on_%s do\n    url "%s/%s"\n    sha256 "%s"\n  end\n' "$part" "$URL" "$name" \
                "$(sha256sum "$OUT/$name" | cut -d ' ' -f 1)"
        done
        cat <<'RUBY'

  def install
    bin.install "myceliumd"
    man1.install "myceliumd.1"
    bash_completion.install "completions/myceliumd.bash" => "myceliumd"
    zsh_completion.install "completions/_myceliumd"
    fish_completion.install "completions/myceliumd.fish"
    pkgshare.install "example.toml", "myceliumd.cdx.json"
  end

  service do
    run [opt_bin/"myceliumd", "run", "--data-dir", var/"lib/myceliumd"]
    keep_alive successful_exit: false
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/myceliumd --version")
  end
end
RUBY
    } >"$OUT/myceliumd.rb"
}

[ "$BUILD" = 0 ] || "$ROOT/cross/build.sh" x86_64 aarch64 armv7
apt_install dpkg-dev openssl || exit 69
"$ROOT/cross/packages.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$OUT"
mkdir -p "$OUT"

for arch in amd64 arm64 armv7; do
    [ -x "$ROOT/dist/$arch/myceliumd" ] || continue
    archive "$arch"
done
cp "$ROOT"/dist/myceliumd_"$VERSION"_*.deb "$OUT/"
cp "$ROOT/dist/BUILDINFO" "$OUT/BUILDINFO"
sed "s|^RELEASE_URL=\$|RELEASE_URL=$URL|" "$ROOT/deploy/install.sh" >"$OUT/install.sh"
chmod 0755 "$OUT/install.sh"
home_assistant_addon
apt_repository
[ -z "$URL" ] || homebrew_formula
[ "$IMAGE" = 0 ] || "$ROOT/cross/image.sh" --export "$OUT/myceliumd-$VERSION-oci.tar" >&2
cd "$OUT"
find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
if [ -n "${MYCELIUM_SIGN_KEY:-}" ]; then
    openssl dgst -sha256 -sign "$MYCELIUM_SIGN_KEY" -out SHA256SUMS.sig SHA256SUMS ||
        die 65 "cannot sign SHA256SUMS: is $MYCELIUM_SIGN_KEY a private key in PEM?"
fi
find . -type f -printf '%s bytes %P\n' | sort -k 3
