"""Octets of a message, taken from its front."""

from __future__ import annotations

from openams.errors import BenchError


class OctetReader:
    """`short` is what a message that ends too early is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def short(self) -> BenchError:
        return BenchError("the message is cut short")

    def take(self, count: int) -> bytes:
        piece = self._data[self.at : self.at + count]
        if len(piece) < count:
            raise self.short()
        self.at += count
        return piece

    def octet(self) -> int:
        return self.take(1)[0]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def length(self) -> int:
        """As A-XDR and BER write it, in one octet or more."""
        first = self.octet()
        return first if first < 0x80 else self.number(first & 0x7F)

    @property
    def rest(self) -> bytes:
        return self._data[self.at :]
