#!/usr/bin/env bash
# What operators are given (rules, alerts, dashboards, pages), each against the real tool it is for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

scripts=(tests/operators/check_*.py)
[ -e "${scripts[0]}" ] || die 1 "no tests/operators/check_*.py"
apt_install prometheus
requirements=(PyYAML==6.0.3)
[ -f tests/operators/requirements.txt ] && mapfile -t requirements < <(grep -vE '^\s*(#|$)' tests/operators/requirements.txt)
python=$(python_venv operators "${requirements[@]}")
binary=$PWD/dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=$PWD/target/release/myceliumd; }
for script in "${scripts[@]}"; do
    echo "$script"
    MYCELIUMD=$binary "$python" "$script"
done
