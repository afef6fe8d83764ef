"""The wire to a meter in a process, see boards/unix/link.py: kind, length, payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from openams.grid.scenario import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER = struct.Struct("<BI")
SAMPLES = struct.Struct("<qqH")
ROW = struct.Struct("<qI14qi")
ROWS_MOST = 32  # of one message, see boards/unix/main.py
TIME = struct.Struct("<q")
NUMBER = struct.Struct("<I")
RANGE = struct.Struct("<II")  # first and how many


@dataclass(frozen=True)
class Frame:
    """What the meter wrote to its HAN port, and when by its own clock."""

    utc_ms: int
    data: bytes


def read(stream: IO[bytes]) -> tuple[str, bytes] | None:
    """The next message; None when the process says no more."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, length = HEADER.unpack(header)
    payload = stream.read(length)
    return (chr(kind), payload) if len(payload) == length else None


def frame(payload: bytes) -> Frame:
    return Frame(TIME.unpack_from(payload)[0], payload[TIME.size :])


def packed_samples(utc_ms: int, index: int, block: NDArray[np.int32]) -> tuple[bytes, bytes]:
    """Sample sets (n, channels); `utc_ms` is the time just after the last."""
    import numpy as np

    data = np.ascontiguousarray(block, dtype="<i4")
    return SAMPLES.pack(utc_ms, index, len(block)), data.tobytes()


def packed_row(utc_ms: int, duration_ms: int, row: Row) -> bytes:
    """Quantities that hold from `utc_ms` on."""
    return ROW.pack(
        utc_ms,
        duration_ms,
        *row.voltage_mv,
        *row.current_ua,
        *row.active_power_mw,
        *row.reactive_power_mvar,
        row.total_active_power_mw,
        row.total_reactive_power_mvar,
        row.frequency_mhz,
    )
