#!/bin/sh
# Make a virtual environment: setup_venv.sh PYTHON DIRECTORY. Leaves an existing one alone.
set -eu
python=$1
venv=$2
if [ -x "$venv/bin/python" ]; then
    exit 0
fi
if ! command -v "$python" >/dev/null; then
    echo "no '$python' here: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$("$python" --version) is too old: Python 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "$python has no venv module: install it (Debian: apt-get install python3-venv)" >&2
    exit 1
fi
"$python" -m venv "$venv"
