"""A meter with 90 days of quarter hours behind it, as the image of its flash."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from meterbench import Board, Relay

from ams.cosem.axdr import Reader
from ams.cosem.objects.base import OPERATOR
from ams.hal import Flash
from ams.meter import Meter
from ams.registers.energy import REGISTER_NAMES
from openams.grid.frontend import make_front_end
from openams.meter_time import NORWAY, to_utc_ms
from openams.session import DEFAULT_METER_ID, METER_TYPES
from openams.state import FLASH_SIZE

# In normal time throughout.
START = datetime(2025, 11, 1, tzinfo=NORWAY)
DAYS = 90
PER_DAY = 96
ENTRIES = PER_DAY * DAYS
END = START + timedelta(days=DAYS)
_QUARTER_MS = 900_000


class MemoryFlash(Flash):
    def __init__(self, size: int) -> None:
        self.size = size
        self.image = bytearray(b"\xff" * size)

    def read(self, address: int, buffer: bytearray) -> None:
        buffer[:] = self.image[address : address + len(buffer)]

    def program(self, address: int, data: bytes) -> None:
        data = bytes(data)
        old = int.from_bytes(self.image[address : address + len(data)], "big")
        new = old & int.from_bytes(data, "big")
        self.image[address : address + len(data)] = new.to_bytes(len(data), "big")

    def erase(self, address: int) -> None:
        self.image[address : address + self.sector_size] = b"\xff" * self.sector_size


def power_mw(k: int) -> int:
    """Of quarter hour k: import, and every fifth export."""
    return -900_000 if k % 5 == 4 else 1000 * (300 + k * 7919 % 4000)


def make(folder: Path) -> dict[str, Any]:
    """Writes `flash.bin` into the folder; gives the registers by name."""
    board = Board(Relay())
    board.flash = MemoryFlash(FLASH_SIZE)
    start_ms = to_utc_ms(START)
    board.clock.set(start_ms)
    system = "3P4W"
    meter = Meter(
        board,
        {
            "system": system,
            "calibration": make_front_end("ideal", system, 1).calibration(system),
            "identity": {
                "meter_id": DEFAULT_METER_ID,
                "meter_type": METER_TYPES["kaifa"][system],
            },
            "han": {"format": "kaifa"},
        },
    )
    meter.start(start_ms)
    meter.set_capture_period(_QUARTER_MS // 1000)
    # The service port at 115 200 Bd, where it is a UART.
    meter.model.set(23, b"\0\0\x16\0\0\xff", 2, OPERATOR, Reader(b"\x16\x09"))
    for k in range(ENTRIES):
        meter.quantities.total_active_power_mw = power_mw(k)
        meter.hold(start_ms + k * _QUARTER_MS, _QUARTER_MS, board.clock)
    meter.tick(start_ms + ENTRIES * _QUARTER_MS)
    meter.stop()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flash.bin").write_bytes(board.flash.image)
    return dict(zip(REGISTER_NAMES, meter.energy.mwh, strict=True))
