"""What marks the next daily and monthly entry: what marked an interval since the one before.

Its registers say what was used since then; so who reads them learns from their status what a
reader of the intervals would. Kept in a cell under the number of the entry that is to come: with
the entry the marks before it are void.

Cell: number u32 and status u16 of the day, the same of the month.
"""

import struct

from ams.registers.profile import (
    STATUS_CLOCK_ADJUSTED,
    STATUS_CRITICAL_ERROR,
    STATUS_ENERGY_MISSING,
    STATUS_POWER_DOWN,
)

# The others say something of an interval alone, or of its end: that the clock is invalid.
_OF_ENTRIES = (
    STATUS_CRITICAL_ERROR | STATUS_CLOCK_ADJUSTED | STATUS_POWER_DOWN | STATUS_ENERGY_MISSING
)
_CELL = "<IHIH"


class EntryMarks:
    """`cells` keep them under `key`."""

    def __init__(self, cells, key):
        self._cells = cells
        self._key = key
        data = cells.get(key)
        if data is None or len(data) != struct.calcsize(_CELL):
            data = bytes(struct.calcsize(_CELL))
        day, day_marks, month, month_marks = struct.unpack(_CELL, data)
        self._numbers = [day, month]
        self._marks = [day_marks, month_marks]

    def add(self, status, *numbers):
        """An interval with `status` has ended; the next entries have these numbers."""
        status &= _OF_ENTRIES
        is_new = False
        for k in (0, 1):
            before = self.of(k, numbers[k])
            if status | before != before:
                self._numbers[k] = numbers[k]
                self._marks[k] = status | before
                is_new = True
        if is_new:
            n, m = self._numbers, self._marks
            try:
                self._cells.set(self._key, struct.pack(_CELL, n[0], m[0], n[1], m[1]))
            except OSError:
                # A flash that takes nothing stops nothing.
                pass

    def of(self, monthly, number):
        """Marks of the daily (0) or monthly (1) entry `number`."""
        return self._marks[monthly] if self._numbers[monthly] == number else 0
