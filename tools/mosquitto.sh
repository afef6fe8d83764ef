#!/bin/sh
# Debian's MQTT broker and its clients, for the tests of the home automation; they start brokers of
# their own.
set -eu
command -v mosquitto_sub >/dev/null 2>&1 && PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "openams: no mosquitto: run  sudo apt-get install mosquitto mosquitto-clients  and try again" >&2
    exit 1
fi
apt-get update -q
# The system's own broker is not to be started where there is something that would.
[ -e /etc/systemd/system/mosquitto.service ] || {
    mkdir -p /etc/systemd/system
    ln -s /dev/null /etc/systemd/system/mosquitto.service
}
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mosquitto mosquitto-clients
