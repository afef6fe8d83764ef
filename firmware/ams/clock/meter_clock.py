"""The discipline of a clock: what it is told of the true time it follows slowly, and learns from.

`raw_ms` is what is counted; `utc_ms` what is shown. What is told may be off: by what is small the
clock is slewed, never stepped, so it never stands still, goes back or leaves a moment out. What
was off since the last time is the drift of what counts; it is corrected from then on.

It serves twice: a board holds its counter against the clock chip by it, and the meter what the
board makes of the two against what clients and servers tell it.
"""

from micropython import const

from ams.clock.local import STATUS_DOUBTFUL, STATUS_INVALID

# What is slewed at the most. Meters that hold 0.5 s a day (IEC 62054-21) are 15 s off after a
# month without a word; those of Great Britain follow up to 10 s and tell nobody. It is 1.1 % of a
# quarter-hour.
SLEW_MOST_MS = const(10000)
# 1000 ppm: an interval is by a thousandth longer or shorter, a tenth of what class B may be wrong
# (EN 50470-3), and 10 s take less than three hours.
_SLEW_PER = const(1000)
_SLEW_PPB = const(1000000)
_LEARN_FROM_MS = const(3500000)
_PPB = const(1000000000)
DRIFT_MOST_PPB = const(200000)
# What was learned so often is known: from then on a quarter of what is new counts.
_KNOWN = const(3)


class MeterClock:
    def __init__(self):
        self.status = 0  # STATUS_ bits of clock.local
        self.drift_ppb = 0  # added to the rate of what counts
        self._raw_ms = 0  # where the correction was last made whole
        self._offset_ms = 0  # utc - raw there
        self._slew_ppb = 0  # added to the rate from there on
        self._slew_for_ms = 0  # for so long, counted by raw
        self._since_ms = None  # since when it is learned
        self._gone_ms = 0  # what it went wrong since then
        self._learned = 0
        self._plain = True

    def utc_ms(self, raw_ms):
        if self._plain:
            return raw_ms + self._offset_ms
        passed = raw_ms - self._raw_ms
        # One sum, rounded once: more than one could go back by a millisecond.
        more = passed * self.drift_ppb + min(passed, self._slew_for_ms) * self._slew_ppb
        return raw_ms + self._offset_ms + more // _PPB

    def left_ms(self, raw_ms):
        """What is still to be slewed."""
        passed = max(raw_ms - self._raw_ms, 0)
        left = max(self._slew_for_ms - passed, 0) // _SLEW_PER
        return left if self._slew_ppb > 0 else -left

    def _rebase(self, raw_ms, utc_ms, slew_ms):
        self._raw_ms = raw_ms
        self._offset_ms = utc_ms - raw_ms
        self._slew_for_ms = abs(slew_ms) * _SLEW_PER
        self._slew_ppb = _SLEW_PPB if slew_ms > 0 else -_SLEW_PPB
        self._plain = not (self.drift_ppb or slew_ms)

    def restore(self, drift_ppb):
        if -DRIFT_MOST_PPB <= drift_ppb <= DRIFT_MOST_PPB:
            self.drift_ppb = drift_ppb
            self._learned = _KNOWN if drift_ppb else 0

    def begin(self, raw_ms, utc_ms, error_ms=0):
        """Power-up. `error_ms`: what is to be slewed from there on, and teaches nothing."""
        self._since_ms = None
        self._rebase(raw_ms, utc_ms, error_ms)

    def set(self, raw_ms, utc_ms, synced=False):
        """The clock is set: from here on it shows `utc_ms`. `synced`: it is the true time."""
        self.status &= ~(STATUS_INVALID | STATUS_DOUBTFUL)
        self._since_ms = raw_ms if synced else None
        self._gone_ms = 0
        self._rebase(raw_ms, utc_ms, 0)

    def error_ms(self, raw_ms, true_ms, unsure_ms=0):
        """What is to be added to the clock so that it is within `unsure_ms` of the true time."""
        error = true_ms - self.utc_ms(raw_ms)
        if error > unsure_ms:
            return error - unsure_ms
        return error + unsure_ms if error < -unsure_ms else 0

    def slew(self, raw_ms, error_ms, most_ppb=DRIFT_MOST_PPB):
        """The clock is off by so much: slews that, whatever it was slewing, and learns from it.

        `most_ppb`: what the drift may become by it.
        """
        now = self.utc_ms(raw_ms)
        self.learn(raw_ms, error_ms, most_ppb)
        self._rebase(raw_ms, now, error_ms)

    def sync(self, raw_ms, true_ms, unsure_ms=0, most_ppb=DRIFT_MOST_PPB):
        """Takes the true time; gives the step (ms) that is still to be made by `set`, or 0."""
        error = self.error_ms(raw_ms, true_ms, unsure_ms)
        if self.status & STATUS_INVALID or not -SLEW_MOST_MS <= error <= SLEW_MOST_MS:
            self.learn(raw_ms, error, most_ppb)
            return error
        self.status &= ~STATUS_DOUBTFUL
        if error or not unsure_ms:
            self.slew(raw_ms, error, most_ppb)
        return 0

    def learn(self, raw_ms, error_ms, most_ppb=DRIFT_MOST_PPB):
        """What it went wrong since it was right is drift. Before it is slewed, or set."""
        # What was still to be slewed is none.
        gone_ms = error_ms - self.left_ms(raw_ms)
        if self._since_ms is None:
            # Before this nothing was known.
            self._since_ms = raw_ms
            self._gone_ms = 0
            return
        self._gone_ms += gone_ms
        passed = raw_ms - self._since_ms
        if passed < _LEARN_FROM_MS:
            return
        ppb = self._gone_ms * _PPB // passed
        self._since_ms = raw_ms
        self._gone_ms = 0
        if abs(ppb) > DRIFT_MOST_PPB:
            # No crystal does that: somebody wanted it so.
            return
        drift = self.drift_ppb + ppb // (self._learned + 1)
        self._learned = min(self._learned + 1, _KNOWN)
        # What stands is left where it is, but may come nearer.
        most = max(most_ppb, abs(self.drift_ppb))
        self.drift_ppb = max(-most, min(most, drift))
