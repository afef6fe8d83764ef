"""An HD44780 with 16 characters in two lines behind a PCF8574: its DDRAM as text.

Plain Python, for CPython and MicroPython. It knows when it was given too little time: `us()` is
the time of the bench, None takes every time as long enough.
"""

_COLUMNS = 16
_RS, _RW, _ENABLE = 1, 2, 4
_LINES = (0x00, 0x40)


class Hd44780:
    address = 0x27

    def __init__(self, us=None):
        self.present = True
        self.ddram = bytearray(b"\xff" * 0x80)
        self.on = False
        self.light = False
        self.two_lines = False
        self.octets = 0  # on the bus, addresses too
        self.hurried = 0  # instructions that came while it was busy
        self._us = us
        self._busy_to_us = 40000
        self._port = 0
        self._four_bits = False
        self._high = None  # of an octet in two nibbles
        self._at = 0

    def read(self, count):
        return bytes(count)

    def write(self, data):
        if not self.present:
            raise OSError(5)
        self.octets += 1 + len(data)
        for octet in data:
            if self._port & _ENABLE and not octet & _ENABLE:
                # It takes what stands there as enable falls.
                self._latch(self._port & 0xF0, self._port & _RS)
            self._port = octet
            self.light = octet & 8 != 0

    def _latch(self, nibble, rs):
        if not self._four_bits:
            self._instruction(nibble)
        elif self._high is None:
            self._high = nibble
        else:
            octet = self._high | nibble >> 4
            self._high = None
            if rs:
                self._take(octet)
            else:
                self._instruction(octet)

    def _wait(self, us):
        if self._us is not None:
            now = self._us()
            if now < self._busy_to_us:
                self.hurried += 1
            self._busy_to_us = now + us

    def _take(self, octet):
        self._wait(41)
        self.ddram[self._at] = octet
        self._at = (self._at + 1) & 0x7F

    def _instruction(self, octet):
        self._wait(1520 if octet in (1, 2) else 37)
        if octet & 0x80:
            self._at = octet & 0x7F
        elif octet & 0x20:
            self._four_bits = not octet & 0x10
            self.two_lines = octet & 0x08 != 0
        elif octet & 0x08:
            self.on = octet & 0x04 != 0
        elif octet == 1:
            for k in range(len(self.ddram)):
                self.ddram[k] = 0x20
            self._at = 0

    def text_rows(self):
        """The two lines as the glass shows them; \u2588 all dots."""
        if not self.on:
            return [" " * _COLUMNS] * 2
        rows = []
        for begin in _LINES:
            codes = self.ddram[begin : begin + _COLUMNS]
            rows.append("".join(["\u2588" if code == 0xFF else chr(code) for code in codes]))
        return rows
