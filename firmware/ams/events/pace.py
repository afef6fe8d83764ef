"""How fast entries and steps may come: no faster than time passes, but for some at once.

The token bucket of `events.token_bucket` counts what is refused; this one outlives a power cut,
since it is one moment: that at which all that was taken is made up for (generic cell rate, ITU-T
I.371).
"""

from micropython import const

# A board's clock may be that much slow, and what keeps to the true time must not run out: 1/4096.
_SLOW = const(4096)


class Pace:
    """`burst` at once, from then on one every `every_ms`: in a time T at most T / every + burst.

    Times are lived ones (see own_time), which no setting of the clock moves.
    """

    def __init__(self, every_ms, burst):
        self.every_ms = every_ms
        self._burst = burst
        self.until_ms = 0

    def take(self, lived_ms):
        """Whether one more may come now; then it is counted."""
        debt = max(self.until_ms - lived_ms, 0)
        if debt > (self._burst - 1) * self.every_ms:
            return False
        self.until_ms = lived_ms + debt + self.every_ms - self.every_ms // _SLOW
        return True

    def is_ahead(self, lived_ms):
        """Whether more came than time alone would have brought: that is to be remembered."""
        return self.until_ms - lived_ms > self.every_ms + self.every_ms // 8

    def change(self, every_ms, lived_ms):
        """Another rate; what was taken at once stays as many."""
        debt = max(self.until_ms - lived_ms, 0)
        self.until_ms = lived_ms + debt * every_ms // self.every_ms
        self.every_ms = every_ms
