"""Estimates of the intervals of one gap: shape, supply, and a sum that is right to the Wh."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from openams.headend.vee.predict import predict, to_total
from openams.headend.vee.profile import Expectation


class Gap(NamedTuple):
    """Intervals that share one total, in order; `total_wh` None: not known."""

    intervals: tuple[int, ...]
    total_wh: int | None


def estimate(
    gap: Gap,
    good: Mapping[int, int],
    expected: Expectation,
    supply: Sequence[float],
    room: Mapping[int, int],
) -> dict[int, int]:
    """Wh of each interval of the gap; `room`: what each can hold."""
    at = gap.intervals
    share = np.array(supply)
    # An interval that had supply for a quarter of its time has a quarter of what is expected.
    scaled = expected.scaled(share)
    known = {k: wh for k, wh in good.items() if supply[k] > 0}
    centre = scaled.middle if gap.total_wh is None else scaled.mean
    mean, covariance = predict(scaled, known, at, centre)
    mean = np.where(share[list(at)] > 0, mean, 0.0)
    rooms = [room[k] for k in at]
    if gap.total_wh is None:
        return {
            k: min(round(float(value)), most)
            for k, value, most in zip(at, mean, rooms, strict=True)
        }
    mean = to_total(mean, covariance, gap.total_wh)
    if not mean.sum() > 0:
        mean = np.array([supply[k] for k in at])
    parts = apportion(gap.total_wh, [float(value) for value in mean], rooms)
    return dict(zip(at, parts, strict=True))


def apportion(total: int, weights: Sequence[float], most: Sequence[int]) -> list[int]:
    """`total` in whole parts, in proportion to the weights, none above its `most` if that can be.

    The largest remainders are rounded up, the earlier of equal ones first.
    """
    if sum(most) < total:
        most = [total] * len(most)
    parts = [0] * len(most)
    left = total
    free = [k for k in range(len(most)) if most[k] > 0]
    while left > 0 and free:
        whole = _proportion(left, [max(weights[k], 0.0) for k in free])
        full = [k for k, part in zip(free, whole, strict=True) if parts[k] + part >= most[k]]
        if not any(parts[k] + part > most[k] for k, part in zip(free, whole, strict=True)):
            for k, part in zip(free, whole, strict=True):
                parts[k] += part
            return parts
        for k in full:
            left -= most[k] - parts[k]
            parts[k] = most[k]
        free = [k for k in free if k not in full]
    return parts


def _proportion(total: int, weights: Sequence[float]) -> list[int]:
    whole = sum(weights)
    if not (math.isfinite(whole) and whole > 0):
        weights, whole = [1.0] * len(weights), float(len(weights))
    exact = [total * weight / whole for weight in weights]
    parts = [math.floor(value) for value in exact]
    missing = total - sum(parts)
    order = sorted(range(len(parts)), key=lambda k: (parts[k] - exact[k], k))
    # Of very large totals floats may be off by more than one in all.
    step = 1 if missing > 0 else -1
    while missing:
        for k in order:
            if missing and parts[k] + step >= 0:
                parts[k] += step
                missing -= step
    return parts
