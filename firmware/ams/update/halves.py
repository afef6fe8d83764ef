"""Which of two halves of the flash runs, each a whole firmware that runs where it lies.

The starter (tools/firmware/starter) reads the same records before anything of a half does, and
counts its starts. Two sectors of 64 records; the good one of the highest number counts:

    record   "OAB1" | number u32 | half u8 | on trial u8 | starts u8 | the other may run u8
             | for each half: length of its code u32, CRC-32 of it u32
             | least security version u32 | for each half: security version u32
             | what is to be told u8 | 0 (3) | CRC-32 of all that u32
             | marks (8): each start on trial, each that failed, makes one of FF 00

So a change is one record, whole or not there: what runs is at each moment the old or the new.
"""

import binascii
import struct

from micropython import const

from ams.update import switch
from ams.update.image import CODE_AT
from ams.update.switch import BASE, FAILURES, TRIALS, Switch

_SIZE = const(64)
_BODY = ">4sIBBBBIIIIIIIB3s"
_BODY_SIZE = const(44)
_MAGIC = b"OAB1"
_MARKS = const(48)
_MARKS_MAX = const(8)
_ERASED = b"\xff" * _SIZE
_EIO = const(5)
# Octets between which the meter measures.
_PIECE = const(4096)


class Records:
    """`flash`: two sectors, nothing else in it."""

    def __init__(self, flash):
        self._flash = flash
        self.number = 0
        self.place = None  # of the newest

    def _read(self, place):
        data = bytearray(_SIZE)
        self._flash.read(place, data)
        return data

    def newest(self):
        """The fields of the newest good record and its marks; None when there is none."""
        found = None
        for place in range(0, 2 * self._flash.sector_size, _SIZE):
            data = self._read(place)
            if data[:4] != _MAGIC:
                continue
            crc = int.from_bytes(data[_BODY_SIZE : _BODY_SIZE + 4], "big")
            fields = struct.unpack_from(_BODY, data)
            good = fields[2] in (1, 2) and fields[3] <= 1 and fields[4] <= _MARKS_MAX
            if not good or binascii.crc32(data[:_BODY_SIZE]) != crc:
                continue
            if found is None or fields[1] > found[0][1]:
                found = fields, bytes(data[_MARKS : _MARKS + _MARKS_MAX])
                self.number, self.place = fields[1], place
        return found

    def append(self, *fields):
        """Behind the newest. Raises OSError: then the newest is what it was."""
        body = struct.pack(_BODY, _MAGIC, self.number + 1, *fields, b"")
        data = body + binascii.crc32(body).to_bytes(4, "big")
        place = self._free()
        self._flash.program(place, data)
        if self._read(place)[: len(data)] != data:
            raise OSError(_EIO)
        self.number += 1
        self.place = place

    def _free(self):
        """An erased place; where the newest's sector is full the other one is erased."""
        sector = self._flash.sector_size
        place = 0 if self.place is None else self.place + _SIZE
        end = sector if self.place is None else self.place // sector * sector + sector
        while place < end:
            if self._is_erased(place):
                return place
            place += _SIZE
        place = end % (2 * sector)
        if not all(self._is_erased(at) for at in range(place, place + sector, _SIZE)):
            self._flash.erase(place)
        return place

    def _is_erased(self, place):
        return self._read(place) == _ERASED


class HalfSwitch(Switch):
    """As Switch, of halves 1 and 2; the base is the half that was flashed.

    `flash`: two sectors of records; `running`: the half whose code this is, `size` octets long;
    `origins`: where the core sees the code of each half, which it is linked for.
    """

    def __init__(self, flash, running, size, origins):
        self._records = Records(flash)
        self.running = running
        self._size = size
        self.origins = origins
        self.confirmed = running
        self.trial = BASE
        self.tries = 0
        self.floor = 0
        self.untold = switch.NOTHING
        self.codes = {1: (0, 0), 2: (0, 0)}  # (length, CRC-32)
        self.securities = {1: 0, 2: 0}
        found = self._records.newest()
        self.known = found is not None
        if self.known:
            self._load(*found)

    def _load(self, fields, marks):
        _, _, half, trial, starts, other, *numbers, untold, _ = fields
        self.codes = {1: (numbers[0], numbers[1]), 2: (numbers[2], numbers[3])}
        self.floor = numbers[4]
        self.securities = {1: numbers[5], 2: numbers[6]}
        self.untold = untold
        used = 0
        while used < starts and marks[used] != 0xFF:
            used += 1
        if half == self.running:
            self.tries = starts - used if trial else used
            if trial:
                self.trial = half
                self.confirmed = 3 - half
            if not other:
                self.codes[3 - half] = (0, 0)
            return
        # The starter has given that half up: it runs no more, whatever comes.
        self.codes[half] = (0, 0)
        self.untold = switch.ROLLED_BACK if trial else switch.DAMAGED

    def store(self):
        """Raises OSError: then the flash holds what it held."""
        half = self.trial or self.confirmed
        other = self.codes[3 - half][0] != 0
        self._records.append(
            half,
            1 if self.trial else 0,
            TRIALS if self.trial else FAILURES + 1,
            1 if other else 0,
            *self.codes[1],
            *self.codes[2],
            self.floor,
            self.securities[1],
            self.securities[2],
            self.untold,
        )
        self.known = True

    def told(self):
        self.untold = switch.NOTHING
        # A record anew would give what is on trial its starts back.
        if not self.trial:
            self.store()

    def free_slot(self):
        return 3 - self.running

    def clear(self, slot):
        if self.codes[slot][0]:
            self.codes[slot] = (0, 0)
            self.store()

    def origin(self):
        """What an image must be linked for."""
        return self.origins[2 - self.running]

    def weigh(self, slots, image):
        """A generator: what the starter will hold both halves against. `image` was verified."""
        free = 3 - self.running
        if not self.codes[self.running][0]:
            crc = yield from _crc_steps(slots[self.running].read, self._size)
            self.codes[self.running] = (self._size, crc)
        size = image.size - CODE_AT
        self._weighed = size, (yield from _crc_steps(slots[free].read, size))

    def activate(self, slot, image):
        self.codes[slot] = self._weighed
        self.securities[slot] = image.security
        self.trial = slot
        try:
            self.store()
        except OSError:
            self.trial = BASE
            self.codes[slot] = (0, 0)
            raise
        self.tries = TRIALS

    def confirm(self):
        self.confirmed = self.trial
        self.trial = BASE
        self.tries = 0
        self.floor = max(self.floor, self.securities[self.confirmed])
        other = 3 - self.confirmed
        if self.securities[other] < self.floor:
            self.codes[other] = (0, 0)
        self.untold = switch.ACTIVATED
        self.store()


def _crc_steps(read, size):
    """A generator that returns the CRC-32 of the code of a half."""
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    crc = 0
    for at in range(0, size, _PIECE):
        piece = view[: min(_PIECE, size - at)]
        read(CODE_AT + at, piece)
        crc = binascii.crc32(piece, crc)
        yield
    return crc
