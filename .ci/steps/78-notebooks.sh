#!/usr/bin/env bash
# The pictures of docs/MODELS.md, made again and compared byte by byte; then the notebooks, run in order against the
# daemon; their assertions compare it with numpy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

python=$(python_venv notebooks numpy==2.2.6 matplotlib==3.10.3)
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
pictures=$(mktemp -d)
trap 'rm -rf "$pictures"' EXIT
docs/images/models.sh "$PWD/$binary" "$pictures"
for picture in "$pictures"/*.png; do
    cmp "$picture" "docs/images/${picture##*/}"
done
MYCELIUMD=$PWD/$binary "$python" tests/operators/check_notebooks.py
