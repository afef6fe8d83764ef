"""The chain's own figures: what was read when, what was estimated and how well, what was sent.

Pure: from revisions of values, deliveries and orders as they are handed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from openams.headend.elhub.deadlines import DayFigures
from openams.headend.report import national
from openams.headend.report.model import Course, Figure, Line, Row, rows_of
from openams.headend.vee.codes import MEASURED


class Seen(NamedTuple):
    """A revision, as far as the report needs it."""

    at_ms: int
    wh: tuple[int, ...]
    states: tuple[str, ...]
    detail: Mapping[Any, Mapping[str, Any]]


@dataclass
class DayReads:
    """Of one day: intervals expected, and measured by D+1 07:00, by the end of D+2, of D+5, now."""

    day: date
    expected: int = 0
    by: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def rate(self, which: int) -> float | None:
        return self.by[which] / self.expected if self.expected else None


@dataclass
class Estimates:
    """Estimated values now, and how far estimates were from what was measured later, Wh."""

    values: int = 0
    now: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    off_wh: int = 0
    measured_wh: int = 0

    @property
    def wape(self) -> float | None:
        """Error over truth of the estimates that were replaced."""
        return self.off_wh / self.measured_wh if self.measured_wh else None


def add_series(
    reads: DayReads, estimates: Estimates, count: int, story: Sequence[Seen], until: Sequence[int]
) -> None:
    """Adds one series of a day: its revisions in order, and the moments of `DayReads.by`."""
    reads.expected += count
    if not story:
        return
    for which, moment in enumerate(until):
        known = [one for one in story if one.at_ms <= moment]
        if known:
            reads.by[which] += sum(state == MEASURED for state in known[-1].states)
    last = story[-1]
    estimates.values += len(last.states)
    for k, state in enumerate(last.states):
        if state != MEASURED:
            estimates.now += 1
            estimates.methods[str(last.detail.get(k, {}).get("method") or "not known")] += 1
            continue
        before = [one for one in story[:-1] if k < len(one.states) and one.states[k] != MEASURED]
        if before:
            estimates.replaced += 1
            estimates.off_wh += abs(before[-1].wh[k] - last.wh[k])
            estimates.measured_wh += last.wh[k]


def read_course(reads: Sequence[DayReads]) -> Course:
    names = ("D+1 07:00", "D+2", "D+5", "now")
    lines = tuple(
        Line(name, tuple(one.rate(which) for one in reads)) for which, name in enumerate(names)
    )
    return Course("read-rate", "Values measured and here by", tuple(one.day for one in reads),
                  lines, "share of the intervals of a day; for D+2 and D+5 by the end of that "
                  "local day")  # fmt: skip


def delivery_course(days: Sequence[DayFigures]) -> Course:
    counts = (("D+1 07:00", "by_first"), ("D+5", "by_ready"), ("now", "now"))
    lines = tuple(
        Line(name, tuple(one.share(getattr(one, key)) for one in days)) for name, key in counts
    )
    return Course("delivered", "Series with Elhub by", tuple(one.day for one in days), lines)


def figures(
    estimates: Estimates, deliveries: Sequence[DayFigures], counts: Mapping[str, Any]
) -> tuple[Figure, ...]:
    """`counts`: han_open, points, limiter (ready, whole), makes, quarters, as `gather` has them."""
    return (
        _estimated(estimates),
        _methods(estimates),
        _error(estimates),
        _corrections(deliveries),
        _han(counts["han_open"], counts["points"]),
        _makes(counts["makes"]),
        _quarters(counts["quarters"]),
        _limiter(*counts["limiter"]),
    )


def _estimated(estimates: Estimates) -> Figure:
    rows = (_row("estimated", estimates.now, estimates.values, national.ESTIMATED_A_DAY),)
    return Figure(0, "estimated", "Values estimated", rows, "values", estimates.values,
                  national.SOURCE)  # fmt: skip


def _methods(estimates: Estimates) -> Figure:
    rows = rows_of(sorted(estimates.methods.items(), key=lambda one: (-one[1], one[0])))
    return Figure(0, "methods", "How values were estimated", rows, "values", estimates.now)


def _error(estimates: Estimates) -> Figure:
    rows = (Row("error over truth", estimates.off_wh, estimates.wape),)
    note = f"of {estimates.replaced} estimates for which the measured value came later"
    return Figure(0, "estimation-error", "How far estimates were off", rows, "Wh",
                  estimates.measured_wh, note=note)  # fmt: skip


def _corrections(deliveries: Sequence[DayFigures]) -> Figure:
    whole = sum(one.expected for one in deliveries)
    names = (("changed after D+1 07:00", "changed_after_first"),
             ("changed after D+5", "changed_after_ready"),
             ("refused by Elhub", "refused"), ("parked", "parked"))  # fmt: skip
    rows = tuple(
        _row(label, sum(getattr(one, key) for one in deliveries), whole) for label, key in names
    )
    return Figure(0, "corrections", "What was sent again, and what Elhub did not take", rows,
                  "series-days", whole)  # fmt: skip


def _han(count: int, points: int) -> Figure:
    rows = (_row("HAN port open", count, points, national.HAN_OPEN),)
    return Figure(0, "han", "HAN ports open", rows, whole=points, source=national.SOURCE)


def _makes(makes: Mapping[str, int]) -> Figure:
    rows = rows_of(sorted(makes.items(), key=lambda one: (-one[1], one[0])))
    text = ", ".join(f"{name} {count}" for name, count in national.MAKES.items())
    return Figure(0, "makes", "Meters by make", rows, "meters", sum(makes.values()),
                  national.SOURCE, f"companies in Norway: {text}")  # fmt: skip


def _quarters(quarters: Iterable[tuple[str, int]]) -> Figure:
    rows = rows_of(list(quarters))
    return Figure(0, "resolution", "Points by resolution", rows,
                  whole=sum(row.count or 0 for row in rows))  # fmt: skip


def _limiter(ready: int, whole: int) -> Figure:
    rows = (_row("limiter can be set from afar", ready, whole),)
    note = "points with a meter that is reached from afar and a main fuse in the register"
    return Figure(0, "limiter", "Limiter readiness", rows, whole=whole, note=note)


def _row(label: str, count: int, whole: int, beside: float | None = None) -> Row:
    return Row(label, count, count / whole if whole else None, beside)
