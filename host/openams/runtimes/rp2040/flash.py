"""The flash chip of the emulated board: takes the time that one takes, and can be cut.

The regions of the state and of the firmware's slots are shared with `flash.bin` and
`slots.bin`: read before the boot, written with every operation, so that what is on disk
is what the chip would hold if the power went now.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from rp2040py.peripherals.ssi import (
    CMD_BLOCK_ERASE,
    CMD_PAGE_PROGRAM,
    CMD_READ_STATUS_1,
    CMD_SECTOR_ERASE,
    FLASH_BLOCK_SIZE,
    FLASH_PAGE_SIZE,
    FLASH_SECTOR_SIZE,
    RPSSI,
)
from rp2040py.rp2040 import RP2040

from openams.errors import BenchError

STATE_START = 768 * 1024
STATE_SIZE = 1024 * 1024
SLOTS_START = STATE_START + STATE_SIZE
SLOTS_SIZE = 256 * 1024
_CMD_READ_UNIQUE_ID = 0x4B
_BUSY = 0x01
# Typical times of a W25Q16JV (its datasheet, 9.6): 0.4 ms, 45 ms, 150 ms.
_PROGRAM_NS, _SECTOR_ERASE_NS, _BLOCK_ERASE_NS = 0.4e6, 45e6, 150e6


@dataclass
class Operation:
    """A program or erase on its way: `target` is what the flash will hold from `address`."""

    kind: str
    address: int
    target: bytes
    begun_ns: float
    ends_ns: float


class NorFlash(RPSSI):
    """`operations` counts programs and erases of state and slots, as the faultlab does."""

    def __init__(self, rp2040: RP2040, name: str) -> None:
        super().__init__(rp2040, name)
        self._clock = rp2040.clock
        self._files: list[tuple[int, int, int]] = []  # begin, end, descriptor
        self._pending: Operation | None = None
        self.operations = 0
        self.cut_at: int | None = None
        self.cut_from = 0  # the address below which no operation is cut
        self.cut_share = 0.5  # how far that operation gets
        self.unique_id = bytes(8)
        self.on_cut: list[object] = []

    # --- the file ------------------------------------------------------------

    def share(self, path: Path, start: int = STATE_START, size: int = STATE_SIZE) -> None:
        """Takes a region from `path` and keeps it there from now on."""
        data = path.read_bytes()
        if len(data) > size:
            raise BenchError(f"{path} is larger than its region of the chip: name another --state")
        # What a file that was cut short does not hold reads as erased.
        self.rp2040.flash[start : start + size] = data.ljust(size, b"\xff")
        file = os.open(path, os.O_RDWR)
        self._files.append((start, start + size, file))
        if len(data) < size:
            os.truncate(file, size)
            os.pwrite(file, b"\xff" * (size - len(data)), len(data))

    def close(self) -> None:
        for _, _, file in self._files:
            os.close(file)
        self._files = []

    def _write(self, address: int, data: bytes) -> None:
        self.rp2040.flash[address : address + len(data)] = data
        for start, end, file in self._files:
            if start <= address < end:
                os.pwrite(file, data, address - start)

    # --- operations ------------------------------------------------------------

    def _apply_command(self) -> None:
        """Chip select rises: the operation begins, and takes its time."""
        command = bytes(self._tx_buffer)
        self._tx_buffer = bytearray()
        if not command:
            return
        opcode = command[0]
        if opcode in (CMD_SECTOR_ERASE, CMD_BLOCK_ERASE) and len(command) >= 4:
            size = FLASH_SECTOR_SIZE if opcode == CMD_SECTOR_ERASE else FLASH_BLOCK_SIZE
            takes = _SECTOR_ERASE_NS if opcode == CMD_SECTOR_ERASE else _BLOCK_ERASE_NS
            address = int.from_bytes(command[1:4], "big") & ~(size - 1)
            self._begin("erase", address, b"\xff" * size, takes)
        elif opcode == CMD_PAGE_PROGRAM and len(command) > 4:
            address = int.from_bytes(command[1:4], "big")
            data = command[4 : 4 + FLASH_PAGE_SIZE]
            old = self.rp2040.flash[address : address + len(data)]
            # Programming clears bits and sets none.
            self._begin("program", address, bytes(a & b for a, b in zip(old, data, strict=True)),
                        _PROGRAM_NS)  # fmt: skip
        else:
            self.tx_buffer_of_others(command)

    def tx_buffer_of_others(self, command: bytes) -> None:
        """Every other command is the package's."""
        self._tx_buffer = bytearray(command)
        super()._apply_command()

    def _begin(self, kind: str, address: int, target: bytes, takes_ns: float) -> None:
        self._finish()
        if not self._write_enabled:
            return
        self._write_enabled = False
        now = self._clock.nanos
        self._pending = Operation(kind, address, target, now, now + takes_ns)
        if STATE_START <= address < SLOTS_START + SLOTS_SIZE:
            self.operations += 1
            due = self.cut_at is not None and self.operations >= self.cut_at
            if due and address >= self.cut_from:
                self.cut_at = None
                self._cut_alarm = self._clock.create_alarm(self.on_power_gone)
                self._cut_alarm.schedule(takes_ns * self.cut_share)

    def on_power_gone(self) -> None:
        """Called when the operation `cut_at` is on its way; the machine puts its cut here."""

    def _finish(self) -> None:
        operation, self._pending = self._pending, None
        if operation is not None:
            self._write(operation.address, operation.target)

    def _shift_byte(self, byte_out: int) -> int:
        self._wait(byte_out)
        if self._tx_buffer and self._tx_buffer[0] == _CMD_READ_UNIQUE_ID:
            self._tx_buffer.append(byte_out)
            at = len(self._tx_buffer) - 6
            return self.unique_id[at] if 0 <= at < 8 else 0xFF
        return super()._shift_byte(byte_out)

    def _wait(self, byte_out: int) -> None:
        """A poll of the status while the chip is busy: nothing else runs on the core, so time
        may jump to the end; alarms in between (ADC, DMA, UART) fire on their way."""
        operation = self._pending
        if operation is None:
            return
        polled = self._tx_buffer and self._tx_buffer[0] == CMD_READ_STATUS_1
        left = operation.ends_ns - self._clock.nanos
        if polled and left > 0:
            self._clock.tick(left)
        if self._pending is operation and self._clock.nanos >= operation.ends_ns:
            self._finish()

    def reset(self) -> None:
        """The chip resets, the flash goes on: what it was told it ends."""
        super().reset()
        self._finish()

    # --- power -------------------------------------------------------------------

    def power_cut(self, rng: random.Random, torn: str = "bits") -> Operation | None:
        """The power goes now: an operation that is on its way is left as far as it came.

        Torn by "bytes" (whole octets in front) or by "bits" anywhere.
        """
        operation, self._pending = self._pending, None
        if operation is not None:
            span = operation.ends_ns - operation.begun_ns
            share = min(1.0, max(0.0, (self._clock.nanos - operation.begun_ns) / span))
            before = bytes(
                self.rp2040.flash[operation.address : operation.address + len(operation.target)]
            )
            self._write(operation.address, tear(before, operation.target, share, rng, torn))
        self.close()
        return operation


def tear(before: bytes, target: bytes, share: float, rng: random.Random, torn: str) -> bytes:
    """What is there when a change from `before` to `target` was stopped at `share` of it."""
    if torn == "bytes":
        done = round(share * len(target))
        return target[:done] + before[done:]
    out = bytearray(before)
    for k, wanted in enumerate(target):
        mask = 0
        for bit in range(8):
            mask |= (rng.random() < share) << bit
        out[k] ^= (before[k] ^ wanted) & mask
    return bytes(out)
