#!/usr/bin/env bash
# Licences, sources, duplicate and banned crates; known vulnerabilities where the advisory database can be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

cargo_tool cargo-deny "$CARGO_DENY_VERSION"
deny=$TOOLS/tools/bin/cargo-deny
"$deny" --locked check bans licenses sources
# The database is a separate git repository, which cannot be fetched where only package registries are reachable.
if timeout 60 "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check --disable-fetch advisories
    echo "checked: bans, licences, sources, advisories"
else
    echo "checked: bans, licences, sources; NOT checked: advisories, whose database cannot be fetched from this machine"
fi
