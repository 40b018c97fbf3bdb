#!/usr/bin/env bash
# Features of real images against numpy, scipy and scikit-image; features and spikes of signals against antropy, nolds and others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

scripts=(tests/authority/*.py)
[ -e "${scripts[0]}" ] || { echo "no tests/authority/*.py"; exit 1; }
requirements=(numpy==2.2.6 scipy==1.15.3 scikit-image==0.25.2)
[ -f tests/authority/requirements.txt ] && mapfile -t requirements < <(grep -vE '^\s*(#|$)' tests/authority/requirements.txt)
python=$(python_venv authority "${requirements[@]}")
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
for script in "${scripts[@]}"; do
    echo "$script"
    MYCELIUMD=$PWD/$binary "$python" "$script" "$PWD/$binary"
done
