"""What an interval is expected to hold: mean, spread and how deviations go together.

From the point's history: days weigh by kind of day, age, weekday, and how like the measured part
of the day they are; odd values are cut to what the others say. Deviations from that profile go
together: all of a day is high or low, and neighbours more so. How much, is taken from the history
too. So the measured rest of a day says much of its gap (linear prediction, "kriging").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from openams.headend.vee import calendar
from openams.headend.vee.model import PRODUCTION, Day

Floats = npt.NDArray[np.float64]

# Days of this kind by days of that: workday, Saturday, rest.
_KIND = np.array([[1.0, 0.1, 0.05], [0.1, 1.0, 0.5], [0.05, 0.5, 1.0]])
_HALF_LIFE_DAYS = 21.0
_SAME_WEEKDAY = 1.1
_LIKENESS = 0.6
_MOST_DAYS = 70
# Of a household in Norway by local hour, about its mean: for who has no history.
STANDARD_DAY = (
    0.78, 0.72, 0.69, 0.68, 0.70, 0.78, 0.98, 1.18, 1.15, 1.05, 1.00, 0.98,
    0.97, 0.95, 0.95, 1.02, 1.15, 1.27, 1.30, 1.28, 1.22, 1.15, 1.03, 0.90,
)  # fmt: skip
_BROAD = 0.5  # spread of one interval about a profile that is not the point's own
# Share of a deviation that is all the day's, the neighbours', and how that fades by the hour:
# before a history says so.
_DAY_SHARE, _NEAR_SHARE, _FADE = 0.2, 0.4, 0.6
# And shares of zeros and of equal neighbours.
_ZEROS, _EQUAL = 0.05, 0.05


@dataclass(frozen=True)
class Expectation:
    """Of each interval of the day; arrays as long as it."""

    mean: Floats  # where the total is known
    middle: Floats  # where it is not: between mean and median, as a gap has no spikes
    spread: Floats  # standard deviation
    alike: Floats  # correlation of deviations, n x n
    zeros: Floats  # share of zeros
    equal: float  # share of values, not zero, that are the same as the one before
    days: tuple[date, ...]  # of the history, that weigh in; none: a standard profile
    source: str  # history, standard, sun, level

    def scaled(self, supply: Floats) -> Expectation:
        """With supply for a share of each interval alone."""
        return Expectation(
            self.mean * supply, self.middle * supply, self.spread * supply,
            self.alike, self.zeros, self.equal, self.days, self.source,
        )  # fmt: skip


def expect(day: Day, good: Mapping[int, int]) -> Expectation:
    """Of the day whose intervals `good` are measured; the wider the less is known."""
    table, dates = _table(day)
    if dates:
        return _of_history(day, good, table, dates)
    return _of_shape(day, good)


def usable_history(day: Day) -> tuple[dict[date, Sequence[int | None]], list[date]]:
    """History by date as far as it fits its days; and the dates that do not."""
    fit: dict[date, Sequence[int | None]] = {}
    odd = []
    for date_, values in sorted(day.history.items()):
        if date_ == day.day:
            continue
        if any(len(values) == len(calendar.starts(date_, r)) for r in (60, 15)):
            if any(value is not None and value >= 0 for value in values):
                fit[date_] = values
        else:
            odd.append(date_)
    return fit, odd


def _table(day: Day) -> tuple[Floats, tuple[date, ...]]:
    """History as days x intervals of this day, by local time of day; NaN where nothing is."""
    fit, _ = usable_history(day)
    nearest = sorted(fit, key=lambda at: (abs((at - day.day).days), at))[:_MOST_DAYS]
    resolution = day.point.resolution_min
    wanted = calendar.minutes(day.day, resolution)
    rows = []
    for at in nearest:
        values = fit[at]
        own = 60 if len(values) == len(calendar.starts(at, 60)) else 15
        by_time = _by_time(values, calendar.minutes(at, own), own, resolution)
        rows.append([by_time.get(minute, np.nan) for minute in wanted])
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(wanted))
    kept = [k for k in range(len(nearest)) if not np.isnan(table[k]).all()]
    return table[kept], tuple(nearest[k] for k in kept)


def _by_time(
    values: Sequence[int | None], at: Sequence[int], own: int, wanted: int
) -> dict[int, float]:
    """Values by local minute of the day, in the wanted resolution; a doubled hour is its mean."""
    found: dict[int, list[float]] = {}
    for minute, value in zip(at, values, strict=True):
        if value is not None and value >= 0:
            found.setdefault(minute, []).append(float(value))
    means = {minute: sum(some) / len(some) for minute, some in found.items()}
    if own == wanted:
        return means
    if own > wanted:  # an hour as four quarters
        return {
            minute + k: value / (own // wanted)
            for minute, value in means.items()
            for k in range(0, own, wanted)
        }
    hours: dict[int, list[float]] = {}
    for minute, mean in means.items():
        hours.setdefault(minute - minute % wanted, []).append(mean)
    return {at: sum(some) for at, some in hours.items() if len(some) == wanted // own}


def _of_history(
    day: Day, good: Mapping[int, int], table: Floats, dates: tuple[date, ...]
) -> Expectation:
    n = table.shape[1]
    per_hour = 60 // day.point.resolution_min
    weight = _day_weights(day, dates)
    weight = weight * _likeness(table, good, per_hour)
    seen = ~np.isnan(table)
    weights = weight[:, None] * seen
    values = np.where(seen, table, 0.0)
    # A time of day that no weighing day has: what the day has on average.
    empty = weights.sum(axis=0) <= 0
    if empty.any():
        weights[:, empty] = weight[:, None]
        day_mean = values.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        values[:, empty] = day_mean[:, None]
    weights = weights / weights.sum(axis=0)
    median = _quantile(values, weights, 0.5)
    values = _without_odd(values, weights, median)
    mean = (weights * values).sum(axis=0)
    overall = max(float(mean.mean()), 1.0)
    off = np.where(weights > 0, values - mean, 0.0)
    days = 1.0 / float((weight / weight.sum()) @ (weight / weight.sum()))  # that count, in effect
    variance = (weights * off**2).sum(axis=0)
    guess = (_BROAD * 0.7 * mean + 0.05 * overall) ** 2
    spread = np.sqrt((days * variance + 2.0 * guess) / (days + 2.0))
    spread = np.maximum(spread, 0.08 * mean + 0.02 * overall)
    middle = mean if day.point.kind == PRODUCTION else 0.4 * mean + 0.6 * median
    alike = _correlation(off / spread, weight / weight.sum(), days, per_hour, n)
    used = tuple(sorted(at for at, w in zip(dates, weight, strict=True) if w > 1e-3 * weight.max()))
    zeros = (weights * (values == 0)).sum(axis=0)
    same = (table[:, 1:] == table[:, :-1]) & (table[:, 1:] > 0)
    equal = float(same.mean()) if same.size else 0.0
    return Expectation(mean, middle, spread, alike, zeros, equal, used, "history")


def _day_weights(day: Day, dates: tuple[date, ...]) -> Floats:
    kind = calendar.kind_of(day.day)
    out = []
    for at in dates:
        apart = abs((at - day.day).days)
        weight = _KIND[kind, calendar.kind_of(at)] * 0.5 ** (apart / _HALF_LIFE_DAYS)
        out.append(weight * (_SAME_WEEKDAY if apart % 7 == 0 else 1.0))
    return np.array(out, dtype=np.float64)


def _likeness(table: Floats, good: Mapping[int, int], per_hour: int) -> Floats:
    """Days that are like the measured part of this one weigh more; 1 each without enough of it."""
    if len(good) < 4 * per_hour:
        return np.ones(len(table))
    at = sorted(good)
    off = np.abs(table[:, at] - np.array([good[k] for k in at], dtype=np.float64))
    seen = ~np.isnan(off)
    counts = seen.sum(axis=1)
    if not counts.any():
        return np.ones(len(table))
    # One wrong value may not make a day unlike all others.
    high = 4 * float(np.median(off[seen])) + 1.0
    sums = np.where(seen, np.minimum(np.where(seen, off, 0.0), high), 0.0).sum(axis=1)
    apart = np.where(counts > 0, sums / np.maximum(counts, 1), high)
    apart = apart / (apart.min() + 0.25 * float(np.median(apart)) + 1e-9)
    share = min(1.0, len(at) / (12 * per_hour))
    likeness: Floats = np.exp(-_LIKENESS * share * apart) + 1e-9
    return likeness


def _quantile(values: Floats, weights: Floats, share: float) -> Floats:
    """Weighted quantile of each column."""
    order = np.argsort(values, axis=0, kind="stable")
    summed = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    first = (summed >= share - 1e-12).argmax(axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    found: Floats = np.take_along_axis(ordered, first[None], axis=0)[0]
    return found


def _without_odd(values: Floats, weights: Floats, median: Floats) -> Floats:
    """Values no further from the median than four of the usual deviation; where it is 0: all."""
    usual = 1.48 * _quantile(np.abs(values - median), weights, 0.5)
    reach = 4 * (usual + 0.1 * median + 0.05 * float(median.mean()))
    return np.where(median > 0, np.clip(values, median - reach, median + reach), values)


def _correlation(off: Floats, weight: Floats, days: float, per_hour: int, n: int) -> Floats:
    """Of deviations that lie so far apart: one share is the day's, one fades with distance."""
    off = np.clip(off, -3.0, 3.0)

    def at_lag(lag: int, default: float) -> float:
        if lag >= n:
            return default
        found = float((weight @ (off[:, lag:] * off[:, : n - lag])).mean() / power)
        return (days * found + 3.0 * default) / (days + 3.0)

    power = max(float((weight @ off**2).mean()), 1e-9)
    fade = _FADE ** (1 / per_hour)
    far = [at_lag(lag, _DAY_SHARE) for lag in range(6 * per_hour, 12 * per_hour, per_hour)]
    share = min(max(sum(far) / len(far), 0.02), 0.9)
    near = at_lag(1, _DAY_SHARE + _NEAR_SHARE) - share
    second = at_lag(2, _DAY_SHARE + _NEAR_SHARE * fade) - share
    if near > 0.05:
        fade = min(max(second / near, 0.1), 0.97)
    near = min(max(near, 0.0), 0.95 - share)
    # With what fades faster than this there is no such process.
    fade = max(fade, near / (0.97 * (1 - share)))
    return _matrix(n, share, near, fade)


def _matrix(n: int, share: float, near: float, fade: float) -> Floats:
    lag = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    alike: Floats = np.where(lag == 0, 1.0, share + near * fade ** (lag - 1.0))
    return alike


def _of_shape(day: Day, good: Mapping[int, int]) -> Expectation:
    """Without history: a standard shape at the level of what is measured."""
    resolution = day.point.resolution_min
    n = len(day.readings)
    shape, source = _standard(day, good)
    known = sorted(good)
    lit = [k for k in known if shape[k] > 0]
    if lit and sum(good[k] for k in lit) > 0:
        level = sum(good[k] for k in lit) / float(shape[lit].sum())
    elif day.point.annual_kwh is not None:
        level = day.point.annual_kwh * 1000 / (365.25 * 24) * resolution / 60
    else:
        # The shape alone, that rounds to nothing, where nothing is the best guess.
        nothing = bool(known) or day.point.kind == PRODUCTION
        level = 1e-3 if nothing else DEFAULT_W * resolution / 60
    mean = shape * level
    spread = _BROAD * mean + 0.1 * float(mean.mean())
    per_hour = 60 // resolution
    alike = _matrix(n, _DAY_SHARE, 0.6, 0.8 ** (1 / per_hour))
    return Expectation(mean, mean, spread, alike, np.full(n, _ZEROS), _EQUAL, (), source)


# Mean power of a Norwegian household, about 16 000 kWh a year, where nothing at all is known.
DEFAULT_W = 1800.0


def _standard(day: Day, good: Mapping[int, int]) -> tuple[Floats, str]:
    """Of mean 1: the sun's height for what looks like a roof, else a household's day."""
    resolution = day.point.resolution_min
    if day.point.kind == PRODUCTION:
        heights = np.array(calendar.sun_heights(day.day, resolution))
        dark = [good[k] for k in good if heights[k] < -0.1]
        if not any(dark) and (heights > 0).any():
            shape = np.maximum(heights, 0.0) ** 1.3
            return shape / shape.mean(), "sun"
        return np.ones(len(heights)), "level"
    shape = np.array(
        [STANDARD_DAY[minute // 60] for minute in calendar.minutes(day.day, resolution)]
    )
    return shape / shape.mean(), "standard"
