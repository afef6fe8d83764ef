"""What happens at the case: covers, magnet, button, falling supply."""

from micropython import const

from ams.events import events as ev
from ams.events.token_bucket import TokenBucket
from ams.hal import (
    INPUT_BUTTON,
    INPUT_MAGNETIC_FIELD,
    INPUT_METER_COVER,
    INPUT_POWER_FAIL,
    INPUT_TERMINAL_COVER,
)

# A contact that bounces counts when it has stood for so long.
STEADY_MS = const(100)
# So does a supply that is back.
SUPPLY_BACK_MS = const(1000)
# A supply that flickers is stored for so often, and then once in so long.
_FALLS = const(60)
_FALL_EVERY_MS = const(60000)
# Input, event when it comes, event when it goes.
_EVENTS = (
    (INPUT_TERMINAL_COVER, ev.TERMINAL_COVER_REMOVED, ev.TERMINAL_COVER_CLOSED),
    (INPUT_METER_COVER, ev.METER_COVER_REMOVED, ev.METER_COVER_CLOSED),
    (INPUT_MAGNETIC_FIELD, ev.MAGNETIC_FIELD, ev.MAGNETIC_FIELD_GONE),
)


class Case:
    """`inputs`: hal.Inputs, or None for a board without contacts."""

    def __init__(self, inputs, meter):
        self._inputs = inputs
        self._meter = meter
        self._bits = 0  # what counts
        self._seen = 0  # what was read last
        self._since_ms = 0
        self._falls = False
        self._fell_ms = None  # when it last was stored that the supply falls
        self._told = False  # that it falls, and not yet that it is back
        self._taken = False  # by the interrupt: this fall is stored as far as it can be there
        self._back_ms = 0  # since when the input says that it is
        self._share = TokenBucket(_FALLS, _FALL_EVERY_MS, 0)

    def poll(self, raw_ms):
        """Call it with every pass of the loop; `raw_ms` is the board's time."""
        bits = self._inputs.read() if self._inputs is not None else 0
        meter = self._meter
        # The supply is not waited for: milliseconds are left.
        falls = bool(bits & INPUT_POWER_FAIL)
        if falls != self._falls:
            self._falls = falls
            self._back_ms = raw_ms
            if falls:
                self._fall(raw_ms)
        elif self._told and not falls and raw_ms - self._back_ms >= SUPPLY_BACK_MS:
            self._told = False
            self._fell_ms = None
            meter.supply_back()
        if not falls:
            self._taken = False
        if bits != self._seen:
            self._seen = bits
            self._since_ms = raw_ms
        elif bits != self._bits and raw_ms - self._since_ms >= STEADY_MS:
            self._changed(bits)

    def due_ms(self):
        """When a contact that has changed counts, or a supply that is back; None: nothing waits."""
        if self._seen != self._bits:
            return self._since_ms + STEADY_MS
        if self._told and not self._falls:
            return self._back_ms + SUPPLY_BACK_MS
        return None

    @property
    def pressed(self):
        """Whether the button is."""
        return bool(self._bits & INPUT_BUTTON)

    def supply_falls(self, raw_ms):
        """For the interrupt of the supply, between any two steps of the code: what is registered
        is stored now. All else that goes with it is for the next pass of the loop.
        """
        if self._is_to_store(raw_ms):
            self._taken = True
            self._meter.recorder.save()

    def _is_to_store(self, raw_ms):
        if self._fell_ms is not None and raw_ms - self._fell_ms < SUPPLY_BACK_MS:
            return False
        if self._share.take(raw_ms) is None:
            return False
        self._fell_ms = raw_ms
        return True

    def _fall(self, raw_ms):
        if self._taken or self._is_to_store(raw_ms):
            self._taken = False
            self._told = True
            self._meter.power_fail()

    def _changed(self, bits):
        before = self._bits
        self._bits = bits
        for bit, came, went in _EVENTS:
            if (before ^ bits) & bit:
                self._meter.tamper(came if bits & bit else went)
