#!/usr/bin/env bash
# The API document against the running daemon, by schemathesis.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install python3 python3-venv
python=$(python_venv schemathesis schemathesis==4.32.5)
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
MYCELIUMD=$PWD/$binary "$python" tests/operators/check_openapi.py
