#!/usr/bin/env bash
# Every fuzz target for a few seconds from its committed corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

FUZZ_SECONDS=${FUZZ_SECONDS:-10} fuzz/smoke.sh
