"""SSD1306: 128 by 64 pixels over I2C (Solomon Systech, rev 1.1), one piece of a page at a time."""

from micropython import const

from ams.hal import Screen

ADDRESS = const(0x3C)  # 0x3D with SA0 high
_COMMANDS = const(0x00)  # control octet: commands follow (8.1.5.2)
_DATA = const(0x40)  # data for its RAM follow
_PAGE = const(0xB0)
_COLUMN_LOW = const(0x00)
_COLUMN_HIGH = const(0x10)
_PIECE = const(32)

# Section 15 of the data sheet, and the charge pump of its application note.
_SET_UP = bytes((
    0xAE,  # display off
    0xD5, 0x80,  # clock: divided by 1, 370 kHz
    0xA8, 0x3F,  # 64 rows
    0xD3, 0x00,  # no offset
    0x40,  # begins with row 0
    0x8D, 0x14,  # charge pump on
    0x20, 0x02,  # addresses go by page
    0xA1, 0xC8,  # columns and rows as the glass is mounted
    0xDA, 0x12,  # pins of the rows: alternately
    0x81, 0x4F,  # contrast: half of what wears it out
    0xD9, 0xF1,  # precharge, with the pump
    0xDB, 0x40,  # level of VCOMH
    0xA4, 0xA6,  # shows its RAM, not inverted
    0x2E,  # no scrolling
    0xAF,  # display on
))  # fmt: skip


class Ssd1306(Screen):
    graphic = True

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._place = bytearray((_COMMANDS, _PAGE, _COLUMN_LOW, _COLUMN_HIGH))
        self._data = bytearray(1 + _PIECE)
        self._data[0] = _DATA
        self._is_up = False

    def restart(self):
        self._is_up = False

    def begin(self):
        if self._is_up:
            return None
        self._i2c.writeto(self._address, bytes((_COMMANDS,)) + _SET_UP)
        self._is_up = True
        return 0

    def write(self, page, column, octets):
        """32 octets of a page: 1 ms at 400 kHz."""
        place = self._place
        place[1] = _PAGE | page
        place[2] = _COLUMN_LOW | column & 0x0F
        place[3] = _COLUMN_HIGH | column >> 4
        self._i2c.writeto(self._address, place)
        self._data[1:] = octets
        self._i2c.writeto(self._address, self._data)
