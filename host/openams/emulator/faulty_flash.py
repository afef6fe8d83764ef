"""NOR flash whose power can go at any operation, clean or torn, and whose bits flip.

Every erase and program counts as one operation. `cut_at` names the operation
at which the power goes: before it (clean) or somewhere inside it (torn). What
a torn operation leaves follows from the seed and its number, so that each
fault can be played again.
"""

from __future__ import annotations

import random


class PowerCut(Exception):
    """The power has gone. The flash stays as it is."""


class FaultyFlash:
    """Has the interface of the firmware's hal.Flash."""

    sector_size = 4096
    page_size = 256

    def __init__(self, sectors: int, image: bytes | None = None) -> None:
        self.size = sectors * self.sector_size
        self.data = bytearray(image if image is not None else b"\xff" * self.size)
        self.operations = 0
        self.erases = [0] * sectors
        self.cut_at: int | None = None
        self.torn: str | None = None  # None, "bytes" or "bits"
        self.seed = 0
        # Erases that a sector takes before it wears out; None: for ever.
        self.endurance: int | None = None
        self._worn: set[int] = set()

    def image(self) -> bytes:
        return bytes(self.data)

    def read(self, address: int, buffer: bytearray | memoryview) -> None:
        if address < 0 or address + len(buffer) > self.size:
            raise ValueError("read outside the flash")
        buffer[:] = self.data[address : address + len(buffer)]

    def program(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Clears bits inside one page."""
        piece = bytes(data)
        if address // self.page_size != (address + len(piece) - 1) // self.page_size:
            raise ValueError("program across a page")
        old = int.from_bytes(self.data[address : address + len(piece)], "big")
        target = (old & int.from_bytes(piece, "big")).to_bytes(len(piece), "big")
        self._operate(address, bytearray(target))

    def erase(self, address: int) -> None:
        """Sets a sector to ones."""
        if address % self.sector_size:
            raise ValueError("erase must begin at a sector")
        sector = address // self.sector_size
        self.erases[sector] += 1
        if self.endurance is not None and self.erases[sector] > self.endurance:
            self.wear_out(sector)
        self._operate(address, bytearray(b"\xff" * self.sector_size))

    def _operate(self, address: int, target: bytearray) -> None:
        number = self.operations
        self.operations += 1
        if self.cut_at is not None and number >= self.cut_at:
            if number == self.cut_at and self.torn:
                self._tear(address, target, number)
            raise PowerCut(number)
        if address // self.sector_size in self._worn:
            # Every eighth octet has a bit that stays what it was.
            for k in range(-address % 8, len(target), 8):
                target[k] = target[k] & 0xFE | self.data[address + k] & 1
        self.data[address : address + len(target)] = target

    def wear_out(self, sector: int) -> None:
        """From here on some bits of the sector no longer change."""
        self._worn.add(sector)

    def _tear(self, address: int, target: bytearray, number: int) -> None:
        """Some of the change happens: whole bytes in front, or bits anywhere."""
        rng = random.Random(f"{self.seed}/{number}")
        if self.torn == "bytes":
            done = rng.randrange(len(target) + 1)
            self.data[address : address + done] = target[:done]
            return
        for k, wanted in enumerate(target):
            changed = self.data[address + k] ^ wanted
            self.data[address + k] ^= changed & rng.randrange(256)

    def flip(self, bit: int, length: int = 1) -> None:
        """Flips bits from number `bit` on."""
        for number in range(bit, bit + length):
            self.data[number // 8] ^= 1 << number % 8
