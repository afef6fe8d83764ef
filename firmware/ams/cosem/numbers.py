"""The invocation counters that a meter may use: a range of its own, whatever the key.

Some meters share their keys: a run on the bench whose flash is thrown away and the next one, a
board that was erased and provisioned once more. Whoever provisions them gives each a range that
meets no other; at its end nothing is sent any more, or another range is asked for. A meter
that was given none may use all there are.
"""

import struct

from micropython import const

LAST = const(0xFFFFFFFF)
_CELL = const(8)  # of the ring of keys: first u32, end u32
# So many before the end more are asked for.
_LOW = const(1 << 16)
_USED_UP = (
    "link: the numbers of this meter's messages are used up, it says nothing more under its keys: "
    "provision it again (docs/keys.md)"
)


class Spent(Exception):
    """There is no number left under which anything may be sent."""


class Numbers:
    """`more(least)` asks for a range from `least` on (see `extend`); `say` takes a line. Both may
    be None."""

    def __init__(self, cells):
        self._cells = cells
        self.more = self.say = None
        self._asked = False
        stored = cells.get(_CELL)
        self._is_bound = bool(stored)
        self.first, self.end = struct.unpack(">II", stored) if stored else (1, LAST)

    def extend(self, first, count):
        """From now on numbers are from `first` on, `count` of them. Never back: what begins before
        the end of the present range is that one, or an older. Raises OSError."""
        self._asked = False
        if self._is_bound and first < self.end:
            return
        end = min(first + count, LAST)
        self._cells.set(_CELL, struct.pack(">II", first, end))
        self.first, self.end = first, end
        self._is_bound = True

    def next(self, number):
        """The least number from `number` on that may be used. Raises Spent."""
        number = max(number, self.first)
        if self.end - number <= _LOW and self._is_bound and self.more is not None:
            if not self._asked:
                self._asked = True
                self.more(max(number, self.end))
                number = max(number, self.first)
        if number >= self.end:
            if self.say is not None:
                self.say(_USED_UP)
                self.say = None
            raise Spent()
        return number
