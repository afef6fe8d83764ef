"""Chooses the code that runs: what was flashed, or a slot. No update replaces this."""

import machine
import pinout
from amsboot import startup
from amsboot.choice import Start
from flash import SLOTS_LABEL, STATE_LABEL, PartitionFlash
from micropython import const

# Until the meter measures and feeds it.
_WATCHDOG_MS = const(20000)


def guard(started):
    machine.WDT(timeout=_WATCHDOG_MS)
    if started.trial:
        machine.Timer(0).init(
            period=started.trial_ms,
            mode=machine.Timer.ONE_SHOT,
            callback=lambda timer: machine.reset() if started.trial else None,
        )


def choose():
    try:
        flash, slots = PartitionFlash(STATE_LABEL), PartitionFlash(SLOTS_LABEL)
    except OSError:
        # A partition table without slots, or without a place for the state: the loop says so.
        return Start(None)
    failed = machine.reset_cause() == machine.WDT_RESET
    return startup.choose(flash, slots, pinout.NAME.encode(), guard, failed)


startup.run(choose(), machine.reset)
