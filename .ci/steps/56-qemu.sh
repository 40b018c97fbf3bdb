#!/usr/bin/env bash
# The aarch64 and armv7 binaries under qemu-user: same results bit for bit, serving and delivering.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install qemu-user-static curl
cross/qemu-tests.sh
