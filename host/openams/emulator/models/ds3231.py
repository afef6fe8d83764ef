"""The DS3231 as its bus shows it: seven registers of time in BCD, status, control, ageing.

A part with a seed has a crystal of its own within the datasheet: off by up to 2 ppm from 0 to
40 degrees, 3.5 ppm from -40 to 85, and by its years (1 ppm in the first, 5 in ten).
"""

# Temperatures in 0.01 degrees, and what a part may be off there, in ppb.
_POINTS = ((-4000, 3500), (0, 2000), (4000, 2000), (8500, 3500))
_FIRST_YEAR_PPB = 1000
_TEN_YEARS_PPB = 5000
# One step of the ageing register, at 25 degrees: up is slower.
_AGEING_PPB = 100


class Ds3231:
    address = 0x68

    def __init__(self, seed=None, years=0):
        self.present = True
        self.frozen = False  # the oscillator stands; nothing says so
        self.temperature = 2500  # in 0.01 degrees
        self._curve = [(at, _drawn(seed, k, most)) for k, (at, most) in enumerate(_POINTS)]
        most = _FIRST_YEAR_PPB * min(years, 1) + _TEN_YEARS_PPB * max(years - 1, 0) // 10
        self._aged_ppb = _drawn(seed, 9, most)
        self._rest = 0  # of a microsecond, in ppb
        self._registers = bytearray(0x13)
        self._at = 0
        self._us = 0  # of the running second
        self.power_up()

    def power_up(self):
        """First supply: the oscillator stood still, the date is 1900's first of January."""
        r = self._registers
        for k in range(len(r)):
            r[k] = 0
        r[3] = r[4] = r[5] = 1
        r[0x0E] = 0x1C
        r[0x0F] = 0x88
        self._us = 0

    def write(self, data):
        """One transaction: the register's number, then what goes there and behind it."""
        self._refuse()
        self._at = data[0] % len(self._registers)
        for octet in data[1:]:
            if self._at == 0:
                # The countdown of the second starts anew.
                self._us = 0
            if self._at == 0x0F:
                # The flag of the stopped oscillator can be cleared, not set.
                octet &= self._registers[0x0F] | 0x7F
            self._registers[self._at] = octet
            self._at = (self._at + 1) % len(self._registers)

    def read(self, count):
        self._refuse()
        quarters = self.temperature // 25
        self._registers[0x11] = quarters >> 2 & 0xFF
        self._registers[0x12] = (quarters & 3) << 6
        out = bytearray()
        for _ in range(count):
            out.append(self._registers[self._at])
            self._at = (self._at + 1) % len(self._registers)
        return bytes(out)

    def _refuse(self):
        if not self.present:
            raise OSError(5)

    def rate_ppb(self):
        """How much it is fast, at its temperature and setting."""
        ageing = self._registers[0x10]
        out = self._aged_ppb - _AGEING_PPB * (ageing - 256 if ageing & 0x80 else ageing)
        (low, below), *others = self._curve
        for high, above in others:
            if self.temperature <= high or high == _POINTS[-1][0]:
                return out + below + (above - below) * (self.temperature - low) // (high - low)
            low, below = high, above
        return out

    def advance(self, us):
        if self.frozen:
            return
        more = us * self.rate_ppb() + self._rest
        self._rest = more % 1000000000
        self._us += us + more // 1000000000
        while self._us >= 1000000:
            self._us -= 1000000
            self._second()

    def _second(self):
        r = self._registers
        for place, limit in ((0, 60), (1, 60)):
            if self._count(place, 0x7F, limit, 0):
                return
        if self._hour():
            return
        r[3] = r[3] % 7 + 1
        year = _number(r[6])
        month = _number(r[5] & 0x1F)
        days = (31, 29 if year % 4 == 0 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
        if self._count(4, 0x3F, days[month - 1] + 1, 1):
            return
        if self._count(5, 0x1F, 13, 1):
            return
        self._count(6, 0xFF, 100, 0)

    def _count(self, place, mask, limit, first):
        """One more; True when it did not turn over."""
        value = _number(self._registers[place] & mask) + 1
        turned = value >= limit
        self._registers[place] = _octet(first if turned else value)
        return not turned

    def _hour(self):
        r = self._registers
        if not r[2] & 0x40:
            return self._count(2, 0x3F, 24, 0)
        hour = _number(r[2] & 0x1F) % 12 + (12 if r[2] & 0x20 else 0) + 1
        half = hour % 24
        r[2] = 0x40 | (0x20 if half >= 12 else 0) | _octet(half % 12 or 12)
        return hour < 24


def _drawn(seed, place, most):
    """A number from -`most` to `most` that belongs to a seed; 0 without one."""
    if seed is None or not most:
        return 0
    x = seed * 2654435761 + place * 40503 + 12345 & 0xFFFFFFFF
    for _ in range(3):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
    return x % (2 * most + 1) - most


def _number(bcd):
    return (bcd >> 4) * 10 + (bcd & 0x0F)


def _octet(number):
    return number // 10 << 4 | number % 10
