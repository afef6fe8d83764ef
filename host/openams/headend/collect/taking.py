"""What sessions brought, into the store: of all that have ended, in a few statements.

Nothing is asked of the store meter by meter: a day of a meter costs a row, not a dozen questions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from openams.headend.collect.plan import Plan, plan_day
from openams.headend.collect.reading import Got
from openams.headend.days import day_bounds, day_date, day_number, local_day
from openams.headend.register import Relation
from openams.headend.store import IntervalRow, Store
from openams.headend.store.jobs import COMPLETE, DAY, LOST, OPEN, PARTIAL

# Of a meter's clock, ms: from so much on it is set, half a per cent of a quarter of an hour (a
# crystal of 60 ppm is that far off in a day); from so much on a person should know of it.
ADJUST_MS, ALARM_MS = 5_000, 60_000
# A meter that has said all it has, and it was not all, is asked again in these nights.
_HOLES_DAYS = 5


class Came(NamedTuple):
    """What came of a meter. `days`: those that it was asked for (yyyymmdd); `until_ms`: up to here
    it has said all that it has of them; None: they are as they were, whatever came."""

    meter_id: str
    got: Got
    source: str
    days: tuple[int, ...]
    until_ms: int | None


def take_all(store: Store, came: Sequence[Came], now_ms: int) -> set[str]:
    """Amid a transaction: rows, readings, events, clocks, and what days are whole now.

    Gives the meters of which no day that was asked for is open any more. ClashError where somebody
    else writes of the same meters at the same time: then all is done again.
    """
    brought = [one for one in came if one.got]
    _, known = store.add_rows(((one.meter_id, one.got.rows, one.source) for one in brought), now_ms)
    store.add_readings(reading for one in brought for reading in one.got.readings)
    store.add_events(event for one in brought for event in one.got.events)
    _clocks(store, brought, now_ms)
    _seen(store, brought, now_ms)
    return _settle(store, [one for one in came if one.until_ms is not None], known, now_ms)


def take_alarm(
    store: Store, meter_id: str, at_ms: int, source: str, body: Mapping[str, Any]
) -> None:
    """What a meter or its net said unasked."""
    columns = ("meter_id", "at_ms", "source", "body", "number")
    store.put_rows("alarm", columns, [(meter_id, at_ms, source, json.dumps(body), 0)])


def _seen(store: Store, came: Iterable[Came], now_ms: int) -> None:
    rows: dict[str, tuple[int, int]] = {}
    for one in came:
        period, last = rows.get(one.meter_id, (0, 0))
        # Of a clock that is ahead they are of the future: what comes when it is set right is not.
        newest = min(max((event.at_ms for event in one.got.events), default=0), now_ms)
        rows[one.meter_id] = (one.got.period_s or period, max(last, newest))
    store.upsert(
        "seen",
        ("meter_id", "at_ms", "period_s", "columns", "event_ms"),
        [(meter_id, now_ms, period, "", last) for meter_id, (period, last) in rows.items()],
        "(meter_id) DO UPDATE SET at_ms = excluded.at_ms, period_s = "
        "CASE WHEN excluded.period_s > 0 THEN excluded.period_s ELSE seen.period_s END, event_ms = "
        "CASE WHEN excluded.event_ms > seen.event_ms THEN excluded.event_ms ELSE seen.event_ms END",
    )


def _clocks(store: Store, came: Iterable[Came], now_ms: int) -> None:
    checks, orders = {}, {}
    day, until = day_number(local_day(now_ms)), now_ms + 86_400_000
    for one in came:
        ahead_ms = one.got.ahead_ms
        if ahead_ms is None:
            continue
        off = abs(ahead_ms)
        action = "none" if off < ADJUST_MS else "order" if off < ALARM_MS else "alarm"
        at_ms = one.got.looked_ms or now_ms
        checks[one.meter_id, at_ms] = (one.meter_id, at_ms, ahead_ms, action)
        if off >= ADJUST_MS:
            # Who collects cannot set a clock: it is an order, once a day.
            orders[one.meter_id] = (one.meter_id, day, now_ms, until, {"ahead_ms": ahead_ms})
        if off >= ALARM_MS:
            text = f"the clock is {ahead_ms / 1000:+.0f} s off: its values are of another time"
            store.notice("clock", one.meter_id, text, now_ms)
    store.put_rows("clock_check", ("meter_id", "at_ms", "ahead_ms", "action"), checks.values())
    if orders:
        store.add_jobs("clock", orders.values(), now_ms)


# --- whether days are whole -------------------------------------------------------------------


class _Known(NamedTuple):
    """What the store has of the days that are settled."""

    rows: Mapping[tuple[str, int], Iterable[IntervalRow]]
    registers: Mapping[str, set[int]]
    relations: Mapping[str, Sequence[Relation]]


def _settle(
    store: Store,
    came: Sequence[Came],
    rows: Mapping[tuple[str, int], Iterable[IntervalRow]],
    now_ms: int,
) -> set[str]:
    """States of the open days of meters by what is in the store now."""
    asked: dict[tuple[str, int], int] = {}
    for one in came:
        for number in one.days:
            key = one.meter_id, number
            asked[key] = max(asked.get(key, 0), one.until_ms or 0)
    if not asked:
        return {one.meter_id for one in came}
    known = _known(store, asked, rows)
    causes = store.causes_of(asked)
    states, waiting = [], set()
    for (meter_id, number), until_ms in sorted(asked.items()):
        day = day_date(number)
        end = day_bounds(day)[1]
        missing, registers = _missing(known, meter_id, day, number)
        whole = not missing and not registers
        said_all = until_ms >= end
        over = now_ms >= end + _HOLES_DAYS * 86_400_000
        state = COMPLETE if whole or (said_all and over) else PARTIAL
        result: dict[str, Any] = {
            "missing": missing, "registers_missing": registers, "said_all": said_all,
            **causes.get((meter_id, number), {}),
        }  # fmt: skip
        states.append((meter_id, number, state, result))
        if state != COMPLETE:
            waiting.add(meter_id)
    store.set_days(states, now_ms)
    return {one.meter_id for one in came} - waiting


def _known(
    store: Store,
    asked: Iterable[tuple[str, int]],
    rows: Mapping[tuple[str, int], Iterable[IntervalRow]],
) -> _Known:
    asked = list(asked)
    meters = sorted({meter_id for meter_id, _ in asked})
    numbers = sorted({number for _, number in asked})
    begin, end = day_bounds(day_date(numbers[0]))[0], day_bounds(day_date(numbers[-1]))[1]
    there = dict(rows)
    by_day: dict[int, list[str]] = defaultdict(list)
    for meter_id, number in asked:
        if (meter_id, number) not in there:
            by_day[number].append(meter_id)
    for number, some in by_day.items():
        for meter_id, parts in store.intervals(number, some).items():
            there[meter_id, number] = [row for part in parts for row in part.rows]
    registers: dict[str, set[int]] = defaultdict(set)
    for meter_id, at_ms in store.by_key(
        "SELECT meter_id, at_ms FROM reading WHERE at_ms BETWEEN ? AND ? AND meter_id IN (?*)",
        meters,
        begin,
        end,
    ):
        registers[meter_id].add(at_ms)
    relations: dict[str, list[Relation]] = defaultdict(list)
    for relation in store.relations(begin, end, meter_ids=meters):
        relations[relation.meter_id].append(relation)
    return _Known(there, registers, relations)


def _missing(known: _Known, meter_id: str, day: date, number: int) -> tuple[int, int]:
    """(minutes without a row, midnights without a register) of a day that the meter was on."""
    begin, end = day_bounds(day)
    spans = [
        (max(begin, one.from_ms), end if one.to_ms is None else min(end, one.to_ms), one)
        for one in known.relations.get(meter_id, ())
        if one.from_ms < end and (one.to_ms is None or one.to_ms > begin)
    ]
    covered = 0
    for row in {row.end_s: row for row in known.rows.get((meter_id, number), ())}.values():
        ends = 1000 * row.end_s
        starts = ends - 1000 * row.period_s
        for start, stop, _ in spans:
            if start <= starts and ends <= stop:
                covered += ends - starts
            else:
                covered += max(0, min(ends, stop) - max(starts, start))
    wanted = {at for start, stop, one in spans for at in _midnights(start, stop, one)}
    due = sum(stop - start for start, stop, _ in spans)
    there = known.registers.get(meter_id, set())
    return max(0, due - covered) // 60_000, len(wanted - there)


def _midnights(start: int, stop: int, relation: Relation) -> Iterable[int]:
    """Where a register is to come from the meter: not where it was put up or taken down."""
    for at, moved, read in (
        (start, relation.from_ms, relation.start_plus_mwh),
        (stop, relation.to_ms, relation.end_plus_mwh),
    ):
        if at != moved or (read is None and day_bounds(local_day(at))[0] == at):
            yield at


def plan_new(store: Store, plan: Plan, day: date, now_ms: int) -> int:
    """Jobs of the meters of a day that have none: of a day that has just ended all of them, of an
    older one those that the register has got since. What is there of them already counts.

    How many there are."""
    number = day_number(day)
    sql = "SELECT subject FROM job WHERE kind = ? AND day = ?"
    with store.transaction():
        before = {row[0] for row in store.all(sql, DAY, number)}
        plan_day(store, plan, day, now_ms, before)
        new = [row[0] for row in store.all(sql, DAY, number) if row[0] not in before]
        here = [row[0] for row in store.by_key(
            "SELECT DISTINCT meter_id FROM collected WHERE day = ? AND meter_id IN (?*)",
            new, number,
        )]  # fmt: skip
        _settle(store, [Came(meter_id, Got(), "", (number,), 0) for meter_id in here], {}, now_ms)
    return len(new)


def give_up_old(store: Store, plan: Plan, now_ms: int) -> int:
    """Days that no meter has any more: they are estimated for good. How many there are."""
    day = day_number(local_day(now_ms) - timedelta(days=plan.kept_days))
    return store.run(
        "UPDATE job SET state = ?, changed_ms = ? WHERE kind = ? AND day < ? "
        f"AND state IN ({', '.join('?' * len(OPEN))})",
        LOST, now_ms, DAY, day, *OPEN,
    )  # fmt: skip
