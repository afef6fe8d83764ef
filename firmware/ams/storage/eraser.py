"""Erases ahead of need: one sector at a time, by and by, wherever there is time for it.

A sector takes 45 ms to erase and 400 at the most (W25Q16JV): whoever waits for that measures
nothing and answers nobody. So who needs a new sector soon says so here while the old one has
still room. `work` is called by the board's main loop where it would rest.

The flash has `begin_erase(address)` and `erase_on()`: each works for a millisecond and gives
whether there is more to do. In between all other sectors can be read and programmed.
"""


class Eraser:
    """Whoever wants a sector erased has `to_erase()`, which gives (flash, address) or None, and
    `erased()`, which is called when it is done."""

    def __init__(self):
        self._waiting = []
        self._whose = None  # sector is being erased
        self._flash = None

    def want(self, who, first=False):
        """`first`: its sector goes before those of all who wait."""
        if who is not self._whose and who not in self._waiting:
            self._waiting.insert(0 if first else len(self._waiting), who)

    def has_work(self):
        return self._whose is not None or len(self._waiting) > 0

    def is_at(self, who):
        """Whether a sector of `who` is being erased."""
        return self._whose is who

    def is_busy_for(self, who):
        """Whether a sector of `who` is being erased, or will be."""
        return self._whose is who or who in self._waiting

    def work(self):
        """One slice. Gives whether there is more to do."""
        try:
            self._work()
        except OSError:
            # It is left for the time when it is needed: then its sector is tried anew.
            self._whose = None
        return self.has_work()

    def _work(self):
        if self._whose is not None:
            more = self._flash.erase_on()
        elif self._waiting:
            who = self._waiting.pop(0)
            wanted = who.to_erase()
            if wanted is None:
                return
            self._whose = who
            self._flash = wanted[0]
            more = self._flash.begin_erase(wanted[1])
        else:
            return
        if not more:
            who, self._whose = self._whose, None
            who.erased()

    def finish(self, who):
        """What was begun for `who` is ended at once; what was not begun need not be."""
        if who in self._waiting:
            self._waiting.remove(who)
        while self._whose is who:
            self.work()
