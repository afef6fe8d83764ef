"""Which values are wrong where the registers say that some are.

The difference of the registers is the truth of a day's sum. Where the values that stand do not
leave a believable rest for those that do not, explanations are weighed: nothing more is wrong, one
value is, a stretch of zeros is, all high ones are, the event log is. Each costs what is unlikely in
it: a value far from what is expected, a rest far from what is expected of it, a fault of the meter
or the way. A value goes only if that explains clearly more than leaving it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from openams.headend.vee.predict import of_others, predict
from openams.headend.vee.profile import Expectation, Floats

# Costs are negative logarithms of likelihoods.
_FAULT = 6.0  # one value, or one stretch of values, is wrong
_ONE_MORE = 0.7  # each value that is lost to an explanation: what a right value costs on average
_WRONG_REGISTER = 12.0
_WRONG_LOG = 8.0
_WRONG_UNIT = 12.0
_SURE = 0.98  # how much more likely an explanation must be than leaving all as it is
_LIKELY = 0.6  # the same where something must be wrong
_LEAST = 0.4  # of what is expected: less is no energy that was lost as zeros
_PAIRS_OF = 8
_FAR = 3.0  # spreads
_SOME_ZEROS, _MOST_ZEROS = 0.1, 0.5  # of the history at that time of day
_SCALE = 3.0  # a unit or a transformer's ratio is wrong by more than this
_RARE = 0.003  # of all values, that a history without any may still have


@dataclass(frozen=True)
class Part:
    """A part of the day with one known total."""

    total_wh: int
    good: Mapping[int, int]  # interval: Wh, of those that stand
    open: tuple[int, ...]  # intervals that are to be estimated anyhow
    room: Mapping[int, int]  # Wh that each interval can hold; 0 without supply
    limit: int  # Wh that an interval can hold with supply


@dataclass(frozen=True)
class Verdict:
    wrong: tuple[int, ...] = ()
    reason: str = "sum"
    register: bool = True  # whether the total is believed
    log: bool = True  # whether the event log's cuts are
    solved: bool = True


def reconcile(part: Part, expected: Expectation, supply: Floats) -> Verdict:
    """The explanation that holds, or none that does (`solved` False)."""
    rest = part.total_wh - sum(part.good.values())
    room = sum(part.room[k] for k in part.open)
    possible = 0 <= rest <= room and (bool(part.open) or rest == 0)
    if rest == 0:
        # What stands is all that the register moved: nothing of it is wrong.
        return Verdict()
    weigher = _Weigher(part, expected, supply)
    costs = {verdict: weigher.cost(verdict) for verdict in _explanations(part, weigher, possible)}
    tried = {verdict: cost for verdict, cost in costs.items() if math.isfinite(cost)}
    if not tried:
        return Verdict(solved=False)
    best = min(tried, key=lambda verdict: (tried[verdict], len(verdict.wrong), verdict.wrong))
    lowest = tried[best]
    # Of the same size and cost, explanations are as likely as each other.
    all_of = sum(math.exp(lowest - cost) for cost in tried.values())
    leaving = Verdict()
    if possible and leaving in tried:
        over = math.exp(lowest - tried[leaving])
        return best if best == leaving or 1 / (1 + over) >= _SURE else leaving
    return best if 1 / all_of >= _LIKELY else Verdict(solved=False)


def _explanations(part: Part, weigher: _Weigher, possible: bool) -> Iterable[Verdict]:
    """What may be wrong; where the registers do not contradict (`possible`), much less may."""
    good = sorted(part.good)
    yield Verdict()
    if possible and not weigher.history:
        return
    # Zeros where the history has some energy; where it mostly has none they are as they should be.
    few = _SOME_ZEROS if possible else _MOST_ZEROS
    zeros = [k for k in good if part.good[k] == 0 and weigher.zeros[k] < few]
    for wrong in _distinct([zeros, *_runs(zeros)]):
        yield Verdict(wrong, "flat-zero")
    for k in good:
        if not possible or weigher.off(k) > _FAR:
            yield Verdict((k,), "sum")
    if possible:
        return
    yield Verdict(register=False)
    if not part.open and sum(part.good.values()) > 0:
        times = part.total_wh / sum(part.good.values())
        if times > _SCALE or times * _SCALE < 1:
            yield Verdict(tuple(good), "scale")
    if any(part.room[k] < part.limit for k in part.open):
        yield Verdict(log=False)
    yield from (Verdict(run, "repeated") for run in _distinct(_same(part.good)))
    # Several odd values, each for itself.
    high = [k for k in good if weigher.off(k) > _FAR]
    low = [k for k in good if weigher.off(k) < -_FAR]
    far = sorted(good, key=lambda k: (-abs(weigher.off(k)), k))[:_PAIRS_OF]
    many = [high, low, *map(sorted, combinations(far, 2))]
    yield from (Verdict(wrong, "sum") for wrong in _distinct(many) if len(wrong) > 1)


def _distinct(sets: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    return list(dict.fromkeys(tuple(some) for some in sets if some))


class _Weigher:
    """Costs of explanations of one part."""

    def __init__(self, part: Part, expected: Expectation, supply: Floats) -> None:
        self.part = part
        self.supplied, self.usual = expected.scaled(supply), expected
        self.others = of_others(self.supplied, part.good)
        self.history = bool(expected.days)
        self.zeros = expected.zeros
        self.equal = expected.equal

    def off(self, k: int) -> float:
        """How many spreads a value lies from what the others let expect."""
        mean, spread = self.others.get(k, (0.0, 1.0))
        return (self.part.good[k] - mean) / max(spread, 1.0)

    def cost(self, verdict: Verdict) -> float:
        part = self.part
        wrong = set(verdict.wrong)
        standing = [k for k in part.good if k not in wrong]
        cost = sum(self._unlikely_value(k) for k in standing)
        if not verdict.register:
            return cost + _WRONG_REGISTER
        rest = part.total_wh - sum(part.good[k] for k in standing)
        missing = sorted({*part.open, *wrong})
        room = sum(part.room[k] if verdict.log else part.limit for k in missing)
        if not 0 <= rest <= room or (not missing and rest):
            return math.inf
        if not verdict.log:
            cost += _WRONG_LOG
        if not missing:
            return cost
        mean, spread = self._rest_of(missing, standing, verdict.log)
        off = abs(rest - mean) / spread
        if wrong:
            # Zeros that were energy leave a rest that is some; and what is wrong, if it is, has
            # kept the rest from what is expected.
            little = rest < _LEAST * mean and any(part.good[k] for k in standing)
            little = little and verdict.reason == "flat-zero"
            if little or off >= self._off_if_all_stands:
                return math.inf
            cost += self._fault(verdict)
        return cost + _unlikely(off)

    @cached_property
    def _off_if_all_stands(self) -> float:
        if not self.part.open:
            return math.inf
        mean, spread = self._rest_of(self.part.open, sorted(self.part.good), True)
        return abs(self.part.total_wh - sum(self.part.good.values()) - mean) / spread

    def _unlikely_value(self, k: int) -> float:
        """Of a value that is right: a first zero, or the same again, is as rare as in the past."""
        good = self.part.good
        if good[k] == 0:
            # Nobody at home, or the main fuse off, is one event.
            if good.get(k - 1) == 0:
                return _ONE_MORE
            return max(_unlikely(self.off(k)), -math.log(self.zeros[k] + _RARE))
        again = -math.log(self.equal + _RARE) if good[k] == good.get(k - 1) else 0.0
        return _unlikely(self.off(k)) + again

    def _fault(self, verdict: Verdict) -> float:
        """Of a fault of the meter or the way that made these values."""
        if verdict.reason == "scale":
            # All the values, brought to the total, must be as expected.
            times = self.part.total_wh / sum(self.part.good.values())
            return _WRONG_UNIT + sum(
                _unlikely(float((wh * times - self.usual.mean[k]) / self.usual.spread[k]))
                for k, wh in self.part.good.items()
            )
        if verdict.reason != "sum":
            # One fault gives nothing, or the same again and again.
            return _FAULT + _ONE_MORE * len(verdict.wrong)
        # A wrong value may be any that the interval can hold.
        return sum(
            _FAULT + max(math.log(self.part.limit / self.others.get(k, (0, 1.0))[1]), _ONE_MORE)
            for k in verdict.wrong
        )

    def _rest_of(
        self, missing: Sequence[int], standing: Sequence[int], log: bool
    ) -> tuple[float, float]:
        """What the values that stand let expect of the others in all: mean and spread."""
        good = {k: self.part.good[k] for k in standing}
        expected = self.supplied if log else self.usual
        mean, covariance = predict(expected, good, missing, expected.mean)
        return float(mean.sum()), math.sqrt(max(float(covariance.sum()), 1.0))


def _unlikely(off: float) -> float:
    """Of a deviation: Student's t with three degrees, as loads have spikes."""
    return 2.0 * math.log1p(off * off / 3.0)


def _runs(sorted_: Sequence[int]) -> list[tuple[int, ...]]:
    """Stretches of neighbours."""
    out: list[list[int]] = []
    for k in sorted_:
        if out and out[-1][-1] == k - 1:
            out[-1].append(k)
        else:
            out.append([k])
    return [tuple(run) for run in out]


def _same(good: Mapping[int, int]) -> list[list[int]]:
    """Stretches of equal values, but the first of each: a snapshot that came again."""
    out: list[list[int]] = []
    for k in sorted(good):
        if good[k] == 0 or good.get(k - 1) != good[k]:
            continue
        if out and out[-1][-1] == k - 1:
            out[-1].append(k)
        else:
            out.append([k])
    return out
