#!/bin/sh
# Installs myceliumd from a release directory (made by cross/release.sh), or removes it again.
#
#   sh install.sh --from URL|DIRECTORY [options]
#   sh install.sh --uninstall [--purge] [options]
#
#   --from URL|DIR      where SHA256SUMS and the archives are; https, a directory, or http on this machine
#   --public-key FILE   PEM key that must have signed SHA256SUMS (SHA256SUMS.sig); take it from another place than the release
#   --release VERSION   default: the one in SHA256SUMS
#   --arch ARCH         amd64, arm64 or armv7; default: this machine's
#   --prefix DIR        default /usr/local
#   --no-start          installs the unit without enabling and starting it
#   --uninstall         removes what was installed; keeps /etc/myceliumd and the data
#   --purge             with --uninstall: removes them, too
#   --help
#
# DESTDIR in the environment is put before every path and implies --no-start. Nothing is written before the checksum of the
# archive has been compared. An existing configuration is kept. Needs tar, gzip, and curl or wget for a URL.
set -eu

# cross/release.sh --url writes the address of the release here.
RELEASE_URL=

say() { printf '%s\n' "$*" >&2; }
# die CODE MESSAGE..: one message, which includes the remedy, and an exit code of sysexits.
die() {
    code=$1
    shift
    say "install.sh: $*"
    exit "$code"
}
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
    cat <<'USAGE'
usage: sh install.sh --from URL|DIRECTORY [--public-key FILE] [--release VERSION] [--arch ARCH] [--prefix DIR] [--no-start]
       sh install.sh --uninstall [--purge] [--prefix DIR]
USAGE
}

machine() {
    case $(uname -m) in
        x86_64 | amd64) echo amd64 ;;
        aarch64 | arm64) echo arm64 ;;
        armv7* | armv8l) echo armv7 ;;
        armv6*) die 69 "there is no binary for ARMv6 (Raspberry Pi 1, Zero, Zero W): use a Pi 2 or later, or a Zero 2 W" ;;
        *) die 69 "there is no binary for $(uname -m): build it with cargo build --release" ;;
    esac
}

# fetch NAME FILE: one file of the release.
fetch() {
    case $from in
        http://* | https://*)
            if have curl; then
                curl -fsSL --proto '=http,https' --retry 3 --max-time 300 -o "$2" "$from/$1"
            elif have wget; then
                wget -q -T 60 -O "$2" "$from/$1"
            else
                die 69 "neither curl nor wget: install one of them, or download the release and name its directory by --from"
            fi
            ;;
        *) cp "$from/$1" "$2" 2>/dev/null ;;
    esac
}

sha256_of() {
    if have sha256sum; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif have shasum; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    elif have openssl; then
        openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
    else
        die 69 "no sha256sum, shasum or openssl: install coreutils"
    fi
}

check_source() {
    [ -n "$from" ] || { usage >&2; die 64 "no release is named: use --from URL or --from DIRECTORY"; }
    from=${from%/}
    case $from in
        https://* | http://127.* | http://localhost*) ;;
        http://*) [ -n "$public_key" ] || die 64 "$from can be changed on its way: use https, or --public-key" ;;
        *://*) die 64 "cannot read $from: use https:// or a directory" ;;
        *) [ -d "$from" ] || die 66 "no directory $from" ;;
    esac
}

# The list of checksums, and its signature where a key is given.
check_list() {
    fetch SHA256SUMS "$work/SHA256SUMS" || die 69 "cannot read $from/SHA256SUMS: is this the directory of a release?"
    if [ -n "$public_key" ]; then
        [ -f "$public_key" ] || die 66 "no public key $public_key"
        have openssl || die 69 "cannot check the signature without openssl: install it"
        fetch SHA256SUMS.sig "$work/SHA256SUMS.sig" || die 65 "the release is not signed: there is no $from/SHA256SUMS.sig"
        openssl dgst -sha256 -verify "$public_key" -signature "$work/SHA256SUMS.sig" "$work/SHA256SUMS" >/dev/null 2>&1 ||
            die 65 "the signature of $from/SHA256SUMS is not by $public_key: nothing is installed"
        say "SHA256SUMS is signed by the key in $public_key"
    fi
}

install_release() {
    check_source
    if [ -z "$DESTDIR" ] && have dpkg-query && dpkg-query -W -f '${Status}' myceliumd 2>/dev/null | grep -q 'ok installed'; then
        die 73 "the Debian package myceliumd is installed: update it by apt-get, or remove it first"
    fi
    [ -n "$arch" ] || arch=$(machine)
    case $arch in amd64 | arm64 | armv7) ;; *) die 64 "unknown architecture $arch: use amd64, arm64 or armv7" ;; esac
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    check_list
    archive=$(sed -n "s/^[0-9a-f]\{64\}[ *]*\(myceliumd-${release:-[0-9][0-9A-Za-z.+~-]*}-linux-$arch\.tar\.gz\)\$/\1/p" "$work/SHA256SUMS" | tail -n 1)
    [ -n "$archive" ] || die 69 "the release in $from has no ${release:+version $release }archive for $arch"
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)[ *]*$archive\$/\1/p" "$work/SHA256SUMS")
    fetch "$archive" "$work/$archive" || die 69 "cannot read $from/$archive"
    found=$(sha256_of "$work/$archive")
    [ "$found" = "$wanted" ] || die 65 "the checksum of $archive is $found instead of $wanted: nothing is installed"
    tar -xzf "$work/$archive" -C "$work"
    tree=$work/${archive%.tar.gz}
    "$tree/myceliumd" --version >/dev/null 2>&1 || [ -n "$DESTDIR" ] ||
        die 69 "$archive does not run on this machine ($(uname -m)): choose another by --arch"

    mkdir -p "$DESTDIR$prefix/bin" "$DESTDIR$etc/myceliumd" "$DESTDIR$units" ||
        die 77 "cannot write to $DESTDIR$prefix: run this as root, or choose --prefix and DESTDIR"
    # A running daemon keeps the old file: the new one replaces its name.
    put 755 "$tree/myceliumd" "$prefix/bin/myceliumd"
    put 644 "$tree/myceliumd.1" "$prefix/share/man/man1/myceliumd.1"
    put 644 "$tree/completions/myceliumd.bash" "$prefix/share/bash-completion/completions/myceliumd"
    put 644 "$tree/completions/_myceliumd" "$prefix/share/zsh/site-functions/_myceliumd"
    put 644 "$tree/completions/myceliumd.fish" "$prefix/share/fish/vendor_completions.d/myceliumd.fish"
    put 644 "$tree/example.toml" "$prefix/share/doc/myceliumd/example.toml"
    put 644 "$tree/LICENSE" "$prefix/share/doc/myceliumd/LICENSE"
    put 644 "$tree/myceliumd.cdx.json" "$prefix/share/doc/myceliumd/myceliumd.cdx.json"
    sed "s|^ExecStart=/usr/bin/|ExecStart=$prefix/bin/|" "$tree/myceliumd.service" >"$work/unit"
    put 644 "$work/unit" "$units/myceliumd.service"
    if [ ! -e "$DESTDIR$etc/myceliumd/myceliumd.toml" ]; then
        put 644 "$tree/myceliumd.toml" "$etc/myceliumd/myceliumd.toml"
    fi
    say "installed ${archive%.tar.gz} below $DESTDIR$prefix"
    if [ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ]; then
        say "run it by $prefix/bin/myceliumd run --config $etc/myceliumd/myceliumd.toml"
        return
    fi
    systemctl daemon-reload
    if [ "$start" = 1 ]; then
        systemctl enable --quiet myceliumd
        systemctl restart myceliumd
        say "the service runs: systemctl status myceliumd"
    else
        say "start it by systemctl enable --now myceliumd"
    fi
}

# put MODE SOURCE PATH: replaces PATH below DESTDIR in one step.
put() {
    mkdir -p "$DESTDIR${3%/*}"
    cp "$2" "$DESTDIR$3.new"
    chmod "$1" "$DESTDIR$3.new"
    mv -f "$DESTDIR$3.new" "$DESTDIR$3"
}

uninstall() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet myceliumd 2>/dev/null || true
    fi
    rm -f "$DESTDIR$prefix/bin/myceliumd" "$DESTDIR$prefix/share/man/man1/myceliumd.1" "$DESTDIR$units/myceliumd.service" \
        "$DESTDIR$prefix/share/bash-completion/completions/myceliumd" "$DESTDIR$prefix/share/zsh/site-functions/_myceliumd" \
        "$DESTDIR$prefix/share/fish/vendor_completions.d/myceliumd.fish" ||
        die 77 "cannot remove files below $DESTDIR$prefix: run this as root"
    rm -rf "$DESTDIR$prefix/share/doc/myceliumd"
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
    if [ "$purge" = 1 ]; then
        rm -rf "$DESTDIR$etc/myceliumd" "$DESTDIR/var/lib/private/myceliumd" "$DESTDIR/var/lib/myceliumd"
        say "removed myceliumd, its configuration and its data"
    else
        say "removed myceliumd; kept $DESTDIR$etc/myceliumd and the data in $DESTDIR/var/lib/private/myceliumd (--purge removes them)"
    fi
}

main() {
    from=$RELEASE_URL public_key='' release='' arch='' prefix=/usr/local start=1 action=install purge=0
    DESTDIR=${DESTDIR:-} etc=/etc units=/etc/systemd/system
    DESTDIR=${DESTDIR%/}
    while [ $# -gt 0 ]; do
        case $1 in
            --from | --public-key | --release | --arch | --prefix)
                [ $# -ge 2 ] || die 64 "$1 needs a value"
                case $1 in
                    --from) from=$2 ;;
                    --public-key) public_key=$2 ;;
                    --release) release=$2 ;;
                    --arch) arch=$2 ;;
                    --prefix) prefix=${2%/} ;;
                esac
                shift
                ;;
            --no-start) start=0 ;;
            --uninstall) action=uninstall ;;
            --purge) purge=1 ;;
            -h | --help)
                usage
                exit 0
                ;;
            *)
                usage >&2
                die 64 "unknown option $1"
                ;;
        esac
        shift
    done
    case $prefix in '' | /*) ;; *) die 64 "--prefix $prefix is not an absolute path" ;; esac
    case $release in *[!0-9A-Za-z.+~-]*) die 64 "$release is not a version" ;; esac
    [ "$purge" = 0 ] || [ "$action" = uninstall ] || die 64 "--purge is only for --uninstall"
    umask 022
    case $action in
        install) install_release ;;
        uninstall) uninstall ;;
    esac
}

# The last line, so that a script cut off on its way does nothing.
main "$@"
