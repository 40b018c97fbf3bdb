#!/usr/bin/env bash
# Sizes, idle memory and the time to the first answer, against cross/budgets.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cross/budgets.sh
