"""How a link to a meter is at a time, and what links of all nets have in common."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

# Weaker than this a receiver makes nothing of it.
SENSITIVITY_DBM = -110
# Octets from which a message is worth its way are lost with it: a bound of what is lost at best.
_LOSS_MOST_PPM = 600_000


@dataclass(frozen=True)
class LinkState:
    """One way of a message: `latency_ms` before its first octet, `rate_bps` for them, `loss_ppm`
    of the messages lost. `kind`: of the outage that it is in, or ""."""

    up: bool
    latency_ms: int
    rate_bps: int
    loss_ppm: int
    signal_dbm: int
    kind: str = ""


def noise(*what: object) -> float:
    """0 to 1, the same for the same words: no state, so that any order of asking gives the same."""
    text = " ".join(map(str, what)).encode()
    # Two halves, since one CRC keeps neighbours near each other.
    return (zlib.crc32(zlib.crc32(text).to_bytes(4, "big") + text) & 0xFFFFFF) / 0x1000000


def signal(distance_m: float, exponent: float, shadow_db: float) -> int:
    """dBm of a sender of 27 dBm EIRP at a distance: a path loss of 40 dB at the first metre."""
    return round(27 - 40 - 10 * exponent * math.log10(max(1.0, distance_m)) + shadow_db)


def loss_ppm(signal_dbm: float) -> int:
    """Of messages at a signal: half of them 3 dB above what the receiver needs, few at 15."""
    margin = signal_dbm - SENSITIVITY_DBM
    return min(_LOSS_MOST_PPM, round(1_000_000 / (1 + math.exp((margin - 3) / 1.6))))


def distance_m(a: tuple[int, int], b: tuple[int, int]) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def near(places: Iterable[tuple[str, tuple[int, int]]], at: tuple[int, int], m: float) -> list[str]:
    return [name for name, place in places if distance_m(place, at) <= m]
