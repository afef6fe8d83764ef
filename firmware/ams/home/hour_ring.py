"""Hours that were not delivered yet: the registers at their ends, oldest first.

Room for two days, made once. When it is full the oldest hour goes, and is counted in `dropped`: the
meter's load profile has it still. A power cut loses what waits here.
"""

import struct

from micropython import const

HOURS = const(48)
# End of the hour in s since 2000; A+, A-, R+, R- in Wh and varh.
_ENTRY = "<I4Q"
_SIZE = const(36)


class HourRing:
    def __init__(self, hours=HOURS):
        self._data = bytearray(hours * _SIZE)
        self._hours = hours
        self._first = 0
        self.number = 0  # of the oldest, since power-up
        self.count = 0
        self.dropped = 0

    def push(self, end_s, values):
        if self.count == self._hours:
            self.pop()
            self.dropped += 1
        at = (self._first + self.count) % self._hours
        struct.pack_into(_ENTRY, self._data, at * _SIZE, end_s, *values)
        self.count += 1

    def oldest(self):
        """(end in s, A+, A-, R+, R-) in Wh and varh; only where `count` is not 0."""
        return struct.unpack_from(_ENTRY, self._data, self._first * _SIZE)

    def pop(self):
        self._first = (self._first + 1) % self._hours
        self.number += 1
        self.count -= 1

    def clear(self):
        """Nobody is to have them any more."""
        while self.count:
            self.pop()
