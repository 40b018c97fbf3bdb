#!/usr/bin/env bash
# The pictures of docs/MODELS.md, drawn again and compared pixel by pixel; then the notebooks, run in order against the
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
    "$python" -c 'import sys; from matplotlib.image import imread
sys.exit((imread(sys.argv[1]).tolist() != imread(sys.argv[2]).tolist()) and f"{sys.argv[2]} is not what the daemon draws")' \
        "$picture" "docs/images/${picture##*/}"
done
MYCELIUMD=$PWD/$binary "$python" tests/operators/check_notebooks.py
