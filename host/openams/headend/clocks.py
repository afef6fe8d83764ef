"""When a meter's clock showed another time, by its log and by what it showed when it was read.

A clock that was set wrong gives good energy to wrong hours, and its registers of midnight are of
another moment: neither registers nor sums tell. Its log does: each step, and by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from openams.headend.store.raw import Check, Event

OLD, NEW = 4, 5  # events: the clock was set, by the old time and by the new one
# So far off what it shows is another time, not the same one a little early or late.
WRONG_MS = 60_000
_EVER_MS = 1 << 50


class Span(NamedTuple):
    """Of the meter's own time: both ends included."""

    begin_ms: int
    end_ms: int

    def touches(self, begin_ms: int, end_ms: int) -> bool:
        return begin_ms < self.end_ms and self.begin_ms < end_ms


class _Step(NamedTuple):
    old_ms: int
    new_ms: int
    by_ms: int


def wrong_spans(events: Iterable[Event], checks: Sequence[Check]) -> tuple[Span, ...]:
    """When the clock was wrong, by its own time; the steps there and back are part of it.

    The last check says how the clock stood after the last step that is known, the first one how it
    stood before the first; what either says is wrong is.
    """
    steps = _steps(events)
    if not steps and not any(abs(one.ahead_ms) >= WRONG_MS for one in checks):
        return ()
    checks = sorted(checks)
    edges = [-_EVER_MS, *(step.new_ms for step in steps)]
    ends = [*(step.old_ms for step in steps), _EVER_MS]
    wrong = [False] * len(edges)
    if checks:
        off = checks[-1].ahead_ms
        for k in range(len(edges) - 1, -1, -1):
            wrong[k] |= abs(off) >= WRONG_MS
            off -= steps[k - 1].by_ms if k else 0
        before = [one for one in checks if not steps or one.at_ms < steps[0].old_ms]
        off = before[-1].ahead_ms if before else 0
        for k in range(len(edges) if before else 0):
            off += steps[k - 1].by_ms if k else 0
            wrong[k] |= abs(off) >= WRONG_MS
        if not steps:
            # Since it was last right; nobody knows when after that.
            right = [one.at_ms for one in checks if abs(one.ahead_ms) < WRONG_MS]
            back = checks[-1].at_ms if abs(checks[-1].ahead_ms) < WRONG_MS else _EVER_MS
            edges, ends = [max([one for one in right if one < back], default=-_EVER_MS)], [back]
    out = []
    for bad, begin, end in zip(wrong, edges, ends, strict=True):
        if bad:
            # The meter's time may have gone back at its end: what is between is of both.
            out.append(Span(min(begin, end), max(begin, end)))
    return tuple(out + _jumps(steps))


def _jumps(steps: Iterable[_Step]) -> list[Span]:
    """The intervals at a step have not their length."""
    out = []
    for step in steps:
        if abs(step.by_ms) >= WRONG_MS:
            out += [Span(at - 1, at + 1) for at in (step.old_ms, step.new_ms)]
    return out


def _steps(events: Iterable[Event]) -> list[_Step]:
    """In the order of the log, whose numbers go on while times go back."""
    out = []
    old: int | None = None
    for one in sorted(events, key=lambda event: (event.number, event.at_ms)):
        if one.log != "standard":
            continue
        if one.code == OLD:
            old = one.at_ms
        elif one.code == NEW and old is not None:
            by_ms = 1000 * one.detail if one.detail else one.at_ms - old
            if abs(by_ms) >= WRONG_MS // 2:
                out.append(_Step(old, one.at_ms, by_ms))
            old = None
    return out
