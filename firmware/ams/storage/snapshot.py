"""The meter's settings in two slots of flash: the newest whole one counts.

For what changes seldom; registers go to the journal. The slots are the last
two sectors of the state image. A slot is

    magic "OAMS" | version u16 | length u16 | sequence u32 | crc32 u32 | JSON

with the CRC over version to sequence and the JSON. Saving erases and
programs the slot that does not hold the newest state, so that a stop in the
middle leaves the other one. The magic goes last: where it stands whole, the
version before it is whole too.
"""

import binascii
import json
import struct

from micropython import const

from ams.storage.blank import NOISE_BITS, zeros

VERSION = const(1)
_MAGIC = b"OAMS"
_HEADER = "<4sHHII"
_HEADER_SIZE = const(16)


class SnapshotError(Exception):
    """The image holds something that must not be overwritten."""


class Snapshot:
    def __init__(self, flash):
        if flash.size < 4 * flash.sector_size:
            raise SnapshotError("state image is too small: it needs four sectors")
        self._flash = flash
        self._slots = (flash.size - 2 * flash.sector_size, flash.size - flash.sector_size)
        self._sequence = 0
        self._newest = 1
        # Nothing but what a first save leaves that was cut.
        self.unfinished = False
        self.damaged = False  # a slot holds what no cut save leaves there
        self.other = None  # another version in a slot beside one of ours: not to be saved over

    def _crc(self, header, body):
        return binascii.crc32(body, binascii.crc32(header[4:12])) & 0xFFFFFFFF

    def _read_slot(self, address):
        """(sequence, state) of a slot; None when it holds no whole state, or gives none."""
        try:
            return self._whole(address)
        except OSError:
            # The other one may be readable.
            self.unfinished = False
            self.damaged = True
            return None

    def _whole(self, address):
        header = bytearray(_HEADER_SIZE)
        self._flash.read(address, header)
        magic, version, length, sequence, crc = struct.unpack(_HEADER, header)
        if magic != _MAGIC:
            for k in range(len(_MAGIC)):
                # Programming only clears bits: a torn magic has all those of the whole one.
                if magic[k] & _MAGIC[k] != _MAGIC[k]:
                    self.unfinished = False
                    self.damaged = True
            return None
        if version != VERSION:
            self._other_version = version
        if length > self._flash.sector_size - _HEADER_SIZE:
            return None
        body = bytearray(length)
        self._flash.read(address + _HEADER_SIZE, body)
        if self._crc(header, body) != crc:
            return None
        if version != VERSION:
            # Whole: no flipped bit has made it so.
            self.other = version
            return None
        try:
            return sequence, json.loads(bytes(body).decode())
        except ValueError:
            return None

    def load(self):
        """The newest state as a dict, or None on an image that never held one.

        Raises SnapshotError when the image holds something else.
        """
        found = None
        self._other_version = None
        self.unfinished = True
        self.damaged = False
        self.other = None
        for slot in range(2):
            entry = self._read_slot(self._slots[slot])
            if entry is not None and (found is None or entry[0] > self._sequence):
                self._sequence = entry[0]
                self._newest = slot
                found = entry[1]
                self.unfinished = False
        if found is None and self._other_version is not None:
            self.unfinished = False
            raise SnapshotError(
                "state image has version %d, this firmware reads %d"
                % (self._other_version, VERSION)
            )
        if found is None and not self._blank():
            raise SnapshotError("state image holds no state of this firmware and is not blank")
        return found

    def _blank(self):
        """Whether the slots were never used: bits that flipped are nothing that was stored."""
        for slot in self._slots:
            if zeros(self._flash, slot, self._flash.sector_size) > NOISE_BITS:
                return False
        return True

    def save(self, state):
        """Writes `state` (a dict for JSON) as the newest."""
        body = json.dumps(state).encode()
        if len(body) > self._flash.sector_size - _HEADER_SIZE:
            raise SnapshotError("state of %d bytes is larger than a sector" % len(body))
        sequence = self._sequence + 1
        header = struct.pack(_HEADER, _MAGIC, VERSION, len(body), sequence, 0)
        header = struct.pack(_HEADER, _MAGIC, VERSION, len(body), sequence, self._crc(header, body))
        slot = 1 - self._newest
        address = self._slots[slot]
        self._flash.erase(address)
        data = header + body
        page = self._flash.page_size
        # The magic goes last: until it is there the slot counts as empty.
        for at in range((len(data) - 1) // page * page, 0, -page):
            self._flash.program(address + at, data[at : at + page])
        self._flash.program(address + len(_MAGIC), data[len(_MAGIC) : page])
        self._flash.program(address, _MAGIC)
        self._sequence = sequence
        self._newest = slot
