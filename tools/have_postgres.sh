#!/usr/bin/env bash
# What the tests of MindsDB with a database run: PostgreSQL's own programs. As root on Debian or Ubuntu they are installed
# where they are missing. Elsewhere this says how to install them, and fails. The system's own cluster is neither needed nor
# touched: the tests start a server of their own on a free port.
set -euo pipefail

has_postgres() {
    command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null
}

install() {
    # RUNLEVEL=1: Debian's package would start a server as a service, which no test uses.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends postgresql >/dev/null 2>&1
}

has_postgres && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing postgresql"
    install || { apt-get update --quiet >/dev/null && install; } || true
fi
has_postgres || {
    echo "Missing: PostgreSQL"
    echo "Tests of MindsDB with a database run it. Install it and begin again: apt-get install postgresql (Debian, Ubuntu," \
        "as root), or brew install postgresql."
    exit 1
} >&2
