#!/bin/sh
# Debian's Node.js, for the tests that read the optical port as others' clients do.
set -eu
. "$(dirname "$0")/debian.sh"
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && exit 0
debian_update "no Node.js" nodejs npm
debian_install nodejs npm ca-certificates
