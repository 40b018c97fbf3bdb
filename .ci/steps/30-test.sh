#!/usr/bin/env bash
# The command of the README, as a newcomer types it: needs the Rust toolchain and nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test
