"""A concentrator's own clock, which may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from openams.meter_time import to_utc_ms


class Clock(Protocol):
    """`utc_ms` as meters have it: milliseconds since 2000-01-01T00:00:00Z."""

    def utc_ms(self) -> int: ...


class SystemClock:
    """This computer's, off by `offset_ms`."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def utc_ms(self) -> int:
        return to_utc_ms(datetime.now(UTC)) + self.offset_ms


class VirtualClock:
    """Goes when it is told to. `true_ms` is the time that it is, `ppm` the error of its crystal."""

    def __init__(self, utc_ms: int, offset_ms: int = 0, ppm: int = 0) -> None:
        self.true_ms = utc_ms
        self.offset_ms = offset_ms
        self.ppm = ppm
        self._set_ms = utc_ms

    def utc_ms(self) -> int:
        drift_ms = (self.true_ms - self._set_ms) * self.ppm // 1_000_000
        return self.true_ms + self.offset_ms + drift_ms

    def advance_to(self, true_ms: int) -> None:
        """Never back: what was done took its time."""
        self.true_ms = max(self.true_ms, true_ms)

    def set(self, utc_ms: int) -> None:
        """Somebody sets it: right, or wrong."""
        self.offset_ms = utc_ms - self.true_ms
        self._set_ms = self.true_ms
