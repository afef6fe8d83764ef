"""The meter's clock: the board's time, corrected by offset and drift.

`raw_ms` is what the board counts; `utc_ms` what the meter shows. Repeated
synchronisation learns the drift, and spreads what is less than a step over
time, so that no interval changes its length by it.
"""

from micropython import const

from ams.registers.clock import STATUS_INVALID

# Differences below this are slewed, not stepped.
STEP_MS = const(1000)
_SLEW_PER_MS = const(2000)  # 1 ms each 2000: 500 ppm
_LEARN_FROM_MS = const(3600000)
_PPB = const(1000000000)
DRIFT_MOST_PPB = const(200000)


class MeterClock:
    def __init__(self):
        self.status = 0  # STATUS_ bits of registers.clock
        self.drift_ppb = 0  # added to the rate of the board's clock
        self._raw_ms = 0  # where the correction was last made whole
        self._offset_ms = 0  # utc - raw there
        self._slew_ms = 0  # still to be spread from there on
        self._synced_raw_ms = None
        self._plain = True

    def utc_ms(self, raw_ms):
        if self._plain:
            return raw_ms + self._offset_ms
        passed = raw_ms - self._raw_ms
        out = raw_ms + self._offset_ms + passed * self.drift_ppb // _PPB
        if self._slew_ms:
            spread = passed // _SLEW_PER_MS
            if self._slew_ms > 0:
                out += max(0, min(spread, self._slew_ms))
            else:
                out -= max(0, min(spread, -self._slew_ms))
        return out

    def _rebase(self, raw_ms, utc_ms, slew_ms):
        self._raw_ms = raw_ms
        self._offset_ms = utc_ms - raw_ms
        self._slew_ms = slew_ms
        self._plain = not (self.drift_ppb or slew_ms)

    def restore(self, drift_ppb):
        if -DRIFT_MOST_PPB <= drift_ppb <= DRIFT_MOST_PPB:
            self.drift_ppb = drift_ppb

    def begin(self, raw_ms, utc_ms):
        """Power-up."""
        self._synced_raw_ms = None
        self._rebase(raw_ms, utc_ms, 0)

    def set(self, raw_ms, utc_ms, synced=False):
        """The clock is set: from here on it shows `utc_ms`. `synced`: it is the true time."""
        self.status &= ~STATUS_INVALID
        self._synced_raw_ms = raw_ms if synced else None
        self._rebase(raw_ms, utc_ms, 0)

    def sync(self, raw_ms, true_ms):
        """Takes the true time; gives the step (ms) that is still to be made by `set`, or 0."""
        now = self.utc_ms(raw_ms)
        error = true_ms - now
        self._learn(raw_ms, error)
        if self.status & STATUS_INVALID or not -STEP_MS < error < STEP_MS:
            return error
        self._rebase(raw_ms, now, error)
        return 0

    def _learn(self, raw_ms, error):
        """What went wrong since the last synchronisation is drift, if it can be."""
        if self._synced_raw_ms is None:
            self._synced_raw_ms = raw_ms
            return
        passed = raw_ms - self._synced_raw_ms
        if passed < _LEARN_FROM_MS:
            return
        # What was still to be slewed is no drift.
        error -= self._left(raw_ms)
        if abs(error) * _PPB <= passed * DRIFT_MOST_PPB:
            # By half: one late message shall not turn the clock for a day.
            drift = self.drift_ppb + error * _PPB // passed // 2
            self.drift_ppb = max(-DRIFT_MOST_PPB, min(DRIFT_MOST_PPB, drift))
        self._synced_raw_ms = raw_ms

    def _left(self, raw_ms):
        """Slew that was not spread yet."""
        spread = max(0, (raw_ms - self._raw_ms) // _SLEW_PER_MS)
        if self._slew_ms > 0:
            return max(0, self._slew_ms - spread)
        return min(0, self._slew_ms + spread)
