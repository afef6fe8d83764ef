"""One day through validation and estimation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openams.headend.vee import calendar, codes, registers, stale, validate
from openams.headend.vee.estimate import Gap, apportion, estimate
from openams.headend.vee.limits import limit_wh
from openams.headend.vee.model import PRODUCTION, Day, Note, Result, Value, VeeError
from openams.headend.vee.profile import Expectation, expect, usable_history
from openams.headend.vee.reconcile import Part, Verdict, reconcile
from openams.headend.vee.validate import Mark

# A value that is rounded for itself is off by 0.3 Wh (standard deviation): so many of these, and
# the sum is off by more than rounding.
_ROUNDING_WH, _ROUNDINGS = 0.29, 3.0
_DIGITS = 50  # mean Wh of values whose shape is worth keeping


def evaluate(day: Day) -> Result:
    """A value for every interval of the day; VeeError if it is no such day.

    The same day gives the same result, in whatever order its history and cuts stand.
    """
    check(day)
    return _Evaluation(day).result()


def check(day: Day) -> None:
    """Raises VeeError unless there is one place for each interval of the day."""
    n = len(calendar.starts(day.day, day.point.resolution_min))
    for what, count in (("intervals", len(day.readings)), ("opposite", len(day.opposite) or n)):
        if count != n:
            raise VeeError(
                f"{count} {what}, but {day.day} has {n} of {day.point.resolution_min} minutes"
            )
    for k, wh in day.edits.items():
        if not 0 <= k < n or wh < 0:
            raise VeeError(f"an edit is of an interval from 0 to {n - 1}, and not negative")
        reading = day.readings[k]
        if reading is not None and validate.stands(reading):
            raise VeeError(f"interval {k} is measured: edit what is estimated")


class _Evaluation:
    """The steps of one day: each takes a value out of `good`, or puts one into `wh`."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.supply = validate.supply(day)
        self.limit = limit_wh(day.point)
        self.marks, self.notes = validate.marks(day, self.supply)
        self.groups, found = registers.groups(day, self.limit)
        self.notes += found
        for k in day.edits:
            self.marks[k] = Mark("edited", True)
        self.good = {
            k: reading.wh
            for k, reading in enumerate(day.readings)
            if reading is not None and reading.wh is not None and self.marks[k] is None
        }
        self.wh = dict(day.edits)
        self.method = dict.fromkeys(day.edits, "edit")
        self.gap_of: dict[int, Gap] = {}
        self.inputs: dict[int, Mapping[str, Any]] = {}
        self._expected: Expectation | None = None

    def result(self) -> Result:
        totals = [self._group(group) for group in self.groups]
        self._leave_notes()
        values = tuple(self._value(k) for k in range(len(self.marks)))
        known = [total for total in totals if total is not None]
        total = sum(known) if len(known) == len(totals) else None
        return Result(self.day.day, values, total, tuple(self.notes), codes.RULES)

    @property
    def expected(self) -> Expectation:
        """Made when it is asked for: a day without faults never does."""
        if self._expected is None:
            self._expected = expect(self.day, self.good)
        return self._expected

    # --- one part of the day ----------------------------------------------------------

    def _group(self, group: registers.Group) -> int | None:
        """Settles the intervals of one total; gives that total if it is believed."""
        inside = range(group.first, group.end)
        total = group.total_wh
        if total is not None:
            total -= sum(self.wh[k] for k in inside if k in self.wh)
        self._confirm(inside, total)
        gaps = self._stale(inside, total)
        if total is not None:
            verdict = self._weigh(inside, total, gaps)
            if not verdict.solved:
                self._scale(inside, total)
                return group.total_wh
            if not verdict.register:
                total = None
                self._note("register-rejected", "the difference of the registers fits no values")
        if total is None:
            self._jumps(inside)
        for gap in gaps:
            self._fill(gap)
        open_ = tuple(self._open(inside))
        if open_:
            rest = None if total is None else self._rest(inside, total)
            self._fill(Gap(open_, rest))
        return None if total is None else group.total_wh

    def _open(self, inside: range, gaps: Sequence[Gap] = ()) -> list[int]:
        """Intervals without a value, but for those of the gaps."""
        taken = {k for gap in gaps for k in gap.intervals}
        return [k for k in inside if k not in self.good and k not in self.wh and k not in taken]

    def _rest(self, inside: range, total: int, gaps: Sequence[Gap] = ()) -> int:
        """What the total leaves for the intervals without a value; never quite below nothing."""
        held = sum(self.good[k] for k in inside if k in self.good)
        held += sum(self.wh[k] for k in inside if k in self.wh and k not in self.day.edits)
        return total - held - sum(gap.total_wh or 0 for gap in gaps)

    def _room(self, at: Sequence[int]) -> dict[int, int]:
        return {k: math.ceil(self.limit * self.supply[k]) for k in at}

    def _confirm(self, inside: range, total: int | None) -> None:
        """Values that are hard to believe stand if with them the day is right to the Wh."""
        soft = [k for k in inside if (mark := self.marks[k]) is not None and not mark.hard]
        if not soft or total is None:
            return
        readings = self.day.readings
        values = {k: reading.wh or 0 for k in soft if (reading := readings[k]) is not None}
        if any(k not in values for k in self._open(inside)):
            return
        if self._rest(inside, total) == sum(values.values()):
            for k, wh in values.items():
                mark = self.marks[k]
                assert mark is not None
                self._note("confirmed", f"interval {k}: {mark.reason}, but the registers agree")
                self.good[k] = wh
                self.marks[k] = None

    def _stale(self, inside: range, total: int | None) -> list[Gap]:
        """Repeated hours with what caught up after them; gaps whose sums are known by it."""
        gaps: list[Gap] = []
        for run in stale.runs(self.marks):
            if run[0] not in inside:
                continue
            run = tuple(k for k in run if k in inside and k not in self.wh)
            others = [k for k in self._open(inside, gaps) if k not in run]
            rest = None if total is None else self._rest(inside, total, gaps)
            gap, after = stale.caught_up(
                run, self.day.readings, self.good, self.expected, rest, others
            )
            if after is not None and after in inside:
                self._refuse({after: "catch-up"})
                if gap.total_wh is not None:
                    gaps.append(gap)
        return gaps

    def _weigh(self, inside: range, total: int, gaps: list[Gap]) -> Verdict:
        """Finds what else is wrong if the registers say so."""
        open_, rest = self._open(inside, gaps), self._rest(inside, total, gaps)
        room = self._room(inside)
        slack = 1 + _ROUNDINGS * _ROUNDING_WH * math.sqrt(len(inside))
        if not open_ and rest == 0:
            return Verdict()
        if (rest and -slack <= rest < 0) or (0 < rest <= slack and not any(room[k] for k in open_)):
            self._note("sum-rounding", f"the values miss {rest} Wh to the registers' difference")
            for k in open_:
                self.wh[k], self.method[k] = 0, "no-supply" if self.supply[k] <= 0 else "rest"
                self.gap_of[k] = Gap(tuple(open_), 0)
            return Verdict()
        good = {k: self.good[k] for k in inside if k in self.good}
        share = sum(good.values()) + rest
        if not self.expected.days and good and not any(good.values()) and not open_:
            # Without history nothing says which zeros are true: all are as the total is not.
            verdict = Verdict(tuple(k for k in good if self._expects(k)), "flat-zero")
        else:
            part = Part(share, good, tuple(open_), room, self.limit)
            verdict = reconcile(part, self.expected, np.array(self.supply))
        if gaps and (not verdict.solved or verdict.wrong):
            # Rather the hour after a repeated one has not caught up by just what it holds.
            gaps.clear()
            return self._weigh(inside, total, gaps)
        self._refuse(dict.fromkeys(verdict.wrong, verdict.reason))
        if verdict.reason == "scale":
            self._rescale(good, total)
        if not verdict.log:
            self._note("cut-contradicted", "the registers moved where the event log has no supply")
            for k in open_:
                self.supply[k] = 1.0
        return verdict

    def _expects(self, k: int) -> bool:
        """Whether some energy is due, as far as the sun alone can tell."""
        if self.day.point.kind != PRODUCTION:
            return True
        heights = calendar.sun_heights(self.day.day, self.day.point.resolution_min)
        return heights[k] > 0 or max(heights) <= 0

    def _rescale(self, values: Mapping[int, int], total: int) -> None:
        """All values are wrong by one factor: their shape is right, if it has digits enough."""
        if sum(values.values()) < _DIGITS * len(values):
            return
        gap = Gap(tuple(values), total)
        parts = apportion(total, [float(wh) for wh in values.values()], [self.limit] * len(values))
        for k, wh in zip(values, parts, strict=True):
            self.wh[k], self.method[k], self.gap_of[k] = wh, "own", gap
            self.inputs[k] = {"total_wh": total, "measured_wh": sum(values.values())}

    def _jumps(self, inside: range) -> None:
        good = {k: self.good[k] for k in inside if k in self.good}
        self._refuse(validate.jumps(self.day, good))

    def _refuse(self, wrong: Mapping[int, str]) -> None:
        for k, reason in wrong.items():
            del self.good[k]
            self.marks[k] = Mark(reason, True)
        if wrong:
            # What was wrong may not say what the day is like.
            self._expected = None

    # --- values -----------------------------------------------------------------------

    def _fill(self, gap: Gap) -> None:
        own = self._own(gap)
        if own is None:
            found = estimate(gap, self.good, self.expected, self.supply, self._room(gap.intervals))
        else:
            found = own
        inputs = self._inputs(gap, own is not None)
        for k, wh in found.items():
            self.wh[k], self.inputs[k], self.gap_of[k] = wh, inputs, gap
            if own is not None:
                self.method[k] = "own"
            elif self.supply[k] <= 0 and wh == 0:
                self.method[k] = "no-supply"
            else:
                self.method[k] = self.expected.source

    def _own(self, gap: Gap) -> dict[int, int] | None:
        """What the meter counted, if its marked values add up to what the registers leave."""
        if gap.total_wh is None:
            return None
        out = {}
        for k in gap.intervals:
            reading, mark = self.day.readings[k], self.marks[k]
            if reading is None or mark is None or mark.reason not in validate.OWN_COUNT:
                return None
            if reading.wh is None or not 0 <= reading.wh <= self.limit:
                return None
            out[k] = reading.wh
        return out if sum(out.values()) == gap.total_wh else None

    def _scale(self, inside: range, total: int) -> None:
        """Something is wrong and nobody knows what: all is temporary, brought to the sum."""
        open_ = tuple(self._open(inside))
        at = [k for k in inside if k not in self.day.edits]
        values = {k: self.good[k] for k in at if k in self.good}
        if open_:
            room = self._room(open_)
            values |= estimate(Gap(open_, None), self.good, self.expected, self.supply, room)
        parts = apportion(total, [float(values[k]) for k in at], [self.limit] * len(at))
        gap = Gap(tuple(at), total)
        inputs = {"total_wh": total, "measured_wh": sum(values.values())}
        self._note("sum-unresolved", f"no value explains {total - sum(values.values())} Wh")
        for k, wh in zip(at, parts, strict=True):
            self.wh[k], self.method[k] = wh, "scaled"
            self.gap_of[k], self.inputs[k] = gap, inputs
            self.marks[k] = self.marks[k] or Mark("unresolved", True)
            self.good.pop(k, None)

    def _inputs(self, gap: Gap, own: bool) -> dict[str, Any]:
        inputs: dict[str, Any] = {"intervals": list(gap.intervals), "total_wh": gap.total_wh}
        if not own:
            inputs["measured"] = len(self.good)
            inputs["history"] = [day.isoformat() for day in self.expected.days]
            if self.day.cuts:
                inputs["supply"] = [round(self.supply[k], 4) for k in gap.intervals]
            if self.expected.source != "history" and self.day.point.annual_kwh is not None:
                inputs["annual_kwh"] = self.day.point.annual_kwh
        return inputs

    def _value(self, k: int) -> Value:
        reading, mark = self.day.readings[k], self.marks[k]
        if k in self.good:
            return Value(self.good[k], codes.MEASURED, reading=reading, rules=codes.RULES)
        assert mark is not None
        return Value(
            self.wh[k],
            self._state(k),
            codes.validation_code(mark.reason),
            self._estimation(k),
            mark.reason,
            self.method[k],
            self.inputs.get(k),
            reading,
            codes.RULES,
        )

    def _state(self, k: int) -> str:
        method = self.method[k]
        if method == "scaled":
            return codes.TEMPORARY
        if method in ("edit", "no-supply"):
            return codes.FINAL
        gap = self.gap_of[k]
        if gap.total_wh is not None:
            # What may still come is a value that the way has lost, not one that is refused.
            may_come = self.day.collectable and any(
                self.day.readings[j] is None and self.supply[j] > 0 for j in gap.intervals
            )
            return codes.ESTIMATED if may_come else codes.FINAL
        if self.expected.source != "history" and not self.good:
            return codes.TEMPORARY
        return codes.ESTIMATED

    def _estimation(self, k: int) -> str:
        if self.method[k] in ("scaled", "edit"):
            return "E008"
        total = self.gap_of[k].total_wh is not None
        history = self.method[k] == "own" or self.expected.source == "history"
        supply = self.supply[k]
        if supply <= 0 and self.wh[k]:
            supply = 1.0
        return codes.estimation_code(total, history, supply, self.day.point.kind == PRODUCTION)

    # --- notes ------------------------------------------------------------------------

    def _note(self, name: str, text: str) -> None:
        self.notes.append(Note(name, text))

    def _leave_notes(self) -> None:
        _, odd = usable_history(self.day)
        if odd:
            dates = ", ".join(at.isoformat() for at in odd)
            self._note("history-ignored", f"days that do not fit their dates: {dates}")
        good = list(self.good.values())
        if good and not any(good) and len(good) == len(self.marks) and not self.day.cuts:
            past = [v for values in self.day.history.values() for v in values if v]
            if past:
                self._note("all-zero", "nothing all day: the main fuse may be off")
