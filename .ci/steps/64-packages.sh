#!/usr/bin/env bash
# A Debian package, installed, run and removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cross/packages.sh amd64
cross/package-test.sh
