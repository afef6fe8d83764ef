"""HD44780 (Hitachi, ADE-207-272): two lines of 16 characters, in its mode of four bits behind a
PCF8574 (NXP), which takes 100 kHz.

Each nibble is three octets on the bus, of 90 us each: enable low, high and low. So what a command
needs (37 us) has passed before the next one, but for those that clear and set up.
"""

from micropython import const

from ams.hal import Screen

ADDRESS = const(0x27)  # of a PCF8574; a PCF8574A is at 0x3F
# Pins of the usual board between the two.
_RS = const(0x01)
_ENABLE = const(0x04)
_LIGHT = const(0x08)
_SECOND_LINE = const(0x40)
_SET_ADDRESS = const(0x80)

# (octet, nibbles of it, ms to wait): figure 24 of the data sheet, from any state.
_SET_UP = (
    (0x30, 1, 5),  # 4.1 ms
    (0x30, 1, 1),  # 100 us
    (0x30, 1, 1),
    (0x20, 1, 1),  # four bits
    (0x28, 2, 0),  # two lines, 5 by 8 dots
    (0x08, 2, 0),  # off
    (0x01, 2, 2),  # clear: 1.52 ms
    (0x06, 2, 0),  # goes on to the right
    (0x0C, 2, 0),  # on, no cursor
)
_POWER_UP_MS = const(50)  # 40 ms from 2.7 V


class Hd44780(Screen):
    graphic = False

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._step = -1
        self._nibbles = bytearray(6)
        self._half = memoryview(self._nibbles)[:3]

    def restart(self):
        self._step = -1

    def begin(self):
        step = self._step
        if step == len(_SET_UP):
            return None
        self._step += 1
        if step < 0:
            return _POWER_UP_MS
        octet, count, wait_ms = _SET_UP[step]
        self._fill(octet, 0)
        self._i2c.writeto(self._address, self._half if count == 1 else self._nibbles)
        return wait_ms

    def write(self, row, column, octets):
        """Sets the place and writes characters: 1.2 ms with one of them."""
        self._fill(_SET_ADDRESS | (_SECOND_LINE if row else 0) + column, 0)
        self._i2c.writeto(self._address, self._nibbles)
        for octet in octets:
            self._fill(octet, _RS)
            self._i2c.writeto(self._address, self._nibbles)

    def _fill(self, octet, control):
        out = self._nibbles
        control |= _LIGHT
        for k, bits in ((0, octet & 0xF0), (3, octet << 4 & 0xF0)):
            out[k] = out[k + 2] = bits | control
            out[k + 1] = bits | control | _ENABLE
