#!/usr/bin/env bash
# Several workers over one store, and what goes wrong between them; then two machines in network namespaces. PYTHON names the
# interpreter; tests/cluster/test_faults.py says what FAULT_SECONDS and KILL_ROWS are.
set -euo pipefail
cd "$(dirname "$0")/../.."
"${PYTHON:-python3}" -m pytest -q --durations=5 tests/cluster
./tests/cluster/namespaces.sh
