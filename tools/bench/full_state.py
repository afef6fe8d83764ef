"""A meter's flash with every ring full: what a mount has the most work with."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "host/openams/emulator/shims")]

from ams.storage import layout  # noqa: E402
from ams.storage.journal import Journal  # noqa: E402
from openams.emulator.faulty_flash import FaultyFlash  # noqa: E402

# About what an interval, an event or the registers take.
_PAYLOAD = {layout.REGISTERS: 210}
_USUAL = 40


def full_state(size: int = 1 << 20) -> bytes:
    flash = FaultyFlash(size // FaultyFlash.sector_size)
    for region, first, count in layout.layout(size // flash.sector_size):
        journal = Journal(flash, first, count, region)
        payload = bytes(range(_PAYLOAD.get(region, _USUAL)))
        records = flash.sector_size // (len(payload) + 12)
        # Once around and nearly full again, so that the newest sector is long to read.
        for _ in range(records * (count + 1) - 2):
            journal.append(1, payload)
    return flash.image()
