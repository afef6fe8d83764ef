"""A mailbox in RAM between the firmware and a debugger: SEGGER's RTT.

The image for the bench has no USB and its UARTs are the meter's; what runs
the chip, an emulator or a debugger on SWD, finds the control block by its
name and reads and writes the two rings. Nothing of the chip is taken for it.
"""

import io
import struct
import time

import uctypes
from micropython import const

_UP = const(1024)
_DOWN = const(512)
_UP_WR = const(24 + 12)
_UP_RD = const(24 + 16)
_UP_FLAGS = const(24 + 20)
_DOWN_WR = const(48 + 12)
_DOWN_RD = const(48 + 16)
_FLAG_WAIT = const(2)  # somebody reads: wait for room
_PATIENCE_MS = const(2000)


class Mailbox(io.IOBase):
    """As a stream it takes what is printed (os.dupterm) and gives nothing to read."""

    def __init__(self):
        self._block = bytearray(72)
        self._up = bytearray(_UP)
        self._down = bytearray(_DOWN)
        self._header = bytearray(5)
        struct.pack_into("<II", self._block, 16, 1, 1)
        struct.pack_into("<IIIIII", self._block, 24, 0, uctypes.addressof(self._up), _UP, 0, 0, 0)
        down = uctypes.addressof(self._down)
        struct.pack_into("<IIIIII", self._block, 48, 0, down, _DOWN, 0, 0, 0)
        # The name in two pieces: nowhere else in RAM does it stand whole.
        self._block[0:6] = b"SEGGER"
        self._block[6:10] = b" RTT"

    def _word(self, at):
        return struct.unpack_from("<I", self._block, at)[0]

    # --- out -------------------------------------------------------------------

    def _put(self, data):
        view = memoryview(data)
        at = self._word(_UP_WR)
        waited = 0
        while len(view):
            read = self._word(_UP_RD)
            # Up to the reader or the end, whichever comes first; one octet stays free.
            room = (read - 1 if read > at else _UP - (not read)) - at
            count = min(room, len(view))
            if count:
                self._up[at : at + count] = view[:count]
                view = view[count:]
                at = (at + count) % _UP
                struct.pack_into("<I", self._block, _UP_WR, at)
                continue
            if waited >= _PATIENCE_MS or not self._word(_UP_FLAGS) & _FLAG_WAIT:
                return
            time.sleep_ms(1)
            waited += 1

    def send(self, kind, *parts):
        """One message: type, length, payload; the wire of docs/architecture.md."""
        length = 0
        for part in parts:
            length += len(part)
        if not self._word(_UP_FLAGS) & _FLAG_WAIT and self._free() < length + 5:
            return
        struct.pack_into("<BI", self._header, 0, kind, length)
        self._put(self._header)
        for part in parts:
            self._put(part)

    def _free(self):
        return (self._word(_UP_RD) - self._word(_UP_WR) - 1) % _UP

    # --- in --------------------------------------------------------------------

    def receive(self):
        """The next message as (type, payload), or None. Messages come whole."""
        read = self._word(_DOWN_RD)
        there = (self._word(_DOWN_WR) - read) % _DOWN
        if there < 5:
            return None
        kind, length = struct.unpack("<BI", self._take(read, 5))
        if there < 5 + length:
            return None
        payload = self._take((read + 5) % _DOWN, length)
        struct.pack_into("<I", self._block, _DOWN_RD, (read + 5 + length) % _DOWN)
        return kind, payload

    def _take(self, at, length):
        first = min(length, _DOWN - at)
        return bytes(self._down[at : at + first]) + bytes(self._down[: length - first])

    # --- as a stream -------------------------------------------------------------

    def write(self, data):
        self.send(ord("L"), data)
        return len(data)

    def readinto(self, buffer):
        return None

    def ioctl(self, request, argument):
        return 0
