#!/usr/bin/env bash
# The systemd unit and its socket: `verify` finds nothing, the exposure is at most 1.5, and the system call filter allows every call
# that the daemon makes. strace records the calls while it starts, serves over TLS, delivers (in clear text, over TLS, to a
# closed port), reads from a sensor and a file, exports spans, reloads, notifies a service manager, and stops.
#
#   cross/unit-test.sh [BINARY]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

UNIT=$ROOT/deploy/myceliumd.service
LIMIT=15 # tenths
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# verify requires that ExecStart exists; the unit is checked, not this machine.
sed "s|^ExecStart=/usr/bin/myceliumd|ExecStart=/bin/true|; /^Documentation=/d" "$UNIT" >"$work/myceliumd.service"
findings=$(systemd-analyze verify --man=no "$work/myceliumd.service" 2>&1 | grep -F "$work/myceliumd.service" |
    grep -v 'Failed to parse service type, ignoring: notify-reload' || true)
[ -z "$findings" ] || { say "$findings"; die 1 "systemd-analyze verify reports problems in deploy/myceliumd.service"; }

cp "$ROOT/deploy/socket-activation/myceliumd.socket" "$work/"
sed -i '/^Documentation=/d' "$work/myceliumd.socket"
findings=$(systemd-analyze verify --man=no "$work/myceliumd.socket" 2>&1 | grep -F "$work/myceliumd.socket" || true)
[ -z "$findings" ] || { say "$findings"; die 1 "systemd-analyze verify reports problems in deploy/socket-activation/myceliumd.socket"; }

report=$(systemd-analyze security --no-pager --offline=true --threshold=$LIMIT "$UNIT") || {
    grep -E '✗|exposure' <<<"$report" >&2
    die 1 "the unit's exposure is above 1.5"
}
grep exposure <<<"$report"

allowed() {
    local group
    expand @system-service >"$work/allow"
    for group in @privileged @resources @keyring @setuid @memlock @aio; do expand "$group"; done | sort -u >"$work/deny"
    # @default is always permitted, and the last line of the unit applies after the denials.
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
apt_install openssl || exit 69
data=$work/data
mkdir -p "$data"
# Stands in for the service manager.
python3 -c '
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
while True:
    print(manager.recv(4096).decode(), flush=True)
' "$work/notify" >"$work/notified" &
manager=$!
receivers=
trap 'kill $manager $receivers 2>/dev/null || true; rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
python3 "$ROOT/cross/receiver.py" "$work/port" "$work/ids" &
receivers=$!
python3 "$ROOT/cross/receiver.py" "$work/tls-port" "$work/tls-ids" "$work/tls.crt" "$work/tls.key" &
receivers="$receivers $!"
wait_for 10 test -s "$work/port" -a -s "$work/tls-port" || die 70 "the receivers do not start"
wait_for 10 test -S "$work/notify" || die 70 "the socket of the service manager does not appear"
port=$(cat "$work/port")
touch "$work/ids" "$work/tls-ids"
printf '{"t": 20}\n' >"$work/sensor.ndjson"
cat >"$work/edge.toml" <<TOML
[memory]
max_bytes = 16777216
[sim]
tick_ms = 1
[outbox]
window_steps = 20
group_ms = 20
[api]
unix_socket = "$work/api.sock"
[api.tls]
cert_file = "$work/tls.crt"
key_file = "$work/tls.key"
[breaker]
failures = 2
open_ms = 50
open_max_ms = 100
[[webhooks]]
name = "clear"
url = "http://localhost:$port/hook"
gzip = true
linger_ms = 10
spread_ms = 0
[[webhooks]]
name = "closed"
url = "http://127.0.0.1:1/hook"
retry_base_ms = 10
retry_max_ms = 50
spread_ms = 0
[[webhooks]]
name = "tls"
url = "https://localhost:$(cat "$work/tls-port")/hook"
ca_file = "$work/tls.crt"
retry_base_ms = 10
retry_max_ms = 50
spread_ms = 0
[[connectors]]
name = "sensor"
kind = "http"
url = "http://localhost:$port/sensor"
interval_ms = 1000
[[inputs]]
name = "sensed"
connector = "sensor"
pointer = "/t"
[[connectors]]
name = "lines"
kind = "file"
path = "$work/sensor.ndjson"
interval_ms = 1000
[[inputs]]
name = "read"
connector = "lines"
pointer = "/t"
[trace]
otlp_url = "http://127.0.0.1:$port/v1/traces"
sample_ratio = 1.0
TOML
printf '#!/bin/sh\nexec strace -f -qq -o "%s" "%s" "$@" --config "%s"\n' "$work/trace" "$binary" "$work/edge.toml" >"$work/traced"
chmod +x "$work/traced"
export NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=1000000
start_daemon "$data" "$work/traced" || exit 1
unset NOTIFY_SOCKET WATCHDOG_USEC
# strace passes a signal on only to itself; the daemon is its child.
daemon=$(pgrep -P "$DAEMON_PID" | head -n 1)
url=https://${DAEMON_URL#http://}
key=$(tr -d ' \n' <"$data/api.key")
ask() { curl -fsS --max-time 10 --cacert "$work/tls.crt" -H "X-API-Key: $key" -o /dev/null "$@"; }
delivered() { [ "$(wc -l <"$work/ids")" -ge "$1" ] && [ "$(wc -l <"$work/tls-ids")" -ge "$1" ]; }
served() {
    ask "$url/healthz"
    curl -fsS --max-time 10 --unix-socket "$work/api.sock" -o /dev/null http://localhost/healthz
    ask "$url/metrics"
    ask "$url/v1/features?wait=5"
    ask "$url/v1/field?format=png"
    ask -X POST -H 'Content-Type: application/json' -d '{"seed":1,"grid_size":16,"steps":16}' "$url/v1/simulate"
    ask -X POST "$url/v1/outbox/flush"
    ask -X POST "$url/v1/outbox/dead/replay"
    ask -X PUT -H 'Content-Type: application/json' -d '{"state":"open"}' "$url/v1/endpoints/closed/breaker"
    ask "$url/v1/outbox/dead"
}
served
wait_for 30 delivered 20 || { tail -n 20 "$data/log" >&2; die 1 "nothing was delivered under strace"; }
kill -HUP "$daemon"
wait_for 20 grep -q RELOADING=1 "$work/notified" || die 1 "the service manager was not notified of the reload"
wait_for 20 grep -q 'configuration reloaded' "$data/log" || { tail -n 20 "$data/log" >&2; die 1 "the reload failed"; }
printf '{"t": 21}\n' >>"$work/sensor.ndjson"
served
wait_for 30 delivered $(($(wc -l <"$work/ids") + 20)) || die 1 "nothing was delivered after the reload"
sleep 2
kill -TERM "$daemon"
wait "$DAEMON_PID" || die 1 "the daemon did not stop with exit code 0 under strace"
grep -q STOPPING=1 "$work/notified" || die 1 "the service manager was not notified of the stop"
grep -oE '^[0-9]+ +[a-z_0-9]+\(' "$work/trace" | sed 's/^[0-9]* *//; s/($//; s/($//; s/(//' | sort -u >"$work/used"
allowed >"$work/allowed"
outside=$(comm -23 "$work/used" "$work/allowed" | tr '\n' ' ')
[ -z "$outside" ] || die 1 "the unit's SystemCallFilter would refuse what the daemon calls: $outside"
echo "SystemCallFilter has all $(wc -l <"$work/used") system calls that the daemon makes"
