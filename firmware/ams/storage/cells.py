"""Small values that are set again and again, each under its number, in a ring of a journal.

Every value goes behind the others into the newest sector. When that is full
the next is erased, all living values are copied into it, and only then does it
take the new one: so the sector before it, which is never erased while this
goes on, holds everything, and a cut at any moment leaves the old or the new
value of each cell. Format in docs/storage.md.

A value whose newest copy no longer reads back is taken from an older sector
where it stands too; `damaged` says when what is given may be older than what
was set.
"""

import struct

from micropython import const

from ams.storage.journal import JournalError, footprint

KEYS = const(254)
LARGEST_VALUE = const(900)
_HEAD = "<IB"  # number of the setting, what the record is
_HEAD_SIZE = const(5)
_SET = const(0)
_CARRIED = const(1)
_ALL_CARRIED = const(2)  # number: of the newest setting that was carried; then their sum
_MARK = const(254)  # kind of that record
# What all cells together may take, with the one that is being set: a sector without its ends.
_CAPACITY = const(4096 - 32 - 16)

_AT_BITS = const(12)
_LENGTH_BITS = const(10)


def _sum(numbers):
    """What tells whether the newest copy of every cell is there."""
    return sum(numbers.values()) & 0xFFFFFFFF


class Cells:
    """Cells 0 to 253 in the ring of `journal`, of which nobody else appends.

    RAM: an integer for each cell that is in use. `on_damage()` is called when one can no longer
    be read, and when none takes a value.
    """

    def __init__(self, journal, on_damage=None):
        if journal.count < 3:
            raise JournalError("cells need three sectors at least")
        self._journal = journal
        self._on_damage = on_damage
        self._index = None  # key: where its newest copy stands, packed; read at first use
        self._number = 0  # of the newest setting
        self._octets = 0  # what the living records take
        self.damaged = False

    # --- what others use -----------------------------------------------------------

    def get(self, key):
        """The value of a cell as bytes, or None when it was never set."""
        if self._index is None:
            self._load()
            if self._journal.held != self._journal.head:
                # A cut while it was made: it is made anew, and erased for that ahead of need.
                self._journal.give_up()
                self._journal.look_ahead()
        record = self._read(key)
        return None if record is None else record[1]

    def set(self, key, value):
        """Stores a value; when this returns it survives a power cut.

        Raises JournalError when it cannot be stored: then the cell keeps its old value.
        """
        if not 0 <= key < KEYS:
            raise ValueError("cells have numbers from 0 to %d" % (KEYS - 1))
        if len(value) > LARGEST_VALUE:
            raise JournalError("a cell takes %d octets at most" % LARGEST_VALUE)
        if not self._journal.writable:
            raise JournalError("the ring holds unknown data: format it first")
        if self.get(key) == value:
            return
        size = _HEAD_SIZE + len(value)
        if self._octets + footprint(size) > _CAPACITY:
            raise JournalError("the cells are full")
        try:
            self._put(key, struct.pack(_HEAD, self._number + 1, _SET) + value, size)
        except OSError as error:
            if self._on_damage is not None:
                self._on_damage()
            raise JournalError(str(error))

    def _put(self, key, data, size):
        journal = self._journal
        for _ in range(journal.count + 1):
            # A sector that took only copies so far may lack some: it is made anew.
            if journal.head != journal.held or not journal.fits(size):
                self._turn()
            at = journal.put(key, data)
            if at is not None:
                journal.held = journal.head
                journal.look_ahead()
                self._number += 1
                self._enter(key, journal.head, at, size)
                return
        raise JournalError("no sector of the flash takes data any more")

    # --- where they stand ------------------------------------------------------------

    def _enter(self, key, place, at, size):
        before = self._index.get(key)
        if before is not None:
            self._octets -= footprint(before & (1 << _LENGTH_BITS) - 1)
        self._octets += footprint(size)
        self._index[key] = (place << _AT_BITS | at) << _LENGTH_BITS | size

    def _load(self):
        """Finds the newest copy of each cell. Sectors that hold only copies do not count."""
        journal = self._journal
        sectors = [(sequence, place) for place, sequence in journal.backwards()]
        sectors.sort()
        self._index = {}
        self._number = self._octets = 0
        damaged = False
        while sectors and not self._is_complete(sectors[-1][1], sectors[-1][0]):
            sectors.pop()
        journal.held = sectors[-1][1] if sectors else -1
        numbers = {}
        for sequence, place in sectors:
            # Each sector holds all that was before it: a hole counts in the newest alone.
            damaged = self._take(place, sequence, numbers)
        if damaged:
            self._damage()

    def _is_complete(self, place, sequence):
        for _, length, _ in self._journal.scan(place, sequence, False):
            if self._journal.payload(length)[4] != _CARRIED:
                return True
        return False

    def _take(self, place, sequence, numbers):
        """Enters what a sector holds; gives whether settings in it can no longer be read."""
        journal = self._journal
        hole = False
        following = 0
        for at, length, key in journal.scan(place, sequence):
            number, what = struct.unpack_from(_HEAD, journal.payload(length))
            if what == _SET and following and number > following:
                hole = True
            if what != _CARRIED:
                following = number + 1
            self._number = max(self._number, number)
            if key == _MARK:
                hole = struct.unpack_from("<I", journal.payload(length), _HEAD_SIZE)[0] != _sum(
                    numbers
                )
            elif number >= numbers.get(key, 0):
                numbers[key] = number
                self._enter(key, place, at, length)
        return hole or journal.spoilt

    def _damage(self):
        if not self.damaged:
            self.damaged = True
            if self._on_damage is not None:
                self._on_damage()

    def _read(self, key):
        """(number, value) of a cell, or None; looks for an older copy if need be."""
        for _ in range(2):
            where = self._index.get(key)
            if where is None:
                return None
            place = where >> _AT_BITS + _LENGTH_BITS
            at = where >> _LENGTH_BITS & (1 << _AT_BITS) - 1
            payload = self._journal.read(place, at, key)
            if payload is not None:
                return struct.unpack_from(_HEAD, payload)[0], bytes(payload[_HEAD_SIZE:])
            # It has gone since it was found there.
            self._damage()
            self._load()
        return None

    # --- the next sector ---------------------------------------------------------------

    def _turn(self):
        """Opens the next sector and copies all cells into it."""
        journal = self._journal
        for attempt in range(journal.count):
            journal.open_sector(attempt > 0)
            if self._carry():
                return
        raise JournalError("no sector of the flash takes data any more")

    def _carry(self):
        journal = self._journal
        places = {}
        numbers = {}
        for key in list(self._index):
            record = self._read(key)
            if record is None:
                continue
            number, value = record
            at = journal.put(key, struct.pack(_HEAD, number, _CARRIED) + value)
            if at is None:
                return False
            numbers[key] = number
            places[key] = at, _HEAD_SIZE + len(value)
        mark = struct.pack(_HEAD, self._number, _ALL_CARRIED) + struct.pack("<I", _sum(numbers))
        if journal.put(_MARK, mark) is None:
            return False
        # From here on the sector stands for all.
        journal.held = journal.head
        self._index = {}
        self._octets = 0
        for key in places:
            self._enter(key, journal.head, places[key][0], places[key][1])
        return True


class PlainCells:
    """The same without a flash: in RAM, for as long as there is power."""

    damaged = False

    def __init__(self):
        self._values = {}

    def get(self, key):
        return self._values.get(key)

    def set(self, key, value):
        if not 0 <= key < KEYS:
            raise ValueError("cells have numbers from 0 to %d" % (KEYS - 1))
        if len(value) > LARGEST_VALUE:
            raise JournalError("a cell takes %d octets at most" % LARGEST_VALUE)
        self._values[key] = bytes(value)


class ClosedCells:
    """The cells of a flash that is somebody else's: nothing is read, nothing is stored."""

    damaged = False

    def get(self, key):
        return None

    def set(self, key, value):
        raise JournalError("the flash holds unknown data: format it first")
