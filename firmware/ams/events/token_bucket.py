"""How often something may be told or stored: so many at once, then one in so long."""


class TokenBucket:
    """`most` at once, from then on one every `every_ms`."""

    def __init__(self, most, every_ms, now_ms):
        self._most = most
        self._every_ms = every_ms
        self._left = most
        self._gained_ms = now_ms
        self._refused = 0

    def take(self, now_ms):
        """How many were refused since the last that was not, or None: this one is refused too."""
        gained = (now_ms - self._gained_ms) // self._every_ms
        if gained > 0:
            self._left = min(self._left + gained, self._most)
            self._gained_ms += gained * self._every_ms
        if self._left == 0:
            self._refused += 1
            return None
        self._left -= 1
        refused, self._refused = self._refused, 0
        return refused
