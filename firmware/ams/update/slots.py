"""Two places in flash where an image is put together, and kept while it runs.

    slot:    map (one sector) | image
    map:     an octet for each sector of the image: 00 when it was erased for this transfer (512)
             | a bit for each block: 0 when it is whole

A sector is erased when its first block comes, so a transfer never holds the meter up for longer
than one erase; where the flash erases by and by, the next is erased while one is filled. Its
mark is set after the erase, the block's bit after the block: a cut between
leaves a block that counts as missing, and that takes the same octets once more.
"""

from micropython import const

from ams.storage.blank import is_blank

_MARKS = const(512)
BLOCKS_MAX = const((4096 - 512) * 8)


class SlotError(Exception):
    """The flash does not take what it is given."""


class Slot:
    ahead = None  # an ams.storage.eraser.Eraser, where the flash erases by and by
    _next = 0  # sector that is to be erased ahead

    def __init__(self, flash, base, size):
        self._flash = flash
        self._base = base
        self._sector = flash.sector_size
        self.capacity = size - self._sector
        self._one = bytearray(1)

    # --- octets -------------------------------------------------------------------

    def read(self, offset, buffer):
        """Octets of the image, wherever they end."""
        view = memoryview(buffer)
        at = self._base + self._sector + offset
        done = 0
        while done < len(view):
            piece = min(len(view) - done, self._sector - at % self._sector)
            self._flash.read(at, view[done : done + piece])
            done += piece
            at += piece

    def begin(self):
        """A new transfer: nothing is there. What is begun again and again wears nothing out."""
        if self.ahead is not None:
            self.ahead.finish(self)
        if not is_blank(self._flash, self._base, self._sector):
            self._flash.erase(self._base)
        self._look_ahead(0)

    def put(self, block, block_size, data):
        """Stores a block. Raises SlotError when it does not read back."""
        offset = block * block_size
        end = offset + len(data)
        sector = offset // self._sector
        while sector * self._sector < end:
            self._prepare(sector)
            sector += 1
        self._look_ahead(sector)
        page = self._flash.page_size
        view = memoryview(data)
        at = self._base + self._sector + offset
        done = 0
        while done < len(view):
            piece = min(len(view) - done, page - at % page)
            self._flash.program(at, view[done : done + piece])
            done += piece
            at += piece
        if not self.holds(offset, data):
            raise SlotError("a block does not read back")
        place = self._base + _MARKS + block // 8
        self._flash.read(place, self._one)
        self._one[0] &= ~(1 << block % 8) & 0xFF
        self._flash.program(place, self._one)

    def holds(self, offset, data):
        stored = bytearray(len(data))
        self.read(offset, stored)
        return stored == bytes(data)

    def _is_prepared(self, sector):
        self._flash.read(self._base + sector, self._one)
        # A mark that was torn counts once it has begun to be set: it is set after the erase.
        return self._one[0] != 0xFF

    def _prepare(self, sector):
        if self.ahead is not None and sector == self._next:
            self.ahead.finish(self)
        if not self._is_prepared(sector):
            self._flash.erase(self._base + self._sector * (sector + 1))
            self._flash.program(self._base + sector, b"\x00")

    def _look_ahead(self, sector):
        ahead = self.ahead
        if ahead is not None and sector * self._sector < self.capacity and not ahead.is_at(self):
            self._next = sector
            ahead.want(self)

    def to_erase(self):
        """For the Eraser, as `erased`."""
        if self._is_prepared(self._next):
            return None
        return self._flash, self._base + self._sector * (self._next + 1)

    def erased(self):
        self._flash.program(self._base + self._next, b"\x00")

    # --- blocks -------------------------------------------------------------------

    def has(self, block):
        self._flash.read(self._base + _MARKS + block // 8, self._one)
        return not self._one[0] >> block % 8 & 1

    def first_missing(self, blocks, start=0):
        """The first block from `start` on that is not there; `blocks` when none is missing."""
        block = start
        while block < blocks:
            self._flash.read(self._base + _MARKS + block // 8, self._one)
            if self._one[0] == 0 and block % 8 == 0:
                block += 8
            elif self._one[0] >> block % 8 & 1:
                return block
            else:
                block += 1
        return blocks

    def bitmap(self, blocks):
        """Yields octets of a bit-string: 1 is there, the first block in the highest bit."""
        for block in range(0, blocks, 8):
            self._flash.read(self._base + _MARKS + block // 8, self._one)
            octet = 0
            for k in range(min(8, blocks - block)):
                if not self._one[0] >> k & 1:
                    octet |= 0x80 >> k
            yield octet


def slots(flash):
    """Slots 1 and 2 of a flash that holds nothing else."""
    size = flash.size // 2 // flash.sector_size * flash.sector_size
    return {1: Slot(flash, 0, size), 2: Slot(flash, size, size)}
