#!/bin/sh
# Debian's PostgreSQL, for the tests of the store; they start servers of their own.
set -eu
. "$(dirname "$0")/debian.sh"
command -v pg_ctlcluster >/dev/null 2>&1 && ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && exit 0
debian_update "no postgresql" postgresql
# No cluster of the system's: the tests make their own.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
debian_install postgresql
