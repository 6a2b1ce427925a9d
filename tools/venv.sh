#!/bin/sh
# venv.sh FOLDER [PYTHON]: make a virtual environment with Python >= 3.11, unless a working one is there.
set -eu
folder=$1
wanted=${2:-}

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if usable "$folder/bin/python"; then exit 0; fi

for python in ${wanted:-python3 python3.12 python3.13 python3.11 python}; do
    if usable "$python"; then
        if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "sslab: making $folder with $("$python" --version)"
            exec "$python" -m venv --clear "$folder"
        fi
        echo "sslab: $python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2
    fi
done

if [ -n "$wanted" ]; then
    echo "sslab: PYTHON=$wanted is not a Python >= 3.11 that can make a virtual environment" >&2
else
    echo "sslab: needs Python >= 3.11 and found $(python3 --version 2>/dev/null || echo none); install one (python.org," >&2
    echo "       your package manager, conda) or name it: make lab PYTHON=/path/to/python3.12" >&2
fi
exit 1
