"""The status of a window, and the events of its changes."""

from micropython import const

from ams.events import events as ev
from ams.metrology import metrology
from ams.metrology import quantities as qu

_FLAG_TO_STATUS = (
    (metrology.FLAG_ACQUIRING, qu.STATUS_ACQUIRING),
    (metrology.FLAG_NO_VOLTAGE, qu.STATUS_NO_VOLTAGE),
    (metrology.FLAG_SATURATED, qu.STATUS_SATURATED),
    (metrology.FLAG_NO_LOAD, qu.STATUS_NO_LOAD),
)
# Status bit, event when it comes, event when it goes.
_EVENTS = (
    (qu.STATUS_NO_VOLTAGE, ev.VOLTAGE_LOST, ev.VOLTAGE_BACK),
    (qu.STATUS_SATURATED, ev.SAMPLES_SATURATED, None),
    (qu.STATUS_REVERSED_L1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 2, ev.CURRENT_REVERSED, None),
)
# The same of what must last: dips and short circuits look like an open phase until a fuse blows.
_LASTING = (
    (qu.STATUS_PHASE_LOSS_L1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 2, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_NEUTRAL_LOST, ev.MISSING_NEUTRAL, ev.NEUTRAL_BACK),
)
_LASTS_MS = const(2000)
_ALL_PHASES = const(0x0700)


def of_window(of):
    """STATUS_ bits of the window that `of`, a Metrology, has closed."""
    status = of.phase_loss * qu.STATUS_PHASE_LOSS_L1 | of.reversed * qu.STATUS_REVERSED_L1
    if of.neutral_lost:
        status |= qu.STATUS_NEUTRAL_LOST
    for flag, bit in _FLAG_TO_STATUS:
        if of.flags & flag:
            status |= bit
    return status


class StatusEvents:
    """The events of what changes in the status from window to window."""

    def __init__(self, events):
        self._events = events
        self._before = 0
        self._told = 0  # of what must last
        self._held_ms = [0] * len(_LASTING)

    def look(self, utc_ms, duration_ms, status):
        """A window of `duration_ms` has ended with this status."""
        log = self._events.log
        before = self._before
        self._before = status
        for bit, came, went in _EVENTS:
            if status & bit and not before & bit:
                log(utc_ms, came, bit)
            elif went and before & bit and not status & bit:
                log(utc_ms, went, bit)
        if status & qu.STATUS_NO_VOLTAGE or status & _ALL_PHASES == _ALL_PHASES:
            # The whole supply is gone or dips: of one phase that says nothing.
            return
        for k in range(len(_LASTING)):
            bit, came, went = _LASTING[k]
            if (status ^ self._told) & bit:
                self._held_ms[k] += duration_ms
                if self._held_ms[k] >= _LASTS_MS:
                    self._told ^= bit
                    log(utc_ms, came if status & bit else went, bit)
            else:
                self._held_ms[k] = 0
