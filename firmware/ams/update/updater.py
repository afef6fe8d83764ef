"""The update of a meter: a transfer that outlives power cuts, its verification, the activation."""

import struct

from micropython import const

from ams.results import (
    HARDWARE_FAULT,
    OTHER_REASON,
    READ_WRITE_DENIED,
    SUCCESS,
    TEMPORARY_FAILURE,
)
from ams.update import image, reasons, verify
from ams.update.slots import BLOCKS_MAX, SlotError
from ams.update.switch import BASE, Switch

# Status, as attribute 6 of class 18.
NOT_INITIATED = const(0)
INITIATED = const(1)
VERIFYING = const(2)
VERIFIED = const(3)
VERIFICATION_FAILED = const(4)
ACTIVATING = const(5)
ACTIVATED = const(6)
ACTIVATION_FAILED = const(7)

BLOCK_SIZES = (64, 128, 256)
IDENTIFIER_MAX = const(64)

_CELL = const(1)
_RELEASE_KEY = const(3)
_VERSION = const(1)
_HEAD = ">BBBHI"
_HEAD_SIZE = const(9)


class Busy(Exception):
    """Not now: a verification is under way, or an image on trial."""


class Denied(Exception):
    """Not in this state, or not of this form."""


class Updater:
    """`cells` of the UPDATE ring, `slots` {1: Slot, 2: Slot}.

    `terms` is what an image is held against; `refused(reason)` and `ready()` enter events.
    `switch`: which code runs; None: that of the cells.
    """

    def __init__(self, cells, slots, terms, refused, ready, switch=None):
        self._cells = cells
        self.slots = slots
        self.terms = terms
        self._on_refused = refused
        self._on_ready = ready
        self.switch = switch or Switch(cells)
        terms.origin = self.switch.origin()
        self.enabled = True
        self.block_size = BLOCK_SIZES[0]
        self.restart = False  # the board is to start anew, once the answer has gone out
        self._status = NOT_INITIATED
        self.slot = 0
        self.size = 0
        self.identifier = b""
        self._image = None  # Verified
        self._work = None
        self._then_activate = False
        self._load()

    def do(self, action, *parameters):
        """One of the actions below, with the result that a client is answered.

        Temporary-failure: something is under way, the client asks again; read-write-denied: not
        in this state, or not of this form; other-reason: the image may not run on this meter,
        the security log says why; hardware-fault: it could not be stored.
        """
        try:
            return TEMPORARY_FAILURE if action(*parameters) is False else SUCCESS
        except Busy:
            return TEMPORARY_FAILURE
        except Denied:
            return READ_WRITE_DENIED
        except image.Refused:
            return OTHER_REASON
        except (OSError, SlotError):
            return HARDWARE_FAULT

    # --- what outlives a power cut -------------------------------------------------------

    def _load(self):
        data = self._cells.get(_CELL)
        if data is None or len(data) < _HEAD_SIZE or data[0] != _VERSION:
            return
        _, self._status, self.slot, self.block_size, self.size = struct.unpack_from(_HEAD, data)
        self.identifier = data[_HEAD_SIZE:]
        if self._status == VERIFIED:
            # What was verified is in RAM: verified again when it is asked for.
            self._status = INITIATED

    def _store(self, status):
        data = struct.pack(_HEAD, _VERSION, status, self.slot, self.block_size, self.size)
        self._cells.set(_CELL, data + self.identifier)
        self._status = status

    @property
    def status(self):
        if self._work is not None:
            return VERIFYING
        if self._status == ACTIVATING and not self.switch.trial:
            return ACTIVATED if self.switch.confirmed == self.slot else ACTIVATION_FAILED
        return self._status

    @property
    def image(self):
        """What was verified, and can be activated; or None."""
        return self._image if self.status == VERIFIED else None

    # --- transfer ------------------------------------------------------------------------

    def set_block_size(self, size):
        if size not in BLOCK_SIZES or self.status not in (NOT_INITIATED, ACTIVATED):
            raise Denied()
        self.block_size = size

    def initiate(self, identifier, size, block_size=None):
        """A new transfer, or the one that was begun goes on: then its blocks are still there."""
        self._demand_idle()
        block_size = block_size or self.block_size
        if not self.enabled or not 0 < len(identifier) <= IDENTIFIER_MAX:
            raise Denied()
        slot = self.switch.free_slot()
        if not image.HEAD_SIZE < size <= self.slots[slot].capacity:
            raise Denied()
        if (size + block_size - 1) // block_size > BLOCKS_MAX:
            raise Denied()
        same = (self.identifier, self.size, self.slot, self.block_size)
        if self.status in (INITIATED, VERIFIED) and same == (identifier, size, slot, block_size):
            return
        self._image = None
        self.switch.clear(slot)
        self.slot = slot
        self.size = size
        self.block_size = block_size
        self.identifier = bytes(identifier)
        self._store(NOT_INITIATED)
        self.slots[slot].begin()
        self._store(INITIATED)

    def _demand_idle(self):
        if self._work is not None or self.switch.trial:
            raise Busy()

    @property
    def blocks(self):
        if self.status in (NOT_INITIATED, ACTIVATED, ACTIVATION_FAILED):
            return 0
        return (self.size + self.block_size - 1) // self.block_size

    def put(self, number, data):
        """A block, in any order; one that is there already must be the same."""
        self._demand_idle()
        # After a verification that failed the client begins anew.
        if self.status not in (INITIATED, VERIFIED) or number >= self.blocks:
            raise Denied()
        if len(data) != min(self.block_size, self.size - number * self.block_size):
            raise Denied()
        slot = self.slots[self.slot]
        if slot.has(number):
            if not slot.holds(number * self.block_size, data):
                raise Denied()
            return
        slot.put(number, self.block_size, data)

    def first_missing(self):
        blocks = self.blocks
        return self.slots[self.slot].first_missing(blocks) if blocks else 0

    def bitmap(self):
        return self.slots[self.slot].bitmap(self.blocks) if self.blocks else ()

    # --- verification ----------------------------------------------------------------------

    def verify(self):
        """Begins it: True when it is already over and good. `step` goes on."""
        self._demand_idle()
        if self.status == VERIFIED:
            return True
        if self.status != INITIATED:
            raise Denied()
        if self.first_missing() < self.blocks:
            # Nothing is lost: the client looks for what is missing and goes on.
            self._on_refused(reasons.INCOMPLETE)
            raise Denied()
        self.terms.security = max(self.terms.security, self.switch.floor)
        self._work = self._verification()
        return False

    def _verification(self):
        found = yield from verify.steps(self.slots[self.slot].read, self.size, self.terms)
        yield from self.switch.weigh(self.slots, found)
        return found

    @property
    def busy(self):
        return self._work is not None

    def step(self):
        """The next piece of a verification, some ten ms of an RP2040."""
        try:
            next(self._work)
        except StopIteration as end:
            self._work = None
            self._image = end.value
            self._store(VERIFIED)
            self._on_ready()
            if self._then_activate:
                self._then_activate = False
                self.do(self.activate)
        except image.Refused as refusal:
            self._fail(refusal.reason)
        except Exception:
            # A flash that does not read, or no memory: a generator that broke off ends like
            # one that came to its end when it is asked again.
            self._fail(reasons.NOT_STORED)

    def _fail(self, reason):
        self._work = None
        self._then_activate = False
        try:
            self._store(VERIFICATION_FAILED)
        except OSError:
            # Until the next start: then it is verified again.
            self._status = VERIFICATION_FAILED
        self._on_refused(reason)

    # --- activation --------------------------------------------------------------------------

    def activate(self):
        """What was verified runs from the next start on. Raises image.Refused."""
        self._demand_idle()
        if self.status == INITIATED and self._was_verified():
            # By a schedule, after a power cut: it is verified once more first, piece by piece,
            # and activated when that has come to its end.
            self.verify()
            self._then_activate = True
            raise Busy()
        if self.status != VERIFIED:
            raise Denied()
        try:
            verify.fresh(self._image.expiry_s, self.terms)
        except image.Refused as refusal:
            self._on_refused(refusal.reason)
            raise
        before = self._status
        self._store(ACTIVATING)
        try:
            self.switch.activate(self.slot, self._image)
        except OSError:
            self._store(before)
            raise
        self.restart = True

    def _was_verified(self):
        data = self._cells.get(_CELL)
        return data is not None and data[1] == VERIFIED

    def confirm(self):
        """The self-test has passed."""
        if self.switch.trial != BASE:
            self.switch.confirm()


def release_key(cells, given=None):
    """The public key of releases; `given` counts while there is none in the flash."""
    stored = cells.get(_RELEASE_KEY)
    if not stored and given:
        cells.set(_RELEASE_KEY, given)
        stored = given
    return stored or None
