#!/usr/bin/env bash
# Boots an emulated aarch64 machine (qemu `virt`, a Raspberry Pi 4's processor with two cores, 128 MiB)
# with Debian's arm64 kernel and a minimal init that starts the static binary; polls it over the emulated user-mode
# network, stops it and powers off. By hand or nightly; takes a few minutes.
#
#   cross/build.sh aarch64 && cross/boot-vm.sh
#
# The guest cannot open connections (restrict=on); only the port forwarded from 127.0.0.1 leads to it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

binary=$ROOT/dist/arm64/myceliumd
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh aarch64"
for tool in qemu-system-aarch64 cpio depmod curl; do
    have $tool || [ -x /sbin/$tool ] || apt_install qemu-system-arm cpio kmod curl || exit 69
done
export PATH=$PATH:/sbin:/usr/sbin

# Kernel and busybox from this system's Debian mirror, as packages of another architecture, unpacked but not installed.
store=$TOOLS/vm-arm64
if [ ! -e "$store/.complete" ]; then
    rm -rf "$store"
    mkdir -p "$store"/{apt/state/lists/partial,apt/cache/archives/partial,root}
    foreign=(-qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$store/apt/state" -o Dir::State::status=/dev/null
        -o Dir::Cache="$store/apt/cache" -o Dir::Etc::Parts=/dev/null -o APT::Sandbox::User=root -o Acquire::Retries=3)
    apt-get "${foreign[@]}" update || die 69 "cannot read the arm64 package lists of this system's Debian mirror: check the network"
    kernel=$(apt-cache "${foreign[@]}" depends linux-image-arm64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*-arm64\)$/\1/p' | head -n 1)
    [ -n "$kernel" ] || die 69 "this mirror has no arm64 kernel (linux-image-arm64)"
    (cd "$store/apt" && apt-get "${foreign[@]}" download "$kernel" busybox-static)
    for deb in "$store"/apt/*.deb; do dpkg-deb -x "$deb" "$store/sysroot"; done
    touch "$store/.complete"
fi
version=$(basename "$(find "$store/sysroot/boot" -name 'vmlinuz-*' | head -n 1)")
version=${version#vmlinuz-}
moduledir=$store/sysroot/lib/modules/$version
[ -d "$moduledir" ] || moduledir=$store/sysroot/usr/lib/modules/$version
[ -e "$moduledir/modules.dep" ] || depmod -b "${moduledir%/lib/modules/*}" "$version"

work=$(mktemp -d)
QEMU=
trap '[ -z "$QEMU" ] || kill "$QEMU" 2>/dev/null || true; rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"/{bin,dev,proc,sys,etc,data,modules,tmp}
cp "$(find "$store/sysroot" -path '*bin/busybox' | head -n 1)" "$tree/bin/busybox"
cp "$binary" "$tree/myceliumd"
number=0
modprobe -d "${moduledir%/lib/modules/*}" -S "$version" --show-depends virtio_mmio >"$work/modules"
modprobe -d "${moduledir%/lib/modules/*}" -S "$version" --show-depends virtio_net >>"$work/modules"
awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$work/modules" | while read -r module; do
    number=$((number + 1))
    case $module in
        *.xz) xz -dc "$module" >"$tree/modules/$(printf %02d $number).ko" ;;
        *) cp "$module" "$tree/modules/$(printf %02d $number).ko" ;;
    esac
done

key=myc_$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
cat >"$tree/etc/myceliumd.toml" <<TOML
[api]
listen = "0.0.0.0:8600"
public = true
[[api.keys]]
name = "poll"
scope = "read"
sha256 = "$(printf %s "$key" | sha256sum | cut -d' ' -f1)"
TOML
cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $b insmod "$module"; done
$b ip link set lo up
$b ip link set eth0 up
$b ip address add 10.0.2.15/24 dev eth0
echo "guest: $($b uname -srm), $($b grep -m 1 MemTotal /proc/meminfo), up $($b cut -d' ' -f1 /proc/uptime) s"
/myceliumd run --config /etc/myceliumd.toml --data-dir /data &
daemon=$!
$b sh -c 'while ! /myceliumd health >/dev/null 2>&1; do /bin/busybox usleep 20000; done; echo "guest: healthy at $(/bin/busybox cut -d" " -f1 /proc/uptime) s of uptime"' &
read -r line </dev/console
echo "guest: $($b grep VmHWM /proc/$daemon/status), $($b ls /proc/$daemon/fd | $b wc -l) descriptors, $($b ls /data /data/outbox | $b tr '\n' ' ')"
$b kill -TERM $daemon
wait $daemon
echo "guest: the daemon ended with $?"
$b poweroff -f
INIT
chmod +x "$tree/init"
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc --owner 0:0 | gzip -1) >"$work/initrd"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkfifo "$work/stdin"
exec 3<>"$work/stdin"
timeout 900 qemu-system-aarch64 -M virt -cpu cortex-a72 -smp 2 -m 128 -nographic -no-reboot -kernel "$store/sysroot/boot/vmlinuz-$version" \
    -initrd "$work/initrd" -append "console=ttyAMA0 quiet panic=-1" \
    -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:8600" -device virtio-net-device,netdev=net \
    <"$work/stdin" >"$work/console" 2>&1 &
QEMU=$!
fail() {
    sed 's/^/    /' "$work/console" >&2
    die 1 "$*"
}

url=http://127.0.0.1:$port
wait_for 600 curl -fsS --max-time 10 "$url/readyz" || fail "no answer over the emulated network within 10 minutes"
poll() { curl -fsS --max-time 30 -H "X-API-Key: $key" "$@"; }
[ "$(curl -s --max-time 30 -o /dev/null -w '%{http_code}' "$url/v1/status")" = 401 ] || fail "no key was asked for"
poll "$url/v1/status" | head -c 600
echo
first=$(poll "$url/v1/features" | grep -o '"seq":[0-9]*' | head -n 1)
for _ in $(seq 20); do
    poll "$url/v1/features" "$url/metrics" "$url/healthz" >/dev/null || fail "a poll failed"
    sleep 0.5
done
last=$(poll "$url/v1/features" | grep -o '"seq":[0-9]*' | head -n 1)
[ -n "$first" ] && [ "$first" != "$last" ] || fail "the features do not change: $first, then $last"
poll "$url/v1/field?format=png" | head -c 8 | grep -q PNG || fail "no picture of the field"
echo "host: polled 60 times over the emulated network, features from $first to $last"
echo stop >&3
wait_for 60 grep -q 'guest: the daemon ended with' "$work/console" || fail "the guest did not stop the daemon"
tr -d '\r' <"$work/console" | grep -E '^guest: ' || true
grep -q 'guest: the daemon ended with 0' "$work/console" || fail "the daemon did not end with 0"
wait "$QEMU" || true
QEMU=
