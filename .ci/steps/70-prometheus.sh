#!/usr/bin/env bash
# promtool reads /metrics; a real Prometheus scrapes the daemon and answers a query.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install prometheus curl
cross/prometheus-test.sh
