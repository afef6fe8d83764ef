#!/bin/sh
# Debian's Chromium, for the tests and the picture of the web page.
set -eu
. "$(dirname "$0")/debian.sh"
command -v chromium >/dev/null 2>&1 && exit 0
debian_update "no chromium" chromium
debian_install chromium fonts-dejavu-core
