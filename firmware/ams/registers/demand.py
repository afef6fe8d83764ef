"""Demand: mean power of whole clock hours and quarters; the highest three of a billing period.

Grid tariffs in Norway and Sweden go by the highest hours (or quarters) of different days of a
month, so of each day only its highest counts; days are local ones, of the begin of the hour.
"""

import struct

from micropython import const

from ams.clock.local import MS_PER_DAY, MS_PER_HOUR

HOUR = const(0)  # the first of its two lists: import, export
QUARTER = const(2)
MS_PER_QUARTER = const(900000)
HIGHEST = const(3)
_LISTS = const(4)
_CELL = "<BI24I"  # version, billing periods that ended before; of each (mW, its end in s)
_U32 = const(0xFFFFFFFF)


class Demand:
    """The running hour or quarter, and the last whole one. Places: import, export."""

    def __init__(self, place, period_ms):
        self.place = place
        self.period_ms = period_ms
        self.start_mwh = [0, 0]
        self.start_ms = None
        self.last_mw = [0, 0]
        self.last_ms = None

    def begin(self, utc_ms, mwh):
        self.start_mwh[:] = mwh[:2]
        self.start_ms = utc_ms

    def close(self, utc_ms, mwh, highest):
        """Ends it at `utc_ms`. A part of an hour is no demand: it only begins anew."""
        if self.start_ms is not None and utc_ms - self.start_ms == self.period_ms:
            self.last_ms = utc_ms
            for way in (0, 1):
                moved = mwh[way] - self.start_mwh[way]
                self.last_mw[way] = moved * MS_PER_HOUR // self.period_ms
            highest.take(self)
        self.begin(utc_ms, mwh)


class Highest:
    """The highest three on different days, highest first: [(mW, end in s)] by way and period.

    `keep(data)` stores it, None: nothing does.
    """

    def __init__(self, local_clock):
        self._local_clock = local_clock
        self.periods = 0  # billing periods that had ended when this one began
        self.lists = [[] for _ in range(_LISTS)]
        self.keep = None

    def _day(self, end_s):
        return self._local_clock.local_ms(end_s * 1000 - 1) // MS_PER_DAY

    def take(self, demand):
        changed = False
        end_s = demand.last_ms // 1000
        for way in (0, 1):
            changed = self._enter(demand.place + way, demand.last_mw[way], end_s) or changed
        if changed:
            self.store()

    def _enter(self, place, mw, end_s):
        mw = min(mw, _U32)
        found = self.lists[place]
        if not mw or (len(found) == HIGHEST and mw <= found[-1][0]):
            return False
        day = self._day(end_s)
        others = [one for one in found if self._day(one[1]) != day]
        if len(others) < len(found) and mw <= max(set(found) - set(others))[0]:
            return False
        at = 0
        while at < len(others) and others[at][0] >= mw:
            at += 1
        others.insert(at, (mw, end_s))
        self.lists[place] = others[:HIGHEST]
        return True

    def of(self, place, rank):
        """(mW, end in s) of a list; (0, 0): there were not so many days."""
        found = self.lists[place]
        return found[rank] if rank < len(found) else (0, 0)

    def end(self, periods):
        """The billing period ends; `periods` have ended by now."""
        self.periods = periods
        self.lists = [[] for _ in range(_LISTS)]
        self.store()

    def store(self):
        if self.keep is not None:
            values = []
            for place in range(_LISTS):
                for rank in range(HIGHEST):
                    values += self.of(place, rank)
            self.keep(struct.pack(_CELL, 1, self.periods, *values))

    def load(self, data):
        """False: nothing was kept."""
        if data is None or data[0] != 1:
            return False
        values = struct.unpack(_CELL, data)
        self.periods = values[1]
        for place in range(_LISTS):
            found = []
            for rank in range(HIGHEST):
                at = 2 + 2 * (HIGHEST * place + rank)
                if values[at]:
                    found.append(values[at : at + 2])
            self.lists[place] = found
        return True
