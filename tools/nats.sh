#!/bin/sh
# Debian's NATS server, for the tests of the bus; they start servers of their own.
set -eu
. "$(dirname "$0")/debian.sh"
command -v nats-server >/dev/null 2>&1 && exit 0
debian_update "no nats-server" nats-server
debian_install nats-server
