#!/usr/bin/env bash
# Everything for operators against the tools it is made for: alerts under promtool, dashboards under a live Prometheus,
# the clients of deploy/, every command of the tutorials, and a fleet of twenty.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install prometheus curl systemd busybox fail2ban
# The receiver in Go is checked where Debian's Go can be installed.
have go || apt_install golang-go || true
# From any source: packages of Node's own distributor conflict with Debian's npm.
if ! have node || ! have npm; then apt_install nodejs npm; fi
mapfile -t requirements < <(grep -vE '^\s*(#|$)' tests/operators/requirements.txt)
python=$(python_venv operators "${requirements[@]}")
# The tutorials and clients call python3.
export PATH=${python%/*}:$PATH
red=$TOOLS/node-red
[ -x "$red/node_modules/.bin/node-red" ] || npm install --silent --no-audit --no-fund --prefix "$red" node-red@4
export NODE_RED=$red/node_modules/.bin/node-red
binary=dist/amd64/myceliumd
[ -x "$binary" ] || { cargo build --locked --release; binary=target/release/myceliumd; }
export MYCELIUMD=$PWD/$binary
failed=0
# Notebooks and the API document have separate steps.
for check in $(find tests/operators -name 'check_*.py' ! -name check_notebooks.py ! -name check_openapi.py | sort) tests/operators/fleet.py; do
    echo "$check"
    "$python" "$check" || { echo "FAILED $check"; failed=1; }
done
exit $failed
