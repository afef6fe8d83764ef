"""What came later, and all that was before: every value of a day, why, when and by which rules.

A record only grows. A measured value that comes later replaces an estimate; the estimate stays in
the revision it was made in. Nothing is estimated again where a value stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from openams.headend.vee import calendar, codes
from openams.headend.vee.day import evaluate
from openams.headend.vee.model import Day, Reading, RegisterSpan, Result, Value, VeeError
from openams.headend.vee.validate import stands

# Elhub takes no value whose period began longer ago (BRS-NO-313, rule 15).
YEARS = 3


class Revision(NamedTuple):
    """One state of a day. `changed`: intervals that are not as in the revision before."""

    number: int
    at: datetime
    why: str
    who: str  # a person, or "" for the run
    result: Result
    changed: tuple[int, ...]


class Step(NamedTuple):
    """One value of an interval's story."""

    number: int
    at: datetime
    why: str
    who: str
    value: Value


@dataclass(frozen=True, slots=True)
class Record:
    """A day with all its revisions; `day` is what is known of it now."""

    day: Day
    revisions: tuple[Revision, ...]

    @property
    def current(self) -> Result:
        return self.revisions[-1].result

    def story(self, interval: int) -> tuple[Step, ...]:
        """Every value that the interval has had, the first one first."""
        return tuple(
            Step(one.number, one.at, one.why, one.who, one.result.values[interval])
            for one in self.revisions
            if one.number == 1 or interval in one.changed
        )


def record(day: Day, at: datetime) -> Record:
    """The first evaluation of a day, at a time that is given."""
    result = evaluate(day)
    _within_limit(day.day, at)
    every = tuple(range(len(result.values)))
    return Record(day, (Revision(1, at, "first", "", result, every),))


def revise(old: Record, new: Day, at: datetime, why: str = "", who: str = "") -> Record:
    """The record with what `new` knows in addition; the same record if no value changes by it.

    What `new` does not know (no reading, no register, no history) stays as it was. Of two measured
    values of one interval the later call's is taken, unless it cannot stand and the other can.
    """
    _within_limit(old.day.day, at)
    if (new.day, new.point.resolution_min) != (old.day.day, old.day.point.resolution_min):
        raise VeeError(f"a day of {new.day} is no news of {old.day.day}, or of other intervals")
    merged = _merged(old.day, new)
    result = evaluate(merged)
    return _grown(old, merged, result, at, why or _reason(old, merged), who)


def edit(old: Record, values: Mapping[int, int], at: datetime, who: str, why: str) -> Record:
    """Values that a person sets, with the name and the reason; measured ones cannot be set.

    Where the registers are known, what is set and what is estimated still adds up to them: VeeError
    if it cannot.
    """
    if not who.strip() or not why.strip():
        raise VeeError("an edit needs a name and a reason")
    _within_limit(old.day.day, at)
    merged = replace(old.day, edits={**old.day.edits, **values})
    result = evaluate(merged)
    before = {k for k, value in enumerate(old.current.values) if value.state == codes.MEASURED}
    after = {k for k, value in enumerate(result.values) if value.state == codes.MEASURED}
    believed = old.current.total_wh is None or result.total_wh is not None
    if before - after or not believed or result.sum_off_wh:
        raise VeeError(f"with these values the day is not the registers' {old.current.total_wh} Wh")
    return _grown(old, merged, result, at, why, who)


def corrections(before: Result, after: Result) -> tuple[int, ...]:
    """Intervals to send again: another value, or measured at last. Elhub wants no mere change
    between estimated and final."""
    return tuple(
        k
        for k, (was, is_) in enumerate(zip(before.values, after.values, strict=True))
        if was.wh != is_.wh or (is_.state == codes.MEASURED) != (was.state == codes.MEASURED)
    )


def last_moment(day: date) -> datetime:
    """Until when a day may be corrected."""
    try:
        then = day.replace(year=day.year + YEARS)
    except ValueError:  # 29 February
        then = day.replace(year=day.year + YEARS, day=28) + timedelta(days=1)
    return calendar.midnight(then)


def _within_limit(day: date, at: datetime) -> None:
    if at.tzinfo is None:
        raise VeeError("the time of a revision needs an offset")
    if at > last_moment(day):
        raise VeeError(f"{day} lies more than {YEARS} years before {at.date()}: it is closed")


def _grown(old: Record, day: Day, result: Result, at: datetime, why: str, who: str) -> Record:
    changed = tuple(
        k
        for k, (was, is_) in enumerate(zip(old.current.values, result.values, strict=True))
        if was[:4] != is_[:4]
    )
    if not changed:
        return Record(day, old.revisions)
    last = old.revisions[-1]
    if at < last.at:
        raise VeeError(f"the revision before is of {last.at.isoformat()}: time goes forward")
    return Record(day, (*old.revisions, Revision(last.number + 1, at, why, who, result, changed)))


def _merged(old: Day, new: Day) -> Day:
    readings = tuple(_better(was, is_) for was, is_ in zip(old.readings, new.readings, strict=True))
    measured = {k for k, one in enumerate(readings) if one is not None and stands(one)}
    edits = {k: wh for k, wh in {**old.edits, **new.edits}.items() if k not in measured}
    return replace(
        new,
        readings=readings,
        registers=_registers(old.registers, new.registers),
        history={**old.history, **new.history},
        cuts=tuple(sorted({*old.cuts, *new.cuts}, key=lambda cut: (cut[0], str(cut[1])))),
        opposite=new.opposite or old.opposite,
        edits=edits,
    )


def _better(was: Reading | None, is_: Reading | None) -> Reading | None:
    if is_ is None or was is None:
        return was if is_ is None else is_
    return was if stands(was) and not stands(is_) else is_


def _registers(
    old: tuple[RegisterSpan, ...], new: tuple[RegisterSpan, ...]
) -> tuple[RegisterSpan, ...]:
    """Readings that are known stay known."""
    if [span[2:] for span in old] != [span[2:] for span in new]:
        return new or old
    return tuple(
        RegisterSpan(
            was.start_wh if is_.start_wh is None else is_.start_wh,
            was.end_wh if is_.end_wh is None else is_.end_wh,
            is_.begin,
            is_.end,
        )
        for was, is_ in zip(old, new, strict=True)
    )


def _reason(old: Record, day: Day) -> str:
    """What of the inputs is new, in one word."""
    if day.readings != old.day.readings:
        return "collected"
    if day.registers != old.day.registers:
        return "registers"
    if day.cuts != old.day.cuts:
        return "supply"
    if old.current.rules != codes.RULES:
        return "rules"
    return "history" if day.history != old.day.history else "inputs"
