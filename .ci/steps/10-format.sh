#!/usr/bin/env bash
# Rust formatting, shell scripts without findings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

cargo fmt --check
(cd fuzz && cargo fmt --check)
mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run 'deploy/completions/*.bash' | sort -u)
for script in "${scripts[@]}"; do bash -n "$script"; done
if have shellcheck; then
    shellcheck -x --source-path=SCRIPTDIR --source-path=. -e SC1091 --severity=warning "${scripts[@]}"
    echo "cargo fmt, bash -n and shellcheck on ${#scripts[@]} scripts"
else
    echo "cargo fmt and bash -n on ${#scripts[@]} scripts (no shellcheck here)"
fi
