"""Totals from register readings: which intervals they hold for, and whether they can be true."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from openams.headend.vee.calendar import starts
from openams.headend.vee.model import Day, Note


class Group(NamedTuple):
    """Intervals `first` up to and without `end` whose energy is `total_wh`, or is not known."""

    first: int
    end: int
    total_wh: int | None


class _Span(NamedTuple):
    begin: datetime
    end: datetime
    wh: int | None


def groups(day: Day, limit: int) -> tuple[list[Group], list[Note]]:
    """The day in as many parts as the readings allow, in order and without gaps.

    A reading inside an interval (a meter was changed at 10:17) parts nothing: what both meters
    counted is one total. `limit`: Wh that an interval can hold; a total above it is not believed.
    """
    times = starts(day.day, day.point.resolution_min)
    step = timedelta(minutes=day.point.resolution_min)
    notes: list[Note] = []
    day_end = times[-1] + step
    spans: list[_Span] = []
    for span in sorted(day.registers, key=lambda span: span.begin or times[0]):
        begin, end = span.begin or times[0], span.end or day_end
        most = limit * ((min(end, day_end) - max(begin, times[0])) // step + 2)
        moved = _moved(span.start_wh, span.end_wh, most, notes)
        # What was counted before or after the day as well is not of the day.
        inside = times[0] <= begin and end <= day_end
        spans.append(_Span(begin, end, moved if inside else None))
    edges = [0]
    for k, at in enumerate(times[1:], 1):
        touches = any(at in (span.begin, span.end) for span in spans)
        if touches and not any(span.begin < at < span.end for span in spans):
            edges.append(k)
    edges.append(len(times))
    return [
        _group(first, end, times[first], times[end - 1] + step, spans, limit, notes)
        for first, end in zip(edges, edges[1:], strict=False)
    ], notes


def _group(
    first: int,
    end: int,
    begin: datetime,
    until: datetime,
    spans: list[_Span],
    limit: int,
    notes: list[Note],
) -> Group:
    within = [span for span in spans if span.begin < until and span.end > begin]
    total = _total(within, begin, until)
    if total is not None and total > limit * (end - first):
        text = f"{total} Wh are more than the main fuse allows: a register is wrong"
        notes.append(Note("register-rejected", text))
        total = None
    return Group(first, end, total)


def _moved(start_wh: int | None, end_wh: int | None, most_wh: int, notes: list[Note]) -> int | None:
    """Difference of two readings; a register may have gone round between them."""
    if start_wh is None or end_wh is None:
        return None
    moved = end_wh - start_wh
    if moved >= 0:
        return moved
    # Registers turn over at a power of ten (display) or of two (memory).
    for size in (10 ** len(str(start_wh)), 1 << 32):
        if start_wh < size and moved + size <= most_wh:
            notes.append(Note("register-rollover", f"from {start_wh} over {size} to {end_wh} Wh"))
            return moved + size
    text = f"the register went back from {start_wh} to {end_wh} Wh: not believed"
    notes.append(Note("register-rejected", text))
    return None


def _total(spans: list[_Span], begin: datetime, until: datetime) -> int | None:
    """Sum of spans that cover a part of the day once; None where they leave or doubly hold time."""
    at, total = begin, 0
    for span in spans:
        if span.wh is None or span.begin != at or span.end > until:
            return None
        at, total = span.end, total + span.wh
    return total if at == until else None
