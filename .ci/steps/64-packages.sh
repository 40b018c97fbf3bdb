#!/usr/bin/env bash
# Everything of a release: Debian packages for amd64, arm64 and armhf, of which the first is installed, run and removed;
# archives, which the installer installs from a server on loopback; the apt repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cross/release.sh --url https://releases.example.org/myceliumd
cross/package-test.sh
cross/install-test.sh
