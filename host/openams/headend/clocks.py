"""When a meter's clock showed another time, by its log and by what it showed when it was read.

A clock that was set wrong gives good energy to wrong hours, and its registers of midnight are of
another moment: neither registers nor sums tell. Its log does: each step, and by how much. And so
does what it showed. Neither is ever all of it: a step may not have been read yet, or be lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from openams.headend.store.raw import Check, Event

OLD, NEW = 4, 5  # events: the clock was set, by the old time and by the new one
# So far off what it shows is another time, not the same one a little early or late.
WRONG_MS = 60_000
_EVER_MS = 1 << 50
# A log with more steps than that in some weeks is of no clock; nor one with so many, and others
# that are not in it.
_MOST, _MOST_DOUBTED = 64, 16
# What a time that was never shown weighs beside ms of a step that is missing.
_SURELY = 1000
# How much worse an order may be that is still thought of.
_DOUBT = 2


class Span(NamedTuple):
    """Of the meter's own time: both ends included."""

    begin_ms: int
    end_ms: int

    def touches(self, begin_ms: int, end_ms: int) -> bool:
        return begin_ms < self.end_ms and self.begin_ms < end_ms


_EVER = (Span(-_EVER_MS, _EVER_MS),)


class _Step(NamedTuple):
    old_ms: int
    new_ms: int
    by_ms: int
    got_ms: int  # when the log was read that tells of it, by true time


def wrong_spans(events: Iterable[Event], checks: Sequence[Check]) -> tuple[Span, ...]:
    """When the clock was wrong, by its own time; the steps there and back are part of it.

    Between two moments of which something is known (it was set, or read) it was wrong if either
    the last check before or the first one after says so, with the steps that lie between. Where
    they do not say the same, a step is missing in the log, and nobody knows when it was.
    """
    steps = _steps(events)
    if not steps and not any(abs(one.ahead_ms) >= WRONG_MS for one in checks):
        return ()
    if len(steps) > _MOST:
        return _EVER
    out: set[Span] = set()
    orders = _orders(steps, sorted(checks))
    if not orders:
        return _EVER
    for moments in orders:
        out.update(_wrong(moments, None if checks else 0))
    return tuple(sorted(out | set(_jumps(steps))))


_Moment = _Step | Check


def _wrong(moments: Sequence[_Moment], off_ms: int | None) -> Iterator[Span]:
    """`off_ms`: before all of them, None: not known. Who was never read was right."""
    before = _known(moments, off_ms, 1)
    after = _known(moments[::-1], None, -1)[::-1]
    # Where a stretch between two of them begins and ends, by the meter's own time.
    begins = [-_EVER_MS, *(_shown(one)[1] for one in moments)]
    ends = [*(_shown(one)[0] for one in moments), _EVER_MS]
    for begin, end, *offs in zip(begins, ends, before, after, strict=True):
        known = [off for off in offs if off is not None]
        if any(abs(off) >= WRONG_MS for off in known):
            # The meter's time may have gone back at its end: what is between is of both. And what
            # the two do not agree on was a step, at the begin, at the end or in between.
            by_ms = known[-1] - known[0] if len(known) > 1 else 0
            at = begin, end, begin + by_ms, end - by_ms
            yield Span(min(at), max(at))


def _shown(one: _Moment) -> tuple[int, int]:
    """What the clock showed right before and right after."""
    if isinstance(one, _Step):
        return one.old_ms, one.new_ms
    return (one.at_ms + one.ahead_ms,) * 2


def _known(moments: Iterable[_Moment], off_ms: int | None, sign: int) -> list[int | None]:
    """By how much the clock is ahead before each moment and after the last, if it was `off_ms`
    before all; None: not known. `sign` -1: the moments are told backwards."""
    out = [off_ms]
    for one in moments:
        if isinstance(one, Check):
            off_ms = one.ahead_ms
        elif off_ms is not None:
            off_ms += sign * one.by_ms
        out.append(off_ms)
    return out


def _orders(steps: Sequence[_Step], checks: Sequence[Check]) -> list[list[_Moment]]:
    """Orders in which steps and checks may have come, as their times do not tell: a meter's time
    may have been shown twice or never.

    The one that fits what was shown, and of several that in which the steps come early. Where none
    fits, as a step is missing, all that are about as likely; none if they are too many.
    """
    if not checks:
        return [list(steps)]
    firsts = range(len(steps), -1, -1)
    best, order = _in_order(steps, checks, firsts)
    if best < WRONG_MS:
        return [order]
    if len(steps) > _MOST_DOUBTED:
        return []
    ways = [_in_order(steps, checks, [first]) for first in firsts]
    return [order for cost, order in ways if cost <= _DOUBT * best]


def _in_order(
    steps: Sequence[_Step], checks: Sequence[Check], firsts: Sequence[int]
) -> tuple[float, list[_Moment]]:
    """The best order with as many steps before the first check as one of `firsts`, and what it
    costs: ms by which readings and steps do not say the same."""
    gone = list(accumulate((step.by_ms for step in steps), initial=0))
    # Before all of it the clock is held to have been right.
    costs: list[float] = [math.inf] * len(gone)
    for first in firsts:
        costs[first] = abs(checks[0].ahead_ms - gone[first]) + _outside(steps, first, checks[0])
    # By check after the first and by how many steps are before it: how many before the last one.
    places: list[list[int]] = []
    for was, check in pairwise(checks):
        moved = check.ahead_ms - was.ahead_ms
        new, from_ = [], []
        for n in range(len(gone)):
            ways = [(costs[m] + abs(moved - gone[n] + gone[m]), -m) for m in range(n + 1)]
            cost, m = min(ways)
            new.append(cost + _outside(steps, n, check))
            from_.append(-m)
        costs = new
        places.append(from_)
    n = min(range(len(gone)), key=lambda n: (costs[n], -n))
    cost, left, out = costs[n], len(steps), list[_Moment]()
    for check, from_ in zip(checks[:0:-1], reversed(places), strict=True):
        out += [*reversed(steps[n:left]), check]
        left, n = n, from_[n]
    out += [*reversed(steps[n:left]), checks[0], *reversed(steps[:n])]
    return cost, out[::-1]


def _outside(steps: Sequence[_Step], n: int, check: Check) -> int:
    """How far what was shown lies from the times that the clock had after `n` steps; weighed."""
    shown = check.at_ms + check.ahead_ms
    if n < len(steps) and steps[n].got_ms <= check.at_ms:
        return _EVER_MS  # it was in the log already
    early = steps[n - 1].new_ms - shown if n else 0
    late = shown - steps[n].old_ms if n < len(steps) else 0
    # A step that is not in the log is likelier than a time that was never shown.
    return _SURELY * max(0, early - WRONG_MS, late - WRONG_MS)


def _jumps(steps: Iterable[_Step]) -> list[Span]:
    """The intervals at a step have not their length; and what is told of a moment that was jumped
    over, as of a midnight, is of the jump."""
    return [
        Span(min(step.old_ms, step.new_ms) - 1, max(step.old_ms, step.new_ms) + 1)
        for step in steps
        if abs(step.by_ms) >= WRONG_MS
    ]


def _steps(events: Iterable[Event]) -> list[_Step]:
    """In the order of the log, whose numbers go on while times go back.

    Both events of a step say by how much: of two one may not be here, whose time lies in what was
    not asked for.
    """
    out: list[_Step] = []
    old: Event | None = None
    for one in sorted(events, key=lambda event: (event.number, event.at_ms)):
        if one.log != "standard" or one.code not in (OLD, NEW):
            continue
        if one.code == NEW and old is not None and old.number in (0, one.number - 1):
            by_ms = 1000 * one.detail if one.detail else one.at_ms - old.at_ms
            out.append(_Step(old.at_ms, one.at_ms, by_ms, min(old.got_ms, one.got_ms)))
            old = None
            continue
        out += _half(old)
        old = one if one.code == OLD else None
        if old is None:
            out += _half(one)
    out += _half(old)
    return [step for step in out if abs(step.by_ms) >= WRONG_MS // 2]


def _half(one: Event | None) -> list[_Step]:
    """A step of which one event is here."""
    if one is None or not one.detail:
        return []
    by_ms = 1000 * one.detail
    if one.code == OLD:
        return [_Step(one.at_ms, one.at_ms + by_ms, by_ms, one.got_ms)]
    return [_Step(one.at_ms - by_ms, one.at_ms, by_ms, one.got_ms)]
