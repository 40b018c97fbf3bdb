#!/usr/bin/env bash
# deploy/install.sh against a release that is served on loopback, and the apt repository and the formula of that release.
#
#   cross/install-test.sh [RELEASE]        default dist/release, made by cross/release.sh --url
#
# Everything is installed into an empty directory; nothing on this machine changes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

release=${1:-$ROOT/dist/release}
[ -f "$release/SHA256SUMS" ] || die 66 "no release in $release: run cross/release.sh --url https://releases.example.org/myceliumd"
apt_install busybox-static openssl curl dpkg-dev || exit 69
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# A copy, since some of what follows damages it.
cp -r "$release" "$work/served"
python3 - "$work/served" "$work/port" <<'PY' &
import functools, http.server, os, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
handler.func.log_message = lambda *_: None
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
with open(sys.argv[2] + ".new", "w") as out:
    out.write(str(server.server_address[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PY
server=$!
wait_for 10 test -s "$work/port" || die 70 "the server of the release does not start"
url=http://127.0.0.1:$(cat "$work/port")
(cd "$work/served" && sha256sum --check --quiet SHA256SUMS)

# As a user gets it: from the release, by the shell of Debian and the one of busybox.
curl -fsS "$url/install.sh" >"$work/install.sh"
arch=$(dpkg --print-architecture)
case $arch in armhf) arch=armv7 ;; esac
root=$work/root
installer() { DESTDIR=$root "${SHELL_UNDER_TEST[@]}" "$work/install.sh" "$@" >"$work/said" 2>&1; }
# refused CODE TEXT ARGUMENT..: this exit code, a message with this text, and nothing installed.
refused() {
    local want=$1 text=$2 code=0
    shift 2
    installer "$@" || code=$?
    [ "$code" = "$want" ] || { cat "$work/said" >&2; die 1 "install.sh $* exits with $code instead of $want"; }
    grep -qF -- "$text" "$work/said" || { cat "$work/said" >&2; die 1 "install.sh $* does not say: $text"; }
    [ ! -e "$root" ] || die 1 "install.sh $* was refused and has written $(find "$root" | head -n 3 | tr '\n' ' ')"
}

installed_files() {
    cat <<'FILES'
755 usr/local/bin/myceliumd
644 usr/local/share/man/man1/myceliumd.1
644 usr/local/share/bash-completion/completions/myceliumd
644 usr/local/share/zsh/site-functions/_myceliumd
644 usr/local/share/fish/vendor_completions.d/myceliumd.fish
644 usr/local/share/doc/myceliumd/example.toml
644 usr/local/share/doc/myceliumd/LICENSE
644 usr/local/share/doc/myceliumd/myceliumd.cdx.json
644 etc/systemd/system/myceliumd.service
644 etc/myceliumd/myceliumd.toml
FILES
}

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$work/signer.pem" 2>/dev/null
openssl pkey -in "$work/signer.pem" -pubout -out "$work/signer.pub"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 2>/dev/null | openssl pkey -pubout -out "$work/other.pub"

try_all() {
    local path mode archive
    refused 64 "unknown option --form" --form "$url"
    refused 64 "unknown architecture mips" --from "$url" --arch mips
    refused 64 "can be changed on its way" --from http://198.51.100.1/
    refused 66 "no directory" --from "$work/nowhere"
    refused 69 "cannot read" --from "$url/nowhere"
    refused 69 "has no version 9.9.9 archive" --from "$url" --release 9.9.9
    refused 65 "is not signed" --from "$url" --arch "$arch" --public-key "$work/signer.pub"
    # uname of another machine; busybox uses the one it contains.
    if [ "${SHELL_UNDER_TEST[0]}" = dash ]; then
        mkdir -p "$work/pi1"
        printf '#!/bin/sh\necho armv6l\n' >"$work/pi1/uname"
        chmod +x "$work/pi1/uname"
        PATH=$work/pi1:$PATH refused 69 "ARMv6" --from "$url"
    fi

    openssl dgst -sha256 -sign "$work/signer.pem" -out "$work/served/SHA256SUMS.sig" "$work/served/SHA256SUMS"
    refused 65 "is not by" --from "$url" --arch "$arch" --public-key "$work/other.pub"
    # One byte of the archive, then one of the list.
    archive=$(cd "$work/served" && echo myceliumd-*-linux-"$arch".tar.gz)
    cp "$work/served/$archive" "$work/whole"
    printf X | dd of="$work/served/$archive" bs=1 seek=1000 conv=notrunc status=none
    refused 65 "the checksum of $archive is" --from "$url" --arch "$arch"
    cp "$work/whole" "$work/served/$archive"
    cp "$work/served/SHA256SUMS" "$work/list"
    sed "s/$archive/&.other/" "$work/list" >"$work/served/SHA256SUMS"
    refused 65 "is not by" --from "$url" --arch "$arch" --public-key "$work/signer.pub"
    cp "$work/list" "$work/served/SHA256SUMS"
    # A script that was cut off does nothing.
    head -c 9000 "$work/install.sh" >"$work/cut.sh"
    DESTDIR=$root "${SHELL_UNDER_TEST[@]}" "$work/cut.sh" --from "$url" >/dev/null 2>&1 || true
    [ ! -e "$root" ] || die 1 "a script that was cut off has installed something"

    installer --from "$url" --arch "$arch" --public-key "$work/signer.pub" || { cat "$work/said" >&2; die 1 "install.sh fails"; }
    rm "$work/served/SHA256SUMS.sig"
    while read -r mode path; do
        [ -e "$root/$path" ] || die 1 "install.sh installs no /$path"
        [ "$(stat -c %a "$root/$path")" = "$mode" ] || die 1 "/$path has mode $(stat -c %a "$root/$path") instead of $mode"
    done < <(installed_files)
    [ "$(find "$root" -type f | wc -l)" = "$(installed_files | wc -l)" ] || die 1 "install.sh installs more than it should: $(find "$root" -type f | tr '\n' ' ')"
    cmp "$root/usr/local/bin/myceliumd" "$ROOT/dist/$(case $arch in armv7) echo armv7 ;; *) echo "$arch" ;; esac)/myceliumd"
    "$root/usr/local/bin/myceliumd" check --config "$root/etc/myceliumd/myceliumd.toml" >/dev/null || die 1 "the installed configuration is refused"
    grep -qx 'ExecStart=/usr/local/bin/myceliumd run --config /etc/myceliumd/myceliumd.toml' "$root/etc/systemd/system/myceliumd.service" ||
        die 1 "the installed unit starts another file"
    diff <(sed 's|/usr/local/bin/|/usr/bin/|' "$root/etc/systemd/system/myceliumd.service") "$ROOT/deploy/myceliumd.service"

    # Without curl, by wget; that of a static busybox needs the libraries of the C library it was linked with.
    if have wget && [ "${SHELL_UNDER_TEST[0]}" = dash ]; then
        mkdir -p "$work/tools"
        for path in "${SHELL_UNDER_TEST[0]}" sed cp mv rm mkdir chmod mktemp tar gzip sha256sum cut tail uname cat grep wget; do
            ln -sf "$(command -v "$path")" "$work/tools/$path"
        done
        PATH=$work/tools installer --from "$url" --arch "$arch" || { cat "$work/said" >&2; die 1 "install.sh fails with wget"; }
    fi

    # Again, from a directory and as its own update: the configuration of the administrator stays.
    echo '# changed by the administrator' >>"$root/etc/myceliumd/myceliumd.toml"
    installer --from "$work/served" --arch "$arch" || { cat "$work/said" >&2; die 1 "install.sh does not update"; }
    grep -q administrator "$root/etc/myceliumd/myceliumd.toml" || die 1 "updating overwrote the configuration"
    installer --uninstall || die 1 "install.sh does not uninstall"
    [ "$(find "$root" -type f)" = "$root/etc/myceliumd/myceliumd.toml" ] || die 1 "uninstalling left $(find "$root" -type f | tr '\n' ' ')"
    mkdir -p "$root/var/lib/private/myceliumd"
    touch "$root/var/lib/private/myceliumd/api.key"
    installer --uninstall --purge || die 1 "install.sh does not purge"
    [ -z "$(find "$root" -type f)" ] || die 1 "purging left $(find "$root" -type f | tr '\n' ' ')"
    rm -rf "$root"
    echo "install.sh by ${SHELL_UNDER_TEST[*]}: bad releases and calls refused; installed, updated, removed, purged"
}

SHELL_UNDER_TEST=(dash)
try_all
SHELL_UNDER_TEST=(busybox sh)
try_all

# As root on a small system: busybox alone (its tar and sha256sum), and a systemctl that records its calls.
if [ "$(id -u)" = 0 ]; then
    small=$work/small
    mkdir -p "$small"/{bin,dev,etc,tmp,run/systemd/system}
    # mknod needs more rights than a build container has; a file takes what is written to it.
    touch "$small/dev/null"
    cp "$(command -v busybox)" "$small/bin/busybox"
    for tool in sh sed cp mv rm mkdir chmod mktemp tar gzip sha256sum cut tail uname cat grep; do ln -s busybox "$small/bin/$tool"; done
    printf '#!/bin/sh\necho "$*" >>/systemctl.calls\n' >"$small/bin/systemctl"
    chmod +x "$small/bin/systemctl"
    cp -r "$work/served" "$small/release"
    inside() { chroot "$small" /bin/sh /release/install.sh "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; die 1 "install.sh $* fails in a small system"; }; }
    calls() { cat "$small/systemctl.calls" 2>/dev/null || true; rm -f "$small/systemctl.calls"; }
    inside --from /release --no-start
    [ "$(calls)" = "daemon-reload" ] || die 1 "--no-start calls more of systemctl than daemon-reload"
    inside --from /release
    [ "$(calls | tr '\n' ';')" = "daemon-reload;enable --quiet myceliumd;restart myceliumd;" ] || die 1 "the service is not enabled and started"
    chroot "$small" /usr/local/bin/myceliumd --version >/dev/null || die 1 "the installed binary does not run"
    inside --uninstall
    [ "$(calls | tr '\n' ';')" = "disable --now --quiet myceliumd;daemon-reload;" ] || die 1 "the service is not stopped and disabled"
    [ ! -e "$small/usr/local/bin/myceliumd" ] && [ -e "$small/etc/myceliumd/myceliumd.toml" ] || die 1 "uninstalling removed too much or too little"
    echo "install.sh by busybox alone, as root: installed, started, removed"
else
    echo "NOT checked: install.sh as root"
fi

# The repository as apt sees it, with separate lists and cache.
mkdir -p "$work/apt"/{lists/partial,cache/archives/partial,etc/preferences.d,etc/apt.conf.d}
touch "$work/apt/status"
echo "deb [trusted=yes] $url/apt stable main" >"$work/apt/etc/sources.list"
apt_here() {
    "$@" -qq -o Dir::Etc="$work/apt/etc" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
        -o Dir::State::status="$work/apt/status" -o APT::Sandbox::User= -o Acquire::http::Proxy=false -o Acquire::Languages=none
}
apt_here apt-get update 2>"$work/said" || { cat "$work/said" >&2; die 1 "apt does not read the repository"; }
(cd "$work" && apt_here apt-get download myceliumd)
cmp "$work"/myceliumd_*.deb "$release"/myceliumd_*_"$(dpkg --print-architecture)".deb
echo "apt-get update and download: $(cd "$work" && echo myceliumd_*.deb)"

if [ -f "$release/myceliumd.rb" ]; then
    while read -r name sum; do
        [ "$(sha256sum "$release/$name" | cut -d ' ' -f 1)" = "$sum" ] || die 1 "the formula has another checksum for $name"
    done < <(sed -n 's|^ *url ".*/\(.*\)"$|\1|p; s|^ *sha256 "\(.*\)"$|\1|p' "$release/myceliumd.rb" | paste -d ' ' - -)
    if have ruby; then ruby -c "$release/myceliumd.rb" >/dev/null; fi
    echo "the formula has the checksums of the archives"
fi
