"""The sectors of a journal: a ring in which one after the other is erased and becomes the newest.

Where the flash can erase by and by, the next sector is erased and has its head before it is
needed (see eraser.py); what the ring holds is no less for that. Format in docs/storage.md.
"""

import binascii
import struct

from micropython import const

from ams.storage.blank import is_blank

_MAGIC = b"OAJ1"
_SECTOR_HEAD = "<4sBBHII"  # magic, region, version, era, sequence, crc32
_SECTOR_HEAD_SIZE = const(16)
VERSION = const(1)
# Sectors that are tried at a time: where the whole flash takes nothing, each try costs what the
# sector held and tens of milliseconds, and the watchdog waits for no ring of hundreds.
_TRIES = const(8)


class JournalError(OSError):
    """What was asked cannot be stored."""

    told = True  # by whoever keeps the flash: no fault of who asked


def head_begins(region, sequence):
    """The head of a sector but for what only its writer knows: era and check."""
    return struct.pack("<4sBBHI", _MAGIC, region, VERSION, 0, sequence)


class Sectors:
    """Of a hal.Flash, `count` from number `first` on."""

    era = None  # gives how often time went back up to the next record, see series.py
    ahead = None  # an Eraser: the next sector is erased when there is room for less than `spare`
    spare = 0
    urgent = False  # before those of all others
    before_erase = None  # called with the place of a sector that is about to be erased ahead
    _leaving = -1  # place of a sector that is being erased: what is read there means nothing
    _ready = -1  # place of one that was erased ahead and has its head
    _ready_era = 0
    _head_era = 0  # of the newest sector, as it says itself
    worn = 0  # sectors that took no head, records that did not read back
    _passed = 0  # places that took nothing since a sector was opened
    writable = True  # False: it holds something of somebody else, which stays as it is
    unreadable = False  # the flash gave errors at the mount: it counts as empty, and stays as it is

    def __init__(self, flash, first, count, region):
        if count < 2:
            raise JournalError("a journal needs two sectors at least")
        self._flash = flash
        self._first = first
        self.count = count
        self.region = region
        self._size = flash.sector_size
        self._limit = flash.sector_size - _SECTOR_HEAD_SIZE  # end of the records
        self.sequence = 0  # of the newest sector; 0: none yet
        self.head = count - 1  # place of the newest sector in the ring
        self.held = -1  # never erased: the newest sector with a good record
        self._at = self._limit  # where the next record goes; the end: open a sector
        self.era_found = 0  # that of the sector that was looked at last, as far as it was read

    def _address(self, place):
        return (self._first + place) * self._size

    def heads(self, place):
        """Yields the head of a sector and its copy, both good until the next."""
        head = bytearray(_SECTOR_HEAD_SIZE)
        # At both ends: one burst of flipped bits cannot take both.
        for at in (0, self._limit):
            self._flash.read(self._address(place) + at, head)
            yield head

    def sector_sequence(self, place):
        """Sequence of a sector of this journal, 0 for anything else."""
        if place == self._leaving or self.unreadable:
            return 0
        for head in self.heads(place):
            magic, region, version, era, sequence, crc = struct.unpack(_SECTOR_HEAD, head)
            if magic == _MAGIC and region == self.region and version == VERSION:
                if binascii.crc32(head[:12]) & 0xFFFFFFFF == crc:
                    self.era_found = era
                    return sequence
        return 0

    def place_of(self, sequence):
        """Place of the sector of that sequence, -1 when it is not there."""
        place = (self.head - (self.sequence - sequence)) % self.count
        return place if self.sector_sequence(place) == sequence else -1

    def oldest(self):
        """Sequence that the oldest sector may have."""
        return max(1, self.sequence - self.count + 1)

    def backwards(self):
        """(place, sequence) of the sectors in use, from the newest to the oldest."""
        for step in range(self.count):
            place = (self.head - step) % self.count
            sequence = self.sector_sequence(place)
            if sequence and 0 <= self.sequence - sequence < self.count:
                yield place, sequence

    def used(self):  # whether anything was ever stored
        return self.sequence > 0

    # --- the next one -----------------------------------------------------------------

    def give_up(self):
        """Nothing more goes into the newest sector as it is."""
        if self._at > _SECTOR_HEAD_SIZE:
            self._at = self._limit

    def _next_place(self):
        """The newest once more if nothing in it is good, but something anywhere is."""
        return self.head if self.held not in (self.head, -1) else (self.head + 1) % self.count

    def _era_now(self):
        return 0 if self.era is None else self.era()

    def open_sector(self, worn=False):
        """Erases a sector and makes it the newest; worn ones are passed by.

        That is the oldest one, or the newest if there is nothing good in it. But when
        nothing good stands anywhere its head is all that says whose ring this is.
        After some that take nothing it is given up: the next time goes on behind them.
        """
        if not worn and self._at == _SECTOR_HEAD_SIZE or self._take_ready():
            return
        place = (self.head + 1) % self.count if worn else self._next_place()
        place = (place + self._passed) % self.count
        tries = 0
        for _ in range(self.count):
            if place != self.held:
                if self._open(place):
                    self._passed = 0
                    return
                self.worn += 1
                tries += 1
            place = (place + 1) % self.count
            self._passed = (self._passed + 1) % self.count
            if tries == _TRIES:
                break
        # The newest may have been erased: nothing goes there before it has a head.
        self._at = self._limit
        raise JournalError("no sector of the flash takes data any more")

    def _open(self, place):
        """Whether a sector could be erased and given its head."""
        if not self._is_unused(place):
            self._flash.erase(self._address(place))
        era = self._era_now()
        if not self._give_head(place, era):
            return False
        self._become(place, era)
        return True

    def _sequence_at(self, place):
        sequence = self.sequence + (place - self.head) % self.count
        # Sequences begin with 1: in a new ring the last place comes after all others.
        return sequence or self.count

    def _is_unused(self, place):
        """Whether it is as it was when the flash was formatted: what this ring never had, and
        blank. One that was used has to be erased: a cut may have left it blank to the eye only.
        """
        if self._sequence_at(place) > self.count:
            return False
        return is_blank(self._flash, self._address(place), self._size)

    def unclean(self, step):
        """(flash, address) of the sector `step` behind the newest, if this ring never had it and
        something stands there; an address of -1 where nothing does, None behind the last."""
        if step > self.count - min(self.sequence, self.count):
            return None
        place = (self.head + step) % self.count
        if self.sector_sequence(place) or place == self._leaving or self._is_unused(place):
            return self._flash, -1
        return self._flash, self._address(place)

    def _give_head(self, place, era):
        sequence = self._sequence_at(place)
        address = self._address(place)
        head = struct.pack(_SECTOR_HEAD, _MAGIC, self.region, VERSION, era, sequence, 0)
        crc = binascii.crc32(head[:12]) & 0xFFFFFFFF
        head = head[:12] + struct.pack("<I", crc)
        self._flash.program(address, head)
        self._flash.program(address + self._limit, head)
        return self.sector_sequence(place) == sequence

    def _become(self, place, era):
        self.sequence = self._sequence_at(place)
        self.head = place
        self._head_era = era
        self._at = _SECTOR_HEAD_SIZE

    # --- erased ahead ----------------------------------------------------------------

    def look_ahead(self):
        """Has the next sector erased when little room is left; after what was stored."""
        if self.ahead is not None and self._ready < 0 and self._at + self.spare > self._limit:
            if self.writable and self.held >= 0 and not self._passed:
                self.ahead.want(self, self.urgent)

    def to_erase(self):
        """For the Eraser: (flash, address) of what is to be erased now, or None."""
        if self._ready >= 0 or self._at + self.spare <= self._limit:
            return None
        place = self._next_place()
        if self._is_unused(place):
            self.erased()
            return None
        if self.before_erase is not None and place != self.head:
            self.before_erase(place)
        self._leaving = place
        return self._flash, self._address(place)

    def erased(self):
        """It is: all that its becoming the newest needs is done here."""
        place = self._next_place()
        self._leaving = -1
        era = self._era_now()
        if self._give_head(place, era):
            self._ready = place
            self._ready_era = era

    def _take_ready(self):
        """Whether the sector that was erased ahead is the newest now."""
        if self.ahead is not None:
            self.ahead.finish(self)
        place, self._ready = self._ready, -1
        self._leaving = -1
        if place < 0:
            return False
        self._become(place, self._ready_era)
        return True
