"""The meter's state and the slots of its firmware, in the flash that the firmware runs from.

The parts above the firmware, see flashmap.py. While the flash is busy the chip runs from RAM
with interrupts off; the DMA of the front end goes on. `nor` (nor.c of the image for an RP2040)
erases in slices of a millisecond, between which everything else has its time, and programs so few
octets at a time that no FIFO runs over. See docs/decisions/0009-erases-in-slices.md.
Knows nothing of `ams`: it is there before the code is chosen.
"""

import chip
import micropython
import rp2
from flashmap import SLOTS_OFFSET, SLOTS_SIZE, STATE_OFFSET, STATE_SIZE, STORAGE_OFFSET
from micropython import const

SCRATCH = chip.SCRATCH
# What is written to it before a planned reset.
PLANNED = const(0x0A150A15)
# Less than what a FIFO of a UART at 115200 Bd holds from where it asks to be read: 2.4 ms.
_SLICE_US = const(1000)
# Where an erase is waited for: more of the time is its.
_WAIT_US = const(2000)
# An erase that has not ended after ten times the longest one never will.
_SLICES_MOST = const(2000)
_PAGE = const(256)
_SECTOR = const(4096)
# On MicroPython as it comes the file system lies where the parts are: the state is in files.
try:
    import nor
except ImportError:
    nor = None
IN_SLICES = nor is not None
_FOLDER = "/state"
_FILES = const(96)
_ONES = b"\xff" * 256

# Called between two slices of an erase that is waited for.
waiting = None


@micropython.viper
def _all_ones(address: uint, size: int) -> bool:  # noqa: F821
    """By four words: `size` is a multiple of 16, as ams.storage.blank asks."""
    at = int(address)
    end = at + size
    while at < end:
        word = ptr32(at)  # noqa: F821
        if word[0] & word[1] & word[2] & word[3] != -1:
            return False
        at += 16
    return True


class WholeFlash:
    """Has the interface of ams.hal.Flash, by the port's own functions: an erase lasts as long as it
    does, 45 ms and 400 at the most, and nothing but DMA runs meanwhile."""

    sector_size = _SECTOR
    page_size = _PAGE

    def __init__(self, offset, size):
        start = offset - STORAGE_OFFSET
        self.size = size
        self._start = start
        self._flash = rp2.Flash(start=start, len=size)
        self._seen = chip.XIP + offset
        self._one_page = bytearray(_PAGE)

    def read(self, address, buffer):
        self._flash.readblocks(address // _SECTOR, buffer, address % _SECTOR)

    def blank(self, address, size):
        """Whether that is all ones: a megabyte in the time of one erase."""
        return _all_ones(self._seen + address, size)

    def program(self, address, data):
        """In whole pages, from RAM: what is all ones in them leaves the flash as it is."""
        page = self._one_page
        left = memoryview(data)
        while left:
            place = address % _PAGE
            count = min(_PAGE - place, len(left))
            page[:] = _ONES
            page[place : place + count] = left[:count]
            start = address - place
            self._flash.writeblocks(start // _SECTOR, page, start % _SECTOR)
            address += count
            left = left[count:]

    def erase(self, address):
        self._flash.ioctl(6, address // _SECTOR)

    def begin_erase(self, address):
        self.erase(address)
        return 0

    def erase_on(self):
        return 0


class PartFlash(WholeFlash):
    """The same with erases that go on by and by."""

    def __init__(self, offset, size):
        super().__init__(offset, size)
        self._nor = nor
        # The chip was reset in the middle of one, the flash was not.
        self._finish(nor.go_on(_SLICE_US))

    def program(self, address, data):
        """Also while an erase of another sector is unfinished."""
        self._nor.program(self._start + address, data)

    def erase(self, address):
        self._finish(self.begin_erase(address))

    def begin_erase(self, address):
        """Begins with one slice; gives whether there is more to do, by `erase_on`.

        One erase that is unfinished, wherever it is, goes before it.
        """
        at = self._start + address
        more = self._nor.erase(at, _SLICE_US)
        if more == 2:
            self._finish(1)
            more = self._nor.erase(at, _SLICE_US)
        return more

    def erase_on(self):
        """One slice more of what was begun; gives whether there is more to do."""
        return self._nor.go_on(_SLICE_US)

    def _finish(self, more):
        slices = 0
        # What waits for an interrupt or between two steps of the code has its time here.
        while more:
            if waiting is not None and not slices & 7:
                waiting()
            more = self._nor.go_on(_WAIT_US)
            slices += 1
            if slices > _SLICES_MOST:
                raise OSError(5)


def _part(offset, size):
    return (PartFlash if IN_SLICES else WholeFlash)(offset, size)


def StateFlash():
    if chip.OURS:
        return _part(STATE_OFFSET, STATE_SIZE)
    from drivers.sectorfiles import SectorFiles

    return SectorFiles(_FOLDER, _FILES)


def SlotsFlash():
    """None where there are no slots."""
    return _part(SLOTS_OFFSET, SLOTS_SIZE) if chip.OURS else None
