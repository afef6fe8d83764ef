"""main.py of an image that is updated as a whole: the starter has chosen this half."""

import machine
from amsboot import startup
from amsboot.choice import TRIAL_MS, Start
from variant import halves

from ams.update.halves import HalfSwitch


def choose():
    """Slot 0 where nothing else could run: then an error ends at the prompt."""
    switch = HalfSwitch(*halves())
    started = Start(None, switch.confirmed if switch.known else 0, switch.trial != 0)
    if started.trial:
        # The watchdog runs since before the first line of this half.
        machine.Timer(
            period=TRIAL_MS,
            mode=machine.Timer.ONE_SHOT,
            callback=lambda timer: machine.reset() if started.trial else None,
        )
    return started


startup.run(choose(), machine.reset)
