#!/usr/bin/env bash
# Runs the amd64 image as a gateway would: 16 MiB of memory, a read-only root, a fresh volume, no capabilities.
#
#   cross/image-test.sh [NAME]       after cross/image.sh [NAME]
#
# Needs podman and runc. Where there is no memory cgroup (in a build container), only the resident set is checked, and
# the last line says so.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

NAME=${1:-localhost/myceliumd}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
image=$NAME:$version-amd64
PODMAN=(podman --runtime runc --cgroup-manager cgroupfs --storage-driver vfs)
for tool in podman runc curl; do have $tool || apt_install podman runc curl || exit 69; done

container=myceliumd-test-$$
volume=myceliumd-test-$$
work=$(mktemp -d)
cleanup() {
    "${PODMAN[@]}" rm --force --time 5 "$container" >/dev/null 2>&1 || true
    "${PODMAN[@]}" volume rm "$volume" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

# The configuration of the image.
inspect() { "${PODMAN[@]}" image inspect --format "$1" "$image"; }
[ "$(inspect '{{.User}}')" = 65532:65532 ] || die 1 "the image's user is not the unprivileged numeric one: $(inspect '{{.User}}')"
[ "$(inspect '{{join .Config.Entrypoint " "}}')" = /myceliumd ] || die 1 "the entrypoint is not the binary alone"
# The name of the field in templates differs between versions of podman; that in JSON does not.
check=$("${PODMAN[@]}" image inspect "$image" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0].get("Healthcheck", {}).get("Test"))')
[ "$check" = "['CMD', '/myceliumd', 'health']" ] || die 1 "no HEALTHCHECK in exec form: $check"
[ -n "$(inspect '{{index .Labels "org.opencontainers.image.revision"}}')" ] || die 1 "no OCI labels"
"${PODMAN[@]}" run --rm --no-healthcheck --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$image" --version

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# --network=host and the explicit ulimits also work inside a build container; therefore it listens on loopback only.
# Without systemd podman has no timer for health checks; the command is run directly below.
limits=(--memory 16m --memory-swap 16m)
run() {
    "${PODMAN[@]}" run --detach --no-healthcheck --name "$container" --network=host --read-only --read-only-tmpfs=false --cap-drop all \
        --security-opt no-new-privileges --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
        --volume "$volume:/data" --env MYCELIUMD_API__LISTEN="127.0.0.1:$port" "$@" "$image"
}
if ! run "${limits[@]}" >/dev/null 2>"$work/error"; then
    "${PODMAN[@]}" rm --force "$container" >/dev/null 2>&1 || true
    say "no memory cgroup on this machine ($(tail -n 1 "$work/error")): the resident set is checked instead"
    limits=()
    run >/dev/null
fi
url=http://127.0.0.1:$port
wait_for 20 curl -fsS --max-time 2 "$url/readyz" || {
    "${PODMAN[@]}" logs "$container" >&2
    die 1 "the container does not answer"
}
"${PODMAN[@]}" exec "$container" /myceliumd health "$url/healthz" || die 1 "the HEALTHCHECK's command fails inside the container"

# A thousand polls during the simulation must stay below the limit; the key is in the volume, readable by the user only.
key=$("${PODMAN[@]}" volume inspect --format '{{.Mountpoint}}' "$volume")/api.key
[ -s "$key" ] && [ "$(stat -c %a:%u "$key")" = 600:65532 ] || die 1 "no key of mode 0600 owned by 65532 in the volume: the data volume is not writable by the user"
for round in $(seq 20); do
    curl -fsS --max-time 10 -H "X-API-Key: $(tr -d ' \n' <"$key")" "$url/v1/status" "$url/v1/features" "$url/metrics" "$url/healthz" >/dev/null ||
        [ "$round" -gt 10 ] || die 1 "a poll fails"
    sleep 0.2
done
pid=$("${PODMAN[@]}" inspect --format '{{.State.Pid}}' "$container")
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")
[ "$peak" -lt 16384 ] || die 1 "peak resident set $peak KiB is above 16 MiB"
[ "$("${PODMAN[@]}" inspect --format '{{.State.OOMKilled}}' "$container")" = false ] || die 1 "the container ran out of memory"
"${PODMAN[@]}" stop --time 10 "$container" >/dev/null
code=$("${PODMAN[@]}" inspect --format '{{.State.ExitCode}}' "$container")
[ "$code" = 0 ] || die 1 "stopping the container gave exit code $code"
echo "image $image: read-only root, ${limits[*]:-no cgroup}, peak resident set $peak KiB, stopped with 0"

# As the pod of deploy/kubernetes: its arguments and variables, a volume that everybody may write to (a host path, as k3s makes
# them), its configuration, and keys in files that the group can read.
pod=$ROOT/deploy/kubernetes/deployment.yaml
IFS=', ' read -r -a arguments < <(sed -n 's/^ *args: \[\(.*\)\]$/\1/p' "$pod")
variables=(--env MYCELIUMD_DEVICE__ID=node-1)
while read -r variable; do variables+=(--env "$variable"); done < <(sed -n 's/^ *- {name: \([A-Z_]*\), value: \(.*\)}$/\1=\2/p' "$pod")
[ ${#arguments[@]} = 3 ] && [ ${#variables[@]} = 8 ] || die 70 "$pod is written in another way than this script reads it"
"${PODMAN[@]}" rm --force "$container" >/dev/null
mkdir -m 0777 "$work/volume" && mkdir -m 0755 "$work/secrets"
for name in api.key poller.key; do
    "$ROOT/dist/amd64/myceliumd" key new | sed -n 's/^key *//p' >"$work/secrets/$name"
    chown 0:65532 "$work/secrets/$name"
    chmod 0440 "$work/secrets/$name"
done
"${PODMAN[@]}" run --detach --no-healthcheck --name "$container" --network=host --read-only --read-only-tmpfs=false --cap-drop all \
    --security-opt no-new-privileges --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --user 65532:65532 \
    --volume "$work/volume:/data" --volume "$ROOT/deploy/kubernetes:/etc/myceliumd:ro" --volume "$work/secrets:/run/secrets/myceliumd:ro" \
    --env MYCELIUMD_API__LISTEN="127.0.0.1:$port" "${variables[@]}" "$image" "${arguments[@]}" >/dev/null
wait_for 20 curl -fsS --max-time 2 "$url/readyz" || {
    "${PODMAN[@]}" logs "$container" >&2
    die 1 "the container does not answer with the arguments of the pod"
}
curl -fsS --max-time 10 -H "X-API-Key: $(cat "$work/secrets/poller.key")" "$url/v1/status" | grep -q '"device":"node-1"' ||
    die 1 "the key of the secret or the name of the node is not used"
"${PODMAN[@]}" stop --time 10 "$container" >/dev/null
[ "$("${PODMAN[@]}" inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || die 1 "stopping the pod's container gave another exit code than 0"
echo "image $image: runs as the pod of deploy/kubernetes"
