#!/usr/bin/env bash
# Tests of a runner on its engine, in an environment that has this engine alone: run.sh ENGINE FOLDER [what pytest takes].
# ENGINE is dask, ray, spark, or spark with a version, such as spark==3.5.*. The environment stays in FOLDER for the next
# run. It is made of `pip install ".[ENGINE]"`, before what the tests need comes beside it. With FLOORS=1 it has the least
# versions that are allowed.
set -euo pipefail
cd "$(dirname "$0")/../.."
extra=${1%%[=<>]*}
version=${1#"$extra"}
environment=$2
shift 2

# One at a time, since it builds this package in the checkout.
pip() {
    "$environment/bin/python" tools/one_at_a_time.py pyproject.toml \
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

make_environment() {
    echo "Installing .[$extra] into $environment, and what tests need beside it."
    "${PYTHON:-python3}" -m venv --clear "$environment"
    if [ -n "${FLOORS:-}" ]; then
        pip "uv>=0.10,<1"
        # pandas 2.0 is compiled for numpy 1, and asks for any.
        "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" \
            --resolution lowest-direct --editable ".[$extra]" "numpy<2"
    elif [ -n "$version" ]; then
        pip --editable ".[$extra]" "py$extra$version"
    else
        pip --editable ".[$extra]"
    fi
    "$environment/bin/python" -c "import huggingface_api_handler.distributed.$extra"
    pip "pytest>=8,<10" "trustme>=1.1,<2"
    touch "$environment/.made"
}

if [ "$extra" = spark ] && ! command -v java > /dev/null; then
    echo "Spark needs a Java, and there is none here."
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || { echo "Install one, such as Debian's default-jre-headless."; exit 1; }
    echo "Installing default-jre-headless."
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends default-jre-headless
fi

for changed in pyproject.toml requirements.txt tests/distributed/run.sh; do
    [ "$environment/.made" -nt "$changed" ] || { make_environment; break; }
done
exec "$environment/bin/python" -m pytest -q -p no:cacheprovider --durations=5 tests/distributed/test_"$extra"*.py "$@"
