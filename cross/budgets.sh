#!/usr/bin/env bash
# Measures the daemon and fails if a value exceeds cross/budgets.toml: size per target, memory idle and with 64
# clients, time to the first answer. Needs dist/amd64 (cross/build.sh x86_64); measures the sizes of the other
# targets if they are built.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

over=0
row() { # NAME VALUE LIMIT UNIT
    local mark=ok
    [ "$2" -le "$3" ] || { mark="ABOVE BUDGET"; over=1; }
    printf '%-22s %10d of %10d %-6s %s\n' "$1" "$2" "$3" "$4" "$mark"
}

found=0
for target in x86_64 aarch64 armv7; do
    file=$ROOT/dist/$(dist_of $target)/myceliumd
    [ -f "$file" ] || continue
    found=1
    row "binary $target" "$(stat -c %s "$file")" "$(budget binary_$target)" bytes
done
[ $found = 1 ] || die 66 "no binary in dist/: run cross/build.sh"
# README.md may not promise less than the binary has.
promised=$(sed -n 's/^| \*\*`myceliumd`\*\* | \*\*\([0-9]*\)\.\([0-9]\) MiB.*/\1\2/p' "$ROOT/README.md")
[ -n "$promised" ] || die 70 "README.md has no size of the binary where it is looked for"
[ ! -f "$ROOT/dist/amd64/myceliumd" ] || row "as README.md says" "$(stat -c %s "$ROOT/dist/amd64/myceliumd")" "$(((promised * 2 + 1) * 1048576 / 20))" bytes

binary=$ROOT/dist/amd64/myceliumd
if [ -x "$binary" ] && [ "$(uname -m)" = x86_64 ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"; kill "$DAEMON_PID" 2>/dev/null || true' EXIT
    # As after a boot, when pages of the program are read from the disk on demand. Of a file that was just written, the
    # kernel would map all cached pages, used or not.
    python3 - "$binary" <<'PY'
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(file)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
PY
    MYCELIUMD_API__MAX_PER_IP=64 MYCELIUMD_API__RATE__BURST=200 start_daemon "$work/data" "$binary" || exit 1
    sleep 5
    row "rss idle" $(($(awk '/^VmRSS/ { print $2 }' "/proc/$DAEMON_PID/status") * 1024)) "$(budget rss_idle)" bytes
    row "rss 64 held" "$(python3 "$ROOT/cross/held.py" "$DAEMON_PID" "$DAEMON_URL" "$(cat "$work/data/api.key")" 64)" "$(budget rss_64_held)" bytes
    stop_daemon || die 1 "SIGTERM did not end the daemon with exit code 0 ($?)"
    row "first answer" "$(python3 "$ROOT/cross/first_answer.py" "$binary" "$work/first")" "$(($(budget first_answer_ms) * 1000))" us
fi
[ $over = 0 ] || die 1 "a value exceeds cross/budgets.toml: see cross/size-report.sh for the largest crates"
