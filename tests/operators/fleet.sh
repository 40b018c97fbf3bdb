#!/bin/sh
# Twenty devices, one Prometheus, one receiver: fleet.sh [N]. MYCELIUMD names the program (target/release/myceliumd).
cd "$(dirname "$0")/../.." && exec python3 tests/operators/fleet.py "$@"
