"""Which code runs: the base or that of a slot. Asked before anything of `ams` runs.

What the choice needs of `ams` is the base's; `leave_base` forgets it again.
"""

import sys

from micropython import const

# Code on trial that did not say so long after the start that it is well is ended from outside.
# The meter itself gives it up sooner (ams.update.meter_updater): this is for one that no
# longer can.
TRIAL_MS = const(45000)


class Start:
    """What was chosen. `trial` until the code has confirmed itself: see `confirmed`."""

    def __init__(self, base, slot=0, trial=False, files=None):
        self.base = base  # version of the base, which modules of a slot stand in front of
        self.slot = slot  # 0: the base
        self.trial = trial
        self.files = files  # the ams.update.slots.Slot that runs
        self.trial_ms = TRIAL_MS

    def confirmed(self):
        self.trial = False


def choose(flash, slots_flash, board, failed=False):
    """The Start of this time; a start on trial is counted in the flash before this returns.

    `flash` holds the meter's state, `slots_flash` the two images, `board` is the kind of board.
    `failed`: the last start was ended by the watchdog or by an error.
    """
    from ams import __version__ as base
    from ams.storage.cells import Cells
    from ams.storage.journal import Journal, JournalError
    from ams.storage.layout import UPDATE, layout
    from ams.update.slots import slots
    from ams.update.switch import BASE, Switch

    for region, first, count in layout(flash.size // flash.sector_size):
        if region == UPDATE:
            journal = Journal(flash, first, count, UPDATE)
    if not journal.writable or not journal.used():
        return Start(base)
    switch = Switch(Cells(journal))
    places = slots(slots_flash)
    try:
        slot = switch.choose(places, board, failed)
    except JournalError:
        # The flash takes nothing more. A trial that is not counted would never end.
        slot = switch.confirmed
        if slot != BASE and not switch.is_whole(slot, places, board):
            slot = BASE
        return Start(base, slot, False, places.get(slot))
    return Start(base, slot, switch.trial != BASE, places.get(slot))


def leave_base():
    """What was loaded for the choice goes: from here on the slot's modules come first."""
    for name in list(sys.modules):
        if name == "ams" or name.startswith("ams."):
            del sys.modules[name]
