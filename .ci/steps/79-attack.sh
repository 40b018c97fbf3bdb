#!/usr/bin/env bash
# Attacks on the HTTP API of the real daemon: it survives, stays small, and serves others meanwhile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install python3 openssl util-linux
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
MYCELIUMD=$PWD/$binary python3 tests/operators/attack.py --fuzz 20
