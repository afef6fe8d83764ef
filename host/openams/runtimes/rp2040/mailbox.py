"""The debugger's end of the mailbox in the chip's RAM: see boards/picobench/mailbox.py."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from rp2040py.rp2040 import RP2040

_RAM = 0x20000000
_RAM_SIZE = 264 * 1024
_NAME = b"SEGGER RTT"
_UP, _DOWN = 24, 48
_BUFFER, _SIZE, _WR, _RD, _FLAGS = 4, 8, 12, 16, 20
_FLAG_WAIT = 2
_HEADER = struct.Struct("<BI")


class MailboxEnd:
    def __init__(self, chip: RP2040) -> None:
        self._ram = chip.sram
        self._at: int | None = None
        self._received = bytearray()

    def forget(self) -> None:
        """The chip was reset: its next control block may lie elsewhere."""
        if self._at is not None:
            self._ram[self._at : self._at + len(_NAME)] = bytes(len(_NAME))
        self._at = None
        self._received.clear()

    def attached(self) -> bool:
        if self._at is None:
            found = bytes(self._ram).find(_NAME)
            if found >= 0:
                self._at = found
                self._put(_UP + _FLAGS, _FLAG_WAIT)
        return self._at is not None

    def _word(self, at: int) -> int:
        assert self._at is not None
        return int.from_bytes(self._ram[self._at + at : self._at + at + 4], "little")

    def _put(self, at: int, value: int) -> None:
        assert self._at is not None
        self._ram[self._at + at : self._at + at + 4] = value.to_bytes(4, "little")

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Takes what the chip has sent since the last time."""
        if not self.attached():
            return
        buffer, size = self._word(_UP + _BUFFER) - _RAM, self._word(_UP + _SIZE)
        read, write = self._word(_UP + _RD), self._word(_UP + _WR)
        if read != write:
            if read < write:
                self._received += self._ram[buffer + read : buffer + write]
            else:
                self._received += self._ram[buffer + read : buffer + size]
                self._received += self._ram[buffer : buffer + write]
            self._put(_UP + _RD, write)
        while len(self._received) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._received)
            end = _HEADER.size + length
            if len(self._received) < end:
                return
            payload = bytes(self._received[_HEADER.size : end])
            del self._received[:end]
            yield chr(kind), payload

    def send(self, kind: str, payload: bytes = b"") -> bool:
        """Puts a message in whole; False when there is no room (yet)."""
        data = _HEADER.pack(ord(kind), len(payload)) + payload
        if not self.attached():
            return False
        buffer, size = self._word(_DOWN + _BUFFER) - _RAM, self._word(_DOWN + _SIZE)
        read, write = self._word(_DOWN + _RD), self._word(_DOWN + _WR)
        if (read - write - 1) % size < len(data):
            return False
        for octet in data:
            self._ram[buffer + write] = octet
            write = (write + 1) % size
        self._put(_DOWN + _WR, write)
        return True
