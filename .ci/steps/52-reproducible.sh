#!/usr/bin/env bash
# The same commit gives the same bytes from another directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cross/reproducible.sh x86_64
