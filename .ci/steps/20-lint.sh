#!/usr/bin/env bash
# No warning of clippy or rustdoc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo clippy --locked --all-targets -- -D warnings
# The build without TLS is compiled nowhere else.
cargo clippy --locked -p mycelium-daemon --no-default-features -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
echo "clippy and rustdoc without warnings"
