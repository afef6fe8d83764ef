"""Linear prediction: what the measured rest of a day says of its gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from openams.headend.vee.profile import Expectation, Floats

# Of an interval's own deviation that says nothing of others.
_OWN = 0.05
# One odd value says no more than this many deviations.
_MOST = 3.0


def predict(
    expected: Expectation, good: Mapping[int, int], gap: Sequence[int], centre: Floats
) -> tuple[Floats, Floats]:
    """Mean and covariance of the intervals `gap`, given the measured ones, about `centre`."""
    wide = np.maximum(expected.spread, 1e-6)
    missing = np.array(gap, dtype=np.intp)
    covariance = expected.alike * wide[:, None] * wide[None, :]
    known = np.array([k for k in sorted(good) if expected.spread[k] > 0], dtype=np.intp)
    mean = centre[missing].copy()
    spread = covariance[np.ix_(missing, missing)]
    if len(known) == 0:
        return mean, spread
    off = np.array([good[int(k)] for k in known]) - centre[known]
    off = np.clip(off, -_MOST * wide[known], _MOST * wide[known])
    across = covariance[np.ix_(known, missing)]
    inner = covariance[np.ix_(known, known)] + np.diag(_OWN * wide[known] ** 2)
    solved = np.linalg.solve(inner, np.column_stack([off, across]))
    mean = np.maximum(mean + across.T @ solved[:, 0], 0.0)
    spread = spread - across.T @ solved[:, 1:]
    return mean, (spread + spread.T) / 2


def of_others(expected: Expectation, good: Mapping[int, int]) -> dict[int, tuple[float, float]]:
    """Of each measured interval what all the others let expect: mean and spread."""
    known = np.array([k for k in sorted(good) if expected.spread[k] > 0], dtype=np.intp)
    if len(known) == 0:
        return {}
    wide = np.maximum(expected.spread[known], 1e-6)
    covariance = expected.alike[np.ix_(known, known)] * wide[:, None] * wide[None, :]
    inverse = np.linalg.inv(covariance + np.diag(_OWN * wide**2))
    off = np.array([good[int(k)] for k in known]) - expected.mean[known]
    clipped = np.clip(off, -_MOST * wide, _MOST * wide)
    variance = 1.0 / np.diag(inverse)
    # Leaving one out needs no new system: its own part of the solution says it.
    mean = expected.mean[known] + clipped - (inverse @ clipped) * variance
    return {
        int(k): (max(float(m), 0.0), float(v) ** 0.5)
        for k, m, v in zip(known, mean, variance, strict=True)
    }


def to_total(mean: Floats, covariance: Floats, total_wh: float) -> Floats:
    """The mean, brought to a sum: most where least is known, and in proportion to what is there."""
    mean = np.maximum(mean, 0.0)
    for _ in range(8):
        off = total_wh - float(mean.sum())
        if abs(off) < 0.5:
            break
        free = (mean > 0) | (off > 0)
        unsure = np.maximum(covariance.sum(axis=1), 0.0) * free
        level = mean.sum()
        share = unsure / unsure.sum() if unsure.sum() > 0 else np.zeros(len(mean))
        if level > 0:
            share = 0.75 * share + 0.25 * mean / level if unsure.sum() > 0 else mean / level
        if share.sum() <= 0:
            break
        mean = np.maximum(mean + off * share, 0.0)
    return mean
