"""A bistable relay: it moves when a coil has had current for long enough, and stays."""


class Relay:
    """`pull_us` of current move it.

    `welded`: the contact does not open any more; `stuck`: it stays where it is.
    """

    def __init__(self, closed=True, pull_us=20000, burn_us=1000000):
        self.closed = closed
        self.welded = False
        self.stuck = False
        self.burnt = False
        self.both = False  # both coils had current at once
        self._pull_us = pull_us
        self._burn_us = burn_us
        self._levels = {"open": 0, "close": 0}
        self._since_us = {"open": 0, "close": 0}

    def coil(self, which, level):
        """Current through the coil "open" or "close", or none."""
        self._levels[which] = level
        self._since_us[which] = 0
        if self._levels["open"] and self._levels["close"]:
            self.both = True

    @property
    def contact(self):
        """Level of the feedback contact: low when closed."""
        return 0 if self.closed else 1

    def advance(self, us):
        for which in ("open", "close"):
            if not self._levels[which]:
                continue
            self._since_us[which] += us
            if self._since_us[which] >= self._burn_us:
                self.burnt = True
            moves = not (self.both or self.burnt or self.stuck)
            if moves and self._since_us[which] >= self._pull_us:
                if which == "close":
                    self.closed = True
                elif not self.welded:
                    self.closed = False
