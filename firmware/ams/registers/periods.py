"""Energy by rate and the demands of a billing period: what is kept beside the registers."""

from micropython import const

from ams.events.pace import Pace
from ams.storage import layout

# Cells of layout.CONTROL, behind those of ams.control.
_RATES = const(16)
_HIGHEST = const(17)
# Periods that are ended by hand or by a schedule of the operator's: so many at once.
_EVERY_MS = const(604800000)
_AT_ONCE = const(6)


def pace():
    return Pace(_EVERY_MS, _AT_ONCE)


def load(nv_memory, energy):
    """At the mount, before anything is entered from it."""
    cells = nv_memory.cells(layout.CONTROL)

    def keep(rates, data):
        try:
            cells.set(_RATES if rates else _HIGHEST, data)
        except OSError:
            # Told by the cells; it stands in RAM.
            pass

    energy.load(keep, cells.get(_RATES), cells.get(_HIGHEST), nv_memory.state.months)


def begin(nv_memory, energy):
    """The power may have gone between the last entry of a period and the begin of the next."""
    if energy.highest.periods < nv_memory.state.months:
        energy.highest.end(nv_memory.state.months)


def set_rate(recorder, energy, rate):
    """The rate that is in force, 0: the calendar names none, and nothing changes."""
    if rate and rate != energy.rates.active:
        # What was counted so far is of the rate before: that is stored before the switch is.
        recorder.store()
        energy.switch(rate)
