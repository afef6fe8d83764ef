"""Days of the store through validation and estimation: what is new becomes a revision.

It may run as often as one likes: where nothing has come nothing changes, and what stands in the
store is never taken out of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from openams.errors import BenchError
from openams.headend.assemble import POWER_DOWN, Known, days, digest
from openams.headend.clocks import wrong_spans
from openams.headend.days import day_bounds, day_number
from openams.headend.register import INTERVAL, JOINT, Relation, Terms, series_of
from openams.headend.store import ClashError, DayValues, Store, StoredRevision
from openams.headend.store.jobs import COMPLETE, DAY, LOST
from openams.headend.store.raw import Event, Part, RegisterReading
from openams.headend.vee import Day, Result, Value, evaluate
from openams.headend.vee.codes import MEASURED
from openams.headend.vee.revise import last_moment
from openams.meter_time import to_utc_ms

# Of the days before: six weeks have six of each weekday.
HISTORY_DAYS = 42
# Points at a time: bounds memory and statements.
AT_ONCE = 250
_CLASHES = 5
# Power cuts that began so long before are still looked for.
_CUT_DAYS = 30
# The interval in which the supply fell still comes with what was counted of it.
_ROW_MS = 3_600_000
_WHY = ("readings", "registers", "cuts", "edits", "collectable")
_WORD = {"readings": "collected", "cuts": "supply", "edits": "edit", "collectable": "given-up"}


def evaluate_days(
    store: Store, day: date, at: datetime, gsrns: Iterable[str] | None = None
) -> Counter[str]:
    """All points of a day that are settled by intervals, or some; counts what came of them."""
    if at > last_moment(day):
        raise BenchError(f"{day} is closed: Elhub takes nothing of it any more")
    chosen = points_of(store, day, gsrns)
    counts: Counter[str] = Counter()
    for k in range(0, len(chosen), AT_ONCE):
        counts += _again(store, day, to_utc_ms(at), chosen[k : k + AT_ONCE])
    return counts


def points_of(store: Store, day: date, gsrns: Iterable[str] | None = None) -> list[Terms]:
    """The points of a day that are settled by intervals, or those of some."""
    if gsrns is not None:
        found = list(store.terms_of(day, sorted(set(gsrns))))
    else:
        found = list(store.all_terms(day))
    return [terms for terms in found if terms.settlement in (INTERVAL, JOINT)]


def _again(store: Store, day: date, at_ms: int, terms: Sequence[Terms]) -> Counter[str]:
    """Where another evaluates the same points at the same time, once more: by what is there now."""
    for left in range(_CLASHES - 1, -1, -1):
        try:
            return _some(store, day, at_ms, terms)
        except ClashError:
            if not left:
                raise
    raise AssertionError


def _some(store: Store, day: date, at_ms: int, terms: Sequence[Terms]) -> Counter[str]:
    gsrns = [one.gsrn for one in terms]
    current = {(one.gsrn, one.series): one for one in store.values(day, gsrns)}
    inputs = store.last_inputs(day, gsrns)
    counts: Counter[str] = Counter()
    new = []
    for known in _known(store, day, terms):
        series = series_of(known.terms.kind)
        for one, made in days(known, series).items():
            key = (known.terms.gsrn, one)
            told = digest(made)
            if key in inputs and inputs[key] == told:
                counts["unchanged"] += 1
                continue
            revision = _revision(key, made, told, current.get(key), inputs.get(key, {}), at_ms)
            counts["unchanged" if revision is None else "revisions"] += 1
            if revision is not None:
                counts["estimated"] += sum(state != MEASURED for state in revision.states)
                counts["values"] += len(revision.wh)
                new.append(revision)
    store.put_revisions(new)
    return counts


def _revision(
    key: tuple[str, int],
    day: Day,
    told: Mapping[str, Any],
    was: DayValues | None,
    before: Mapping[str, Any],
    at_ms: int,
) -> StoredRevision | None:
    """The next one of a day; None when no value changes by what has come."""
    result = evaluate(day)
    wh = tuple(value.wh for value in result.values)
    states = tuple(value.state for value in result.values)
    changed = tuple(
        k
        for k in range(len(wh))
        if was is None or len(was.wh) != len(wh) or (was.wh[k], was.states[k]) != (wh[k], states[k])
    )
    if not changed and was is not None and was.total_wh == result.total_wh:
        return None
    news = next((name for name in _WHY if before.get(name) != told[name]), "inputs")
    why = "first" if was is None else _WORD.get(news, news)
    return StoredRevision(
        day.day, *key, 1 if was is None else was.revision + 1, at_ms, why, "", result.rules,
        day.point.resolution_min, wh, states, changed, _detail(result), told, result.total_wh,
    )  # fmt: skip


def _detail(result: Result) -> dict[int, dict[str, Any]]:
    """Why and how, of each value that is not simply measured; of the day's notes as interval -1."""
    out = {k: _why(value) for k, value in enumerate(result.values) if value.state != MEASURED}
    if result.notes:
        out[-1] = {"notes": [list(note) for note in result.notes]}
    return out


def _why(value: Value) -> dict[str, Any]:
    return {
        "reason": value.reason,
        "validation": value.validation,
        "estimation": value.estimation,
        "method": value.method,
        "inputs": dict(value.inputs) if value.inputs else None,
        "collected": None if value.reading is None else list(value.reading),
    }


# --- out of the store --------------------------------------------------------------------


def _known(store: Store, day: date, terms: Sequence[Terms]) -> Iterator[Known]:
    gsrns = [one.gsrn for one in terms]
    begin, end = day_bounds(day)
    relations: dict[str, list[Relation]] = defaultdict(list)
    for relation in store.relations(begin, end, gsrns=gsrns):
        relations[relation.gsrn].append(relation)
    meters = sorted({one.meter_id for many in relations.values() for one in many})
    parts = store.intervals(day_number(day), meters)
    readings = _by_meter(store.readings(meters, begin, end))
    # Logs go on after the day: when a cut ended, and when a clock was set right.
    span = begin - _CUT_DAYS * 86_400_000, end + _CUT_DAYS * 86_400_000
    events = _by_meter(store.events(meters, *span, "standard"))
    for meter_id, at_ms in store.last_words(meters, *span):
        if not _heard_after(at_ms, events[meter_id], readings[meter_id], parts.get(meter_id, ())):
            events[meter_id].append(
                Event(meter_id, "standard", 0, at_ms, POWER_DOWN, None, None, at_ms, "module")
            )
    checks = store.clock_checks(meters, *span)
    wrong = {
        meter_id: spans
        for meter_id in meters
        if (spans := wrong_spans(events[meter_id], checks.get(meter_id, ())))
    }
    history = _history(store, day, gsrns)
    edits = store.edits(day, gsrns)
    given_up = {job.subject for job in store.jobs(DAY, day_number(day), (COMPLETE, LOST), meters)}
    for one in terms:
        mine = relations.get(one.gsrn, [])
        own = [relation.meter_id for relation in mine]
        yield Known(
            one,
            day,
            mine,
            {meter_id: parts[meter_id] for meter_id in own if meter_id in parts},
            [reading for meter_id in own for reading in readings[meter_id]],
            [event for meter_id in own for event in events[meter_id]],
            {series: history.get((one.gsrn, series), {}) for series in series_of(one.kind)},
            {series: edits.get((one.gsrn, series), {}) for series in series_of(one.kind)},
            not own or not given_up.issuperset(own),
            wrong,
        )


def _heard_after(
    at_ms: int,
    events: Iterable[Event],
    readings: Iterable[RegisterReading],
    parts: Iterable[Part],
) -> bool:
    """Whether a meter counted on after its module's last word: then its log says what was."""
    return (
        any(one.at_ms > at_ms for one in events)
        or any(one.at_ms > at_ms for one in readings)
        or any(1000 * row.end_s > at_ms + _ROW_MS for part in parts for row in part.rows)
    )


def _by_meter(rows: Iterable[Any]) -> defaultdict[str, list[Any]]:
    out: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        out[row.meter_id].append(row)
    return out


def _history(
    store: Store, day: date, gsrns: Sequence[str]
) -> dict[tuple[str, int], dict[date, tuple[int | None, ...]]]:
    """Measured values of the weeks before: an estimate is no witness for the next one."""
    out: dict[tuple[str, int], dict[date, tuple[int | None, ...]]] = defaultdict(dict)
    first = day - timedelta(days=HISTORY_DAYS)
    for one in store.values_between(first, day - timedelta(days=1), gsrns):
        whole = one.states.count(MEASURED) == len(one.states)
        out[one.gsrn, one.series][one.day] = (
            one.wh
            if whole
            else tuple(
                wh if state == MEASURED else None
                for wh, state in zip(one.wh, one.states, strict=True)
            )
        )
    return out
