"""Mean power over a sliding window, exact for power that is constant in steps."""

from array import array

from micropython import const

# A minute of windows, and some for those that are not aligned.
SLOTS = const(320)


class SlidingAverage:
    """The last `window_ms` as at most SLOTS pieces of (ms, energy in uWs).

    Pieces that do not fit are joined two by two: a window of up to SLOTS
    measuring windows is exact, a longer one to its SLOTS / 2-th part.
    """

    def __init__(self, window_ms):
        self._ms = array("I", bytes(4 * SLOTS))
        self._uws = [0] * SLOTS  # up to 100 kW times an hour: more than 32 bits
        self.window_ms = window_ms
        self.clear()

    def clear(self):
        self._first = 0
        self._count = 0
        self._total_ms = 0
        self._total_uws = 0

    def set_window(self, window_ms):
        self.window_ms = window_ms
        self.clear()

    def add(self, duration_ms, power_mw):
        if duration_ms >= self.window_ms:
            self.clear()
            duration_ms = self.window_ms
        self._drop(self._total_ms + duration_ms - self.window_ms)
        self._push(duration_ms, duration_ms * power_mw)
        self._total_ms += duration_ms
        self._total_uws += duration_ms * power_mw

    def mean_mw(self):
        """Over the whole window: time before the first measurement counts as no power."""
        return self._total_uws // self.window_ms

    def extremes(self):
        """Lowest and highest power of the pieces in the window, in mW."""
        low = high = None
        for k in range(self._count):
            at = (self._first + k) % SLOTS
            power = self._uws[at] // self._ms[at]
            low = power if low is None else min(low, power)
            high = power if high is None else max(high, power)
        if low is None or self._total_ms < self.window_ms:
            low = 0
        return low, high or 0

    def _push(self, ms, uws):
        count = self._count
        if count:
            last = (self._first + count - 1) % SLOTS
            # Pieces of the same power are one piece.
            if self._uws[last] * ms == uws * self._ms[last]:
                self._ms[last] += ms
                self._uws[last] += uws
                return
        if count == SLOTS:
            self._join()
        at = (self._first + self._count) % SLOTS
        self._ms[at] = ms
        self._uws[at] = uws
        self._count += 1

    def _join(self):
        """Makes half of the slots free."""
        half = SLOTS // 2
        for k in range(half):
            a = (self._first + 2 * k) % SLOTS
            b = (self._first + 2 * k + 1) % SLOTS
            to = (self._first + k) % SLOTS
            self._ms[to] = self._ms[a] + self._ms[b]
            self._uws[to] = self._uws[a] + self._uws[b]
        self._count = half

    def _drop(self, excess_ms):
        """Forgets what is older than the window."""
        while excess_ms > 0:
            at = self._first
            ms = self._ms[at]
            uws = self._uws[at]
            if ms > excess_ms:
                part = uws * excess_ms // ms
                self._ms[at] = ms - excess_ms
                self._uws[at] = uws - part
                self._total_uws -= part
                self._total_ms -= excess_ms
                return
            self._first = (at + 1) % SLOTS
            self._count -= 1
            self._total_ms -= ms
            self._total_uws -= uws
            excess_ms -= ms
