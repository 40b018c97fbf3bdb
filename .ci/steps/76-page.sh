#!/usr/bin/env bash
# The status page in a headless browser against the daemon.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install chromium chromium-driver python3
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
MYCELIUMD=$PWD/$binary python3 tests/page/check_page.py
# The picture of README.md can be taken again.
mkdir -p target
docs/images/page.sh "$PWD/$binary" target/page.png
