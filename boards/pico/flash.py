"""The meter's state and the slots of its firmware, in the flash that the firmware runs from.

The parts above the firmware, see flashmap.py. While it erases or programs, the
chip runs from RAM with interrupts off (45 ms typical for an erase); the DMA
of the front end goes on. Knows nothing of `ams`: it is there before the code is chosen.
"""

import sys

import micropython
import rp2
from flashmap import SLOTS_OFFSET, SLOTS_SIZE, STATE_OFFSET, STATE_SIZE
from micropython import const

# A register that outlasts a reset by the watchdog, and what is written to it before a planned one.
SCRATCH = const(0x4005800C)
PLANNED = const(0x0A150A15)
# Where the core sees the flash as memory.
_XIP = const(0x10000000)
_PAGE = const(256)
_SECTOR = const(4096)
# On MicroPython as it comes the file system lies where the parts are: the state is in files.
_OURS = "OpenAMS" in sys.implementation._machine
_FOLDER = "/state"
_FILES = const(96)


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


class PartFlash:
    """Has the interface of ams.hal.Flash."""

    sector_size = _SECTOR
    page_size = _PAGE

    def __init__(self, start, size):
        self.size = size
        self._flash = rp2.Flash(start=start, len=size)
        self._seen = _XIP + STATE_OFFSET + start
        self._page = bytearray(_PAGE)
        self._ones = b"\xff" * _PAGE

    def read(self, address, buffer):
        self._flash.readblocks(address // _SECTOR, buffer, address % _SECTOR)

    def blank(self, address, size):
        """Whether that is all ones: a megabyte in the time of one erase."""
        return _all_ones(self._seen + address, size)

    def program(self, address, data):
        """Inside one page. The rest of the page is programmed with ones, which change nothing."""
        page = self._page
        page[:] = self._ones
        at = address % _PAGE
        page[at : at + len(data)] = data
        first = address - at
        self._flash.writeblocks(first // _SECTOR, page, first % _SECTOR)

    def erase(self, address):
        self._flash.ioctl(6, address // _SECTOR)


def StateFlash():
    if _OURS:
        return PartFlash(0, STATE_SIZE)
    from drivers.sectorfiles import SectorFiles

    return SectorFiles(_FOLDER, _FILES)


def SlotsFlash():
    """None where there are no slots."""
    return PartFlash(SLOTS_OFFSET - STATE_OFFSET, SLOTS_SIZE) if _OURS else None
