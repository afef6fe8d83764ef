"""What a chain came to, held against the ledger of its field."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from openams.chain.truth import Truth, faults_by_meter
from openams.field.faults import DARK, KINDS
from openams.field.ledger import Ledger
from openams.headend.days import day_bounds, day_number
from openams.headend.elhub.build import DIRECTIONS, first_deadline
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.plan import ACCEPTED
from openams.headend.register import Relation, Terms, series_of
from openams.headend.report.chain import DayReads, Estimates, Seen, add_series
from openams.headend.store import Store, StoredRevision
from openams.headend.vee.calendar import starts
from openams.headend.vee.codes import MEASURED
from openams.meter_time import to_utc_ms

NONE, UNKNOWN = "none", "unknown"
# No hours are counted in the dark, and those that a clock jumps over are never shown.
_ROWS_GONE = (*DARK, "clock-wrong")


@dataclass
class Errors:
    """Wh by which estimates were off, and the truth, of those who could say something."""

    off: float = 0.0
    true: float = 0.0

    def add(self, guess: float, true: int) -> None:
        self.off += abs(guess - true)
        self.true += abs(true)

    @property
    def share(self) -> float | None:
        return round(self.off / self.true, 4) if self.true else None


class Off(NamedTuple):
    """What is not as it should be. `what`: lost, hub (Elhub holds another value), wrong, register
    (the day is not what its registers moved) or sum (nor what was counted in truth). `interval`
    None: of the whole day."""

    what: str
    day: date
    gsrn: str
    series: int
    interval: int | None
    ours_wh: int | None
    true_wh: int | None
    allowed_wh: float = 0.0


@dataclass
class Comparison:
    """Counts of values, and Wh."""

    values: int = 0
    estimated: int = 0
    lost: int = 0
    wrong_unmarked: int = 0
    sum_off_wh: int = 0
    off: list[Off] = field(default_factory=list)
    ours: Errors = field(default_factory=Errors)
    flat: Errors = field(default_factory=Errors)
    last_week: Errors = field(default_factory=Errors)
    causes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    missed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wrong(self) -> list[Off]:
        """Values that say they are measured and are not the truth."""
        return [one for one in self.off if one.what == "wrong"]


class Comparing:
    """A store and a hub against a ledger, day by day."""

    def __init__(self, store: Store, hub: HubStore, ledger: Ledger) -> None:
        self._store, self._hub = store, hub
        self._truth = Truth(ledger)
        self._faults = faults_by_meter(ledger)
        self._down = [f for f in ledger.faults() if f.kind == "head-end-down"]
        self._week: dict[date, dict[tuple[str, int], tuple[int, ...]]] = {}
        self.out = Comparison()

    def day(self, day: date) -> None:
        relations: dict[str, list[Relation]] = defaultdict(list)
        for relation in self._store.relations(*day_bounds(day)):
            relations[relation.gsrn].append(relation)
        stories = self._stories(day)
        true_day: dict[tuple[str, int], tuple[int, ...]] = {}
        for terms in self._store.all_terms(day):
            for series in series_of(terms.kind):
                story = stories.get((terms.gsrn, series), [])
                on = relations.get(terms.gsrn, [])
                true = self._truth.day(day, on, series, terms.resolution_min)
                true_day[terms.gsrn, series] = true.wh
                self._series(day, terms, series, story, true.wh, true.slack)
        self._week[day] = true_day
        self._week.pop(day - timedelta(days=8), None)
        self._causes(day)

    def _stories(self, day: date) -> dict[tuple[str, int], list[StoredRevision]]:
        out: dict[tuple[str, int], list[StoredRevision]] = defaultdict(list)
        for one in self._store.revisions_of(day):
            out[one.gsrn, one.series].append(one)
        return out

    # --- values --------------------------------------------------------------------------------

    def _series(
        self,
        day: date,
        terms: Terms,
        series: int,
        story: Sequence[StoredRevision],
        true: Sequence[int],
        slack: Sequence[float],
    ) -> None:
        out, count = self.out, len(true)
        out.values += count
        key = day, terms.gsrn, series
        if not story or len(story[-1].wh) != count:
            out.lost += count
            out.off.append(Off("lost", *key, None, None, sum(true)))
            return
        last = story[-1]
        held = self._hub.values(terms.gsrn, DIRECTIONS[series], day) or (None,) * count
        for k in range(count):
            there = held[k]
            if there is None or there.wh != last.wh[k]:
                out.lost += 1
                out.off.append(Off("hub", *key, k, None if there is None else there.wh, true[k]))
            if last.states[k] != MEASURED:
                out.estimated += 1
            elif abs(last.wh[k] - true[k]) > slack[k]:
                out.wrong_unmarked += 1
                out.off.append(Off("wrong", *key, k, last.wh[k], true[k], slack[k]))
        if last.total_wh is not None:
            ours, moved, counted = sum(last.wh), last.total_wh, sum(true)
            if ours != moved:
                out.sum_off_wh += abs(ours - moved)
                out.off.append(Off("register", *key, None, ours, moved))
            # Against the truth: by what its clock explains at both midnights, and no more.
            allowed = slack[0] + slack[-1]
            if (off := math.ceil(abs(ours - counted) - allowed)) > 0:
                out.sum_off_wh += off
                out.off.append(Off("sum", *key, None, ours, counted, allowed))
        for k, revision in _estimates(story):
            out.ours.add(revision.wh[k], true[k])
            out.flat.add(_flat(revision, k, story, terms), true[k])
            week = self._week.get(day - timedelta(days=7), {}).get((terms.gsrn, series))
            if week is not None and len(week) == count:
                out.last_week.add(week[k], true[k])

    # --- causes --------------------------------------------------------------------------------

    def _causes(self, day: date) -> None:
        """Meter-days that were not here at seven: why in truth, and what the head-end found."""
        due_ms = to_utc_ms(first_deadline(day))
        end_ms = day_bounds(day)[1]
        for job in self._store.late_jobs(day_number(day), due_ms):
            cause, kind = self._injected(job.subject, end_ms, due_ms)
            found = str(job.result.get("cause") or UNKNOWN)
            self.out.causes[cause][found] += 1
            self.out.kinds[kind][found] += 1
            if cause != found:
                self.out.missed.append({
                    "day": day.isoformat(), "meter_id": job.subject, "injected": kind,
                    "found": found, "because": job.result.get("because", ""),
                })  # fmt: skip

    def _injected(self, meter_id: str, end_ms: int, due_ms: int) -> tuple[str, str]:
        """(cause, kind): of what took the whole night, else of what was there in it."""
        mine = self._faults.get(meter_id, [])
        whole = [one for one in mine if one[2] <= end_ms and one[3] >= due_ms]
        losing = [one for one in whole if KINDS[one[0]].loses]
        if losing:
            return losing[0][1], losing[0][0]
        day_ms = end_ms - 86_400_000
        if any(one[0] == "meter-changed" and day_ms <= one[2] < due_ms for one in mine):
            return "other", "meter-changed"
        # Rows that are gone for good, whoever was up at seven.
        gone = [one for one in mine if one[0] in _ROWS_GONE and one[2] < end_ms and one[3] > day_ms]
        if gone:
            return gone[0][1], gone[0][0]
        for down in self._down:
            if down.begin_ms < due_ms <= down.end_ms:
                # What kept it from being read for as long as anybody was there to read it.
                kept = [
                    one for one in mine if one[2] <= end_ms and one[3] >= down.begin_ms > end_ms
                ]
                return (kept[0][1], kept[0][0]) if kept else (down.cause, down.kind)
        # What broke a meter the day before may still have no rows of this one.
        there = [one for one in mine if one[2] < due_ms and one[3] > day_ms - 86_400_000]
        there.sort(key=lambda one: (not KINDS[one[0]].loses, -min(one[3], due_ms)))
        return (there[0][1], there[0][0]) if there else (NONE, NONE)


def _estimates(story: Sequence[StoredRevision]) -> Iterator[tuple[int, StoredRevision]]:
    """Of each interval that was ever estimated the last estimate."""
    for k in range(len(story[-1].wh)):
        told = [one for one in story if k < len(one.wh) and one.states[k] != MEASURED]
        if told:
            yield k, told[-1]


def _flat(revision: StoredRevision, k: int, story: Sequence[StoredRevision], terms: Terms) -> float:
    """What one would say who knows the same and spreads it evenly: the total of the gap if that is
    known, else the mean of what was measured on the day, else that of the assumed year."""
    inputs: Mapping[str, Any] = revision.detail.get(k, {}).get("inputs") or {}
    gap, total = inputs.get("intervals"), inputs.get("total_wh")
    if gap and total is not None:
        return float(total) / len(gap)
    measured = [
        wh for wh, state in zip(revision.wh, revision.states, strict=True) if state == MEASURED
    ]
    if measured:
        return sum(measured) / len(measured)
    return (terms.annual_kwh or 0.0) * 1000 / 8760 * terms.resolution_min / 60


def reads(store: Store, day: date, moments: Sequence[datetime]) -> DayReads:
    """Intervals of a day, and those measured at each of some moments."""
    out, until = DayReads(day, by=[0] * len(moments)), [to_utc_ms(at) for at in moments]
    stories: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    for one in store.revisions_of(day):
        stories[one.gsrn, one.series].append(Seen(one.at_ms, one.wh, one.states, {}))
    for terms in store.all_terms(day):
        count = len(starts(day, terms.resolution_min))
        for series in series_of(terms.kind):
            add_series(out, Estimates(), count, stories.get((terms.gsrn, series), []), until)
    return out


def doubled(store: Store) -> int:
    """Series of the same revision that Elhub has taken more than once."""
    row = store.one(
        "SELECT COALESCE(SUM(times - 1), 0) FROM (SELECT COUNT(*) AS times FROM delivery "
        "WHERE state = ? GROUP BY day, gsrn, series, revision, COALESCE(intervals, '')) AS sent "
        "WHERE times > 1",
        ACCEPTED,
    )
    return int(row[0])
