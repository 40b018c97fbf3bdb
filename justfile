# Names for the steps of .ci/run. `just` lists them; `just all` runs every step, as CI does.

default:
    @just --list

# every check, in order
all:
    .ci/run

# the checks of every change: format, lint, test
check:
    .ci/run 10 20 30

format:
    cargo fmt
    cd fuzz && cargo fmt

lint:
    .ci/run 10 20

test *arguments:
    cargo test {{arguments}}

# rewrite the generated tables of docs/CONFIG.md and docs/METRICS.md
bless:
    BLESS=1 cargo test --test docs

deny:
    .ci/run 35

# the full benchmarks; CI runs the short form
bench *arguments:
    cargo bench --locked {{arguments}}

fuzz *targets:
    fuzz/smoke.sh {{targets}}

# static binaries into dist/
cross *targets:
    cross/build.sh {{targets}}

# everything of a release into dist/release
release *arguments:
    cross/release.sh --build {{arguments}}

# builds on dist/: sizes, other processors, outbox on real disks, image, unit, packages
binaries:
    .ci/run 52 54 56 58 60 62 64

# what operators use: Prometheus, soak, tutorials and clients, page, API document, notebooks, attacks
operators:
    .ci/run 70 72 74 76 77 78 79

# features against numpy, scipy and scikit-image
authority:
    .ci/run 80
