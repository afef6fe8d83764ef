"""A report: figures with rows, each with the company's own share and the nation's beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from openams.errors import BenchError


class ReportError(BenchError):
    """What is stated of the company is not as it has to be."""


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: how many, which share of the figure's whole (0 to 1), and the nation's share."""

    label: str
    count: float | None
    share: float | None
    national: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """`number`: of the regulator's report; 0: the chain's own."""

    number: int
    key: str
    title: str
    rows: tuple[Row, ...]
    unit: str = "points"
    whole: float | None = None
    source: str = ""  # where the national shares stand
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A share by day."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """Shares over the days of the report."""

    key: str
    title: str
    days: tuple[date, ...]
    lines: tuple[Line, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    company: str
    at: datetime
    first: date
    last: date
    regulator: tuple[Figure, ...]
    own: tuple[Figure, ...]
    courses: tuple[Course, ...]
    missing: tuple[str, ...] = field(default=())  # what could not be said, and why


def rows_of(
    counts: Sequence[tuple[str, int]], national: Sequence[float | None] = ()
) -> tuple[Row, ...]:
    """Rows of counts, their shares of the sum."""
    whole = sum(count for _, count in counts)
    beside = list(national) + [None] * (len(counts) - len(national))
    return tuple(
        Row(label, count, count / whole if whole else None, share)
        for (label, count), share in zip(counts, beside, strict=True)
    )
