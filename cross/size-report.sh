#!/usr/bin/env bash
# The largest crates of the binary, by cargo-bloat. By hand: an unstripped build of the host's target.
#
#   cross/size-report.sh [-n COUNT]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

count=10
[ "${1:-}" != -n ] || count=${2:?-n needs a number}
cargo_tool cargo-bloat "$CARGO_BLOAT_VERSION"
cd "$ROOT"
CARGO_PROFILE_RELEASE_STRIP=none "$TOOLS/tools/bin/cargo-bloat" bloat --release --locked --bin myceliumd --crates -n "$count"
