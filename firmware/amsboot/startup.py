"""What main.py of a chip does: the choice, the guards, the loop. No update replaces this.

Code of a slot runs under a watchdog from before its first line, and on trial also under a timer:
whatever is wrong with it, the chip comes back to this place.
"""

import gc
import sys

from amsboot import choice


def choose(flash, slots, board, guard, failed):
    """The Start of this time; the slot's modules, if it runs from one, come first from here on.

    `guard(started)` sets the watchdog and, on trial, a timer that resets the chip.
    """
    started = choice.choose(flash, slots, board, failed)
    if started.slot:
        guard(started)
        from amsboot import slotfiles

        files = slotfiles.index(started.files)
        choice.leave_base()
        slotfiles.mount(started.files, files)
        gc.collect()
    return started


def run(started, reset):
    """The board's main loop, of the slot if it has one. `reset` starts the chip anew."""
    ended = False
    try:
        import loop

        ended = loop.main(started)
    except Exception as error:
        # The one place that catches all: what is on trial is not to end at a prompt.
        if not started.slot:
            raise
        sys.print_exception(error)
        reset()
    if started.trial and not ended:
        reset()
