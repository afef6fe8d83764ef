"""What sessions brought, into the store: all of one, and whose turn is next, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from openams.headend.collect.plan import Plan
from openams.headend.collect.reading import Got
from openams.headend.days import day_bounds, day_date, day_number, local_day
from openams.headend.register import Relation
from openams.headend.store import Store
from openams.headend.store.jobs import COMPLETE, DAY, LOST, OPEN, PARTIAL, Job

# Of a meter's clock, ms: less is set right by the meter itself as it is told the time; more is
# something that a person should know of.
ADJUST_MS, ALARM_MS = 1_000, 60_000
# A meter that has said all it has, and it was not all, is asked again in these nights.
_HOLES_DAYS = 5


def take(store: Store, meter_id: str, got: Got, source: str, now_ms: int) -> None:
    """Amid a transaction: rows, readings, events, the clock, and what days are whole now."""
    store.add_intervals([(meter_id, got.rows)], source, now_ms)
    store.add_readings(got.readings)
    store.add_events(got.events)
    if got.ahead_ms is not None:
        _clock(store, meter_id, got.ahead_ms, now_ms)
    store.run(
        "INSERT INTO seen (meter_id, at_ms, period_s, columns, event_ms) VALUES (?, ?, ?, '', ?) "
        "ON CONFLICT (meter_id) DO UPDATE SET at_ms = excluded.at_ms, period_s = "
        "CASE WHEN excluded.period_s > 0 THEN excluded.period_s ELSE seen.period_s END, event_ms = "
        "CASE WHEN excluded.event_ms > seen.event_ms THEN excluded.event_ms ELSE seen.event_ms END",
        meter_id, now_ms, got.period_s, max((one.at_ms for one in got.events), default=0),
    )  # fmt: skip


def _clock(store: Store, meter_id: str, ahead_ms: int, now_ms: int) -> None:
    off = abs(ahead_ms)
    action = "none" if off < ADJUST_MS else "order" if off < ALARM_MS else "alarm"
    store.put_rows(
        "clock_check", ("meter_id", "at_ms", "ahead_ms", "action"),
        [(meter_id, now_ms, ahead_ms, action)],
    )  # fmt: skip
    if off >= ADJUST_MS:
        # Who collects cannot set a clock: it is an order, once a day.
        day = day_number(local_day(now_ms))
        until = now_ms + 86_400_000
        store.add_jobs("clock", [(meter_id, day, now_ms, until, {"ahead_ms": ahead_ms})], now_ms)
    if off >= ALARM_MS:
        text = f"the clock is {ahead_ms / 1000:+.0f} s off: its values are of another time"
        store.notice("clock", meter_id, text, now_ms)


def settle_days(
    store: Store, meter_id: str, jobs: Sequence[Job], until_ms: int, now_ms: int
) -> bool:
    """States of a meter's open days by what is in the store now. Whether none is open any more.

    `until_ms`: the meter has said all that it has, of each of them, up to here.
    """
    states = []
    for job in jobs:
        day = day_date(job.day)
        end = day_bounds(day)[1]
        missing, registers = _missing(store, meter_id, day)
        whole = not missing and not registers
        said_all = until_ms >= end
        over = now_ms >= end + _HOLES_DAYS * 86_400_000
        state = COMPLETE if whole or (said_all and over) else PARTIAL
        result = {"missing": missing, "registers_missing": registers, "said_all": said_all}
        states.append((meter_id, job.day, state, result))
    store.set_days(states, now_ms)
    return all(state == COMPLETE for _, _, state, _ in states)


def _missing(store: Store, meter_id: str, day: date) -> tuple[int, int]:
    """(minutes without a row, midnights without a register) of a day that the meter was on."""
    begin, end = day_bounds(day)
    spans = [
        (max(begin, one.from_ms), end if one.to_ms is None else min(end, one.to_ms), one)
        for one in store.relations(begin, end, meter_id=meter_id)
    ]
    covered = 0
    parts = store.intervals(day_number(day), [meter_id]).get(meter_id, [])
    for row in {row.end_s: row for part in parts for row in part.rows}.values():
        ends = 1000 * row.end_s
        covered += sum(
            max(0, min(ends, stop) - max(ends - 1000 * row.period_s, start))
            for start, stop, _ in spans
        )
    there = {one.at_ms for one in store.readings([meter_id], begin, end)}
    wanted = {at for start, stop, one in spans for at in _midnights(start, stop, one)}
    due = sum(stop - start for start, stop, _ in spans)
    return max(0, due - covered) // 60_000, len(wanted - there)


def _midnights(start: int, stop: int, relation: Relation) -> Iterable[int]:
    """Where a register is to come from the meter: not where it was put up or taken down."""
    for at, moved, read in (
        (start, relation.from_ms, relation.start_plus_mwh),
        (stop, relation.to_ms, relation.end_plus_mwh),
    ):
        if at != moved or (read is None and day_bounds(local_day(at))[0] == at):
            yield at


def give_up_old(store: Store, plan: Plan, now_ms: int) -> int:
    """Days that no meter has any more: they are estimated for good. How many there are."""
    day = day_number(local_day(now_ms) - timedelta(days=plan.kept_days))
    return store.run(
        "UPDATE job SET state = ?, changed_ms = ? WHERE kind = ? AND day < ? "
        f"AND state IN ({', '.join('?' * len(OPEN))})",
        LOST, now_ms, DAY, day, *OPEN,
    )  # fmt: skip
