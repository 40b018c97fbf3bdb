#!/usr/bin/env bash
# Installs the package for this machine into an empty root, runs its binary, removes and purges it.
#
#   cross/package-test.sh [FILE.deb]
#
# dpkg works in a separate directory (--root with a chroot of static tools), so nothing on this machine changes. Needs
# root for the chroot.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

deb=${1:-$(find "$ROOT/dist" -maxdepth 1 -name "myceliumd_*_$(dpkg --print-architecture).deb" | LC_ALL=C sort | tail -n 1)}
[ -f "$deb" ] || die 66 "no package in dist/: run cross/packages.sh"
for tool in dpkg-deb man; do have $tool || apt_install dpkg-dev man-db || exit 69; done
apt_install bash fish zsh busybox-static || exit 69
[ "$(id -u)" = 0 ] || die 77 "installing into another root directory needs root: run it with sudo"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,etc,usr/bin,tmp,var/lib/dpkg/{info,updates}}
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
# What maintainer scripts need: a shell and coreutils, and a systemctl that is not running.
cp "$(command -v busybox)" "$root/bin/busybox"
for tool in sh rm ln ls test cat true chmod mkdir; do ln -s busybox "$root/bin/$tool"; done
ln -s bin "$root/sbin"
install_package() { dpkg --root="$root" --force-not-root --log="$work/dpkg.log" "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; return 1; }; }

dpkg-deb --info "$deb" | grep -E '^ (Package|Version|Architecture|Installed-Size|Depends)' || true
install_package --install "$deb" || die 1 "the package does not install"
[ "$(dpkg --root="$root" -s myceliumd | sed -n 's/^Status: //p')" = "install ok installed" ] || die 1 "the package is not configured"

while read -r mode path; do
    [ -e "$root/$path" ] || die 1 "the package has no /$path"
    [ "$(stat -c %a "$root/$path")" = "$mode" ] || die 1 "/$path has mode $(stat -c %a "$root/$path") instead of $mode"
done <<'FILES'
755 usr/bin/myceliumd
644 etc/myceliumd/myceliumd.toml
644 usr/share/doc/myceliumd/copyright
644 usr/share/doc/myceliumd/examples/myceliumd.toml
644 usr/share/doc/myceliumd/examples/myceliumd.socket
644 usr/share/man/man1/myceliumd.1.gz
644 usr/share/bash-completion/completions/myceliumd
644 usr/share/zsh/vendor-completions/_myceliumd
644 usr/share/fish/vendor_completions.d/myceliumd.fish
FILES
unit=$(find "$root" -name myceliumd.service)
# Enabled, it would replace the addresses of the configuration.
! grep -rqF myceliumd.socket "$root/var/lib/dpkg/info" --include='*inst' || die 1 "installing enables myceliumd.socket"
cmp "$unit" "$ROOT/deploy/myceliumd.service"
chroot "$root" /usr/bin/myceliumd --version
chroot "$root" /usr/bin/myceliumd check --config /etc/myceliumd/myceliumd.toml >/dev/null || die 1 "the packaged configuration is refused"
chroot "$root" /usr/bin/myceliumd check --config /usr/share/doc/myceliumd/examples/myceliumd.toml >/dev/null || die 1 "the packaged example is refused"

man --warnings --local-file "$root/usr/share/man/man1/myceliumd.1.gz" >/dev/null 2>"$work/man"
[ ! -s "$work/man" ] || { cat "$work/man" >&2; die 1 "man finds fault with the page"; }
# Man page and completions have exactly the options of the binary.
page=$(zcat "$root/usr/share/man/man1/myceliumd.1.gz" | sed 's/\\-/-/g')
# The commands of --help, one a line and indented by two.
topics=$(chroot "$root" /usr/bin/myceliumd --help | sed -nE '/--help/q; s/^  ([a-z]+) .*/\1/p')
[ "$(wc -w <<<"$topics")" -ge 9 ] || die 1 "--help lists only these commands: $topics"
for topic in $topics; do
    chroot "$root" /usr/bin/myceliumd $topic --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' || true
done | sort -u >"$work/known"
[ "$(wc -l <"$work/known")" -gt 20 ] || die 1 "--help lists hardly any option"
while read -r option; do
    grep -qF -- "$option" <<<"$page" || die 1 "the man page lacks $option"
    grep -qF -- "$option" "$root/usr/share/bash-completion/completions/myceliumd" || die 1 "bash completion lacks $option"
    grep -qF -- "$option" "$root/usr/share/zsh/vendor-completions/_myceliumd" || die 1 "zsh completion lacks $option"
    grep -qE -- "-l ${option#--}( |$)" "$root/usr/share/fish/vendor_completions.d/myceliumd.fish" || die 1 "fish completion lacks $option"
done <"$work/known"
grep -oE -- '--[a-z-]+' "$root/usr/share/bash-completion/completions/myceliumd" | sort -u | grep -vxE -- '--(help|version)' |
    comm -23 - "$work/known" >"$work/unknown"
[ ! -s "$work/unknown" ] || die 1 "bash completion offers what the binary does not know: $(tr '\n' ' ' <"$work/unknown")"
offered=$(bash -c '. "$1"; COMP_WORDS=(myceliumd simulate --model ""); COMP_CWORD=3; _myceliumd; echo "${COMPREPLY[*]}"' - \
    "$root/usr/share/bash-completion/completions/myceliumd")
[ "$offered" = "excitable turing gray_scott mfn" ] || die 1 "bash completes --model to '$offered'"
zsh -n "$root/usr/share/zsh/vendor-completions/_myceliumd"
offered=$(fish --no-config -c 'source $argv[1]; complete -C "myceliumd outbox " | cut -f1 | sort | string join " "' "$root/usr/share/fish/vendor_completions.d/myceliumd.fish")
[ "$offered" = "dead drop list replay verify" ] || die 1 "fish completes outbox to '$offered'"

echo '# changed by the administrator' >>"$root/etc/myceliumd/myceliumd.toml"
install_package --remove myceliumd || die 1 "the package cannot be removed"
[ ! -e "$root/usr/bin/myceliumd" ] || die 1 "removing left the binary behind"
[ -e "$root/etc/myceliumd/myceliumd.toml" ] || die 1 "removing took the configuration away"
install_package --install "$deb" || die 1 "the package does not install again"
grep -q administrator "$root/etc/myceliumd/myceliumd.toml" || die 1 "installing again overwrote the configuration"
mkdir -p "$root/var/lib/private/myceliumd"
touch "$root/var/lib/private/myceliumd/api.key"
install_package --purge myceliumd || die 1 "the package cannot be purged"
for left in etc/myceliumd/myceliumd.toml var/lib/private/myceliumd usr/bin/myceliumd; do
    [ ! -e "$root/$left" ] || die 1 "purging left /$left behind"
done
echo "${deb##*/}: installed, configured, $(wc -l <"$work/known") options in man page and three completions, removed, reinstalled, purged"
