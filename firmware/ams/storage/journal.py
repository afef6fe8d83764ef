"""An append-only log over raw NOR flash that any power cut leaves readable.

A journal owns a ring of sectors. Records go behind each other into the newest
sector; when it is full the oldest is erased and becomes the newest, so every
sector is erased equally often (sectors.py). A record is programmed whole, then its commit
octet: what was not committed is not there. Nothing is ever programmed behind
something torn, and mounting writes nothing. The sector with the newest good
record is never erased: a new sector in which nothing good stands yet, because
the power went, is taken once more instead. Format in docs/storage.md.

Reading survives flipped bits: a record whose check fails is passed over and
counted in `bad`, the records behind it are found again.
"""

import binascii
import struct

from micropython import const

from ams.storage.blank import NOISE_BITS, is_blank, zeros
from ams.storage.sectors import JournalError, Sectors

_SECTOR_HEAD_SIZE = const(16)  # as ams.storage.sectors has it
_RECORD_HEAD = "<HBBI"  # length, kind, commit, crc32
_RECORD_HEAD_SIZE = const(8)
_COMMITTED = b"\x00"
# Kind of a record before the first of a sector: time went back since the sector had its head.
ERA = const(253)
_ERA_SIZE = const(2)
LARGEST = const(1000)
_BLANK = b"\xff" * 64
_PIECE = memoryview(bytearray(len(_BLANK)))  # of all journals: each is done with it at once


def footprint(length):
    """What a record of `length` octets takes of a sector."""
    return _RECORD_HEAD_SIZE + ((length + 3) & ~3)


def _is_committed(commit):
    if commit in (0x00, 0xFF):
        return commit == 0x00
    # A flipped bit in the commit octet costs nothing; a torn one may go either way.
    return sum(commit >> bit & 1 for bit in range(8)) <= 4


class Journal(Sectors):
    """On a hal.Flash, in a ring of `count` sectors from `first` on; `buffer` takes one record."""

    torn = spoilt = False  # the last scan ended with something unreadable; that was whole once
    bad = 0  # records passed over since the mount
    # Something unreadable stands at the end of the newest sector, and behind what `last` gave.
    _end_torn = torn_end = False
    noisy = 0  # sectors of a ring that was never used in which some bits have flipped

    def __init__(self, flash, first, count, region, buffer=None):
        super().__init__(flash, first, count, region)
        self._buffer = bytearray(footprint(LARGEST)) if buffer is None else buffer
        self._newest = None  # (place, at) of the newest record
        self._guess = 0  # length of the record that was read last: the next is alike
        self.found = 0  # sectors of this journal at the mount, see missing.py
        try:
            self._mount()
        except OSError:
            # One part of a flash that gives errors does not keep the meter from measuring.
            self.unreadable = True
            self.writable = False
            self.sequence = self.found = 0
            self._newest = None

    def _mount(self):
        blank = getattr(self._flash, "blank", None)
        if blank is not None and blank(self._address(0), self.count * self._size):
            return  # never used: quicker to see than heads that are not there
        for place in range(self.count):
            sequence = self.sector_sequence(place)
            self.found += sequence > 0
            if sequence > self.sequence:
                self.sequence = sequence
                self.head = place
        if self.sequence:
            self._at = self._end_of(self.head)
            self.held = self._newest_good()
        else:
            self.noisy = self._noise()
            self.writable = self.noisy >= 0

    def _newest_good(self):
        """Place of the newest sector with a good record; those of the era count for none."""
        for place, sequence in self.backwards():
            held = self._holds_one(place, sequence)
            if place == self.head:
                self._head_era = self.era_found
            if held:
                return place
        return -1

    def _holds_one(self, place, sequence):
        for _, length, kind in self.scan(place, sequence, False):
            if not self._is_era(length, kind):
                return True
        return False

    def _noise(self):
        """In how many sectors of a ring that was never used bits have flipped; -1: something
        stands there. A torn first head counts as nothing."""
        noisy = 0
        for place in range(self.count):
            skip = 0 if place else _SECTOR_HEAD_SIZE
            address = self._address(place) + skip
            if not is_blank(self._flash, address, self._size - skip):
                if zeros(self._flash, address, self._size - skip) > NOISE_BITS:
                    return -1
                noisy += 1
        return noisy

    def _end_of(self, place):
        """Where a record may follow; the end of the sector if something torn is in the way.

        Records of one size are searched by halves; if anything is odd, one by one.
        """
        at = self._last_alike(place)
        if at < 0:
            for at, _, _ in self.scan(place, self.sequence):
                self._newest = place, at
            self._end_torn = self.torn
            if self._newest is None or self.torn:
                return self._limit if self.torn else _SECTOR_HEAD_SIZE
            at = self._newest[1]
        self._newest = place, at
        return at + footprint(self.record_at(place, self.sequence, at)[0])

    def _last_alike(self, place):
        """Where the last record of a sector stands behind which all is erased, or -1."""
        first = self.record_at(place, self.sequence, _SECTOR_HEAD_SIZE)
        if first is None:
            return -1
        at = self.bisect(place, self.sequence, _SECTOR_HEAD_SIZE, None)
        if at < 0:
            return -1
        length, _ = self.record_at(place, self.sequence, at)
        end = at + footprint(length)
        while end < self._limit:
            blank = self._blank_from(place, end)
            if blank < min(len(_BLANK), self._limit - end):
                return -1
            end += blank
        return at

    def bisect(self, place, sequence, at, before):
        """The last of the records from the good one at `at` on for which `before(payload)`
        holds (None: the last of all), if all are of its size; -1 when they are not."""
        stride = footprint(self.record_at(place, sequence, at)[0])
        low, high = 0, (self._limit - at) // stride
        while high - low > 1:
            middle = (low + high) // 2
            found = self.record_at(place, sequence, at + middle * stride)
            if found is None:
                if self._blank_from(place, at + middle * stride) < _RECORD_HEAD_SIZE:
                    return -1
                high = middle
            elif before is None or before(self.payload(found[0])):
                low = middle
            else:
                high = middle
        return at + low * stride

    def fits(self, size):
        """Whether the newest sector has room for a record of `size` octets."""
        return self._at + footprint(size) <= self._limit

    def make_room(self, size):
        """Opens the next sector now if a record of `size` octets would need it.

        An erase takes many milliseconds: more than there are when the supply falls. Where it
        is done ahead, `spare` sees to that.
        """
        if self.writable and self.ahead is None and not self.fits(size):
            self.open_sector()

    # --- records -------------------------------------------------------------------

    def _crc(self, sequence, at, kind, payload):
        """Of the payload and of where it stands: an old record elsewhere is none here."""
        place = struct.pack("<IHHB", sequence, at, len(payload), kind)
        return binascii.crc32(payload, binascii.crc32(place)) & 0xFFFFFFFF

    def append(self, kind, payload):
        """Stores a record (kind 0 to 252; in a ring of cells up to 254); when this returns it
        survives a power cut.

        Raises JournalError when it cannot be stored.
        """
        most = len(self._buffer) - _RECORD_HEAD_SIZE
        if len(payload) > most:
            raise JournalError("a record has at most %d octets" % most)
        if not self.writable:
            raise JournalError("the ring holds unknown data: format it first")
        for attempt in range(self.count):
            if not self.fits(len(payload)):
                self.open_sector(attempt > 0)
            if self._tell_era() and self.put(kind, payload) is not None:
                self.held = self.head
                self.look_ahead()
                return
        raise JournalError("no sector of the flash takes data any more")

    def _tell_era(self):
        """A sector has its head long before it is needed: what has changed since goes before its
        first record. False when that does not read back."""
        if self.era is None or self.held == self.head or self._head_era == self._era_now():
            return True
        self._head_era = self._era_now()
        return self.put(ERA, struct.pack("<H", self._head_era)) is not None

    def _is_era(self, length, kind):
        return kind == ERA and length == _ERA_SIZE

    def put(self, kind, payload):
        """Programs a record where it `fits`; gives where, or None when it does not read back."""
        at = self._at
        # From here on the place is used, whatever becomes of the record.
        self._at = self._limit
        self._write(at, kind, payload)
        if self.record_at(self.head, self.sequence, at) == (len(payload), kind):
            self._at = at + footprint(len(payload))
            self._newest = self.head, at
            self._end_torn = False
            return at
        self.worn += 1
        return None

    def _write(self, at, kind, payload):
        address = self._address(self.head) + at
        crc = self._crc(self.sequence, at, kind, payload)
        data = struct.pack(_RECORD_HEAD, len(payload), kind, 0xFF, crc) + bytes(payload)
        self._program(address, data)
        self._program(address + 3, _COMMITTED)

    def _program(self, address, data):
        """Programs across pages: a page is what the chip takes at once."""
        page = self._flash.page_size
        done = 0
        while done < len(data):
            part = min(page - (address + done) % page, len(data) - done)
            self._flash.program(address + done, data[done : done + part])
            done += part

    def record_at(self, place, sequence, at):
        """(length, kind) of a good record, with its payload in the buffer, or None."""
        if at + _RECORD_HEAD_SIZE > self._limit:
            return None
        # Head and payload at once, if it is as long as the one before.
        whole = memoryview(self._buffer)
        got = min(_RECORD_HEAD_SIZE + self._guess, self._limit - at)
        self._flash.read(self._address(place) + at, whole[:got])
        length, kind, commit, crc = struct.unpack_from(_RECORD_HEAD, self._buffer)
        end = _RECORD_HEAD_SIZE + length
        if end > len(whole) or at + end > self._limit or not _is_committed(commit):
            return None
        if end > got:
            self._flash.read(self._address(place) + at + got, whole[got:end])
        if self._crc(sequence, at, kind, whole[_RECORD_HEAD_SIZE:end]) != crc:
            return None
        self._guess = length
        return length, kind

    def _blank_from(self, place, at):
        """How many octets from here on are surely erased: up to 64, in steps of four."""
        piece = _PIECE
        if at + len(piece) > self._limit:
            piece = piece[: self._limit - at]
        self._flash.read(self._address(place) + at, piece)
        if piece == _BLANK[: len(piece)]:
            return len(piece)
        return 4 if piece[:4] == _BLANK[:4] else 0

    def read(self, place, at, kind):
        """The payload of the record at a place that `put` or `scan` gave, or None."""
        sequence = self.sector_sequence(place)
        found = self.record_at(place, sequence, at) if sequence else None
        return None if found is None or found[1] != kind else self.payload(found[0])

    def payload(self, length):
        """The payload of the record that was read last, good until the next."""
        return memoryview(self._buffer)[_RECORD_HEAD_SIZE : _RECORD_HEAD_SIZE + length]

    def scan(self, place, sequence, count_bad=True, at=_SECTOR_HEAD_SIZE):
        """Yields (at, length, kind) of the good records of a sector from `at` on.

        `era_found` is that of the sector when its first record but for an ERA is there.
        """
        begins = at
        lost = spoilt = False
        while at + _RECORD_HEAD_SIZE <= self._limit:
            found = self.record_at(place, sequence, at)
            if found is not None:
                lost = spoilt = False
                length, kind = found
                if self._is_era(length, kind):
                    self.era_found = struct.unpack("<H", self.payload(length))[0]
                yield at, length, kind
                at += footprint(length)
                begins = at
                continue
            # Look for the next record: they begin at multiples of four.
            blank = self._blank_from(place, at)
            if not blank and not lost:
                # No cut leaves a commit octet on a record that is not whole.
                spoilt = at == begins and _is_committed(_PIECE[3])
                self.bad += count_bad
                lost = True
            at += blank or 4
        self.torn = lost
        self.spoilt = spoilt

    def records(self):
        """Yields (kind, payload) from the oldest to the newest.

        The payload is a memoryview of a buffer that the next one overwrites;
        append nothing while reading.
        """
        for step in range(self.count):
            place = (self.head + 1 + step) % self.count
            sequence = self.sector_sequence(place)
            if not sequence or not 0 <= self.sequence - sequence < self.count:
                continue
            for _, length, kind in self.scan(place, sequence):
                yield kind, self.payload(length)

    def last(self, kind):
        """The newest payload of a kind as bytes, or None: from the newest sector backwards."""
        self.torn_end = self._end_torn
        if self._newest is not None:
            payload = self.read(self._newest[0], self._newest[1], kind)
            if payload is not None:
                return bytes(payload)
        self.torn_end = self.torn = False
        for place, sequence in self.backwards():
            found = None
            for _, length, found_kind in self.scan(place, sequence):
                if found_kind == kind:
                    found = bytes(self.payload(length))
            self.torn_end |= self.torn
            if found is not None:
                return found
        return None
