#!/usr/bin/env bash
# Debian packages for amd64, arm64 and armhf; the first installed, run and removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cross/packages.sh
cross/package-test.sh
