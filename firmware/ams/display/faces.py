"""How an item is laid out on a display, and sent to it in slices: what has changed, no more.

A slice takes about a millisecond: a page of pixels is drawn, or one piece of at most 32 octets or
two characters goes out. `show` says what is wanted, `step` does a slice.
"""

from micropython import const

from ams.display import pixels

_PAGES = const(8)
_PIECE = const(32)
_PIECES = const(4)  # of a page
_COLUMNS = const(16)
_FULL = const(0xFF)


class GraphicFace:
    """128 by 64 pixels; `screen` takes `write(page, column, octets)`."""

    def __init__(self, screen):
        self._screen = screen
        self._items = None
        self._shown = bytearray(_PAGES * pixels.WIDTH)
        self._line = bytearray(pixels.WIDTH)
        self._out = memoryview(self._shown)
        self._stale = bytearray(_PAGES * _PIECES)
        self._texts = [None] * _PAGES  # (text, part) that each page shows
        self._wanted = [("", 0)] * _PAGES
        self._page = 0  # that is looked at next
        self.forget()

    def forget(self):
        """Nothing is known of what the display has."""
        for k in range(len(self._stale)):
            self._stale[k] = 1

    def test(self):
        """All pixels on."""
        self._wanted = [(None, 0)] * _PAGES

    def show(self, item, where, items):
        """What of `items` stands in the other lines is read when they are drawn: a slice each."""
        code, value, unit, note = item
        self._items = items
        head = code + " " * (21 - len(code) - len(where)) + where
        # Large as long as the value leaves the unit its place.
        large = len(value) <= (9 if len(unit) <= 3 else 8)
        tail = note + " " * max(1, 21 - len(note) - len(unit)) + unit
        self._wanted = [
            (head, 0),
            ("", 0),
            (value, 1 if large else 0),
            (value if large else "", 2 if large else 0),
            (tail, 0),
            None,
            None,
            None,
        ]
        self._page = 0

    def _line_of(self, page):
        """Of the last three lines."""
        items = self._items
        if page == 5:
            date, time = items.clock()
            return date + "  " + time[:5], 0
        if page == 6:
            return items.flags(), 0
        # The register that counts is there whatever else is shown.
        value, unit = items.legal()
        return "1.8.0 " + value + " " + unit, 0

    def step(self):
        """A slice; False: the display shows what is wanted. Raises OSError."""
        for _ in range(_PAGES):
            page = self._page
            if self._wanted[page] is None:
                self._wanted[page] = self._line_of(page)
                return True
            if self._texts[page] != self._wanted[page]:
                self._draw(page)
                return True
            for piece in range(page * _PIECES, page * _PIECES + _PIECES):
                if self._stale[piece]:
                    self._send(piece)
                    return True
            self._page = (page + 1) % _PAGES
        return False

    def _draw(self, page):
        text, part = self._texts[page] = self._wanted[page]
        line = self._line
        if text is None:
            for k in range(pixels.WIDTH):
                line[k] = _FULL
        else:
            pixels.draw(line, text, part)
        at = page * pixels.WIDTH
        for k in range(0, pixels.WIDTH, _PIECE):
            if pixels.take(self._shown, at + k, line, k, _PIECE):
                self._stale[(at + k) // _PIECE] = 1

    def _send(self, piece):
        at = piece * _PIECE
        self._screen.write(at // pixels.WIDTH, at % pixels.WIDTH, self._out[at : at + _PIECE])
        self._stale[piece] = 0


class TextFace:
    """Two lines of 16 characters; `screen` takes `write(row, column, octets)`."""

    def __init__(self, screen):
        self._screen = screen
        self._wanted = bytearray(2 * _COLUMNS)
        self._shown = bytearray(2 * _COLUMNS)
        self._out = memoryview(self._wanted)
        self.forget()

    def forget(self):
        for k in range(2 * _COLUMNS):
            self._shown[k] = 0

    def test(self):
        """All dots of all characters on."""
        for k in range(2 * _COLUMNS):
            self._wanted[k] = _FULL

    def show(self, item, where, items):
        code, value, unit, note = item
        if len(code) + 1 + len(note) > _COLUMNS:
            note = note[-(_COLUMNS - 1 - len(code)) :]
        self._put(0, code + " " * (_COLUMNS - len(code) - len(note)) + note)
        text = value + " " + unit if unit else value
        self._put(_COLUMNS, " " * (_COLUMNS - len(text)) + text)

    def _put(self, at, text):
        data = text.encode()
        for k in range(_COLUMNS):
            self._wanted[at + k] = data[k] if k < len(data) else 0x20

    def step(self):
        """A slice; False: the display shows what is wanted. Raises OSError."""
        if self._shown == self._wanted:
            return False
        for k in range(2 * _COLUMNS):
            if self._shown[k] != self._wanted[k]:
                row, column = k // _COLUMNS, k % _COLUMNS
                # Its place, and one character: as many transfers as two characters.
                self._screen.write(row, column, self._out[k : k + 1])
                self._shown[k] = self._wanted[k]
                return True
        return False
