"""Profile of voltage and current: minimum, mean and maximum of ten minutes.

Entry: number u32 | time in s u32 | measured in s u16 | status u16
       | per place: U min, mean, max u16 in 0.1 V
       | per place: I min, mean, max u32 in mA
"""

import struct

from micropython import const

PERIOD_MS = const(600000)
_NUMBER_SIZE = const(4)
_ENTRY = "<IHH9H9I"
ENTRY_SIZE = const(66)
_DECIVOLT_MV = const(100)
_MA_UA = const(1000)


def unpack(data):
    """Flat tuple: utc_s, measured_s, status, nine voltages, nine currents."""
    return struct.unpack_from(_ENTRY, data, _NUMBER_SIZE)


class VoltageProfile:
    def __init__(self, quantities):
        self._quantities = quantities
        self._places = quantities.phases()
        self._low_u, self._high_u, self._sum_u = [0] * 3, [0] * 3, [0] * 3
        self._low_i, self._high_i, self._sum_i = [0] * 3, [0] * 3, [0] * 3
        self._measured_ms = 0
        self.due_ms = 0
        self.status = 0
        self.number = 0  # of the last closed entry

    @property
    def is_empty(self):
        return not self._measured_ms

    def holds(self, utc_ms):
        """Whether a time lies in the open ten minutes."""
        return self.due_ms - PERIOD_MS <= utc_ms < self.due_ms

    def go_on(self, utc_ms):
        """They are not ended before the boundary after `utc_ms`."""
        self.due_ms = utc_ms - utc_ms % PERIOD_MS + PERIOD_MS

    def begin(self, utc_ms):
        self.go_on(utc_ms)
        self._measured_ms = 0
        self.status = 0

    def add(self, duration_ms):
        """The quantities as they stand held for `duration_ms`."""
        q = self._quantities
        fresh = not self._measured_ms
        self._measured_ms += duration_ms
        for k in self._places:
            u = q.voltage_mv[k]
            i = q.current_ua[k]
            if fresh:
                self._low_u[k] = self._high_u[k] = u
                self._low_i[k] = self._high_i[k] = i
                self._sum_u[k] = u * duration_ms
                self._sum_i[k] = i * duration_ms
                continue
            self._sum_u[k] += u * duration_ms
            self._sum_i[k] += i * duration_ms
            if u < self._low_u[k]:
                self._low_u[k] = u
            elif u > self._high_u[k]:
                self._high_u[k] = u
            if i < self._low_i[k]:
                self._low_i[k] = i
            elif i > self._high_i[k]:
                self._high_i[k] = i

    def close(self, utc_ms, status=0):
        """The entry of the ten minutes that end, or None when nothing was measured."""
        measured = self._measured_ms
        entry = None
        if measured:
            values = []
            for low, total, high, unit, largest in (
                (self._low_u, self._sum_u, self._high_u, _DECIVOLT_MV, 0xFFFF),
                (self._low_i, self._sum_i, self._high_i, _MA_UA, 0xFFFFFFFF),
            ):
                for k in range(3):
                    for value in (low[k], total[k] // measured, high[k]):
                        values.append(min((value + unit // 2) // unit, largest))
            seconds = min((measured + 500) // 1000, 0xFFFF)
            self.number += 1
            entry = struct.pack("<I", self.number) + struct.pack(
                _ENTRY, utc_ms // 1000, seconds, self.status | status, *values
            )
        self.begin(utc_ms)
        return entry
