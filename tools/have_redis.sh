#!/usr/bin/env bash
# What tests of several machines run: redis-server, with redis-cli, and faketime, which sets the clock of one process.
# As root on Debian or Ubuntu, what is missing is installed. Elsewhere this says how to install it, and fails. The system's
# own Redis is neither needed nor touched: each test starts one on a free port.
set -euo pipefail

missing() {
    local program
    for program in redis-server faketime; do command -v "$program" >/dev/null || printf '%s ' "$program"; done
}

install() {
    # RUNLEVEL=1: Debian's package would start a server as a service, which no test uses.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends "$@" >/dev/null 2>&1
}

read -ra programs <<<"$(missing)"
[ ${#programs[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${programs[*]}"
    install "${programs[@]}" || { apt-get update --quiet >/dev/null && install "${programs[@]}"; } || true
fi
left=$(missing)
[ -z "$left" ] || {
    echo "Missing: $left"
    echo "Tests of several machines run it. Install it and begin again: apt-get install redis-server faketime (Debian," \
        "Ubuntu, as root), or brew install redis libfaketime."
    exit 1
} >&2
