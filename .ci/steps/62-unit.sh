#!/usr/bin/env bash
# The systemd unit: well formed, exposure at most 1.5.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install systemd
cross/unit-test.sh
