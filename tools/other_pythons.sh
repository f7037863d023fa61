#!/usr/bin/env bash
# Unit tests on other Python versions and huggingface_hub releases: other_pythons.sh 3.10:1.0.0 3.13:2.* ...
# A version that is not on this machine is named as not tested. The hostile arguments, 3,400 cases that take as long as all
# other unit tests together, run on the first Python alone.
set -euo pipefail
cd "$(dirname "$0")/.."

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
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check ".[local,local-ner,test]" "huggingface_hub==$hub"
    "$environment/bin/python" -m pytest -q tests/unit --ignore tests/unit/config/test_hostile_arguments.py
    rm -rf "$environment"
done
