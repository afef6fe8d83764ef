"""Power failures, sags and swells, counted for as long as the meter lives.

What DSMR P1 5.0.2 (6.12) has: power failures of any phase, long ones (more
than three minutes) with the last ten of them, sags and swells per phase.

Record: 8 counters u16 | the long failures, oldest first: end in s u32, seconds u32
"""

import struct

from micropython import const

from ams.events import events as ev

FAILURES, LONG, SAGS, SWELLS = const(0), const(1), const(2), const(5)
_COUNTS = "<8H"
_COUNTS_SIZE = const(16)
_MOST = const(0xFFFF)
_LOG = const(10)
_LONG_S = const(180)


class Outages:
    def __init__(self):
        self.counts = [0] * 8
        self.long = []
        self.changed = False
        self._dead = 0  # phases without voltage
        self._since_ms = 0
        self._old_ms = 0  # what the clock showed when it was set
        # Of a power-up without the time, until it is told: what was shown there, when the supply
        # had gone (None: that is not known either), and how many of `long` came since.
        self._up_ms = None
        self._gone_ms = None
        self._doubtful = 0

    def event(self, utc_ms, code):
        """An event of the meter's log."""
        if ev.UNDERVOLTAGE <= code < ev.UNDERVOLTAGE + 3:
            self._count(SAGS + code - ev.UNDERVOLTAGE)
        elif ev.OVERVOLTAGE <= code < ev.OVERVOLTAGE + 3:
            self._count(SWELLS + code - ev.OVERVOLTAGE)
        elif ev.MISSING_VOLTAGE <= code < ev.MISSING_VOLTAGE + 3:
            if not self._dead:
                self._since_ms = utc_ms
            self._dead |= 1 << (code - ev.MISSING_VOLTAGE)
        elif ev.NORMAL_VOLTAGE <= code < ev.NORMAL_VOLTAGE + 3 and self._dead:
            self._dead &= ~(1 << (code - ev.NORMAL_VOLTAGE))
            if not self._dead:
                self.failed(self._since_ms, utc_ms)
        elif code == ev.CLOCK_ADJUSTED_OLD:
            self._old_ms = utc_ms
        elif code == ev.CLOCK_ADJUSTED_NEW:
            # What goes on since then goes on for as long as before.
            self._since_ms += utc_ms - self._old_ms

    def lost(self, gone_ms, utc_ms):
        """Power-up at `utc_ms` of a clock that lost the time: how long it was is known once the
        clock is set. `gone_ms`: when the supply had gone, None: by a clock that was wrong already.
        """
        self._up_ms, self._gone_ms = utc_ms, gone_ms
        self._doubtful = 0

    def told(self, utc_ms):
        """The time of the last power-up is known: it was `utc_ms`."""
        if self._up_ms is None:
            return
        step_s = (utc_ms - self._up_ms) // 1000
        at = len(self.long) - self._doubtful
        since = [(max(end_s + step_s, 0), seconds) for end_s, seconds in self.long[at:]]
        del self.long[at:]
        if self._gone_ms is not None:
            self._long(self._gone_ms, utc_ms)
        self.long = (self.long + since)[-_LOG:]
        self.changed = True
        self._up_ms = None

    def failed(self, from_ms, to_ms):
        """There was no supply, or no voltage on some phase."""
        if to_ms < from_ms:
            return
        self._count(FAILURES)
        if self._long(from_ms, to_ms) and self._doubtful < _LOG:
            self._doubtful += 1

    def _long(self, from_ms, to_ms):
        seconds = (to_ms - from_ms) // 1000
        if seconds <= _LONG_S:
            return False
        self._count(LONG)
        self.long = self.long[1 - _LOG :] + [(to_ms // 1000, min(seconds, 0xFFFFFFFF))]
        return True

    def _count(self, which):
        self.counts[which] = min(self.counts[which] + 1, _MOST)
        self.changed = True

    def pack(self):
        out = struct.pack(_COUNTS, *self.counts)
        for end_s, seconds in self.long:
            out += struct.pack("<II", end_s, seconds)
        return out

    def restore(self, data):
        """From `pack`; anything else is as if nothing had been kept."""
        if data is None or len(data) < _COUNTS_SIZE or (len(data) - _COUNTS_SIZE) % 8:
            return
        self.counts = list(struct.unpack_from(_COUNTS, data))
        self.long = [
            struct.unpack_from("<II", data, at) for at in range(_COUNTS_SIZE, len(data), 8)
        ]
