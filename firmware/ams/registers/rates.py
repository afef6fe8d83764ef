"""Energy by rate: A+, A-, R+ and R- as far as each of four rates was in force.

What a register has counted since the last change belongs to the rate in force,
so a record is kept only when the rate changes, and the rates of a register
always add up to it.

Record: rate u8 | 4 registers at the last change, u48 | 4 x 4 rates u48 (mWh)
"""

import struct

from micropython import const

RATES = const(4)
REGISTERS = const(4)
_COUNT = const(20)
SIZE = const(121)


class Rates:
    def __init__(self):
        self.rate = 1
        self._mark = [0] * REGISTERS
        self._mwh = [0] * (REGISTERS * RATES)

    def change(self, rate, mwh):
        """The rate in force from now on, at registers `mwh`. Gives whether it is another one."""
        if rate == self.rate or not 1 <= rate <= RATES:
            return False
        for which in range(REGISTERS):
            self._mwh[which * RATES + self.rate - 1] += mwh[which] - self._mark[which]
            self._mark[which] = mwh[which]
        self.rate = rate
        return True

    def mwh(self, which, rate, mwh):
        """Of register `which`, which stands at `mwh`, what counted in a rate."""
        value = self._mwh[which * RATES + rate - 1]
        return value + mwh - self._mark[which] if rate == self.rate else value

    def pack(self):
        out = bytearray(SIZE)
        out[0] = self.rate
        at = 1
        for value in self._mark + self._mwh:
            struct.pack_into("<IH", out, at, value & 0xFFFFFFFF, value >> 32 & 0xFFFF)
            at += 6
        return out

    def restore(self, data):
        """From `pack`; anything else is as if nothing had been kept."""
        if data is None or len(data) != SIZE or not 1 <= data[0] <= RATES:
            return
        values = []
        for k in range(_COUNT):
            low, high = struct.unpack_from("<IH", data, 1 + 6 * k)
            values.append(high << 32 | low)
        self.rate = data[0]
        self._mark = values[:REGISTERS]
        self._mwh = values[REGISTERS:]
