"""The status of a window, and the events of its changes."""

from ams.metrology import meter as metrology
from ams.registers import events as ev
from ams.registers import quantities as qu

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
    (qu.STATUS_PHASE_LOSS_L1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 1, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_PHASE_LOSS_L1 << 2, ev.PHASE_LOST, ev.PHASE_BACK),
    (qu.STATUS_REVERSED_L1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 1, ev.CURRENT_REVERSED, None),
    (qu.STATUS_REVERSED_L1 << 2, ev.CURRENT_REVERSED, None),
)


def of_window(of):
    """STATUS_ bits of the window that `of`, a Metrology, has closed."""
    status = of.phase_loss * qu.STATUS_PHASE_LOSS_L1 | of.reversed * qu.STATUS_REVERSED_L1
    for flag, bit in _FLAG_TO_STATUS:
        if of.flags & flag:
            status |= bit
    return status


def log_changes(events, utc_ms, before, status):
    for bit, came, went in _EVENTS:
        if status & bit and not before & bit:
            events.log(utc_ms, came, bit)
        elif went and before & bit and not status & bit:
            events.log(utc_ms, went, bit)
