#!/usr/bin/env bash
# The outbox on full and read-only disks, and the syncs of each durability class as strace counts them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install strace util-linux mount python3
cross/outbox-e2e.sh
