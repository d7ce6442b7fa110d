#!/usr/bin/env bash
# Test: ./test.sh [pytest arguments]. Installs on first use, then lint, types and tests, these in two processes.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up dev || exit
cd "$ROOT" || exit
# One thread: two that wait for each other on a busy machine are many times slower.
export OMP_NUM_THREADS=1
failed=0
"$VENV/bin/ruff" check . || failed=1
"$VENV/bin/ruff" format --check --quiet . || { say "not formatted: run .venv/bin/ruff format"; failed=1; }
"$VENV/bin/pyright" --pythonpath "$VENV/bin/python" || failed=1
# Tests of one file share what they make, so a file stays in one process.
"$VENV/bin/python" -m pytest --numprocesses 2 --dist loadfile "$@" || failed=1
exit $failed
