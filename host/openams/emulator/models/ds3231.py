"""The DS3231 as its bus shows it: seven registers of time in BCD, status, control."""


class Ds3231:
    address = 0x68

    def __init__(self):
        self.present = True
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
        out = bytearray()
        for _ in range(count):
            out.append(self._registers[self._at])
            self._at = (self._at + 1) % len(self._registers)
        return bytes(out)

    def _refuse(self):
        if not self.present:
            raise OSError(5)

    def advance(self, us):
        self._us += us
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


def _number(bcd):
    return (bcd >> 4) * 10 + (bcd & 0x0F)


def _octet(number):
    return number // 10 << 4 | number % 10
