"""main.py of the image: chooses the code that runs. No update replaces this."""

import gc

import chip
import machine
from amsboot import startup
from amsboot.choice import Start
from flash import PLANNED, SCRATCH, SlotsFlash, StateFlash
from micropython import const

# Code that is loaded from files leaves garbage between its pieces: collected soon, the room
# that stays free is in one piece.
_COLLECT_OCTETS = const(8192)
# The longest there is: until the meter measures and feeds it.
_WATCHDOG_MS = const(8300)


def guard(started):
    machine.WDT(timeout=_WATCHDOG_MS)
    if started.trial:
        machine.Timer(
            period=started.trial_ms,
            mode=machine.Timer.ONE_SHOT,
            callback=lambda timer: machine.reset() if started.trial else None,
        )


def has_failed():
    """Whether it was not power or a planned restart that brought us here."""
    return machine.reset_cause() == machine.WDT_RESET and machine.mem32[SCRATCH] != PLANNED


def choose():
    slots = SlotsFlash()
    if slots is None:
        gc.threshold(_COLLECT_OCTETS)
        return Start(None)
    return startup.choose(StateFlash(), slots, chip.NAME.encode(), guard, has_failed())


def run():
    startup.run(choose(), machine.reset)


if __name__ == "__main__":
    run()
