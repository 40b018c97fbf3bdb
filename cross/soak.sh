#!/usr/bin/env bash
# A long run in a short time: a hundred steps a millisecond, small windows, constant polling, and an unreachable webhook.
# The outbox must fill and drop records, and the breaker open, before the second half begins; during the second half
# resident memory and open descriptors must not grow.
#
#   cross/soak.sh                        SOAK_STEPS (10000000), BINARY (dist/amd64/myceliumd)
#
# .ci/run uses a shorter run. Prints a table of twenty samples.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

steps=${SOAK_STEPS:-10000000}
binary=${BINARY:-$ROOT/dist/amd64/myceliumd}
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh x86_64"
work=$(mktemp -d)
DAEMON_PID=
trap '[ -z "$DAEMON_PID" ] || kill "$DAEMON_PID" 2>/dev/null || true; rm -rf "$work"' EXIT

# Port 1 of loopback: connections are refused at once.
cat >"$work/soak.toml" <<'TOML'
[sim]
grid = 16
tick_ms = 1
steps_per_tick = 100
[features]
every = 100
[api.rate]
per_second = 1000
burst = 1000
[outbox]
window_steps = 1000
segment_bytes = 65536
max_bytes = 524288
keep_free_bytes = 0
[[webhooks]]
name = "unreachable"
url = "http://127.0.0.1:1/hook"
timeout_ms = 1000
retry_base_ms = 10
retry_max_ms = 100
spread_ms = 0
[breaker]
open_ms = 100
open_max_ms = 1000
TOML
mkdir -p "$work/data"
MYCELIUMD_API__LISTEN=127.0.0.1:0 "$binary" run --config "$work/soak.toml" --data-dir "$work/data" >"$work/log" 2>&1 &
DAEMON_PID=$!
wait_for 20 test -s "$work/data/address" || { cat "$work/log" >&2; die 1 "the daemon does not start"; }
python3 "$ROOT/cross/soak.py" "$DAEMON_PID" "$(tr -d ' \n' <"$work/data/address")" "$(tr -d ' \n' <"$work/data/api.key")" "$steps"
stop_daemon || die 1 "SIGTERM gave exit code $?"
size=$(du -sb "$work/data/outbox" | cut -f1)
[ "$size" -le 1048576 ] || die 1 "the outbox takes $size bytes, twice its cap"
echo "log: $(wc -l <"$work/log") lines; outbox: $size bytes"
