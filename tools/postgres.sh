#!/bin/sh
# Debian's PostgreSQL, for the tests of the store; they start servers of their own.
set -eu
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "openams: no postgresql: run  sudo apt-get install postgresql  and try again" >&2
    exit 1
fi
apt-get update -q
# No cluster of the system's: the tests make their own.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql
