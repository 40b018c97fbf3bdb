#!/usr/bin/env bash
# The step and the features beside numpy, numba and scipy, in a private environment with pinned packages; outside of
# `cargo bench`, which needs no Python.
#
#   benches/python_baseline.sh [MYCELIUMD]      default dist/amd64/myceliumd, else a release build
set -euo pipefail
binary=${1:+$(realpath "$1")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cross/lib.sh

[ -n "$binary" ] || binary=dist/amd64/myceliumd
[ $# -gt 0 ] || [ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
mapfile -t requirements <benches/python_requirements.txt
python=$(python_venv baseline "${requirements[@]}")
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$python" benches/python_baseline.py "$binary"
