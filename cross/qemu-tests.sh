#!/usr/bin/env bash
# The other targets' binaries under qemu-user: the same numbers bit for bit as on x86_64, and the daemon serving over
# loopback and delivering to a webhook.
#
#   cross/qemu-tests.sh [aarch64|armv7 ...]      default: those in dist/
set -euo pipefail
. "$(dirname "$0")/lib.sh"

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for target in aarch64 armv7; do [ -x "$ROOT/dist/$(dist_of $target)/myceliumd" ] && targets+=("$target"); done
fi
[ ${#targets[@]} -gt 0 ] || die 66 "no foreign binary in dist/: run cross/build.sh aarch64"
native=$ROOT/dist/amd64/myceliumd
[ -x "$native" ] || die 66 "no $native to compare with: run cross/build.sh x86_64"
have curl || apt_install curl

work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

qemu_of() {
    case $1 in
        aarch64) echo qemu-aarch64-static ;;
        armv7) echo qemu-arm-static ;;
        *) die 64 "unknown target $1: use aarch64 or armv7" ;;
    esac
}

# results DIRECTORY COMMAND..: every model and boundary, state and history as files, the JSON line as text. With noise
# switched on, so that the random generators are compared, too.
results() {
    local out=$1 model boundary
    shift
    mkdir -p "$out"
    for model in mfn turing excitable gray_scott; do
        for boundary in periodic neumann dirichlet; do
            "$@" simulate --model $model --precision f64 --grid 32 --steps 200 --seed 7 --boundary $boundary \
                --jitter-variance 0.0005 --state "$out/$model-$boundary.npy" --history "$out/$model-$boundary-history.npy" \
                --every 10 >"$out/$model-$boundary.json"
        done
    done
    "$@" simulate --model mfn --precision f64 --grid 64 --steps 64 --seed 42 --compat 4.1 >"$out/compat.json"
    for model in mfn turing excitable gray_scott; do
        "$@" simulate --model $model --precision f32 --grid 64 --steps 500 --seed 3 --jitter-variance 0.0001 \
            --state "$out/$model-f32.npy" --every 50 --format csv >"$out/$model-f32.csv"
        "$@" simulate --model $model --precision f32 --grid 32 --steps 200 --seed 5 --every 20 --format ndjson \
            >"$out/$model-f32.ndjson"
    done
    "$@" features "$out/mfn-periodic-history.npy" >"$out/features.json"
    "$@" nernst --z 1 --out 0.005 --in 0.14 >"$out/nernst.json"
}

results "$work/native" "$native"
for target in "${targets[@]}"; do
    qemu=$(qemu_of "$target")
    have "$qemu" || apt_install qemu-user-static || exit 69
    binary=$ROOT/dist/$(dist_of "$target")/myceliumd
    [ -x "$binary" ] || die 66 "no $binary: run cross/build.sh $target"
    "$qemu" "$binary" --version
    results "$work/$target" "$qemu" "$binary"
    differing=0
    for file in "$work"/native/*; do
        cmp "$file" "$work/$target/${file##*/}" || differing=$((differing + 1))
    done
    [ $differing = 0 ] || die 1 "$differing of $(find "$work/native" -type f | wc -l) results differ between x86_64 and $target"
    echo "$target: $(find "$work/native" -type f | wc -l) results agree with x86_64 bit for bit"

    rm -f "$work/port" "$work/ids"
    touch "$work/ids"
    python3 "$ROOT/cross/receiver.py" "$work/port" "$work/ids" &
    receiver=$!
    pids+=("$receiver")
    wait_for 10 test -s "$work/port" || die 70 "the receiver does not start"
    cat >"$work/$target.toml" <<TOML
[sim]
tick_ms = 10
[outbox]
window_steps = 20
group_ms = 100
[[webhooks]]
name = "loopback"
url = "http://127.0.0.1:$(cat "$work/port")/hook"
linger_ms = 100
spread_ms = 0
TOML
    data=$work/data-$target
    mkdir -p "$data"
    MYCELIUMD_API__LISTEN=127.0.0.1:0 "$qemu" "$binary" run --config "$work/$target.toml" --data-dir "$data" >"$data/log" 2>&1 &
    DAEMON_PID=$!
    pids+=("$DAEMON_PID")
    wait_for 30 test -s "$data/address" || { cat "$data/log" >&2; die 1 "$target: the daemon does not start"; }
    url=http://$(tr -d ' \n' <"$data/address")
    key=$(tr -d ' \n' <"$data/api.key")
    curl -fsS --max-time 10 "$url/healthz" >/dev/null
    [ "$(curl -s --max-time 10 -o /dev/null -w '%{http_code}' "$url/v1/status")" = 401 ] || die 1 "$target: a request without a key was not refused"
    curl -fsS --max-time 10 -H "X-API-Key: $key" "$url/v1/status" >/dev/null
    curl -fsS --max-time 30 -H "X-API-Key: $key" "$url/v1/features?wait=10" | grep -q D_box
    curl -fsS --max-time 10 -H "X-API-Key: $key" "$url/v1/field?format=png" | head -c 8 | grep -q PNG
    "$qemu" "$binary" health "$url/healthz"
    wait_for 40 bash -c "[ \$(wc -l <'$work/ids') -ge 5 ]" || { tail -n 20 "$data/log" >&2; die 1 "$target: nothing was delivered"; }
    [ -z "$(sort "$work/ids" | uniq -d)" ] || die 1 "$target: an event came twice without a fault"
    stop_daemon || die 1 "$target: SIGTERM gave exit code $?"
    kill "$receiver"
    echo "$target: served over loopback, delivered $(wc -l <"$work/ids") events, stopped with 0"
done
