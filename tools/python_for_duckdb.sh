#!/usr/bin/env bash
# Prints the path of a Python that DuckDB 2 has releases for, 3.11 or later: PYTHON or python3, else another that is here.
set -euo pipefail
for candidate in "${PYTHON:-python3}" "$HOME"/.pyenv/versions/3.1[1-9].*/bin/python python3.11 python3.12 python3.13; do
    if "$candidate" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
        echo "$candidate"
        exit
    fi
done
echo "DuckDB 2 wants Python 3.11, which is not on this machine" >&2
exit 1
