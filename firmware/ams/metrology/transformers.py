"""Ratios of the instrument transformers of a point: all that is shown is of the primary side.

What is measured stays secondary, where the transformers' own rounding is none; powers, voltages
and currents are multiplied where they are shown, energies where they are counted, exactly.
"""

from micropython import const

_LARGEST = const(1000000)
# A register counts its secondary part in u32: one mWh of so many parts.
_LARGEST_DENOMINATOR = const(1000)
# Above so much (VA, three phases) an interval of mWh and a power of mW no longer fit 32 bits.
_SMALL_VA = const(2000000)


def _pair(config, name):
    pair = config.get(name, (1, 1))
    if len(pair) != 2 or not all(isinstance(n, int) and 1 <= n <= _LARGEST for n in pair):
        raise ValueError("transformers: %s is [primary, secondary], whole numbers from 1" % name)
    return tuple(pair)


def _reduced(numerator, denominator):
    a, b = numerator, denominator
    while b:
        a, b = b, a % b
    return numerator // a, denominator // a


class Transformers:
    """`config`: {"ct": [primary A, secondary A], "vt": [primary V, secondary V]} or None.

    `unit`: the mWh of a step of the energy registers, and the mW of one of demands and powers;
    1000 where the point is large. `exponent` is its power of ten. Raises ValueError.
    """

    def __init__(self, config=None):
        self.fitted = config is not None
        config = config or {}
        self.ct = _pair(config, "ct")
        self.vt = _pair(config, "vt")
        self.overall = _reduced(self.ct[0] * self.vt[0], self.ct[1] * self.vt[1])
        if self.overall[1] > _LARGEST_DENOMINATOR:
            raise ValueError("transformers: the ratio %d/%d is too odd" % self.overall)
        self.exponent = 0
        if self.fitted and self.ct[0] * self.vt[0] * 7 // 4 > _SMALL_VA:
            self.exponent = 3
        self.unit = 10**self.exponent

    def current(self, value):
        return value * self.ct[0] // self.ct[1]

    def voltage(self, value):
        return value * self.vt[0] // self.vt[1]

    def power(self, value):
        """In milli-units of the primary side."""
        return value * self.overall[0] // self.overall[1]
