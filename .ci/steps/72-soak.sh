#!/usr/bin/env bash
# A short soak: accelerated, polled, with a webhook that cannot be reached; memory and descriptors stay flat.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

SOAK_STEPS=${SOAK_STEPS:-2000000} cross/soak.sh
