"""Ways in which ports misbehave in the field, on purpose (docs/han.md).

A quirk touches the port only: the meter behind it stays right. What is random
follows from a seed.
"""

from micropython import const

from ams.clock.local import MS_PER_DAY
from ams.han.quirk import Quirk

QUIRKS = {
    "stale-hour": "every other hourly list repeats the hour before; the next carries two",
    "parity": "8N1 where 8E1 is due, and the reverse",
    "sweden-hybrid": "HDLC at 2400 baud where P1 is due; energies in Wh that read as 10 Wh",
    "rekey": "encrypted; every tenth minute the key changes to the next one",
    "noise": "single bits flip in one frame of four",
    "cut": "one frame of four ends early",
    "overrun": "one frame of four loses its end to the next frame",
    "silent": "nothing for three minutes out of ten",
    "port-reset": "over-current: dead for every fifth minute, then back",
    "stuck": "silent from the first to tenth minute on, until the meter's supply is cut",
    "energy-scale": "energies ten times what they were, from a moment of the first night on",
    "voltage-scale": "voltages a hundred times what they were, from a moment of the first night on",
    "power-scale": "powers ten times what they were, from a moment of the first night on",
    "newlines": "an adapter that writes text: 0D 0A for each 0A, and after each frame",
    "stray": "one to eight octets of no frame before one frame of four",
    "debug-text": "an adapter that logs to the line it sends on: text after one frame of two",
    "malformed-obis": "P1: octets of two lines are lost in one telegram of four",
    "short-buffer": "an adapter with 256 octets: what a frame has beyond them is lost",
    "to-p1": "the operator makes an HDLC port a P1 port, one to ten minutes on",
}
_MINUTE_MS = const(60000)
_HOUR_MS = const(3600000)
_TEXTS = (
    b"[%d] HAN: %d octets, crc ok\r\n",
    b"[%d] wifi: rssi -%d dBm\r\n",
    b"[%d] mqtt: publish, %d octets\r\n",
)


class Seeded(Quirk):
    def __init__(self, port, seed):
        self._port = port
        self._state = (seed * 2654435 + 12345) & 0x3FFFFFFF or 1
        for _ in range(4):
            # Seeds are small and near each other; what is drawn first should not be.
            self.random(2)

    def random(self, below):
        """A number from 0 to below - 1 (16-bit Galois steps: fits a small int)."""
        state = self._state
        for _ in range(16):
            state = (state >> 1) ^ 0x20000029 if state & 1 else state >> 1
        self._state = state
        return state % below


class StaleHour(Seeded):
    def repeats_hour(self, utc_ms, view):
        return utc_ms // _HOUR_MS % 2 == 1 and view._stale_mwh is not None


class Parity(Seeded):
    def line(self, line):
        baudrate, bits, parity, stop = line
        return baudrate, bits, 0 if parity is None else None, stop


class SwedenHybrid(Seeded):
    def list_format(self, list_format):
        if list_format.name != "p1":
            raise ValueError("quirk sweden-hybrid is one of format p1")
        from ams.han.kamstrup import Kamstrup

        return Kamstrup("se")


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
        return uart.write(frame)


class Cut(Seeded):
    def send(self, frame, utc_ms, uart):
        if self.random(4) == 0:
            frame = frame[: 1 + self.random(len(frame) - 1)]
        return uart.write(frame)


class Overrun(Seeded):
    _held = None

    def send(self, frame, utc_ms, uart):
        if self._held is not None:
            uart.write(self._held)
            self._held = None
        elif self.random(4) == 0:
            # Its end is lost; what is left runs into the next frame.
            self._held = bytes(frame[: len(frame) - 1 - self.random(len(frame) // 2)])
            return None
        return uart.write(frame)


class Silent(Seeded):
    def send(self, frame, utc_ms, uart):
        return uart.write(frame) if utc_ms // _MINUTE_MS % 10 >= 3 else None


class PortReset(Seeded):
    # The protection acts behind the meter, which goes on sending: whether the
    # port is open stays the grid operator's word, and nothing is logged.
    def send(self, frame, utc_ms, uart):
        return uart.write(frame) if utc_ms // _MINUTE_MS % 5 != 4 else None


class Stuck(Seeded):
    _from_ms = None

    def start(self, utc_ms):
        self._from_ms = utc_ms + (60 + self.random(540)) * 1000

    def send(self, frame, utc_ms, uart):
        return uart.write(frame) if utc_ms < self._from_ms else None


class Scale(Seeded):
    """From a moment of the first night on, 0 to 4 o'clock, values are in another unit; where the
    frame names the unit, it names the old one."""

    _at_ms = None

    def start(self, utc_ms):
        if self._at_ms is None:
            clock = self._port.view.local_clock
            local = clock.local_ms(utc_ms)
            # On a whole ten seconds, as somebody at a keyboard would not do it.
            night = local - local % MS_PER_DAY + MS_PER_DAY + self.random(1440) * 10000
            self._at_ms = utc_ms + night - local

    def tick(self, utc_ms):
        if self._at_ms is not None and utc_ms >= self._at_ms:
            self.change(self._port.view)


class EnergyScale(Scale):
    def change(self, view):
        view.energy_factor = 10


class VoltageScale(Scale):
    def change(self, view):
        # As Kamstrup's did; the fields of Aidon and P1 do not hold so much.
        view.voltage_factor = 100 if self._port.format.name in ("kaifa", "kamstrup") else 10


class PowerScale(Scale):
    def change(self, view):
        view.power_factor = 10


class Newlines(Seeded):
    def send(self, frame, utc_ms, uart):
        return uart.write(bytes(frame).replace(b"\n", b"\r\n") + b"\r\n")


class Stray(Seeded):
    def send(self, frame, utc_ms, uart):
        if self.random(4) == 0:
            octets = bytes([self.random(256) for _ in range(1 + self.random(8))])
            return uart.write(octets + frame)
        return uart.write(frame)


class DebugText(Seeded):
    def send(self, frame, utc_ms, uart):
        if self.random(2) == 0:
            text = _TEXTS[self.random(len(_TEXTS))]
            text = text % (utc_ms % 1000000, len(frame))
            return uart.write(bytes(frame) + text)
        return uart.write(frame)


class MalformedObis(Seeded):
    def list_format(self, list_format):
        if list_format.name != "p1":
            raise ValueError("quirk malformed-obis is one of format p1")
        return list_format

    def send(self, frame, utc_ms, uart):
        if self.random(4) == 0:
            frame = self._lose(bytes(frame))
        return uart.write(frame)

    def _lose(self, telegram):
        # 1-0:42.7.0(...)..1-0:24.7.0(...) becomes 1-0:4:24.7.0(...), as a Kamstrup sent it.
        lines = telegram.split(b"\r\n1-0:")
        if len(lines) < 4:
            return telegram
        k = 1 + self.random(len(lines) - 2)
        lines[k : k + 2] = [lines[k][:1] + b":" + lines[k + 1]]
        return b"\r\n1-0:".join(lines)


class ShortBuffer(Seeded):
    def send(self, frame, utc_ms, uart):
        return uart.write(frame[:256])


class ToP1(Seeded):
    _from_ms = None
    _done = False

    def list_format(self, list_format):
        if not list_format.ciphered:
            raise ValueError("quirk to-p1 is one of the DLMS formats")
        return list_format

    def start(self, utc_ms):
        if self._from_ms is None:
            self._from_ms = utc_ms + (60 + self.random(540)) * 1000

    def tick(self, utc_ms):
        if not self._done and self._from_ms is not None and utc_ms >= self._from_ms:
            from ams.han.p1 import P1

            self._done = True
            self._port.cipher = None
            self._port.use(P1())


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
    "stuck": Stuck,
    "energy-scale": EnergyScale,
    "voltage-scale": VoltageScale,
    "power-scale": PowerScale,
    "newlines": Newlines,
    "stray": Stray,
    "debug-text": DebugText,
    "malformed-obis": MalformedObis,
    "short-buffer": ShortBuffer,
    "to-p1": ToP1,
}


def make(name, port, seed):
    """A quirk by name. Raises ValueError for an unknown one."""
    if name not in _CLASSES:
        raise ValueError(
            "quirk %r is unknown: choose one of %s" % (name, ", ".join(sorted(QUIRKS)))
        )
    return _CLASSES[name](port, seed)
