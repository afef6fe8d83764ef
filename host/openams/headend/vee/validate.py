"""What is wrong with a value for itself: before registers and history are asked.

Two kinds of marks. `hard`: the value cannot stand, whatever the registers say (none there, less
than nothing, marked not valid by the meter, the snapshot of the hour before). `soft`: the value is
hard to believe, and stands only if the registers confirm the day to the Wh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from openams.headend.vee import calendar
from openams.headend.vee.limits import limit_wh, nominal_wh
from openams.headend.vee.model import PRODUCTION, Day, Note, Reading
from openams.headend.vee.profile import usable_history

# Names of firmware/ams/registers/profile.py and of collection. DNV of the IDIS profile status says
# that an entry is not for billing without validation.
# The last one is collection's: the meter's clock showed another time.
CLOCK_WRONG = "clock-wrong"
_HARD = ("data-not-valid", CLOCK_WRONG)
# The profile status of IDIS sets DNV with both of the first; the others tell why it is set. Alone,
# they leave a value that the registers confirm.
_SOFT = ("critical-error", "clock-invalid", "wrong-length", "energy-missing")
# What a good value may have: summer time, a clock that was set within the interval's boundaries, a
# supply that came back, a period that changed on a boundary.
_HARMLESS = ("dst", "clock-adjusted", "power-down", "period-changed")
STALE = "clock-not-advanced"
# Marks under which a value may still be what the meter counted in the interval.
OWN_COUNT = (_HARD[0], *_SOFT)

# A jump without registers to ask: so many times the highest of the history, at this share of the
# fuse, and alone.
_JUMP_TIMES, _JUMP_SHARE = 3.0, 0.4
_JUMP_TIMES_OF_DAY, _JUMP_SHARE_OF_DAY = 8.0, 0.6
_DARK = -0.1  # sine of the sun's height at the end of civil dusk
_DARK_SHARE = 0.02  # of what the fuse bears: less is no matter at night


class Mark(NamedTuple):
    reason: str
    hard: bool


def supply(day: Day) -> list[float]:
    """Share of each interval that had supply."""
    begins = calendar.starts(day.day, day.point.resolution_min)
    if not day.cuts:
        return [1.0] * len(begins)
    step = timedelta(minutes=day.point.resolution_min)
    end_of_day = begins[-1] + step
    cuts = _joined([(begin, end or end_of_day) for begin, end in day.cuts])
    out = []
    for begin in begins:
        off = sum(
            (max(min(cut[1], begin + step) - max(cut[0], begin), timedelta()) for cut in cuts),
            timedelta(),
        )
        out.append(1.0 - off / step)
    return out


def _joined(cuts: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    out: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(cuts):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((begin, end))
    return out


def stands(reading: Reading) -> bool:
    """Whether a reading has a value and no mark that takes it away."""
    return reading.wh is not None and reading.wh >= 0 and _of_status(reading.status) is None


def marks(day: Day, supplied: Sequence[float]) -> tuple[list[Mark | None], list[Note]]:
    """A mark for each interval that has one."""
    limit = limit_wh(day.point)
    notes: list[Note] = []
    out: list[Mark | None] = []
    unknown: set[str] = set()
    for k, reading in enumerate(day.readings):
        if reading is None or reading.wh is None:
            stale = reading is not None and STALE in reading.status
            reason = STALE if stale else "no-supply" if supplied[k] <= 0 else "missing"
            out.append(Mark(reason, True))
            continue
        unknown.update(set(reading.status) - {*_HARD, *_SOFT, *_HARMLESS, STALE})
        out.append(_of_status(reading.status) or _of_value(day, k, reading.wh, limit, supplied[k]))
    if unknown:
        notes.append(Note("status-unknown", f"left standing: {', '.join(sorted(unknown))}"))
    return out, notes


def _of_status(status: Sequence[str]) -> Mark | None:
    if STALE in status:
        return Mark(STALE, True)
    for names, hard in ((_HARD, True), (_SOFT, False)):
        for name in names:
            if name in status:
                return Mark(name, hard)
    return None


def _of_value(day: Day, k: int, wh: int, limit: int, supplied: float) -> Mark | None:
    if wh < 0:
        return Mark("negative", True)
    if wh > limit:
        return Mark("above-fuse", False)
    if wh and supplied <= 0:
        return Mark("energy-in-cut", False)
    other = day.opposite[k] if day.opposite else None
    # Both directions of one interval go through one fuse.
    if other is not None and other > 0 and wh + other > limit and wh >= other:
        return Mark("both-ways", False)
    return None


def jumps(day: Day, good: Mapping[int, int]) -> dict[int, str]:
    """Values that no register confirms and that the history makes hard to believe.

    Careful: a car that is loaded or an oven is no fault. Only what stands alone, far above all that
    the point ever had, near what the fuse bears.
    """
    nominal = nominal_wh(day.point)
    if all(wh <= _DARK_SHARE * nominal for wh in good.values()):
        return {}
    history, _ = usable_history(day)
    past = sorted(v for values in history.values() for v in values if v is not None)
    if past and len(history) >= 5:
        # The highest, but for what may be spikes themselves.
        usual = float(past[-1 - len(past) // 300])
        times, share = _JUMP_TIMES, _JUMP_SHARE
    else:
        today = sorted(good.values())
        usual = float(today[len(today) // 2]) if len(today) >= 6 else nominal
        times, share = _JUMP_TIMES_OF_DAY, _JUMP_SHARE_OF_DAY
    out = {}
    for k, wh in good.items():
        near = [good[j] for j in (k - 1, k + 1) if j in good]
        alone = all(other < wh / 3 for other in near)
        if wh > times * usual and wh > share * nominal and alone:
            out[k] = "jump"
    if day.point.kind == PRODUCTION and len(history) >= 7:
        out |= {k: "night-production" for k in _at_night(day, good, history, nominal)}
    return out


def _at_night(
    day: Day, good: Mapping[int, int], history: Mapping[date, Sequence[int | None]], nominal: float
) -> list[int]:
    """A roof that gives at night, whose history never did."""
    heights = calendar.sun_heights(day.day, day.point.resolution_min)
    dark = [k for k in good if heights[k] < _DARK and good[k] > _DARK_SHARE * nominal]
    if not dark:
        return []
    for at, values in history.items():
        lit = calendar.sun_heights(at, 15 if len(values) > 25 else 60)
        if any(value and height < _DARK for height, value in zip(lit, values, strict=True)):
            return []
    return dark
