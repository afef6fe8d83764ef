"""What goes wrong in a field, by cause: drawn by a seed, or ordered by hand.

The shares are those that the regulator found (RME, 2023, figure 2): of the values that are
missing on a day, by what they went missing. A day of a meter counts as missing when the meter
could not be read in the whole of the night in which it is due: from midnight to seven.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from openams.errors import BenchError
from openams.field.meters import FieldPlan, MeterSpec
from openams.gs1 import meter_number
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

CAUSES = ("signal", "meter", "concentrator", "headend", "other")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# When a day's values are due: local hours of the day after it.
_DUE_H = (0, 7)


@dataclass(frozen=True)
class Kind:
    """`loses`: days of its meters go missing by it; what does not disturbs a reading."""

    cause: str
    loses: bool
    says: str


KINDS = {
    "out-of-coverage": Kind("signal", True, "no answer: the modem has no network"),
    "neighbour-lost": Kind("signal", True, "no answer: the mesh has no way to it"),
    "plc-noise": Kind("signal", True, "no answer: noise on the line"),
    "module-hang": Kind("meter", True, "no answer: the module hangs"),
    "firmware-fault": Kind("meter", True, "answers, and its load profile cannot be read"),
    "meter-reset": Kind("meter", True, "the connection falls with the third request, each time"),
    "clock-wrong": Kind("meter", False, "its clock shows another time, intervals are marked"),
    "hour-repeated": Kind("meter", False, "clock and registers stand still, then catch up"),
    "torn-block": Kind("meter", False, "long answers end short, and the connection closes"),
    "counter-refused": Kind("meter", False, "refuses the counter once, and names the one it takes"),
    "concentrator-down": Kind("concentrator", True, "none of its meters is reached"),
    "store-lost": Kind("concentrator", False, "the days that it kept are gone"),
    "head-end-down": Kind("headend", True, "nothing is read; made by whoever runs the head-end"),
    "main-fuse-off": Kind("other", True, "no answer: without supply; registers stand still"),
    "moved-out": Kind("other", True, "no answer: the site is switched off until somebody moves in"),
    "no-access": Kind("other", True, "no answer: it waits for a visit that finds nobody in"),
    "meter-changed": Kind("other", False, "refused; another meter counts at the site from zero"),
    "power-cut": Kind("other", False, "no answer for minutes; a gap is marked in the intervals"),
}
# By which share each kind makes up what its cause loses.
_WITHIN = {
    "meter": {"module-hang": 0.5, "firmware-fault": 0.3, "meter-reset": 0.2},
    "other": {"main-fuse-off": 0.6, "no-access": 0.25, "moved-out": 0.15},
    "concentrator": {"concentrator-down": 1.0},
}
# Without supply: nothing is counted meanwhile.
DARK = ("main-fuse-off", "moved-out", "power-cut")
# Nobody reaches the meter, whatever else it does.
SILENT = ("out-of-coverage", "neighbour-lost", "plc-noise", "module-hang", "no-access")
_CELL_M = 1000  # by which is looked for neighbours
_NIGHTS = 1.8  # the mean of the nights that a passing fault takes


@dataclass(frozen=True)
class Fault:
    """From `begin_ms` until before `end_ms` (UTC, ms since 2000). `detail`: of the concentrator
    kinds its name, of `meter-changed` the new number, of `clock-wrong` by how many ms."""

    kind: str
    cause: str
    begin_ms: int
    end_ms: int
    meters: tuple[str, ...]
    detail: str = ""

    def holds(self, utc_ms: int) -> bool:
        return self.begin_ms <= utc_ms < self.end_ms


class Outages(Protocol):
    """What plans the losses of the nets: see field.nets."""

    def outages(self, begin_ms: int, end_ms: int, lost_meter_days: float) -> list[Fault]: ...


@dataclass(frozen=True)
class Rates:
    """How much goes wrong. `missing`: share of the meter-days that are missing; `lasting`: share
    of the meters that nobody reaches at all, part of it; `shares`: of the missing days, by cause;
    `disturbed`: of kinds that lose no day, how many a thousand meter-days."""

    missing: float = 0.013
    lasting: float = 0.004
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "signal": 0.50,
            "meter": 0.10,
            "concentrator": 0.04,
            "headend": 0.08,
            "other": 0.28,
        }
    )
    disturbed: Mapping[str, float] = field(
        default_factory=lambda: {
            "clock-wrong": 0.3,
            "hour-repeated": 1.0,
            "torn-block": 1.0,
            "counter-refused": 0.5,
            "store-lost": 0.02,
            "meter-changed": 0.06,
            "power-cut": 5.0,
        }
    )

    def check(self) -> None:
        if unknown := set(self.shares) - set(CAUSES):
            raise BenchError(f"cause {sorted(unknown)[0]!r}: choose {', '.join(CAUSES)}")
        for kind in self.disturbed:
            check_kind(kind)
        values = [*self.shares.values(), *self.disturbed.values(), self.missing, self.lasting]
        if min(values) < 0 or not sum(self.shares.values()) or max(self.missing, self.lasting) > 1:
            raise BenchError("shares and rates are 0 or more, and no more than all meters are lost")
        if self.lasting > self.missing:
            raise BenchError("--lasting is a part of --missing: it cannot be more")


NONE = Rates(0, 0, disturbed={})


def check_kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise BenchError(f"fault {kind!r} is unknown: choose {', '.join(KINDS)}")
    return KINDS[kind]


def ordered(
    plan: FieldPlan, kind: str, begin_ms: int, end_ms: int, meters: Sequence[str], detail: str = ""
) -> Fault:
    """A fault by hand. Raises BenchError for what there is not."""
    cause = check_kind(kind).cause
    if end_ms <= begin_ms:
        raise BenchError(f"{kind}: it ends before it begins")
    if cause == "concentrator":
        if detail not in {master.master_id for master in plan.masters}:
            raise BenchError(f"{kind}: the field has no concentrator {detail!r}")
        meters = [meter.meter_id for meter in plan.meters if meter.master == detail]
    known = {meter.meter_id for meter in plan.meters}
    for number in meters:
        if number not in known:
            raise BenchError(f"{kind}: the field has no meter {number}")
    if not meters and cause != "headend":
        raise BenchError(f"{kind}: of which meters?")
    if kind == "clock-wrong" and not detail:
        detail = str(HOUR_MS)
    if kind == "meter-changed" and not detail:
        detail = spare_number(plan, meters[0])
    return Fault(kind, cause, begin_ms, end_ms, tuple(meters), detail)


def spare_number(plan: FieldPlan, meter_id: str) -> str:
    """The number of the meter that is put up in place of another: of the upper end of the range."""
    return meter_number(8_999_999 - int(meter_id[8:15]) % 4_000_000)


def replacement(old: MeterSpec, fault: Fault) -> MeterSpec:
    """The meter of the same site from the change on."""
    from dataclasses import replace

    return replace(old, meter_id=fault.detail, begin_ms=fault.begin_ms, clock_ppm=-old.clock_ppm)


# --- nights -----------------------------------------------------------------------------


def nights(begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Begin and end of each night in which a day is due, of the local days from `begin_ms` on
    that end by `end_ms`."""
    day = from_utc_ms(begin_ms).astimezone(NORWAY)
    day = day.replace(hour=0, minute=0, second=0, microsecond=0)
    out: list[tuple[int, int]] = []
    while True:
        day += timedelta(days=1)  # wall time of Norway: the day after, at midnight
        if to_utc_ms(day) > end_ms:
            return out
        out.append((to_utc_ms(day), to_utc_ms(day.replace(hour=_DUE_H[1]))))


def lost_days(fault: Fault, of_nights: Iterable[tuple[int, int]]) -> int:
    """Meter-days that are missing by it: nights that it takes whole, times its meters."""
    if not KINDS[fault.kind].loses:
        return 0
    taken = sum(fault.begin_ms <= first and fault.end_ms >= last for first, last in of_nights)
    return taken * len(fault.meters)


# --- by seed ----------------------------------------------------------------------------


def poisson(rng: random.Random, mean: float) -> int:
    """How many, where `mean` are to be expected."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def plan_faults(
    plan: FieldPlan, rates: Rates, begin_ms: int, end_ms: int, nets: Outages
) -> list[Fault]:
    """The faults of a field between two times, in order of their begin. The same every time."""
    rates.check()
    return sorted(
        _Planner(plan, rates, begin_ms, end_ms).all(nets),
        key=lambda fault: (fault.begin_ms, fault.kind, fault.meters),
    )


class _Planner:
    def __init__(self, plan: FieldPlan, rates: Rates, begin_ms: int, end_ms: int) -> None:
        self._plan = plan
        self._rates = rates
        self._begin_ms, self._end_ms = begin_ms, end_ms
        self._nights = nights(begin_ms, end_ms)
        self._rng = random.Random(f"faults {plan.seed}")
        # A meter whose site is off for good has no second fault: the ledger stays plain.
        self._gone: set[str] = set()
        self._cells: dict[tuple[str, str, tuple[int, int]], list[MeterSpec]] = {}
        for meter in plan.meters:
            place = meter.x_m // _CELL_M, meter.y_m // _CELL_M
            self._cells.setdefault((meter.net, meter.master, place), []).append(meter)

    def all(self, nets: Outages) -> list[Fault]:
        meters, days = len(self._plan.meters), len(self._nights)
        out: list[Fault] = []
        if days:
            whole = sum(self._rates.shares.values())
            shares = {cause: share / whole for cause, share in self._rates.shares.items()}
            total = self._rates.missing * meters * days
            for cause in ("signal", "meter", "other"):
                if cause not in shares:
                    continue
                of_lasting = sum(shares.get(c, 0) for c in ("signal", "meter", "other"))
                lasting = self._rates.lasting * meters * shares[cause] / of_lasting
                goal = total * shares[cause] - lasting * days
                out += self._lasting(cause, lasting)
                if cause == "signal":
                    out += nets.outages(self._begin_ms, self._end_ms, max(0.0, goal))
                else:
                    out += self._passing(cause, max(0.0, goal))
            out += self._concentrators(total * shares.get("concentrator", 0))
        return out + self._disturbing()

    def _one(self) -> MeterSpec | None:
        """A meter that is still there, drawn."""
        for _ in range(20):
            meter = self._rng.choice(self._plan.meters)
            if meter.meter_id not in self._gone:
                return meter
        return None

    def _kind(self, cause: str, meter: MeterSpec) -> str:
        if cause == "signal":
            by_net = {"mesh": "neighbour-lost", "plc": "plc-noise", "cellular": "out-of-coverage"}
            return by_net[meter.net]
        within = _WITHIN[cause]
        return self._rng.choices(list(within), list(within.values()))[0]

    def _lasting(self, cause: str, mean: float) -> list[Fault]:
        out: list[Fault] = []
        for _ in range(poisson(self._rng, mean)):
            meter = self._one()
            if meter is None:
                break
            self._gone.add(meter.meter_id)
            kind = self._kind(cause, meter)
            out.append(Fault(kind, cause, self._begin_ms, self._end_ms, (meter.meter_id,)))
        return out

    def _span(self) -> tuple[int, int]:
        """From an evening over some nights to a day."""
        rng = self._rng
        count = 1
        while rng.random() > 1 / _NIGHTS:
            count += 1
        first = rng.randrange(len(self._nights))
        last = min(first + count, len(self._nights)) - 1
        begin = self._nights[first][0] - rng.randrange(6 * HOUR_MS)
        return max(begin, self._begin_ms), self._nights[last][1] + rng.randrange(9 * HOUR_MS)

    def _nights_mean(self) -> float:
        """Of `_span`: less than _NIGHTS, since the time ends."""
        stays = 1 - 1 / _NIGHTS
        nights = len(self._nights)
        return sum((1 - stays**left) / (1 - stays) for left in range(1, nights + 1)) / nights

    def _passing(self, cause: str, goal: float) -> list[Fault]:
        out: list[Fault] = []
        for _ in range(poisson(self._rng, goal / self._nights_mean())):
            meter = self._one()
            if meter is None:
                break
            begin, end = self._span()
            out.append(Fault(self._kind(cause, meter), cause, begin, end, (meter.meter_id,)))
        return out

    def _concentrators(self, goal: float) -> list[Fault]:
        masters = self._plan.masters
        if not masters:
            return []
        behind = {master.master_id: self._behind(master.master_id) for master in masters}
        mean = sum(map(len, behind.values())) / len(masters) * self._nights_mean()
        out = []
        for _ in range(poisson(self._rng, goal / mean)):
            name = self._rng.choice(masters).master_id
            begin, end = self._span()
            out.append(Fault("concentrator-down", "concentrator", begin, end, behind[name], name))
        return out

    def _behind(self, master: str) -> tuple[str, ...]:
        return tuple(meter.meter_id for meter in self._plan.meters if meter.master == master)

    def _disturbing(self) -> list[Fault]:
        rng = self._rng
        out = []
        span = self._end_ms - self._begin_ms
        thousands = len(self._plan.meters) * span / DAY_MS / 1000
        for kind, rate in self._rates.disturbed.items():
            for _ in range(poisson(rng, rate * thousands)):
                begin = self._begin_ms + rng.randrange(span)
                fault = self._disturbance(kind, begin)
                if fault is not None:
                    out.append(fault)
        return out

    def _disturbance(self, kind: str, begin: int) -> Fault | None:
        rng = self._rng
        cause = KINDS[kind].cause
        if cause == "concentrator":
            if not self._plan.masters:
                return None
            name = rng.choice(self._plan.masters).master_id
            return Fault(kind, cause, begin, begin + 60_000, self._behind(name), name)
        meter = self._one()
        if meter is None:
            return None
        numbers: tuple[str, ...] = (meter.meter_id,)
        detail = ""
        if kind == "hour-repeated":
            begin -= begin % HOUR_MS
            end = begin + HOUR_MS
            begin = max(begin - 1000, self._begin_ms)
        elif kind == "power-cut":
            # A cut takes a piece of the net: those who stand near.
            end = begin + 60_000 * round(1 + rng.expovariate(1 / 45))
            numbers = self._near(meter, rng.randint(1, 12))
        elif kind == "meter-changed":
            if meter.begin_ms is not None:
                return None
            self._gone.add(meter.meter_id)
            end = self._end_ms
            detail = spare_number(self._plan, meter.meter_id)
        else:
            end = begin + round(rng.uniform(1, 30) * HOUR_MS)
        if kind == "clock-wrong":
            detail = str(rng.choice((-1, 1)) * rng.choice((HOUR_MS, 2 * HOUR_MS, 1_900_000)))
        return Fault(kind, cause, begin, end, numbers, detail)

    def _near(self, meter: MeterSpec, count: int) -> tuple[str, ...]:
        """Who stands near on the same net, nearest first."""
        x, y = meter.x_m // _CELL_M, meter.y_m // _CELL_M
        there: list[MeterSpec] = []
        for place in itertools.product((x - 1, x, x + 1), (y - 1, y, y + 1)):
            there += self._cells.get((meter.net, meter.master, place), ())
        there.sort(key=lambda m: (m.x_m - meter.x_m) ** 2 + (m.y_m - meter.y_m) ** 2)
        return tuple(m.meter_id for m in there[:count] if m.meter_id not in self._gone)
