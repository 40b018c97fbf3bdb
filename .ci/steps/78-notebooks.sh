#!/usr/bin/env bash
# The notebooks, run in order against the daemon; their assertions compare it with numpy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

python=$(python_venv notebooks numpy==2.2.6 matplotlib==3.10.3)
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
MYCELIUMD=$PWD/$binary "$python" tests/operators/check_notebooks.py
