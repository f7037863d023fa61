#!/usr/bin/env bash
# What looks at the site of the documentation: Chromium, as the distribution has it. As root on Debian it is installed where
# it is missing. Elsewhere this says how, and fails. CHROMIUM may name another program.
set -euo pipefail

for program in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
    ! command -v "$program" >/dev/null || exit 0
done

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends chromium >/dev/null 2>&1
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing chromium"
    install || { apt-get update --quiet >/dev/null && install; } || true
fi
command -v chromium >/dev/null || {
    echo "Missing: chromium. Tests of the site run it. Install it and begin again: apt-get install chromium (Debian, as root)," \
        "or set CHROMIUM to a Chrome that you have."
    exit 1
} >&2
