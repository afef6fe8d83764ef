"""The radio of an ESP32 or a Pico W, by MicroPython's `network`."""

import os

import network

from ams.hal import NotTrusted, Wlan
from drivers.datagrams import Port
from drivers.tcp import Dialler, Listener

_AUTHORITY = "broker-ca.pem"
_WPA2 = 3  # network.AUTH_WPA2_PSK on the ESP32; a Pico W takes WPA2 when there is a password


class Radio(Dialler, Wlan):
    """`tls`: there is time for a handshake, a second or more in which the core does nothing else.

    Raises OSError when there is no radio. It takes a second to start, once.
    """

    def __init__(self, tls=True):
        self._tls = tls
        self._station = network.WLAN(network.STA_IF)
        self._station.active(True)
        self._point = None

    def dial(self, destination, tls=None):
        if tls is not None and not self._tls:
            raise NotTrusted("a handshake would cost samples: TLS is with a metering IC")
        return super().dial(destination, tls)

    def join(self, ssid, password):
        station = self._station
        station.active(True)
        try:
            station.disconnect()
        except OSError:
            pass  # it was not connected
        station.connect(ssid, password or None)

    def joined(self):
        return self._station.isconnected()

    def open_point(self, ssid, password):
        point = self._point = network.WLAN(network.AP_IF)
        # Never an open network, not for a moment.
        try:
            point.config(ssid=ssid, password=password, authmode=_WPA2)
        except ValueError:
            # A Pico W calls it otherwise, and has WPA2 anyway.
            point.config(ssid=ssid, password=password)
        point.active(True)
        self.point_address = point.ifconfig()[0]

    def close_point(self):
        if self._point is not None:
            self._point.active(False)
            self._point = None

    def listen(self, port):
        return Listener(port)

    def datagrams(self, port):
        return Port(port)

    def authority(self):
        try:
            with open(_AUTHORITY, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def keep_authority(self, octets):
        with open(_AUTHORITY + ".new", "wb") as file:
            file.write(octets)
        os.rename(_AUTHORITY + ".new", _AUTHORITY)
