#!/usr/bin/env bash
# The packages of Debian that later steps use, and the versions this run has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cross/lib.sh

apt_install ca-certificates curl git gcc libc6-dev binutils file python3 python3-venv shellcheck systemd \
    prometheus buildah podman runc qemu-user-static dpkg-dev man-db bash fish zsh
for tool in git gcc python3 buildah podman runc promtool prometheus qemu-aarch64-static systemd-analyze; do
    have "$tool" || die 69 "$tool is missing after its package was installed"
done
have cargo || die 69 "no cargo in PATH: install Rust by rustup"
cargo --version
rustc --version
printf '%s, ' "$(buildah --version)" "$(podman --version)" "$(promtool --version 2>&1 | head -n 1)"
echo
