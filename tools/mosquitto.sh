#!/bin/sh
# Debian's MQTT broker and its clients, for the tests of the home automation; they start brokers of
# their own.
set -eu
. "$(dirname "$0")/debian.sh"
command -v mosquitto_sub >/dev/null 2>&1 && PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null 2>&1 && exit 0
debian_update "no mosquitto" mosquitto mosquitto-clients
# The system's own broker is not to be started where there is something that would.
[ -e /etc/systemd/system/mosquitto.service ] || {
    mkdir -p /etc/systemd/system
    ln -s /dev/null /etc/systemd/system/mosquitto.service
}
debian_install mosquitto mosquitto-clients
