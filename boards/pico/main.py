"""main.py of the image: chooses the code that runs. No update replaces this.

Code of a slot runs under the watchdog from before its first line, and on trial also under a timer,
both set here: whatever is wrong with it, the chip comes back to this place.
"""

import gc
import sys

import machine
from amsboot import choice
from flash import SlotsFlash, StateFlash
from micropython import const

NAME = b"pico"
# The longest there is: until the meter measures and feeds it.
_WATCHDOG_MS = const(8300)


def start_up():
    """The Start of this time; the slot's modules, if it runs from one, come first from here on."""
    started = choice.choose(StateFlash(), SlotsFlash(), NAME)
    if started.slot:
        machine.WDT(timeout=_WATCHDOG_MS)
        if started.trial:
            machine.Timer(
                period=started.trial_ms,
                mode=machine.Timer.ONE_SHOT,
                callback=lambda timer: end_trial(started),
            )
        from amsboot import slotfiles

        files = slotfiles.index(started.files)
        choice.leave_base()
        slotfiles.mount(started.files, files)
        gc.collect()
    return started


def end_trial(started):
    if started.trial:
        machine.reset()


def main():
    started = start_up()
    try:
        import loop

        loop.main(started)
    except Exception as error:
        # The one place that catches all: what is on trial is not to end at a prompt.
        if not started.slot:
            raise
        sys.print_exception(error)
        machine.reset()
    end_trial(started)


main()
