#!/usr/bin/env bash
# Alerts under promtool, dashboards under a live Prometheus, the pollers of deploy/, and a fleet of twenty.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install prometheus curl nodejs npm
python=$(python_venv operators PyYAML==6.0.2 Jinja2==3.1.6)
red=$TOOLS/node-red
[ -x "$red/node_modules/.bin/node-red" ] || npm install --silent --no-audit --no-fund --prefix "$red" node-red@4
export NODE_RED=$red/node_modules/.bin/node-red
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
export MYCELIUMD=$PWD/$binary
failed=0
for check in check_rules check_dashboards check_clients fleet; do
    echo "$check"
    "$python" "tests/operators/$check.py" || failed=1
done
exit $failed
