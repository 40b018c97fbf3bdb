#!/usr/bin/env bash
# promtool checks /metrics of a running daemon; then a real Prometheus scrapes it for a few intervals and answers queries.
#
#   cross/prometheus-test.sh [BINARY]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

binary=${1:-$ROOT/dist/amd64/myceliumd}
[ -x "$binary" ] || die 66 "no $binary: run cross/build.sh x86_64"
for tool in prometheus promtool curl; do have $tool || apt_install prometheus curl || exit 69; done
work=$(mktemp -d)
DAEMON_PID='' PROMETHEUS_PID=''
cleanup() {
    [ -z "$DAEMON_PID" ] || kill "$DAEMON_PID" 2>/dev/null || true
    [ -z "$PROMETHEUS_PID" ] || kill "$PROMETHEUS_PID" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

MYCELIUMD_SIM__TICK_MS=10 start_daemon "$work/data" "$binary" || exit 1
wait_for 20 curl -fsS --max-time 5 "$DAEMON_URL/metrics" || die 1 "no /metrics"
sleep 2
curl -fsS --max-time 5 "$DAEMON_URL/metrics" >"$work/metrics"
promtool check metrics <"$work/metrics"
curl -fsS --max-time 5 -H 'Accept: application/openmetrics-text; version=1.0.0' "$DAEMON_URL/metrics" | tail -n 1 | grep -qx '# EOF' ||
    die 1 "no OpenMetrics when asked for it"
echo "promtool check metrics: $(grep -c '^# TYPE' "$work/metrics") families, $(grep -vc '^#' "$work/metrics") samples"

for file in "$ROOT"/deploy/prometheus/*rules*.y*ml "$ROOT"/deploy/prometheus/*alert*.y*ml; do
    [ -e "$file" ] && promtool check rules "$file"
done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/prometheus.yml" <<YAML
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: myceliumd
    static_configs: [{ targets: ["${DAEMON_URL#http://}"] }]
YAML
promtool check config "$work/prometheus.yml" >/dev/null
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" \
    --log.level=warn >"$work/prometheus.log" 2>&1 &
PROMETHEUS_PID=$!
api=http://127.0.0.1:$port/api/v1/query
wait_for 30 curl -fsS --max-time 5 "http://127.0.0.1:$port/-/ready" || { cat "$work/prometheus.log" >&2; die 1 "prometheus does not start"; }
ask() { # EXPRESSION: true if the result has at least one sample whose value is 1
    curl -fsS --max-time 5 --get --data-urlencode "query=$1" "$api" | python3 -c '
import json, sys
result = json.load(sys.stdin)["data"]["result"]
sys.exit(0 if result and all(sample["value"][1] == "1" for sample in result) else 1)'
}
while read -r expression; do
    wait_for 20 ask "$expression" || die 1 "prometheus does not confirm: $expression"
    echo "prometheus: $expression"
done <<'QUERIES'
up{job="myceliumd"}
rate(mfn_simulation_steps_total[10s]) > bool 10
count(mfn_feature) > bool 17
histogram_quantile(0.5, rate(mfn_simulation_step_duration_seconds_bucket[10s])) < bool 0.01
process_resident_memory_bytes < bool 16777216
QUERIES
stop_daemon || die 1 "SIGTERM gave exit code $?"
