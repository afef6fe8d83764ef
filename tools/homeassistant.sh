#!/bin/sh
# Home Assistant's own schemas of MQTT discovery, for the tests of the home automation: in an
# environment of their own, beside which nothing of the project is. Prints its Python.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/openams/homeassistant-2024.3.3"
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if ! cmp -s "$here/homeassistant.txt" "$folder/installed.txt"; then
    rm -rf "$folder/venv"
    python3.11 -m venv "$folder/venv" >&2 || python3 -m venv "$folder/venv" >&2
    "$folder/venv/bin/python" -m pip install -q uv >&2
    "$folder/venv/bin/uv" pip install -q --python "$folder/venv/bin/python" --no-deps \
        --require-hashes -r "$here/homeassistant.txt" >&2
    cp "$here/homeassistant.txt" "$folder/installed.txt"
fi
echo "$folder/venv/bin/python"
