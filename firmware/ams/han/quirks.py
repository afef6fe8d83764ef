"""Ways in which ports misbehave in the field, on purpose (docs/han.md).

A quirk touches the port only: the meter behind it stays right. What is random
follows from a seed.
"""

from micropython import const

from ams.han.quirk import Quirk

QUIRKS = {
    "stale-hour": "every other hourly list repeats the hour before; the next carries two",
    "parity": "8N1 where 8E1 is due, and the reverse",
    "sweden-hybrid": "HDLC at 2400 baud where P1 at 115200 is due (choose format p1)",
    "rekey": "encrypted; every tenth minute the key changes to the next one",
    "noise": "single bits flip in one frame of four",
    "cut": "one frame of four ends early",
    "overrun": "one frame of four loses its end to the next frame",
    "silent": "nothing for three minutes out of ten",
    "port-reset": "over-current: dead for every fifth minute, then back",
}
_MINUTE_MS = const(60000)


class Seeded(Quirk):
    def __init__(self, port, seed):
        self._port = port
        self._state = (seed * 2654435 + 12345) & 0x3FFFFFFF or 1

    def random(self, below):
        """A number from 0 to below - 1 (16-bit Galois steps: fits a small int)."""
        state = self._state
        for _ in range(16):
            state = (state >> 1) ^ 0x20000029 if state & 1 else state >> 1
        self._state = state
        return state % below


class StaleHour(Seeded):
    def repeats_hour(self, utc_ms, view):
        return utc_ms // (60 * _MINUTE_MS) % 2 == 1 and view._stale_mwh is not None


class Parity(Seeded):
    def line(self, line):
        baudrate, bits, parity, stop = line
        return baudrate, bits, 0 if parity is None else None, stop


class SwedenHybrid(Seeded):
    def list_format(self, list_format):
        if list_format.name != "p1":
            raise ValueError("quirk sweden-hybrid is one of format p1")
        from ams.han.kamstrup import Kamstrup

        return Kamstrup()


class Rekey(Seeded):
    _minutes = None

    def tick(self, utc_ms):
        minutes = utc_ms // (10 * _MINUTE_MS)
        if self._minutes is not None and minutes != self._minutes:
            self._port.rekey()
        self._minutes = minutes


class Noise(Seeded):
    def send(self, frame, utc_ms, uart):
        if self.random(4) == 0:
            for _ in range(1 + self.random(3)):
                frame[self.random(len(frame))] ^= 1 << self.random(8)
        uart.write(frame)


class Cut(Seeded):
    def send(self, frame, utc_ms, uart):
        if self.random(4) == 0:
            frame = frame[: 1 + self.random(len(frame) - 1)]
        uart.write(frame)


class Overrun(Seeded):
    _held = None

    def send(self, frame, utc_ms, uart):
        if self._held is not None:
            uart.write(self._held)
            self._held = None
        elif self.random(4) == 0:
            # Its end is lost; what is left runs into the next frame.
            self._held = bytes(frame[: len(frame) - 1 - self.random(len(frame) // 2)])
            return
        uart.write(frame)


class Silent(Seeded):
    def send(self, frame, utc_ms, uart):
        if utc_ms // _MINUTE_MS % 10 >= 3:
            uart.write(frame)


class PortReset(Seeded):
    # The protection acts behind the meter, which goes on sending: whether the
    # port is open stays the grid operator's word, and nothing is logged.
    def send(self, frame, utc_ms, uart):
        if utc_ms // _MINUTE_MS % 5 != 4:
            uart.write(frame)


_CLASSES = {
    "stale-hour": StaleHour,
    "parity": Parity,
    "sweden-hybrid": SwedenHybrid,
    "rekey": Rekey,
    "noise": Noise,
    "cut": Cut,
    "overrun": Overrun,
    "silent": Silent,
    "port-reset": PortReset,
}


def make(name, port, seed):
    """A quirk by name. Raises ValueError for an unknown one."""
    if name not in _CLASSES:
        raise ValueError(
            "quirk %r is unknown: choose one of %s" % (name, ", ".join(sorted(QUIRKS)))
        )
    return _CLASSES[name](port, seed)
