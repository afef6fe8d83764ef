"""MicroPython's `network` for a board of the bench: a radio that is in reach or not."""

from wiring import board

STA_IF = 0


class WLAN:
    def __init__(self, interface):
        self._active = False
        self._ssid = None

    def active(self, on=None):
        if on is not None:
            self._active = on
        return self._active

    def connect(self, ssid, password):
        self._ssid = ssid

    def isconnected(self):
        return self._active and self._ssid in board.networks

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
