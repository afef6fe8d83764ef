"""The bistable relay: a pulse on one coil, a look at the contact, and again if need be.

Times are those of the board's own clock in ms; they never go back.
"""

from micropython import const

from ams.hal import COIL_CLOSE, COIL_NONE, COIL_OPEN

PULSE_MS = const(100)
SETTLE_MS = const(50)
ATTEMPTS = const(3)
PAUSE_MS = const(500)

_IDLE = const(0)
_PULSE = const(1)
_SETTLE = const(2)
_PAUSE = const(3)
_BEGIN = const(4)


class RelaySequence:
    """`relay` is a hal.Relay. One movement at a time; a new one replaces the old."""

    def __init__(self, relay):
        self._relay = relay
        self._step = _IDLE
        self._due_ms = 0
        self._close = False
        self._left = 0
        relay.set_coil(COIL_NONE)

    @property
    def busy(self):
        return self._step != _IDLE

    def start(self, close, now_ms):
        """The pulse is timed from the next `poll` on: `now_ms` may be older than now."""
        self._close = close
        self._left = ATTEMPTS
        self._pulse(now_ms)
        self._due_ms = now_ms
        self._step = _BEGIN

    def _pulse(self, now_ms):
        self._left -= 1
        self._step = _PULSE
        self._due_ms = now_ms + PULSE_MS
        self._relay.set_coil(COIL_CLOSE if self._close else COIL_OPEN)

    def due_ms(self):
        """When `poll` has something to do, None: nothing moves."""
        return self._due_ms if self._step != _IDLE else None

    def poll(self, now_ms):
        """True: the contact is where it should be. False: it is not. None: nothing ended."""
        if self._step == _IDLE or now_ms < self._due_ms:
            return None
        if self._step == _BEGIN:
            self._step = _PULSE
            self._due_ms = now_ms + PULSE_MS
            return None
        if self._step == _PULSE:
            self._relay.set_coil(COIL_NONE)
            self._step = _SETTLE
            self._due_ms = now_ms + SETTLE_MS
            return None
        if self._step == _PAUSE:
            self._pulse(now_ms)
            return None
        closed = self._relay.closed()
        # Without a feedback contact the pulse is all there is to go by.
        if closed is None or closed == self._close:
            self._step = _IDLE
            return True
        if self._left > 0:
            self._step = _PAUSE
            self._due_ms = now_ms + PAUSE_MS
            return None
        self._step = _IDLE
        return False
