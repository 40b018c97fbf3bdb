#!/usr/bin/env bash
# Bytes written to the device per day at default settings, measured on a separate ext4 file system on a loop device,
# whose counters include journal and metadata. A tenth of a day's commits are made at a hundred times the default pace
# (1 ms ticks instead of 100 ms), each with its own fdatasync, and multiplied by ten. By hand, as root.
#
#   cross/flash-wear.sh [KEY=VALUE ...]      further environment, as in MYCELIUMD_OUTBOX__WINDOW_STEPS=6000; divide
#                                            times by a hundred: MYCELIUMD_OUTBOX__GROUP_MS=600 is a minute
#   WEBHOOK=1 cross/flash-wear.sh            with a receiver that accepts every record at once
set -euo pipefail
. "$(dirname "$0")/lib.sh"

binary=${BINARY:-$ROOT/dist/amd64/myceliumd}
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh x86_64"
[ "$(id -u)" = 0 ] || die 77 "a loop device needs root: run it with sudo"
for tool in mkfs.ext4 losetup; do have $tool || [ -x /sbin/$tool ] || apt_install e2fsprogs mount || exit 69; done
export PATH=$PATH:/sbin
seconds=${SECONDS_TO_RUN:-86}

work=$(mktemp -d)
DAEMON_PID=''
receiver=''
cleanup() {
    [ -z "$DAEMON_PID" ] || kill "$DAEMON_PID" 2>/dev/null || true
    [ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
    sleep 0.5
    umount "$work/mount" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
truncate -s 256M "$work/disk"
mkfs.ext4 -q "$work/disk"
mkdir "$work/mount"
mount -o loop,noatime "$work/disk" "$work/mount" || die 69 "cannot mount a loop device on this machine"
device=$(basename "$(findmnt -n -o SOURCE "$work/mount")")
written() { awk '{ print $7 * 512 }' "/sys/block/$device/stat"; }

export MYCELIUMD_SIM__TICK_MS=1 MYCELIUMD_OUTBOX__GROUP_MS=10
for setting in "$@"; do export "${setting?}"; done
: >"$work/edge.toml"
if [ "${WEBHOOK:-0}" = 1 ]; then
    python3 "$ROOT/cross/receiver.py" "$work/port" "$work/ids" &
    receiver=$!
    wait_for 10 test -s "$work/port" || die 70 "the receiver does not start"
    printf '[[webhooks]]\nname = "hub"\nurl = "http://127.0.0.1:%s/"\nlinger_ms = 10\nspread_ms = 0\n' "$(cat "$work/port")" >"$work/edge.toml"
fi
printf '#!/bin/sh\nexec "%s" "$@" --config "%s"\n' "$binary" "$work/edge.toml" >"$work/daemon"
chmod +x "$work/daemon"
start_daemon "$work/mount/data" "$work/daemon" || exit 1
sleep 3
sync -f "$work/mount"
before=$(written)
steps_before=$(curl -fsS "$DAEMON_URL/metrics" | awk '/^mfn_simulation_steps_total/ { print int($2) }')
sleep "$seconds"
sync -f "$work/mount"
after=$(written)
steps_after=$(curl -fsS "$DAEMON_URL/metrics" | awk '/^mfn_simulation_steps_total/ { print int($2) }')
stop_daemon || die 1 "SIGTERM gave exit code $?"
DAEMON_PID=''
[ -z "$receiver" ] || echo "$(wc -l <"$work/ids") events were delivered"
awk -v bytes=$((after - before)) -v steps=$((steps_after - steps_before)) 'BEGIN {
    printf "%d bytes to the device in %d steps; a day of 864,000 steps: %.1f MB, a year: %.1f GB\n",
        bytes, steps, bytes / steps * 864000 / 1e6, bytes / steps * 864000 * 365 / 1e9 }'
