"""The flash chip of the emulated board: takes the time that one takes, and can be cut.

Each erase and program takes a time of its own between the typical one of the datasheet and the
maximum, by `seed`. An erase can be suspended and resumed; what the datasheet forbids meanwhile
is refused, as the chip does, and kept in `refused`.

The regions of the state and of the firmware's slots are shared with `flash.bin` and
`slots.bin`: read before the boot, written with every operation, so that what is on disk
is what the chip would hold if the power went now.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rp2040py.peripherals.ssi import (
    CMD_BLOCK_ERASE,
    CMD_PAGE_PROGRAM,
    CMD_READ_STATUS_1,
    CMD_READ_STATUS_2,
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


@dataclass(frozen=True)
class Parts:
    """Where an image has the meter's state and the slots of its firmware."""

    state_start: int = STATE_START
    state_size: int = STATE_SIZE
    slots_start: int = SLOTS_START
    slots_size: int = SLOTS_SIZE


ONE = Parts()
# boards/picoab/flashmap.py: the slots are the starter's records and both halves, code and all.
HALVES = Parts(0x16C000, 0x94000, 0x2000, 0x16A000)

_CMD_READ_UNIQUE_ID = 0x4B
_CMD_SUSPEND, _CMD_RESUME = 0x75, 0x7A
_BUSY = 0x01
_SUSPENDED = 0x80  # of status register 2
# Typical and longest times of a W25Q16JV (its datasheet, AC characteristics). A program takes
# so long for the first octet, so long for each more, and no longer than for a whole page.
_FIRST_OCTET_NS, _NEXT_OCTET_NS, _PROGRAM_NS = 0.03e6, 0.0025e6, 0.4e6
_FIRST_OCTET_MAX_NS, _NEXT_OCTET_MAX_NS, _PROGRAM_MAX_NS = 0.05e6, 0.012e6, 3e6
_SECTOR_ERASE_NS, _BLOCK_ERASE_NS = 45e6, 150e6
_SECTOR_ERASE_MAX_NS, _BLOCK_ERASE_MAX_NS = 400e6, 2000e6
_SUSPEND_MAX_NS = 0.02e6
# A poll of the status while the chip is busy lets so much time pass.
_POLL_NS = 0.02e6


@dataclass
class Operation:
    """A program or erase on its way: `target` is what the flash will hold from `address`."""

    kind: str
    address: int
    target: bytes
    takes_ns: float
    left_ns: float  # of that, when it was begun or resumed last
    since_ns: float  # when that was

    def ends_ns(self) -> float:
        return self.since_ns + self.left_ns

    def share(self, now_ns: float | None) -> float:
        """How far it is at `now_ns`; None: it is suspended."""
        left = self.left_ns - (0 if now_ns is None else now_ns - self.since_ns)
        return min(1.0, max(0.0, 1 - left / self.takes_ns))


class NorFlash(RPSSI):
    """`operations` counts programs and erases of state and slots, as the faultlab does."""

    # Where operations are counted, and can be cut.
    counted = (STATE_START, SLOTS_START + SLOTS_SIZE)
    longest = False  # everything takes the longest that the datasheet allows

    def __init__(self, rp2040: RP2040, name: str) -> None:
        super().__init__(rp2040, name)
        self._clock = rp2040.clock
        self._files: list[tuple[int, int, int]] = []  # begin, end, descriptor
        self._pending: Operation | None = None
        self._suspended: Operation | None = None
        self._stops_ns: float | None = None  # when what was told to suspend does
        self._rng = random.Random(1)
        self.on_finish: Callable[[Operation], None] | None = None
        self.refused: list[str] = []
        self.operations = 0
        self.suspends = 0
        self.cut_at: int | None = None
        self.cut_from = 0  # the address below which no operation is cut
        self.cut_share = 0.5  # how far that operation gets
        self.unique_id = bytes(8)
        self.on_cut: list[object] = []

    # --- the file ------------------------------------------------------------

    def share(self, path: Path, start: int = STATE_START, size: int = STATE_SIZE) -> None:
        """Takes a region from `path` and keeps it there from now on; slots, which the bench has
        larger ones of, from its begin. A file that is not there begins with what was flashed."""
        begin = start in (SLOTS_START, HALVES.slots_start)
        if not path.exists():
            path.write_bytes(self.rp2040.flash[start : start + size])
        with path.open("rb") as file_:
            data = file_.read(size if begin else size + 1)
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

    def seed(self, seed: int) -> None:
        """From here on the times are those of this seed."""
        self._rng = random.Random(seed)

    def _between(self, typical_ns: float, most_ns: float) -> float:
        """Most are near the typical time, some near the longest."""
        if most_ns <= typical_ns:
            return typical_ns
        share = 1.0 if self.longest else self._rng.random()
        return float(typical_ns * (most_ns / typical_ns) ** share)

    def _apply_command(self) -> None:
        """Chip select rises: the operation begins, and takes its time."""
        command = bytes(self._tx_buffer)
        self._tx_buffer = bytearray()
        if not command:
            return
        opcode = command[0]
        self._settle()
        if self._pending is not None and opcode not in (CMD_READ_STATUS_1, CMD_READ_STATUS_2):
            # It hears nothing but the status and the suspend.
            if opcode == _CMD_SUSPEND:
                self._suspend(self._pending)
            elif opcode in (CMD_SECTOR_ERASE, CMD_BLOCK_ERASE, CMD_PAGE_PROGRAM):
                self.refused.append(f"{opcode:02x} while busy")
            return
        if opcode in (CMD_SECTOR_ERASE, CMD_BLOCK_ERASE) and len(command) >= 4:
            sector = opcode == CMD_SECTOR_ERASE
            size = FLASH_SECTOR_SIZE if sector else FLASH_BLOCK_SIZE
            takes = (
                self._between(_SECTOR_ERASE_NS, _SECTOR_ERASE_MAX_NS)
                if sector
                else self._between(_BLOCK_ERASE_NS, _BLOCK_ERASE_MAX_NS)
            )
            address = int.from_bytes(command[1:4], "big") & ~(size - 1)
            if self._suspended is not None:
                self.refused.append("erase while one is suspended")
                self._write_enabled = False
            self._begin("erase", address, b"\xff" * size, takes)
        elif opcode == CMD_PAGE_PROGRAM and len(command) > 4:
            address = int.from_bytes(command[1:4], "big")
            data = command[4 : 4 + FLASH_PAGE_SIZE]
            old = self.rp2040.flash[address : address + len(data)]
            stopped = self._suspended
            if stopped is not None and 0 <= address - stopped.address < len(stopped.target):
                self.refused.append("program where an erase is suspended")
                self._write_enabled = False
            # Programming clears bits and sets none.
            self._begin("program", address, bytes(a & b for a, b in zip(old, data, strict=True)),
                        self._program_ns(len(data)))  # fmt: skip
        elif opcode == _CMD_RESUME:
            self._resume()
        elif opcode != _CMD_SUSPEND:
            self.tx_buffer_of_others(command)

    def _program_ns(self, octets: int) -> float:
        typical = min(_FIRST_OCTET_NS + (octets - 1) * _NEXT_OCTET_NS, _PROGRAM_NS)
        most = min(_FIRST_OCTET_MAX_NS + (octets - 1) * _NEXT_OCTET_MAX_NS, _PROGRAM_MAX_NS)
        return self._between(typical, most)

    def tx_buffer_of_others(self, command: bytes) -> None:
        """Every other command is the package's."""
        self._tx_buffer = bytearray(command)
        super()._apply_command()

    def _begin(self, kind: str, address: int, target: bytes, takes_ns: float) -> None:
        if not self._write_enabled:
            return
        self._write_enabled = False
        self._pending = Operation(kind, address, target, takes_ns, takes_ns, self._clock.nanos)
        begin, end = self.counted
        if begin <= address < end:
            self.operations += 1
            due = self.cut_at is not None and self.operations >= self.cut_at
            if due and address >= self.cut_from:
                self.cut_at = None
                self._cut_alarm = self._clock.create_alarm(self.on_power_gone)
                self._cut_alarm.schedule(takes_ns * self.cut_share)

    def on_power_gone(self) -> None:
        """Called when the operation `cut_at` is on its way; the machine puts its cut here."""

    def _suspend(self, operation: Operation) -> None:
        if self._stops_ns is None:
            self._stops_ns = self._clock.nanos + self._rng.uniform(0.1, 1) * _SUSPEND_MAX_NS

    def _resume(self) -> None:
        operation, self._suspended = self._suspended, None
        if operation is not None:
            operation.since_ns = self._clock.nanos
            self._pending = operation

    def _settle(self) -> None:
        """What has ended by now, or is suspended."""
        operation = self._pending
        if operation is None:
            return
        now = self._clock.nanos
        stops = self._stops_ns
        if operation.ends_ns() <= (now if stops is None else min(now, stops)):
            self._finish()
        elif stops is not None and stops <= now:
            operation.left_ns -= stops - operation.since_ns
            self._pending, self._stops_ns, self._suspended = None, None, operation
            self.suspends += 1

    def _finish(self) -> None:
        operation, self._pending, self._stops_ns = self._pending, None, None
        if operation is not None:
            self._write(operation.address, operation.target)
            if self.on_finish is not None:
                self.on_finish(operation)

    def _shift_byte(self, byte_out: int) -> int:
        self._wait()
        if self._tx_buffer and self._tx_buffer[0] == _CMD_READ_UNIQUE_ID:
            self._tx_buffer.append(byte_out)
            at = len(self._tx_buffer) - 6
            return self.unique_id[at] if 0 <= at < 8 else 0xFF
        answer = super()._shift_byte(byte_out)
        if len(self._tx_buffer) > 1:
            if self._tx_buffer[0] == CMD_READ_STATUS_1 and self._pending is not None:
                return answer | _BUSY
            if self._tx_buffer[0] == CMD_READ_STATUS_2 and self._suspended is not None:
                return answer | _SUSPENDED
        return answer

    def _wait(self) -> None:
        """A poll of the status while the chip is busy: nothing else runs on the core, so time
        may jump on; alarms in between (ADC, DMA, UART) fire on their way."""
        operation = self._pending
        if operation is None:
            return
        polled = self._tx_buffer and self._tx_buffer[0] == CMD_READ_STATUS_1
        left = operation.ends_ns() - self._clock.nanos
        if polled and left > 0:
            self._clock.tick(min(left, _POLL_NS))
        self._settle()

    def reset(self) -> None:
        """The chip resets, the flash goes on: what it was told it ends, what is suspended stays."""
        super().reset()
        self._finish()

    # --- power -------------------------------------------------------------------

    def power_cut(self, rng: random.Random, torn: str = "bits") -> Operation | None:
        """The power goes now: what is on its way or suspended is left as far as it came.

        Torn by "bytes" (whole octets in front) or by "bits" anywhere. Gives the one on its way
        before one that is suspended.
        """
        self._settle()
        now = None if self._pending is None else self._clock.nanos
        torn_now = self._pending
        for operation, at in ((self._suspended, None), (self._pending, now)):
            if operation is None:
                continue
            end = operation.address + len(operation.target)
            before = bytes(self.rp2040.flash[operation.address : end])
            share = operation.share(at)
            self._write(operation.address, tear(before, operation.target, share, rng, torn))
            torn_now = operation
        self._pending = self._suspended = None
        self.close()
        return torn_now


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
