"""A bistable relay with two coils, and the contact that tells where it stands."""

from ams.hal import COIL_CLOSE, COIL_OPEN, Relay


class BistableRelay(Relay):
    """`open_pin` and `close_pin` drive the coils (high: current), `feedback` reads the
    auxiliary contact (`closed_level` when the mains contact is closed), or is None.
    """

    def __init__(self, open_pin, close_pin, feedback=None, closed_level=0):
        self._open = open_pin
        self._close = close_pin
        self._feedback = feedback
        self._closed_level = closed_level
        self.set_coil(0)

    def set_coil(self, coil):
        # First off, then on: never both, not even for a moment.
        if coil != COIL_OPEN:
            self._open(0)
        if coil != COIL_CLOSE:
            self._close(0)
        if coil == COIL_OPEN:
            self._open(1)
        elif coil == COIL_CLOSE:
            self._close(1)

    def closed(self):
        if self._feedback is None:
            return None
        return self._feedback() == self._closed_level
