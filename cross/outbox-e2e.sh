#!/usr/bin/env bash
# The outbox of the real binary on disks that are full or read-only, counted at the receiver, and the syncs that each
# durability class promises, counted by strace, and with every system call of the outbox failing in turn. As root: it mounts small file systems, in a separate mount namespace.
#
#   cross/outbox-e2e.sh [all|disks|syncs|injected|injected-long]      BINARY (dist/amd64/myceliumd)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

what=${1:-all}
case $what in
    all | disks | syncs | injected | injected-long) ;;
    *) die 64 "unknown argument $what: must be one of all, disks, syncs, injected, injected-long" ;;
esac
binary=${BINARY:-$ROOT/dist/amd64/myceliumd}
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh x86_64"
[ "$(id -u)" = 0 ] || die 77 "mounting file systems takes root: run it by sudo"
have python3 || die 69 "no python3: apt-get install python3"
for tool in strace unshare mount; do
    have $tool || apt_install strace util-linux mount || die 69 "no $tool: apt-get install strace util-linux mount"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strace -o /dev/null true 2>"$work/why" || {
    sed 's/^/    /' "$work/why" >&2
    die 77 "strace may not trace here: allow ptrace (in a container --cap-add SYS_PTRACE)"
}
if [ "$what" = all ] || [ "$what" = disks ]; then
    unshare -m --propagation private mount -t tmpfs -o size=64k none "$work" 2>"$work/why" || {
        sed 's/^/    /' "$work/why" >&2
        die 77 "cannot mount file systems, which the tests of full and read-only disks need: run it on a real machine (in a container with --privileged)"
    }
    # The mounts are removed together with the namespace, whatever happens inside.
    unshare -m --propagation private python3 -B "$ROOT/cross/outbox_disks.py" "$binary" "$work/disks"
fi
if [ "$what" = all ] || [ "$what" = syncs ]; then
    python3 -B "$ROOT/cross/outbox_syncs.py" "$binary" "$work/syncs"
fi
case $what in
    all | injected) python3 -B "$ROOT/cross/outbox_injected.py" "$binary" "$work/injected" ;;
    injected-long) python3 -B "$ROOT/cross/outbox_injected.py" "$binary" "$work/injected" long ;;
esac
