#!/usr/bin/env bash
# A short soak: accelerated, polled, with an unreachable webhook; memory and descriptors must not grow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

SOAK_STEPS=${SOAK_STEPS:-2000000} cross/soak.sh
