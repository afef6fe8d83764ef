"""Energy by rate: A+, A-, R+ and R- of up to four rates, whose sum is the register, always.

Kept is what the rates that rest have; the rate in force has what they leave of the register. So
there is nothing to keep while energy is counted, and no power cut can set the sum wrong: at a
switch the registers are stored first, then one cell with what rests from then on. What was
counted before there was a calendar is of rate 1.
"""

import struct

from micropython import const

RATES = const(4)
REGISTERS = const(4)
_CELL = "<BB16Q"  # version, rate in force, rates 1 to 4 of A+, of A-, R+, R-
SIZE = const(130)


class Rates:
    """`mwh`: the energy registers, these four first."""

    def __init__(self, mwh):
        self._mwh = mwh
        self.active = 1
        self._kept = [0] * (REGISTERS * RATES)

    def of(self, which, rate):
        """mWh of register `which` (0 A+ ...) in a rate, 1 to 4."""
        kept = self._kept[RATES * which : RATES * which + RATES]
        value = kept[rate - 1]
        return value if rate != self.active else self._mwh[which] - sum(kept) + value

    def all(self):
        """A+ of rates 1 to 4, then the other registers."""
        return [self.of(which, rate + 1) for which in range(REGISTERS) for rate in range(RATES)]

    def switch(self, rate):
        """Another rate comes into force; the registers are stored."""
        self._kept = self.all()
        self.active = rate

    def pack(self):
        return struct.pack(_CELL, 1, self.active, *self._kept)

    def load(self, data):
        """Takes up what was kept, for the registers as they are; what is no record is as none."""
        if data is not None and len(data) == SIZE and data[0] == 1 and 1 <= data[1] <= RATES:
            self.active = data[1]
            self._kept = list(struct.unpack(_CELL, data)[2:])
        for which in range(REGISTERS):
            # Registers that were lost may be less than what rests: then that is less too.
            over = -self.of(which, self.active)
            for rate in range(RATES):
                if over > 0 and rate + 1 != self.active:
                    cut = min(over, self._kept[RATES * which + rate])
                    self._kept[RATES * which + rate] -= cut
                    over -= cut
