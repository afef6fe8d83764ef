"""Rows of a ring of the flash by number, by time and by place in it.

Every record begins with a u32 that only grows: its number, or its time in s.
A span is (rows, first number, last number, None).
"""

import struct

_EMPTY = (0, 1, 0, None)


class Ring:
    def __init__(self, memory, region, time_at, unit_ms=1000):
        self._memory = memory
        self._region = region
        self._time_at = time_at

    def entries(self, first, last):
        """Yields the records from one number to another, oldest first; copy what you keep."""
        for data in self._memory.entries(self._region):
            number = _u32(data, 0)
            if first <= number <= last:
                yield data

    def all(self):
        count = 0
        first = last = 0
        for data in self._memory.entries(self._region):
            last = _u32(data, 0)
            if not count:
                first = last
            count += 1
        return (count, first, last, None) if count else _EMPTY

    def count(self):
        return self.all()[0]

    def capacity(self):
        return 0

    def between(self, low_ms, high_ms):
        """(span, whether all of its rows lie between the times)"""
        return self.all(), False

    def slice(self, first, last):
        """The rows from place `first` to `last` (from 1, oldest first; last 0: to the end)."""
        place = count = 0
        begin = end = 0
        for data in self._memory.entries(self._region):
            place += 1
            if place < first or (last and place > last):
                continue
            end = _u32(data, 0)
            if not count:
                begin = end
            count += 1
        return (count, begin, end, None) if count else _EMPTY


def _u32(data, at):
    return struct.unpack_from("<I", data, at)[0]
