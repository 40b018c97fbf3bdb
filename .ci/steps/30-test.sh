#!/usr/bin/env bash
# The command of the README: needs only the Rust toolchain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo test
