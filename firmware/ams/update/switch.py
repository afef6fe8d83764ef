"""Which code runs: one record in a cell of the flash, changed whole or not at all.

0 is the base that the meter was flashed with, 1 and 2 are the slots. A new image runs on trial
first: each start of it is counted down before it runs, so one that hangs, resets or runs into the
watchdog comes to its end by itself; it stays only when it says that it is well (`confirm`).
"""

import struct

from micropython import const

from ams.update.digest import hash_steps, run
from ams.update.image import open_image

BASE = const(0)
TRIALS = const(3)
# Starts in a row of code that was confirmed, each ended by the watchdog or an error.
FAILURES = const(5)
_CELL = const(2)
_VERSION = const(1)
_HEAD = ">BBBBIB"
_HEAD_SIZE = const(9)
_SLOT = ">II32s"
_SLOT_SIZE = const(40)

# What happened that the meter has yet to enter in its log.
NOTHING = const(0)
ACTIVATED = const(1)
ROLLED_BACK = const(2)
DAMAGED = const(3)  # the code that should run is not what was verified, or does not start


class Switch:
    """`cells`: of the UPDATE ring."""

    def __init__(self, cells):
        self._cells = cells
        self.confirmed = BASE
        self.trial = BASE
        self.tries = 0  # on trial: starts that are left; else: starts that failed
        self.floor = 0  # the least security version that may run from a slot
        self.untold = NOTHING
        self.images = {1: None, 2: None}  # (size, security version, SHA-256)
        data = cells.get(_CELL)
        if data is not None and len(data) == _HEAD_SIZE + 2 * _SLOT_SIZE and data[0] == _VERSION:
            self._load(data)

    def _load(self, data):
        _, self.confirmed, self.trial, self.tries, self.floor, self.untold = struct.unpack_from(
            _HEAD, data
        )
        for slot in self.images:
            image = struct.unpack_from(_SLOT, data, _HEAD_SIZE + (slot - 1) * _SLOT_SIZE)
            self.images[slot] = image if image[0] else None

    def store(self):
        """Raises JournalError: then the flash holds what it held."""
        data = struct.pack(
            _HEAD, _VERSION, self.confirmed, self.trial, self.tries, self.floor, self.untold
        )
        for slot in (1, 2):
            data += struct.pack(_SLOT, *(self.images[slot] or (0, 0, b"")))
        self._cells.set(_CELL, data)

    # --- what the running meter does ---------------------------------------------------

    def free_slot(self):
        """The slot that may be written: not the one that runs for good."""
        return 2 if self.confirmed == 1 else 1

    def clear(self, slot):
        """The slot is about to be written: nothing in it may run."""
        if self.images[slot] is not None:
            self.images[slot] = None
            self.store()

    def origin(self):
        """Where a whole firmware would have to run: here an image is files."""
        return None

    def weigh(self, slots, image):
        """A generator: what else is to be known of an image that was verified."""
        return
        yield

    def activate(self, slot, image):
        """`image` runs from the next start on, on trial."""
        self.images[slot] = (image.size, image.security, image.hash)
        self.trial = slot
        self.tries = TRIALS
        self.store()

    def confirm(self):
        """The trial is well: it stays, and nothing of a lower security version runs any more."""
        self.confirmed = self.trial
        self.trial = BASE
        self.tries = 0  # on trial: starts that are left; else: starts that failed
        self.floor = max(self.floor, self.images[self.confirmed][1])
        self.untold = ACTIVATED
        self.store()

    def heal(self):
        """The code that was confirmed is well: starts that failed before do not count."""
        self.tries = 0
        self.store()

    def told(self):
        self.untold = NOTHING
        self.store()

    # --- at the start ------------------------------------------------------------------

    def choose(self, slots, board, failed=False):
        """The code to run now: BASE, 1 or 2. `slots`: what they hold; `board`: the kind of it.

        `failed`: the last start was ended by the watchdog or by an error.

        Raises JournalError when what changes cannot be kept: then nothing on trial may run.
        """
        if self.trial:
            slot = self.trial
            if self.tries and self.is_whole(slot, slots, board):
                self.tries -= 1
                self.store()
                return slot
            self.trial = BASE
            self.tries = 0
            self.images[slot] = None
            self.untold = ROLLED_BACK
            self.store()
            failed = False
        if self.confirmed == BASE:
            return BASE
        if failed:
            self.tries += 1
            self.store()
        if self.tries <= FAILURES and self.is_whole(self.confirmed, slots, board):
            return self.confirmed
        # It has rotted, or no longer starts: the one before it if that may still run, or the
        # base, which always may.
        other = 3 - self.confirmed
        self.images[self.confirmed] = None
        allowed = self.images[other] is not None and self.images[other][1] >= self.floor
        self.confirmed = other if allowed and self.is_whole(other, slots, board) else BASE
        self.tries = 0
        self.untold = DAMAGED
        self.store()
        return self.confirmed

    def is_whole(self, slot, slots, board):
        """Whether a slot still holds what was verified, and that is of this kind of board."""
        known = self.images[slot]
        if known is None or known[0] > slots[slot].capacity:
            return False
        read = slots[slot].read
        if run(hash_steps(read, 0, known[0])) != known[2]:
            return False
        return open_image(read)[2].board == board
