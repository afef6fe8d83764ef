"""A meter with 90 days of quarter hours behind it, as the image of its flash."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from meterbench import Board, Relay

from ams.cosem.access import OPERATOR
from ams.cosem.axdr import Reader
from ams.meter import Meter
from ams.registers.energy import REGISTER_NAMES
from amsbench.hold import hold
from openams.bench.options import DEFAULT_METER_ID
from openams.emulator.faulty_flash import FaultyFlash
from openams.grid.frontend import make_front_end
from openams.han.formats import FORMATS
from openams.meter_time import NORWAY, to_utc_ms
from openams.runtimes.state import FLASH_SIZE

# In normal time throughout.
START = datetime(2025, 11, 1, tzinfo=NORWAY)
DAYS = 90
PER_DAY = 96
ENTRIES = PER_DAY * DAYS
END = START + timedelta(days=DAYS)
_QUARTER_MS = 900_000


def power_mw(k: int) -> int:
    """Of quarter hour k: import, and every fifth export."""
    return -900_000 if k % 5 == 4 else 1000 * (300 + k * 7919 % 4000)


def make(folder: Path) -> dict[str, Any]:
    """Writes `flash.bin` into the folder; gives the registers by name."""
    board = Board(Relay())
    board.flash = FaultyFlash(FLASH_SIZE // FaultyFlash.sector_size)
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
                "meter_type": FORMATS["kaifa"].types[system],
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
        hold(meter, start_ms + k * _QUARTER_MS, _QUARTER_MS, board.clock)
    meter.tick(start_ms + ENTRIES * _QUARTER_MS)
    meter.stop()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flash.bin").write_bytes(board.flash.image())
    return dict(zip(REGISTER_NAMES, meter.energy.mwh, strict=True))
