"""What differs between images for a Pico: this one is updated as a whole (docs/update.md)."""

import chip
import nor
from flash import PartFlash
from flashmap import CODE_OFFSET, HALF_SIZE, RECORDS_OFFSET, RECORDS_SIZE, SLOTS_OFFSET

NAME = "pico-ab"


def halves():
    """For ams.update.halves.HalfSwitch: the records of the starter, the half that runs, how long
    its code is, and where the code of a half is seen."""
    start, size = nor.code()
    running = (start - SLOTS_OFFSET) // HALF_SIZE + 1
    return (
        PartFlash(RECORDS_OFFSET, RECORDS_SIZE),
        running,
        size,
        (chip.XIP + SLOTS_OFFSET + CODE_OFFSET, chip.XIP + SLOTS_OFFSET + HALF_SIZE + CODE_OFFSET),
    )
