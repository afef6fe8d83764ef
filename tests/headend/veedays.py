"""Seeded days with known faults, as tests/data/vee/cases.json has them, of many more kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from openams.headend.vee.calendar import WORKDAY as A_WORKDAY
from openams.headend.vee.calendar import kind_of, starts
from openams.meter_time import NORWAY

# Wh by local hour: a workday, a day off, a roof in June.
WORKDAY = [850, 760, 700, 700, 760, 1010, 1800, 2400, 1850, 1330, 1150, 1200, 1350, 1250, 1230,
           1500, 2050, 2750, 2600, 2450, 2300, 2000, 1550, 1230]  # fmt: skip
DAY_OFF = [1600, 1250, 1120, 1120, 1060, 1200, 1600, 2050, 2200, 2300, 1950, 1650, 1650, 1550,
           1650, 1650, 1950, 2500, 2800, 2950, 2850, 2700, 2350, 1950]  # fmt: skip
ROOF = [0, 0, 0, 0, 0, 60, 300, 900, 1800, 2700, 3500, 4000, 4100, 3900, 3400, 2700, 1900, 1100,
        500, 150, 20, 0, 0, 0]  # fmt: skip
DAYS = (
    date(2026, 1, 21), date(2026, 2, 7), date(2026, 5, 1), date(2026, 12, 25), date(2026, 6, 14),
    date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 2),
)  # fmt: skip
Case = dict[str, Any]
KINDS: dict[str, Callable[[Maker], Case]] = {}


def kind(make: Callable[[Maker], Case]) -> Callable[[Maker], Case]:
    KINDS[make.__name__] = make
    return make


class Maker:
    """One seed and one resolution."""

    def __init__(self, seed: str, resolution_min: int) -> None:
        self.rng = random.Random(seed)
        self.resolution = resolution_min
        self.an_hour = 60 // resolution_min

    def values(self, day: date, shape: list[int] | None) -> list[int]:
        level = self.rng.uniform(0.25, 1.1) if shape is ROOF else 1.0
        of = shape or (WORKDAY if kind_of(day) == A_WORKDAY else DAY_OFF)
        return [
            round(
                of[at.astimezone(NORWAY).hour] / self.an_hour * level * self.rng.uniform(0.8, 1.2)
            )
            for at in starts(day, self.resolution)
        ]

    def day(
        self,
        day: date | None = None,
        *,
        registers: bool = True,
        history: int = 28,
        shape: list[int] | None = None,
        truth: Callable[[list[int]], list[int]] = lambda values: values,
    ) -> Case:
        """A day without faults."""
        day = day or self.rng.choice(DAYS)
        values = truth(self.values(day, shape))
        begin = self.rng.randrange(10**6, 10**8)
        past = [day - timedelta(days=k) for k in range(1, history + 1)]
        return {
            "point": {
                "kind": "production" if shape is ROOF else "consumption",
                "fuse_a": 63,
                "system": "3P3W",
                "resolution_min": self.resolution,
            },
            "day": day.isoformat(),
            "registers": {
                "start_wh": begin if registers else None,
                "end_wh": begin + sum(values) if registers else None,
            },
            "intervals": [{"wh": wh, "status": []} for wh in values],
            "history": {at.isoformat(): self.values(at, shape) for at in past},
            "power_cuts": [],
            "expect": {"count": len(values), "replace": [], "truth": values},
        }

    def stretch(self, case: Case, hours: int) -> range:
        n, length = len(case["intervals"]), hours * self.an_hour
        first = self.rng.randrange(n - length + 1)
        return range(first, first + length)

    def one(self, case: Case) -> int:
        return self.rng.randrange(len(case["intervals"]))

    def per_interval(self, low: int, high: int) -> int:
        return self.rng.randrange(low, high) // self.an_hour


def wrong(case: Case, values: dict[int, int | None], status: tuple[str, ...] = ()) -> Case:
    """Puts values that may not stay; None: not collected."""
    for k, wh in values.items():
        case["intervals"][k] = None if wh is None else {"wh": wh, "status": list(status)}
    case["expect"]["replace"] = sorted({*case["expect"]["replace"], *values})
    return case


def gap(case: Case, intervals: range) -> Case:
    return wrong(case, dict.fromkeys(intervals))


def make(seed: int, resolution_min: int) -> Iterator[Case]:
    """A case of each kind."""
    for name, of in KINDS.items():
        case = of(Maker(f"{seed}/{resolution_min}/{name}", resolution_min))
        yield {"name": f"{name}-{resolution_min}-{seed}", **case}


# --- nothing, or something, is missing -------------------------------------------------


@kind
def whole(m: Maker) -> Case:
    return m.day()


@kind
def one_gap(m: Maker) -> Case:
    case = m.day()
    return gap(case, m.stretch(case, m.rng.randrange(1, 12)))


@kind
def two_gaps(m: Maker) -> Case:
    case = m.day()
    return gap(gap(case, m.stretch(case, 3)), m.stretch(case, 2))


@kind
def all_missing(m: Maker) -> Case:
    case = m.day()
    return gap(case, range(len(case["intervals"])))


@kind
def gap_without_registers(m: Maker) -> Case:
    case = m.day(registers=False)
    return gap(case, m.stretch(case, 4))


@kind
def gap_with_one_register(m: Maker) -> Case:
    case = m.day()
    case["registers"]["end_wh"] = None
    return gap(case, m.stretch(case, 4))


@kind
def gap_without_history(m: Maker) -> Case:
    case = m.day(history=0)
    return gap(case, m.stretch(case, 4))


@kind
def gap_with_little_history(m: Maker) -> Case:
    case = m.day(history=3)
    return gap(case, m.stretch(case, 4))


@kind
def gap_with_odd_history(m: Maker) -> Case:
    case = m.day()
    days = sorted(case["history"])
    case["history"][days[-1]][5 * m.an_hour] = 90_000
    case["history"][days[-7]] = [0] * len(case["history"][days[-7]])
    case["history"][days[-3]] = [20_000 // m.an_hour] * len(case["history"][days[-3]])
    return gap(case, m.stretch(case, 8))


@kind
def nothing_known(m: Maker) -> Case:
    case = m.day(registers=False, history=0)
    return gap(case, range(len(case["intervals"])))


# --- too much ----------------------------------------------------------------------------


@kind
def over_fuse(m: Maker) -> Case:
    case = m.day()
    return wrong(case, {m.one(case): 90_000})


@kind
def over_fuse_without_registers(m: Maker) -> Case:
    case = m.day(registers=False)
    return wrong(case, {m.one(case): 90_000})


@kind
def over_fuse_and_gap(m: Maker) -> Case:
    case = m.day()
    k = m.one(case)
    return wrong(gap(case, m.stretch(case, 3)), {k: 90_000})


@kind
def spike_under_fuse(m: Maker) -> Case:
    case = m.day()
    return wrong(case, {m.one(case): m.per_interval(8_000, 24_000)})


@kind
def spike_without_history(m: Maker) -> Case:
    case = m.day(history=0)
    return wrong(case, {m.one(case): m.per_interval(10_000, 24_000)})


@kind
def two_spikes(m: Maker) -> Case:
    case = m.day()
    k = m.rng.randrange(len(case["intervals"]) - 6)
    return wrong(case, {k: 20_000 // m.an_hour, k + 5: 18_000 // m.an_hour})


def _with_spike(m: Maker, low: int, high: int, **how: Any) -> Case:
    def spike(values: list[int]) -> list[int]:
        values[m.rng.randrange(len(values))] = m.per_interval(low, high)
        return values

    return m.day(truth=spike, **how)


@kind
def true_spike(m: Maker) -> Case:
    return _with_spike(m, 6_000, 24_000)


@kind
def true_spike_over_fuse(m: Maker) -> Case:
    return _with_spike(m, 40_000, 60_000)


@kind
def true_spike_without_registers(m: Maker) -> Case:
    return _with_spike(m, 5_000, 9_000, registers=False)


@kind
def true_spike_and_gap(m: Maker) -> Case:
    case = _with_spike(m, 6_000, 20_000)
    return gap(case, m.stretch(case, 2))


@kind
def car_at_night_and_gap(m: Maker) -> Case:
    def car(values: list[int]) -> list[int]:
        night = range(m.an_hour, 5 * m.an_hour)
        return [wh + 7_200 // m.an_hour * (k in night) for k, wh in enumerate(values)]

    return gap(m.day(truth=car), range(12 * m.an_hour, 15 * m.an_hour))


@kind
def negative(m: Maker) -> Case:
    case = m.day()
    return wrong(case, {m.one(case): -m.rng.randrange(1, 3_000)})


@kind
def negative_without_registers(m: Maker) -> Case:
    case = m.day(registers=False)
    return wrong(case, {m.one(case): -m.rng.randrange(1, 3_000)})


@kind
def low_without_a_mark(m: Maker) -> Case:
    """Of a busy hour most is gone; of a quarter, which varies more, nearly all."""
    case = m.day()
    truth = case["expect"]["truth"]
    busy = sorted(range(len(truth)), key=lambda k: truth[k])[-3 * m.an_hour :]
    k = m.rng.choice(busy)
    return wrong(case, {k: truth[k] * 3 // (10 * m.an_hour)})


# --- zeros ---------------------------------------------------------------------------------


@kind
def some_zeros(m: Maker) -> Case:
    case = m.day()
    return wrong(case, dict.fromkeys(m.stretch(case, m.rng.choice((1, 2, 5, 12))), 0))


@kind
def all_zeros(m: Maker) -> Case:
    case = m.day()
    return wrong(case, dict.fromkeys(range(len(case["intervals"])), 0))


@kind
def all_zeros_without_history(m: Maker) -> Case:
    case = m.day(history=0)
    return wrong(case, dict.fromkeys(range(len(case["intervals"])), 0))


def _nothing(values: list[int]) -> list[int]:
    return [0] * len(values)


@kind
def empty_cabin(m: Maker) -> Case:
    return m.day(truth=_nothing)


@kind
def empty_cabin_and_gap(m: Maker) -> Case:
    case = m.day(truth=_nothing)
    return gap(case, m.stretch(case, 4))


@kind
def main_fuse_off_all_missing(m: Maker) -> Case:
    case = m.day(truth=_nothing)
    return gap(case, range(len(case["intervals"])))


@kind
def main_fuse_off_some_missing(m: Maker) -> Case:
    off = range(8 * m.an_hour, 15 * m.an_hour)
    case = m.day(truth=lambda values: [wh * (k not in off) for k, wh in enumerate(values)])
    return gap(case, off)


@kind
def nobody_home_and_gap(m: Maker) -> Case:
    off = range(8 * m.an_hour, 15 * m.an_hour)
    case = m.day(truth=lambda values: [wh * (k not in off) for k, wh in enumerate(values)])
    return gap(case, range(18 * m.an_hour, 20 * m.an_hour))


@kind
def low_day_and_gap(m: Maker) -> Case:
    case = m.day(truth=lambda values: [wh * 15 // 100 for wh in values])
    return gap(case, m.stretch(case, 4))


# --- the hour before once more -----------------------------------------------------------


def _stale(m: Maker, hours: int, place: str, registers: bool) -> Case:
    case = m.day(registers=registers)
    n, truth = len(case["intervals"]), case["expect"]["truth"]
    first = {"first": 0, "middle": m.rng.randrange(2, n - 4), "last": n - hours}[place]
    wrong(case, dict.fromkeys(range(first, first + hours), 0), ("clock-not-advanced",))
    if place != "last":
        after = first + hours
        wrong(case, {after: sum(truth[first : after + 1])})
    return case


for _hours in (1, 2):
    for _place in ("first", "middle", "last"):
        for _registers in (True, False):
            KINDS[f"stale_{_hours}_{_place}{'' if _registers else '_without_registers'}"] = (
                lambda m, h=_hours, p=_place, r=_registers: _stale(m, h, p, r)
            )


@kind
def stale_and_gap(m: Maker) -> Case:
    case = m.day()
    truth, k = case["expect"]["truth"], 5 * m.an_hour
    wrong(wrong(case, {k: 0}, ("clock-not-advanced",)), {k + 1: truth[k] + truth[k + 1]})
    return gap(case, range(12 * m.an_hour, 15 * m.an_hour))


@kind
def stale_then_missing(m: Maker) -> Case:
    case = m.day()
    k = 5 * m.an_hour
    return wrong(wrong(case, {k: 0}, ("clock-not-advanced",)), {k + 1: None})


@kind
def stale_row_twice(m: Maker) -> Case:
    case = m.day()
    k = m.rng.randrange(1, len(case["intervals"]) - 1)
    return wrong(case, {k: case["expect"]["truth"][k - 1]}, ("clock-not-advanced",))


@kind
def row_twice_without_a_mark(m: Maker) -> Case:
    case = m.day()
    truth = case["expect"]["truth"]
    k = max(range(1, len(truth)), key=lambda k: abs(truth[k] - truth[k - 1]))
    return wrong(case, {k: truth[k - 1]})


# --- marks of the meter ----------------------------------------------------------------------


def _marked(m: Maker, status: str, hours: int, registers: bool) -> Case:
    case = m.day(registers=registers)
    at = m.stretch(case, hours)
    return wrong(case, {k: case["expect"]["truth"][k] * 4 // 10 for k in at}, (status,))


for _status in ("data-not-valid", "critical-error", "clock-invalid", "energy-missing",
                "wrong-length"):  # fmt: skip
    _name = _status.replace("-", "_")
    KINDS[_name] = lambda m, s=_status: _marked(m, s, 1, True)
    KINDS[f"{_name}_3_hours"] = lambda m, s=_status: _marked(m, s, 3, True)
    KINDS[f"{_name}_without_registers"] = lambda m, s=_status: _marked(m, s, 1, False)


def _harmless(m: Maker, status: str) -> Case:
    case = m.day()
    for k in m.stretch(case, 5):
        case["intervals"][k]["status"] = [status]
    return case


for _status in ("dst", "clock-adjusted", "power-down", "period-changed"):
    KINDS[f"only_{_status.replace('-', '_')}"] = lambda m, s=_status: _harmless(m, s)


# --- power cuts ---------------------------------------------------------------------------


def _cut(m: Maker, begin: tuple[int, int], end: tuple[int, int], how: str) -> Case:
    day = date(2026, 1, 21)
    off, on = (datetime(2026, 1, 21, *at, tzinfo=NORWAY).astimezone(UTC) for at in (begin, end))
    step = timedelta(minutes=m.resolution)
    share = [
        max(timedelta(), min(at + step, on) - max(at, off)) / step
        for at in starts(day, m.resolution)
    ]
    case = m.day(
        day,
        registers=how != "without_registers",
        truth=lambda values: [round(wh * (1 - s)) for wh, s in zip(values, share, strict=True)],
    )
    case["power_cuts"] = [[off.isoformat(), on.isoformat()]]
    touched = [k for k, s in enumerate(share) if s]
    if how == "collected":
        for k in touched:
            case["intervals"][k]["status"] = ["power-down"]
        return case
    case["expect"]["zero"] = [k for k, s in enumerate(share) if s == 1]
    return wrong(case, dict.fromkeys(touched))


for _cut_name, _begin, _end in (
    ("whole", (9, 0), (12, 0)),
    ("parts", (9, 30), (12, 15)),
    ("short", (14, 10), (14, 50)),
):
    for _how in ("missing", "collected", "without_registers"):
        KINDS[f"cut_{_cut_name}_{_how}"] = lambda m, b=_begin, e=_end, h=_how: _cut(m, b, e, h)


# --- production ----------------------------------------------------------------------------

JUNE = date(2026, 6, 10)


@kind
def roof(m: Maker) -> Case:
    return m.day(JUNE, shape=ROOF)


@kind
def roof_gap(m: Maker) -> Case:
    return gap(m.day(JUNE, shape=ROOF), range(10 * m.an_hour, 14 * m.an_hour))


@kind
def roof_gap_over_sunrise(m: Maker) -> Case:
    return gap(m.day(JUNE, shape=ROOF), range(0, 10 * m.an_hour))


@kind
def roof_without_history(m: Maker) -> Case:
    return gap(m.day(JUNE, shape=ROOF, history=0), range(10 * m.an_hour, 14 * m.an_hour))


@kind
def roof_all_missing(m: Maker) -> Case:
    case = m.day(JUNE, shape=ROOF)
    return gap(case, range(len(case["intervals"])))


@kind
def roof_zero_all_day(m: Maker) -> Case:
    case = m.day(JUNE, shape=ROOF)
    return wrong(case, {k: 0 for k, wh in enumerate(case["expect"]["truth"]) if wh})


@kind
def roof_gives_at_night(m: Maker) -> Case:
    return wrong(m.day(JUNE, shape=ROOF), {m.an_hour: 2_500 // m.an_hour})


@kind
def roof_stale(m: Maker) -> Case:
    case = m.day(JUNE, shape=ROOF)
    truth, k = case["expect"]["truth"], 11 * m.an_hour
    wrong(case, {k: 0}, ("clock-not-advanced",))
    return wrong(case, {k + 1: truth[k] + truth[k + 1]})


def _sun_off(m: Maker, values: list[int], day: date) -> list[int]:
    """What a house takes from the net behind its own roof."""
    times = starts(day, m.resolution)
    return [
        max(0, wh - int(ROOF[at.astimezone(NORWAY).hour] / m.an_hour * m.rng.uniform(0.3, 1)))
        for wh, at in zip(values, times, strict=True)
    ]


@kind
def prosumer_takes(m: Maker) -> Case:
    case = m.day(JUNE, truth=lambda values: _sun_off(m, values, JUNE))
    for at, values in case["history"].items():
        case["history"][at] = _sun_off(m, values, date.fromisoformat(at))
    return case


@kind
def prosumer_takes_gap(m: Maker) -> Case:
    return gap(prosumer_takes(m), range(6 * m.an_hour, 11 * m.an_hour))
