"""The meter's state in the flash that the firmware runs from.

The part above the firmware, see flashmap.py. While it erases or programs, the
chip runs from RAM with interrupts off (45 ms typical for an erase); the DMA
of the front end goes on.
"""

import sys

import rp2
from flashmap import STATE_SIZE
from micropython import const

from ams.hal import Flash

_PAGE = const(256)


class StateFlash(Flash):
    size = STATE_SIZE

    def __init__(self):
        if "OpenAMS" not in sys.implementation._machine:
            # There the file system lies where the state would be written.
            raise OSError("not on this MicroPython: put the OpenAMS image on the board")
        self._flash = rp2.Flash(start=0, len=STATE_SIZE)
        self._page = bytearray(_PAGE)
        self._ones = b"\xff" * _PAGE

    def read(self, address, buffer):
        self._flash.readblocks(address // 4096, buffer, address % 4096)

    def program(self, address, data):
        """Inside one page. The rest of the page is programmed with ones, which change nothing."""
        page = self._page
        page[:] = self._ones
        at = address % _PAGE
        page[at : at + len(data)] = data
        first = address - at
        self._flash.writeblocks(first // 4096, page, first % 4096)

    def erase(self, address):
        self._flash.ioctl(6, address // 4096)
