"""Flash for the meter's state where a file system has it all: each sector is a file of its own.

A file of littlefs is the old one or the new one, whenever the power goes, so a
page is programmed whole or not at all. A sector that was erased is no file. What
a file does not reach reads as ones. Knows nothing of `ams`: it is there before
the code is chosen.
"""

import os

from micropython import const

_PAGE = const(256)
_SECTOR = const(4096)


class SectorFiles:
    """Has the interface of ams.hal.Flash. `folder` is made with the first that is programmed."""

    sector_size = _SECTOR
    page_size = _PAGE

    def __init__(self, folder, sectors):
        self.size = sectors * _SECTOR
        self._folder = folder

    def _name(self, address):
        return "%s/%d" % (self._folder, address // _SECTOR)

    def read(self, address, buffer):
        # Deep in the stack, where each call counts: it makes none of its own.
        view = memoryview(buffer)
        while len(view):
            piece = view[: min(len(view), _SECTOR - address % _SECTOR)]
            got = 0
            try:
                with open("%s/%d" % (self._folder, address // _SECTOR), "rb") as file:
                    file.seek(address % _SECTOR)
                    got = file.readinto(piece)
            except OSError:
                pass
            for k in range(got, len(piece)):
                piece[k] = 0xFF
            address += len(piece)
            view = view[len(piece) :]

    def blank(self, address, size):
        """Whether so many octets are ones, in whole sectors: erased ones are not there."""
        for at in range(address - address % _SECTOR, address + size, _SECTOR):
            try:
                os.stat(self._name(at))
            except OSError:
                continue
            return False
        return True

    def program(self, address, data):
        """Inside one page. Clears bits; a bit that is 0 stays 0."""
        at = address % _SECTOR
        name = self._name(address)
        try:
            file = open(name, "r+b")
        except OSError:
            self._make_folder()
            file = open(name, "w+b")
        with file:
            end = file.seek(0, 2)
            while end < at:
                end += file.write(b"\xff" * min(_PAGE, at - end))
            piece = bytearray(data)
            if end > at:
                file.seek(at)
                old = bytearray(min(end - at, len(piece)))
                file.readinto(old)
                for k in range(len(old)):
                    piece[k] &= old[k]
            file.seek(at)
            file.write(piece)

    def _make_folder(self):
        try:
            os.mkdir(self._folder)
        except OSError:
            pass  # it is there

    def erase(self, address):
        try:
            os.remove(self._name(address))
        except OSError:
            pass  # it was erased
