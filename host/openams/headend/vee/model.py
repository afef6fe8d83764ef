"""What validation and estimation takes and gives: one day of one series of one metering point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from openams.errors import BenchError

CONSUMPTION, PRODUCTION, PROSUMER, EXCHANGE = KINDS = (
    "consumption",
    "production",
    "prosumer",
    "exchange",
)
SYSTEMS = ("1P2W", "3P3W", "3P4W")
RESOLUTIONS_MIN = (60, 15)


class VeeError(BenchError):
    """A day that contradicts itself in form: wrong count, unknown system, no number."""


@dataclass(frozen=True, slots=True)
class Point:
    """What bounds an interval: main fuse in A, the net, minutes of an interval."""

    kind: str
    fuse_a: float
    system: str
    resolution_min: int
    annual_kwh: float | None = None  # assumed yearly volume of this series


class Reading(NamedTuple):
    """One interval as the meter gave it. `wh` None: the row came without a value."""

    wh: int | None
    status: tuple[str, ...] = ()


class RegisterSpan(NamedTuple):
    """Cumulative register in Wh at two moments; None: not known. No moment: that of the day."""

    start_wh: int | None
    end_wh: int | None
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """One local day of one series, after collection."""

    point: Point
    day: date
    readings: tuple[Reading | None, ...]
    registers: tuple[RegisterSpan, ...] = ()
    history: Mapping[date, Sequence[int | None]] = field(default_factory=dict)
    cuts: tuple[tuple[datetime, datetime | None], ...] = ()  # without supply, UTC; None: still
    opposite: tuple[int | None, ...] = ()  # the other direction of the same intervals
    collectable: bool = True  # whether a missing value may still come
    edits: Mapping[int, int] = field(default_factory=dict)  # interval: Wh that a person has set


class Note(NamedTuple):
    """Something of the whole day that a person may want to see; changes no value."""

    name: str
    text: str


class Value(NamedTuple):
    """One interval as it is delivered, and why it is so."""

    wh: int
    state: str
    validation: str | None = None  # V code
    estimation: str | None = None  # E code
    reason: str | None = None  # what was found, in our words (codes.REASONS)
    method: str | None = None  # how it was estimated
    inputs: Mapping[str, Any] | None = None  # what it was estimated from; shared within a gap
    reading: Reading | None = None  # as the meter gave it
    rules: str = ""  # version of the rules


@dataclass(frozen=True, slots=True)
class Result:
    """A day with a value for every interval."""

    day: date
    values: tuple[Value, ...]
    total_wh: int | None  # of the registers, None: not known or not believed
    notes: tuple[Note, ...]
    rules: str

    @property
    def sum_off_wh(self) -> int | None:
        """What the values miss to the difference of the registers."""
        if self.total_wh is None:
            return None
        return sum(value.wh for value in self.values) - self.total_wh
