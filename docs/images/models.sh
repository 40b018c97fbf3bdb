#!/usr/bin/env bash
# The pictures of docs/MODELS.md, made by the daemon itself: one frame of each model with seed 1.
#
#   docs/images/models.sh [MYCELIUMD [DIR]]  default target/release/myceliumd; writes beside itself or into DIR
#
# The same seed and step give the same picture, on every machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${1:-$here/../../target/release/myceliumd}
out=${2:-$here}
scratch=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$scratch"' EXIT

# 5,000 steps a second and 64 frames kept: the one of STEP can be had for 64 * EVERY / 5,000 seconds, 5 and more.
# picture NAME MODEL GRID STEP EVERY [KEY=VALUE of [sim.MODEL]]
picture() {
    local name=$1 model=$2 grid=$3 step=$4 every=$5 data=$scratch/$1
    mkdir -p "$data"
    {
        printf '[memory]\nmax_bytes = 33554432\n'
        printf '[sim]\nmodel = "%s"\ngrid = %s\nseed = 1\ntick_ms = 20\nsteps_per_tick = 100\n' "$model" "$grid"
        printf '[features]\nevery = %s\n' "$every"
        [ $# -lt 6 ] || printf '[sim.%s]\n%s\n' "$model" "$6"
    } >"$data/picture.toml"
    "$binary" run --config "$data/picture.toml" --data-dir "$data" --listen 127.0.0.1:0 2>"$data/log" &
    daemon=$!
    local answer=404
    for _ in $(seq 600); do
        sleep 0.1
        { [ -s "$data/address" ] && [ -s "$data/api.key" ]; } || continue
        answer=$(curl -s -o "$data/frame.png" -w '%{http_code}' -H "X-API-Key: $(cat "$data/api.key")" \
            "http://$(cat "$data/address")/v1/field?format=png&step=$step") || true
        [ "$answer" != 200 ] || break
    done
    kill "$daemon" && wait "$daemon"
    daemon=
    [ "$answer" = 200 ] || { cat "$data/log" >&2; echo "no frame of step $step of $name: $answer" >&2; exit 1; }
    mv "$data/frame.png" "$out/model-$name.png"
    echo "model-$name.png: $(stat -c %s "$out/model-$name.png") bytes"
}

picture mfn mfn 64 400 400
picture turing-spots turing 128 20000 1000
picture excitable-spiral excitable 128 3000 1000
picture gray-scott gray_scott 128 10000 1000
