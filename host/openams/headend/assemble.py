"""From what was collected to a day of a series, as validation takes it.

Wh come from the cumulative register: each boundary of intervals is rounded down, and a value is
what lies between two of them, so that a day is the difference of two registers to the Wh.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from openams.client.names import status_names
from openams.headend import clocks
from openams.headend.days import day_bounds
from openams.headend.register import A_PLUS, Relation, Terms
from openams.headend.store.raw import Event, IntervalRow, Part, RegisterReading
from openams.headend.vee.model import (
    CONSUMPTION,
    EXCHANGE,
    PRODUCTION,
    Day,
    Point,
    Reading,
    RegisterSpan,
)
from openams.headend.vee.validate import CLOCK_WRONG, stands
from openams.meter_time import from_utc_ms

POWER_DOWN, POWER_UP = 1, 2
_WRONG_LENGTH = "wrong-length"


class Span(NamedTuple):
    """A part of a day with one meter, and its register at both ends, mWh; None: not known."""

    begin_ms: int
    end_ms: int
    start: int | None
    end: int | None


@dataclass
class Known:
    """All that the store has of a point's day, before it is a day."""

    terms: Terms
    day: date
    relations: Sequence[Relation]
    parts: Mapping[str, Sequence[Part]]  # by meter
    readings: Sequence[RegisterReading]
    events: Sequence[Event]
    history: Mapping[int, Mapping[date, Sequence[int | None]]]  # by series
    edits: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    collectable: bool = True
    # Of each meter, when its clock showed another time.
    wrong: Mapping[str, Sequence[clocks.Span]] = field(default_factory=dict)


def days(known: Known, series: Sequence[int]) -> dict[int, Day]:
    """The day of each series; a prosumer's have each other's values."""
    made = {one: _Series(known, one) for one in series}
    out = {}
    for one, own in made.items():
        other = next((made[two] for two in made if two != one), None)
        opposite: tuple[int | None, ...] = ()
        if other is not None:
            opposite = tuple(None if r is None else r.wh for r in other.day_readings)
        out[one] = own.day(opposite)
    return out


class _Series:
    """One direction of a day, meter by meter."""

    def __init__(self, known: Known, series: int) -> None:
        self.known, self.series = known, series
        self.begin_ms, self.end_ms = day_bounds(known.day)
        self.step_ms = 60_000 * known.terms.resolution_min
        self.count = (self.end_ms - self.begin_ms) // self.step_ms
        self.spans = _continued([self._span(relation) for relation in known.relations])
        self.day_readings = self._readings()

    def day(self, opposite: tuple[int | None, ...]) -> Day:
        known, terms = self.known, self.known.terms
        kind = terms.kind
        if kind not in (CONSUMPTION, PRODUCTION, EXCHANGE):
            kind = CONSUMPTION if self.series == A_PLUS else PRODUCTION
        point = Point(
            kind, terms.fuse_a or 0.0, terms.system, terms.resolution_min,
            terms.annual_kwh if self.series == A_PLUS else None,
        )  # fmt: skip
        measured = {k for k, one in enumerate(self.day_readings) if one is not None and stands(one)}
        edits = known.edits.get(self.series, {})
        return Day(
            point,
            known.day,
            self.day_readings,
            tuple(
                RegisterSpan(_wh(start), _wh(end), from_utc_ms(begin), from_utc_ms(until))
                for begin, until, start, end in self.spans
            ),
            known.history.get(self.series, {}),
            power_cuts(known.events, self.begin_ms, self.end_ms),
            opposite,
            known.collectable,
            {k: wh for k, wh in edits.items() if k not in measured},
        )

    # --- registers ---------------------------------------------------------------------------

    def _span(self, relation: Relation) -> Span:
        """A meter's part of the day."""
        begin = max(self.begin_ms, relation.from_ms)
        end = self.end_ms if relation.to_ms is None else min(self.end_ms, relation.to_ms)
        at = {
            one.at_ms: self._of(one.plus_mwh, one.minus_mwh)
            for one in self.known.readings
            if one.meter_id == relation.meter_id and not self._wrong(relation, one.at_ms, one.at_ms)
        }
        first = self._of(relation.start_plus_mwh, relation.start_minus_mwh)
        last = self._of(relation.end_plus_mwh, relation.end_minus_mwh)
        start = first if begin == relation.from_ms and first is not None else at.get(begin)
        stop = last if end == relation.to_ms and last is not None else at.get(end)
        return Span(begin, end, start, stop)

    def _wrong(self, relation: Relation, begin_ms: int, end_ms: int) -> bool:
        """Whether the meter's clock showed another time then, by its own time."""
        spans = self.known.wrong.get(relation.meter_id, ())
        return any(span.touches(begin_ms - 1, end_ms + 1) for span in spans)

    def _of(self, plus: int | None, minus: int | None) -> int | None:
        return plus if self.series == A_PLUS else minus

    # --- intervals -----------------------------------------------------------------------------

    def _readings(self) -> tuple[Reading | None, ...]:
        """By interval: of the rows that came for it the last, unless an older one is better."""
        mwh: list[int | None] = [None] * self.count
        marks: list[set[str]] = [set() for _ in range(self.count)]
        for relation in self.known.relations:
            for k, energy, names in self._of_meter(relation):
                # Two meters in one interval: what both counted.
                mwh[k] = energy + (mwh[k] or 0) if energy is not None else mwh[k]
                marks[k] |= names
        self._check_shared(mwh, marks)
        wh = _rounded(mwh, self.spans, self.begin_ms, self.step_ms)
        return tuple(
            None if value is None else Reading(value, tuple(sorted(names)))
            for value, names in zip(wh, marks, strict=True)
        )

    def _of_meter(self, relation: Relation) -> Iterable[tuple[int, int | None, set[str]]]:
        """(interval, mWh, marks). Rows of when the meter was not on the point are not its."""
        until = self.end_ms if relation.to_ms is None else relation.to_ms
        best: dict[int, IntervalRow] = {}
        for part in self.known.parts.get(relation.meter_id, ()):
            for row in part.rows:
                end_ms = 1000 * row.end_s
                begin_ms = end_ms - 1000 * row.period_s
                if begin_ms < until and relation.from_ms < end_ms:
                    was = best.get(row.end_s)
                    if (
                        was is None
                        or stands(self._as_reading(row))
                        or not stands(self._as_reading(was))
                    ):
                        best[row.end_s] = row
        inside: dict[int, list[IntervalRow]] = defaultdict(list)
        for end_s, row in best.items():
            k = (1000 * end_s - 1 - self.begin_ms) // self.step_ms
            if 0 <= k < self.count:
                inside[k].append(row)
        for k, rows in inside.items():
            names = {name for row in rows for name in status_names(row.status)}
            if any(self._wrong(relation, *_bounds(row)) for row in rows):
                names.add(CLOCK_WRONG)
            length = 1000 * sum(row.period_s for row in rows)
            if length != self.step_ms and not self._changes_in(k):
                if length > self.step_ms and len(rows) == 1:
                    # An hour of a meter that has no quarters yet: not this interval's energy.
                    continue
                names.add(_WRONG_LENGTH)
            yield k, sum(self._energy(row) for row in rows), names

    def _changes_in(self, k: int) -> bool:
        """Whether a meter was changed inside the interval."""
        begin = self.begin_ms + k * self.step_ms
        return any(
            begin < edge < begin + self.step_ms
            for span in self.spans
            for edge in (span.begin_ms, span.end_ms)
        )

    def _check_shared(self, mwh: list[int | None], marks: list[set[str]]) -> None:
        """An interval of two meters is measured if both gave their part of it."""
        for k in range(self.count):
            if not self._changes_in(k) or mwh[k] is None:
                continue
            begin, end = self.begin_ms + k * self.step_ms, self.begin_ms + (k + 1) * self.step_ms
            for relation in self.known.relations:
                until = end if relation.to_ms is None else min(relation.to_ms, end)
                on = max(relation.from_ms, begin) < until
                if on and not any(found == k for found, *_ in self._of_meter(relation)):
                    marks[k].add(_WRONG_LENGTH)

    def _energy(self, row: IntervalRow) -> int:
        return row.plus_mwh if self.series == A_PLUS else row.minus_mwh

    def _as_reading(self, row: IntervalRow) -> Reading:
        return Reading(self._energy(row) // 1000, tuple(status_names(row.status)))


def _bounds(row: IntervalRow) -> tuple[int, int]:
    """Its begin and end, less what a step right on the boundary leaves alone."""
    return 1000 * (row.end_s - row.period_s) + 1, 1000 * row.end_s - 1


def _wh(mwh: int | None) -> int | None:
    return None if mwh is None else mwh // 1000


def _rounded(
    mwh: Sequence[int | None], spans: Sequence[Span], begin_ms: int, step_ms: int
) -> list[int | None]:
    """Wh by interval: from a register forward as far as the rows go, and back from the next one.

    A row between two gaps hangs on no register, and is rounded from where it begins.
    """
    starts = {divmod(span.begin_ms - begin_ms, step_ms): span.start for span in spans}
    ends = {divmod(span.end_ms - begin_ms, step_ms): span.end for span in spans}
    back: list[int | None] = [None] * (len(mwh) + 1)
    for k in range(len(mwh) - 1, -1, -1):
        known = (k + 1, 0) in starts or (k + 1, 0) in ends
        after, energy = ends.get((k + 1, 0)) if known else back[k + 1], mwh[k]
        back[k] = None if after is None or energy is None else after - energy
    out: list[int | None] = []
    here: int | None = None
    for k, energy in enumerate(mwh):
        if (k, 0) in starts:
            here = starts[k, 0]
        base = here if here is not None else back[k] or 0
        here = None if energy is None else base + energy
        out.append(None if here is None else here // 1000 - base // 1000)
    return out


def _continued(spans: list[Span]) -> list[Span]:
    """The register of a meter that came in another's place as if it went on with that one's: a
    sum over both is then rounded once."""
    for k in range(1, len(spans)):
        before, now = spans[k - 1], spans[k]
        if before.end is not None and now.start is not None and before.end_ms == now.begin_ms:
            end = None if now.end is None else before.end + now.end - now.start
            spans[k] = now._replace(start=before.end, end=end)
    return spans


def power_cuts(
    events: Iterable[Event], begin_ms: int, end_ms: int
) -> tuple[tuple[datetime, datetime | None], ...]:
    """Times without supply that touch the day, from the logs of its meters."""
    out = []
    down: dict[str, int] = {}
    for one in sorted(events, key=lambda event: (event.at_ms, event.number)):
        if one.log != "standard":
            continue
        if one.code == POWER_DOWN:
            down.setdefault(one.meter_id, one.at_ms)
        elif one.code == POWER_UP:
            began = down.pop(one.meter_id, None)
            if began is not None and began < one.at_ms and began < end_ms and one.at_ms > begin_ms:
                out.append((from_utc_ms(began), from_utc_ms(one.at_ms)))
    open_ = [(from_utc_ms(began), None) for began in down.values() if began < end_ms]
    return tuple(sorted([*out, *open_], key=lambda cut: cut[0]))


def digest(day: Day) -> dict[str, Any]:
    """What a day was evaluated from, in short: tells which kind of news has come."""
    parts = {
        "readings": day.readings,
        "registers": [span[:2] for span in day.registers],
        "cuts": [[str(moment) for moment in cut] for cut in day.cuts],
        "edits": sorted(day.edits.items()),
        "collectable": day.collectable,
    }
    return {name: _short(part) for name, part in parts.items()}


def _short(part: Any) -> str:
    return hashlib.sha256(json.dumps(part, default=str).encode()).hexdigest()[:12]
