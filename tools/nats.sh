#!/bin/sh
# Debian's NATS server, for the tests of the bus; they start servers of their own.
set -eu
command -v nats-server >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "openams: no nats-server: run  sudo apt-get install nats-server  and try again" >&2
    exit 1
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nats-server
