"""The watchdog of the chip."""

import machine

from ams import hal


class Watchdog(hal.Watchdog):
    """Starts with the first feed: from then on it cannot be stopped."""

    def __init__(self, timeout_ms):
        self.timeout_ms = timeout_ms
        self._dog = None

    def feed(self):
        if self._dog is None:
            self._dog = machine.WDT(timeout=self.timeout_ms)
        self._dog.feed()
