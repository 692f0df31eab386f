#!/bin/sh
# Makes a clone ready to run: the missing Debian packages, and .venv with the pinned libraries.
#
#   sh setup.sh     (`make setup` does just that; `make validate` and `make test` begin with it)
#
# It may be run again at any time: what is there is kept, a set-up that was interrupted is made
# anew, and when all is there it takes a fraction of a second. PYTHON=python3.12 picks another
# Python than the system's. pip's own configuration (mirrors, certificates) is honoured.
set -eu

PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/sbin:/sbin" # a plain user's lacks nft and tc
export PATH PIP_DISABLE_PIP_VERSION_CHECK=1
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cd -- "$root"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}

# Package, the command that shows it is there, and what needs it.
packages() {
    cat <<'LIST'
bridge-utils brctl the bridges of stock Mininet (mn --switch lxbr)
iperf iperf net.iperf() between two hosts
iproute2 tc links, routes and loss by netem
iputils-ping ping pingAll and the command line of a host
mininet mnexec starts commands inside hosts; also mn, without Open vSwitch
net-tools ifconfig how stock Mininet nodes set their addresses
nftables nft counts and drops packets in the routers' kernels
tcpdump tcpdump an independent count of packets, to check the routers' own
LIST
}

missing_packages() {
    packages | while read -r package command reason; do
        command -v "$command" >/dev/null 2>&1 || printf '%s %s\n' "$package" "$reason"
    done
    if [ -z "$python" ]; then
        echo "python3 Python 3.11 or newer runs the testbed"
        echo "python3-venv makes the folder .venv for its libraries"
    elif ! is_ready && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "python3-venv makes the folder .venv for its libraries"
    fi
}

# The system's own Python comes first: sudo and mn run that one too.
find_python() {
    for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

describe='import sys; print(sys.base_prefix, *sys.version_info[:2])'

# A .venv holds absolute paths and one Python's libraries: moved, or the system's Python replaced,
# it is made anew. When only what should be in it has changed, it is brought up to date.
is_ready() {
    place="$root $("${python:-false}" -c "$describe")" || return 1
    inputs=$(cat requirements.lock pyproject.toml | sha256sum)
    made_for=
    made_with=
    if [ -f .venv/.setup ]; then
        { read -r made_for && read -r made_with; } <.venv/.setup || return 1
    fi
    [ "$made_for" = "$place" ] && [ "$made_with" = "$inputs" ] && ! [ -e .venv/.unfinished ]
}

install_packages() {
    names=$(printf '%s\n' "$1" | cut -d ' ' -f 1 | sort -u | tr '\n' ' ')
    names=${names% }
    command="apt-get install --no-install-recommends $names"
    say "missing Debian packages, and what needs them:"
    printf '%s\n' "$1" | while read -r package reason; do say "  $package: $reason"; done
    command -v apt-get >/dev/null || fail "no apt-get here; install what holds: $names"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "packages missing: $names; as root: apt-get update && $command"
        as_root=sudo
    fi
    say "installing them: $as_root $command"
    # A failed update (one broken mirror of many) need not matter; a failed install does. A machine
    # that has just booted is often updating itself: wait for it.
    wait="-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    # shellcheck disable=SC2086
    $as_root apt-get $wait update -q >&2 || say "apt-get update failed; trying with what is known"
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get $wait install -q -y \
        --no-install-recommends $names >&2 ||
        fail "packages missing: $names; as root: apt-get update && $command"
}

# Under sudo the folder .venv belongs to the caller, unless the clone is out of the caller's reach.
hand_to_caller() {
    [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" -ne 0 ] || return 0
    as_caller="setpriv --reuid $SUDO_UID --regid $SUDO_GID --init-groups"
    # shellcheck disable=SC2086
    $as_caller test -w . || return 0
    home=$(getent passwd "$SUDO_UID" | cut -d : -f 6)
    # shellcheck disable=SC2086
    exec $as_caller env "HOME=$home" sh ./setup.sh
}

pip_install() {
    .venv/bin/python -m pip install --quiet "$@" >&2
}

# pip leaves a package that looks whole when it is stopped half-way: never build on that.
is_sound() {
    [ -f .venv/.setup ] && [ "$made_for" != "$place" ] && return 1
    ! [ -e .venv/.unfinished ] && [ -x .venv/bin/python ] &&
        [ "$root $(.venv/bin/python -c "$describe")" = "$place" ]
}

make_environment() {
    if [ -e .venv ] && ! [ -w .venv ]; then
        fail ".venv: belongs to $(stat -c %U .venv); remove it first: sudo rm -rf '$root/.venv'"
    fi
    rm -rf .venv-old
    if is_sound; then
        say "bringing .venv up to date with requirements.lock"
        # Fetches all, changes nothing: without a network a .venv that works is kept.
        pip_install --dry-run --require-hashes --no-build-isolation -r requirements.lock ||
            fail "requirements.lock: not all could be fetched; .venv is as it was; try again"
        : >.venv/.unfinished
    else
        ! [ -e .venv ] || mv .venv .venv-old
        rm -rf .venv-old
        mkdir .venv
        : >.venv/.unfinished
        say "making .venv with $python; about 250 MB of libraries to fetch"
        "$python" -m venv .venv
    fi
    # mininet comes as source; it is built with the pinned setuptools instead of the newest one.
    sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock >.venv/setuptools.lock
    pip_install --require-hashes -r .venv/setuptools.lock
    pip_install --require-hashes --no-build-isolation -r requirements.lock
    pip_install --no-deps --no-build-isolation --no-index --editable .
    .venv/bin/testbed --help >/dev/null
    printf '%s\n%s\n' "$place" "$inputs" >.venv/.setup
    rm .venv/.unfinished
}

[ "$(uname -s)" = Linux ] ||
    fail "$(uname -s): the testbed needs Linux's network namespaces; use the machine: vagrant up"

python=$(find_python) || python=
missing=$(missing_packages)
if [ -n "$missing" ]; then
    install_packages "$missing"
    python=$(find_python) || fail "no Python 3.11 or newer found; name one: PYTHON=python3.12 make setup"
fi
hand_to_caller
if ! is_ready; then
    exec 9<setup.sh && flock 9 # two makes at once: one builds, the other waits and looks again
    is_ready || make_environment
fi
