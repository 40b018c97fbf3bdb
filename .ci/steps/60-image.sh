#!/usr/bin/env bash
# Images for amd64 and arm64 in one manifest; the amd64 one run with 16 MiB and a read-only root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install buildah podman runc curl
cross/image.sh
cross/image-test.sh
