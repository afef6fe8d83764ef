"""An SSD1306 on an I2C bus: its RAM, and what it shows of it.

Plain Python, for CPython and MicroPython. Only what the meter uses is here; what it does not know
it refuses with ValueError, so that no test passes by a command that is none.
"""

WIDTH = 128
PAGES = 8
# Commands and how many octets follow each.
_ARGUMENTS = {
    0x20: 1, 0x2E: 0, 0x81: 1, 0x8D: 1, 0xA1: 0, 0xA0: 0, 0xA4: 0, 0xA5: 0, 0xA6: 0, 0xA7: 0,
    0xA8: 1, 0xAE: 0, 0xAF: 0, 0xC0: 0, 0xC8: 0, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
}  # fmt: skip


class Ssd1306:
    address = 0x3C

    def __init__(self):
        self.present = True
        # At power-up it is any picture.
        self.ram = bytearray((k * 37 + 11) & 0xFF for k in range(WIDTH * PAGES))
        self.on = False
        self.pump = False
        self.rows = 64
        self.inverted = self.full = False
        self.settings = {}
        self.octets = 0  # that came, addresses too
        self.longest = 0  # of one transfer
        self._page = self._column = 0

    def read(self, count):
        return bytes(count)

    def write(self, data):
        if not self.present:
            raise OSError(5)
        self.octets += 1 + len(data)
        self.longest = max(self.longest, 1 + len(data))
        if data[0] == 0x40:
            for octet in data[1:]:
                self.ram[WIDTH * self._page + self._column] = octet
                self._column = (self._column + 1) % WIDTH
        elif data[0] == 0x00:
            self._commands(data[1:])
        else:
            raise ValueError("control octet %02x" % data[0])

    def _commands(self, data):
        at = 0
        while at < len(data):
            command = data[at]
            at += 1
            if command < 0x10:
                self._column = self._column & 0xF0 | command
            elif command < 0x20:
                self._column = self._column & 0x0F | (command & 0x07) << 4
            elif 0xB0 <= command <= 0xB7:
                self._page = command & 7
            elif 0x40 <= command < 0x80:
                self.settings[0x40] = command & 0x3F
            else:
                count = _ARGUMENTS.get(command)
                if count is None:
                    raise ValueError("command %02x" % command)
                self._command(command, data[at : at + count])
                at += count

    def _command(self, command, arguments):
        self.settings[command] = bytes(arguments)
        if command in (0xAE, 0xAF):
            self.on = command == 0xAF
        elif command == 0x8D:
            self.pump = arguments[0] & 4 != 0
        elif command in (0xA4, 0xA5):
            self.full = command == 0xA5
        elif command in (0xA6, 0xA7):
            self.inverted = command == 0xA7

    def pixels(self):
        """64 rows of 128: whether each is lit. As it is mounted: segment 0 on the left."""
        lit = self.on and self.pump
        rows = []
        for y in range(8 * PAGES):
            page, bit = y // 8, y % 8
            row = [lit and (self.ram[WIDTH * page + x] >> bit & 1 == 1) for x in range(WIDTH)]
            rows.append(row)
        return rows

    def text_rows(self):
        """32 lines of half blocks, as a terminal shows them."""
        rows = self.pixels()
        marks = " \u2580\u2584\u2588"
        return [
            "".join([marks[rows[y][x] + 2 * rows[y + 1][x]] for x in range(WIDTH)])
            for y in range(0, 8 * PAGES, 2)
        ]
