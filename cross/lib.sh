# shellcheck shell=bash
# Functions and variables shared by the scripts of cross/ and .ci/. To be sourced; runs nothing by itself.
# Sets ROOT (repository), TOOLS (private install directory), the versions, and the functions below.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS=${MYCELIUM_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/mycelium-edge}
# shellcheck source=versions.env
. "$ROOT/cross/versions.env"

say() { printf '%s\n' "$*" >&2; }

# die CODE MESSAGE..: prints one message, which includes the remedy, and exits with a code of sysexits.
die() {
    local code=$1
    shift
    say "${0##*/}: $*"
    exit "$code"
}

have() { command -v "$1" >/dev/null 2>&1; }

# The three names of one target: the argument, the Rust triple, the architecture of OCI and dist/.
triple_of() {
    case $1 in
        x86_64) echo x86_64-unknown-linux-musl ;;
        aarch64) echo aarch64-unknown-linux-musl ;;
        armv7) echo armv7-unknown-linux-musleabihf ;;
        *) return 1 ;;
    esac
}
dist_of() {
    case $1 in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        armv7) echo armv7 ;;
        *) return 1 ;;
    esac
}

# apt_install PACKAGE..: does nothing if all are installed; waits for another apt, retries after network errors.
apt_install() {
    local missing=() package try
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! have apt-get; then
        say "this system has no apt-get: install the equivalents of the Debian packages ${missing[*]}"
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        say "not root: run apt-get install --no-install-recommends ${missing[*]}"
        return 1
    fi
    for try in 1 2 3 4 5; do
        if DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
                install -y --no-install-recommends "${missing[@]}" >"${TMPDIR:-/tmp}/apt-install.$$" 2>&1; then
            rm -f "${TMPDIR:-/tmp}/apt-install.$$"
            return 0
        fi
        DEBIAN_FRONTEND=noninteractive dpkg --configure -a >/dev/null 2>&1 || true
        sleep $((try * 3))
    done
    tail -n 5 "${TMPDIR:-/tmp}/apt-install.$$" >&2 2>/dev/null || true
    say "cannot install ${missing[*]}: check the network and run apt-get install --no-install-recommends ${missing[*]}"
    return 1
}

# cargo_tool CRATE VERSION: installs one cargo tool into TOOLS once. Built without optimisation, as it is rarely run.
cargo_tool() {
    local stamp=$TOOLS/tools/.$1-$2
    [ -e "$stamp" ] && return 0
    mkdir -p "$TOOLS/tools" || return 1
    say "installing $1 $2 into $TOOLS/tools"
    if ! (cd "$TOOLS" && CARGO_TARGET_DIR=$TOOLS/build CARGO_PROFILE_DEV_DEBUG=0 RUSTFLAGS='' \
        cargo install --quiet --debug --locked --root "$TOOLS/tools" "$1@$2"); then
        say "cannot install $1 $2: check the network and run cargo install --locked $1@$2"
        return 1
    fi
    touch "$stamp"
}

# zig_venv: a Python environment with zig as linker and C compiler, and cargo-zigbuild to call it.
zig_venv() {
    local venv=$TOOLS/zig-$ZIG_VERSION-$ZIGBUILD_VERSION
    if [ ! -e "$venv/.complete" ]; then
        have python3 || die 69 "cannot fetch zig: no python3: run apt-get install python3 python3-venv"
        rm -rf "$venv"
        mkdir -p "$TOOLS" || die 73 "cannot write $TOOLS: set MYCELIUM_TOOLS to a directory that can be written"
        say "installing zig $ZIG_VERSION and cargo-zigbuild $ZIGBUILD_VERSION into $venv"
        python3 -m venv "$venv" >&2 ||
            die 69 "cannot make a python environment in $venv: run apt-get install python3-venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION" >&2 || {
            rm -rf "$venv"
            die 69 "cannot fetch zig (ziglang==$ZIG_VERSION) from PyPI: connect to the network, or copy $TOOLS from a machine that has built once"
        }
        touch "$venv/.complete"
    fi
    export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
    "$venv/bin/python" -m ziglang version >/dev/null 2>&1 ||
        die 69 "cannot run zig from $venv: remove that directory and run this again"
}

# python_venv NAME REQUIREMENT..: a private environment with pinned packages; prints its python.
python_venv() {
    local venv=$TOOLS/$1 python=$TOOLS/$1/bin/python want
    shift
    want=$(printf '%s\n' "$@")
    if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$want" ]; then
        rm -rf "$venv"
        mkdir -p "$TOOLS"
        python3 -m venv "$venv" >&2 || { say "cannot make a python environment: run apt-get install python3-venv"; return 1; }
        "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$@" >&2 ||
            { say "cannot fetch $*: check the network"; return 1; }
        printf '%s\n' "$want" >"$venv/.complete"
    fi
    echo "$python"
}

# budget NAME: one number of cross/budgets.toml.
budget() {
    awk -F= -v key="$1" '$1 ~ "^"key"[ \t]*$" { sub(/#.*/, "", $2); gsub(/[ \t_]/, "", $2); print $2; found = 1 }
        END { exit !found }' "$ROOT/cross/budgets.toml" || die 78 "cross/budgets.toml has no budget $1"
}

# wait_for SECONDS COMMAND..: polls until the command succeeds; bounded.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.1
    done
}

# start_daemon DATA BINARY [ARGUMENT..]: runs it on a free port with its log in DATA/log; sets DAEMON_PID and DAEMON_URL.
# The caller's environment (MYCELIUMD_*) reaches it. Fails with the log when no address appears within 30 s.
start_daemon() {
    local data=$1 tick
    shift
    mkdir -p "$data"
    rm -f "$data/address"
    MYCELIUMD_API__LISTEN=${MYCELIUMD_API__LISTEN:-127.0.0.1:0} "$@" run --data-dir "$data" >"$data/log" 2>&1 &
    DAEMON_PID=$!
    for tick in $(seq 300); do
        [ -s "$data/address" ] && break
        kill -0 "$DAEMON_PID" 2>/dev/null || break
        sleep 0.1
    done
    if [ ! -s "$data/address" ]; then
        sed 's/^/    /' "$data/log" >&2
        say "the daemon wrote no address to $data/address within $tick tenths of a second"
        return 1
    fi
    # shellcheck disable=SC2034 # for the caller
    DAEMON_URL=http://$(tr -d ' \n' <"$data/address")
}

# stop_daemon: SIGTERM, at most 10 s, then SIGKILL; returns the daemon's exit code.
stop_daemon() {
    local tick code=0
    kill -TERM "$DAEMON_PID" 2>/dev/null || true
    for tick in $(seq 100); do
        kill -0 "$DAEMON_PID" 2>/dev/null || break
        sleep 0.1
    done
    [ "$tick" -lt 100 ] || kill -KILL "$DAEMON_PID" 2>/dev/null || true
    wait "$DAEMON_PID" || code=$?
    return "$code"
}
