"""What stands around a board of a three-phase meter, for the scenarios of the boards' loops; runs
on CPython and on MicroPython."""

import socket

import boardtime
from wiring import board as wiring

from openams.emulator.models.atm90e32 import Atm90e32
from openams.emulator.models.ds3231 import Ds3231
from openams.emulator.models.relay import Relay

KEY = "000102030405060708090a0b0c0d0e0f"


class World:
    """Metering IC, clock chip and relay: what is outside of the controller. `wire` (self) puts them
    on the pins of a board that has just got its supply."""

    def __init__(self, wire):
        self.state = bytearray(b"\xff" * (1 << 20))
        self.ic = Atm90e32()
        self.clock = Ds3231()
        self.relay = Relay()
        # Its oscillator has run, and it is August of 2026.
        self.clock.write(bytes((0x0F, 0)))
        self.clock.write(bytes((0, 0x07, 0x36, 0x21, 2, 0x27, 0x08, 0x26)))
        self._wire = wire
        self._us = 0

    def power_up(self):
        """The controller's supply comes back; its neighbours had theirs all the time."""
        wiring.clear()
        wiring.networks = ("home",)
        self._wire(self)
        self._us = 0
        wiring.alarms.append(self._passed)

    def _passed(self, now_us):
        self.pass_us(now_us - self._us)
        self._us = now_us

    def pass_us(self, us):
        self.ic.advance(us)
        self.clock.advance(us)
        self.relay.advance(us)

    def load(self, watts):
        third = watts * 1000 // 3
        amperes = abs(watts) * 1000000 // 690
        self.ic.set_quantities([230000] * 3, [amperes] * 3, [third] * 3, [0] * 3, 50000)

    def coils(self, to_open, to_close):
        """The pins of the breaker's coils."""
        wiring.watch[to_open] = lambda level: self.relay.coil("open", level)
        wiring.watch[to_close] = lambda level: self.relay.coil("close", level)


def settings(port):
    """Of a meter with keys, on the network `home`."""
    # A board's own code is not loaded before the board is.
    from drivers import atm90e32

    clients = []
    for sap in (1, 2, 5, 6):
        clients.append({"sap": sap, "encryption": f"{sap:02x}" + KEY[2:], "authentication": KEY})
    return {
        "system": "3P4W",
        "calibration": atm90e32.default_calibration("3P4W"),
        "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
        "han": {"format": "kaifa"},
        "han_open": True,
        "security": {"system_title": "4f414d5300000011", "kek": KEY, "clients": clients},
        "dlms_port": port,
        "home": {"broker": "127.0.0.1:1"},
        "home_open": True,
        "wifi": {"ssid": "home", "password": "not a secret"},
    }


def run(loop, ms, led=12):
    """Passes of the main loop; gives the pulses of the test LED at pin `led`."""
    pulses = 0
    lit = 0
    for _ in range(ms // 20):
        loop.step()
        boardtime.sleep_ms(20)
        level = wiring.level(led)
        pulses += level and not lit
        lit = level
    return pulses


def connect(port):
    client = socket.socket()
    client.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    return client


def public_association(port):
    """A client comes over TCP and asks for the public association."""
    client = connect(port)
    aarq = bytes(
        (0x60, 0x1D, 0xA1, 0x09, 0x06, 0x07, 0x60, 0x85, 0x74, 0x05, 0x08, 0x01, 0x01, 0xBE, 0x10)
        + (0x04, 0x0E, 0x01, 0, 0, 0, 0x06, 0x5F, 0x1F, 0x04, 0, 0, 0x18, 0x1F, 0xFF, 0xFF)
    )
    client.send(bytes((0, 1, 0, 16, 0, 1, 0, len(aarq))) + aarq)
    return client


def asks_frequency(port):
    """A Modbus client over TCP asks unit 7, an SDM630, for the frequency."""
    client = connect(port)
    client.send(b"\x12\x34\x00\x00\x00\x06\x07\x04\x00\x46\x00\x02")
    return client


# 50 Hz as a float.
FREQUENCY = b"\x12\x34\0\0\0\x07\x07\x04\x04\x42\x48\0\0"
