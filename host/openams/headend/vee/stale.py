"""Hours whose snapshot is that of the hour before: the clock in it did not advance.

Field case (Aidon): register and clock of the hour before come once more, so the hour has nothing
and the next has both. The sum is right, no value is too high: only the clock tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from openams.headend.vee.estimate import Gap
from openams.headend.vee.model import Reading
from openams.headend.vee.profile import Expectation
from openams.headend.vee.validate import STALE, Mark

# That the hour after has both is what happens, where the repeated hour has nothing.
_USUAL = 4.0
_ONE_MORE = 0.7  # what one more value costs that is as expected


class CatchUp(NamedTuple):
    """A stretch of repeated hours and the interval after it, if that has the energy of all."""

    gap: Gap
    next_: int | None


def runs(marks: Sequence[Mark | None]) -> list[tuple[int, ...]]:
    """Stretches of intervals with a snapshot that did not advance."""
    out: list[list[int]] = []
    for k, mark in enumerate(marks):
        if mark is None or mark.reason != STALE:
            continue
        if out and out[-1][-1] == k - 1:
            out[-1].append(k)
        else:
            out.append([k])
    return [tuple(run) for run in out]


def caught_up(
    run: tuple[int, ...],
    readings: Sequence[Reading | None],
    good: Mapping[int, int],
    expected: Expectation,
    rest_wh: int | None,
    other_open: Sequence[int],
) -> CatchUp:
    """Whether the interval after `run` holds the run's energy too.

    `rest_wh`: what the registers leave for the run and the intervals `other_open`, None: not known.
    """
    after = run[-1] + 1
    if after not in good:
        return CatchUp(Gap(run, None), None)
    held = [reading.wh or 0 for k in run if (reading := readings[k]) is not None]
    empty = not any(held)
    if empty and rest_wh is not None and not other_open:
        # The registers know: what stands is all, or the run has something of its own.
        return _both(run, after, good) if rest_wh == 0 else CatchUp(Gap(run, None), None)
    alone = _cost(expected, [after], good[after])
    both = _cost(expected, [*run, after], good[after])
    if rest_wh is not None:
        open_ = [*run, *other_open]
        alone += _cost(expected, open_, rest_wh)
        both = _cost(expected, [*open_, after], rest_wh + good[after])
    # A row that came twice has the value of the hour before; the next has its own.
    both += _ONE_MORE if empty else _ONE_MORE + _USUAL
    alone += _USUAL if empty else 0.0
    if alone < both:
        return CatchUp(Gap(run, None), None)
    return _both(run, after, good) if empty else CatchUp(Gap((*run, after), None), after)


def _both(run: tuple[int, ...], after: int, good: Mapping[int, int]) -> CatchUp:
    """The register stood still through the run: what is after it is the energy of all."""
    return CatchUp(Gap((*run, after), good[after]), after)


def _cost(expected: Expectation, at: Sequence[int], wh: int) -> float:
    if wh < 0:
        return math.inf
    places = np.array(at, dtype=np.intp)
    wide = np.maximum(expected.spread[places], 1.0)
    variance = float(wide @ expected.alike[np.ix_(places, places)] @ wide)
    off = (wh - float(expected.mean[places].sum())) / math.sqrt(max(variance, 1.0))
    return 2.0 * math.log1p(off * off / 3.0)
