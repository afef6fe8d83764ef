#!/bin/sh
# Makes the virtual environment with everything that a lock pins: requirements-run.lock has what
# runs, requirements.lock what tests and documents need too.
set -eu
. "$(dirname "$0")/debian.sh"
venv=$1
lock=$2
python=${PYTHON:-python3}

need() {
    echo "openams: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || need "no $python: install Python 3.11 or later"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    need "$("$python" --version) is too old: OpenAMS needs Python 3.11 or later"

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    # Debian and Ubuntu ship venv apart from Python.
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package="python$version-venv"
    debian_update "this Python has no venv" "$package"
    debian_install "$package"
fi

rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" tools/install.py "$lock"
