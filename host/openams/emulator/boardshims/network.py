"""MicroPython's `network` for a board of the bench: a radio that is in reach or not."""

from wiring import board

STA_IF = 0
AP_IF = 1


class WLAN:
    def __init__(self, interface):
        self._interface = interface
        self._active = False
        self._ssid = None
        self._config = {}

    def active(self, on=None):
        if on is not None:
            self._active = on
            if self._interface == AP_IF:
                # What is in the air, and under which password.
                board.point = dict(self._config) if on else None
        return self._active

    def config(self, **settings):
        self._config.update(settings)

    def disconnect(self):
        if self._ssid is None:
            raise OSError(0x3002)
        self._ssid = None

    def connect(self, ssid, password):
        self._ssid = ssid

    def isconnected(self):
        return self._active and self._ssid in board.networks

    def ifconfig(self):
        if self._interface == AP_IF:
            return ("192.168.4.1", "255.255.255.0", "192.168.4.1", "192.168.4.1")
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
