#!/usr/bin/env bash
# Static binaries for x86_64, aarch64 and armv7 with checksums and SBOM, NEON in the second; the messages of build.sh for
# every bad input.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# With the default choice of std: rustup's if available, else Debian's.
cross/build.sh x86_64 aarch64 armv7
(cd dist && sha256sum --check SHA256SUMS)
cat dist/BUILDINFO
cross/neon.sh
cross/tests/bad_input.sh
