#!/usr/bin/env bash
# Each benchmark in its short form: they run, and print their ratios. No time is asserted here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

BENCH_SMALL=1 cargo bench --locked
