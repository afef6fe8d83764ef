"""The wire between the meter's process and the bench: stdin and stdout.

A message is: type (one ASCII octet), length (u32, little-endian), payload.
The same in both directions; see docs/architecture.md for the types.
"""

import struct
import sys

_HEADER = "<BI"
_HEADER_SIZE = 5


class LinkClosed(Exception):
    """The bench went away: to the meter, a power cut."""


class Link:
    def __init__(self):
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._header = bytearray(_HEADER_SIZE)
        self._head_out = bytearray(_HEADER_SIZE)

    def read_into(self, view):
        """Fills a memoryview; reads go on until it is full."""
        got = 0
        size = len(view)
        while got < size:
            n = self._in.readinto(view[got:] if got else view)
            if not n:
                raise LinkClosed()
            got += n

    def receive(self):
        """Waits for a message: (type, length). The payload is read next."""
        self.read_into(memoryview(self._header))
        return struct.unpack(_HEADER, self._header)

    def payload(self, length):
        data = bytearray(length)
        if length:
            self.read_into(memoryview(data))
        return data

    def send(self, kind, *parts):
        """Sends one message made of bytes-like parts."""
        length = 0
        for part in parts:
            length += len(part)
        struct.pack_into(_HEADER, self._head_out, 0, kind, length)
        self._write(self._head_out)
        for part in parts:
            self._write(part)
        if hasattr(self._out, "flush"):
            self._out.flush()

    def _write(self, data):
        view = memoryview(data)
        while len(view):
            n = self._out.write(view)
            view = view[n:] if n else view
