#!/bin/sh
# Runs a Python file with the first interpreter that really is 3.11, 3.12 or 3.13.
# Each name is tried by running it: version managers leave names on PATH that only fail.
set -u

right_version='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
without_venv=

for python in ${PYTHON:-.venv/bin/python python3.13 python3.12 python3.11 python3 python}; do
    "$python" -c "$right_version" >/dev/null 2>&1 || continue
    # Debian ships an interpreter whose venv module cannot make an environment.
    if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        exec "$python" "$@"
    fi
    without_venv=$python
done

if [ -n "$without_venv" ]; then
    echo "$without_venv cannot make a virtual environment: its venv module is missing." >&2
    echo "On Debian and Ubuntu: apt-get install python3-venv" >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13." >&2
else
    echo "No working Python 3.11, 3.12 or 3.13 on PATH." >&2
    echo "Install one (Debian and Ubuntu: apt-get install python3 python3-venv)," >&2
    echo "or name yours: make demo PYTHON=/path/to/python3.12" >&2
fi
exit 1
