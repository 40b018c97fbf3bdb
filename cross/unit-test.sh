#!/usr/bin/env bash
# The unit as systemd reads it: no finding of `verify`, exposure at most 1.5, and a system call filter that has every
# call the daemon makes (recorded by strace while it starts, serves and stops).
#
#   cross/unit-test.sh [BINARY]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

UNIT=$ROOT/deploy/myceliumd.service
LIMIT=15 # tenths
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify wants ExecStart to exist; the unit's own text is checked, not this machine.
sed "s|^ExecStart=/usr/bin/myceliumd|ExecStart=/bin/true|; /^Documentation=/d" "$UNIT" >"$work/myceliumd.service"
findings=$(systemd-analyze verify --man=no "$work/myceliumd.service" 2>&1 | grep -F "$work/myceliumd.service" |
    grep -v 'Failed to parse service type, ignoring: notify-reload' || true)
[ -z "$findings" ] || { say "$findings"; die 1 "systemd-analyze verify finds fault with deploy/myceliumd.service"; }

report=$(systemd-analyze security --no-pager --offline=true --threshold=$LIMIT "$UNIT") || {
    grep -E '✗|exposure' <<<"$report" >&2
    die 1 "the unit's exposure is above 1.5"
}
grep exposure <<<"$report"

allowed() {
    local group
    expand @system-service >"$work/allow"
    for group in @privileged @resources @keyring @setuid @memlock @aio; do expand "$group"; done | sort -u >"$work/deny"
    # @default is always permitted, and the last line of the unit comes after the denials.
    { sort -u "$work/allow" | comm -23 - "$work/deny"; expand @default; printf '%s\n' adjtimex clock_adjtime clock_adjtime64; } | sort -u
}
expand() {
    systemd-analyze syscall-filter "$1" | sed '1d; s/^ *//; /^#/d; /^$/d' | while read -r name; do
        case $name in @*) expand "$name" ;; *) echo "$name" ;; esac
    done
}

binary=${1:-$ROOT/dist/amd64/myceliumd}
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh x86_64"
apt_install strace curl || exit 69
data=$work/data
start_daemon "$data" strace -f -qq -o "$work/trace" "$binary" || exit 1
curl -fsS --max-time 10 -o /dev/null "$DAEMON_URL/healthz"
curl -fsS --max-time 10 -o /dev/null "$DAEMON_URL/metrics"
sleep 2
# strace passes the signal on only to itself; the daemon is its child.
kill -TERM "$(pgrep -P "$DAEMON_PID" | head -n 1)"
wait "$DAEMON_PID" || die 1 "the daemon did not stop with exit code 0 under strace"
grep -oE '^[0-9]+ +[a-z_0-9]+\(' "$work/trace" | sed 's/^[0-9]* *//; s/($//; s/($//; s/(//' | sort -u >"$work/used"
allowed >"$work/allowed"
outside=$(comm -23 "$work/used" "$work/allowed" | tr '\n' ' ')
[ -z "$outside" ] || die 1 "the unit's SystemCallFilter would refuse what the daemon calls: $outside"
echo "SystemCallFilter has all $(wc -l <"$work/used") system calls that the daemon makes"
