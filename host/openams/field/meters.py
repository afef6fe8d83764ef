"""The meters of a field: who they are, where they stand, and what reaches them."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from openams import csvtable
from openams.errors import BenchError
from openams.field.loads import PROFILES, known_profile
from openams.grid.scenario import SYSTEMS
from openams.gs1 import check_meter_number, meter_number

NETS = ("mesh", "cellular", "plc")
MAKES = ("aidon", "kaifa", "kamstrup")
PERIODS_S = (3600, 900)
MOST = 9_000_000  # of a field: seven digits of the number are its own
# How many of a hundred meters have each load, where nobody says otherwise.
_MIX = {
    "household": 52,
    "heating": 18,
    "cabin": 10,
    "ev": 8,
    "prosumer": 6,
    "farm": 3,
    "transformer": 2,
    "production": 1,
}
SHARES = {"mesh": 0.6, "cellular": 0.3, "plc": 0.1}
# Meters of a concentrator: 82 is the mean of a company with 11 million (Endesa, 2017).
PER_MASTER = 82
# Metres between a concentrator and the farthest of its meters.
_REACH_M = {"mesh": 1500, "plc": 400, "cellular": 20000}
_LOW_PPM = 60  # of a crystal, either way


@dataclass(frozen=True)
class MeterSpec:
    """One meter. `master`: its concentrator, "" where it is called directly.

    `clock_ppm`: what its crystal is off; `x_m`, `y_m`: where it stands; `begin_ms`: when it was
    put up, None: with the field.
    """

    meter_id: str
    profile: str = "household"
    system: str = "3P4W"
    net: str = "cellular"
    master: str = ""
    make: str = "aidon"
    period_s: int = 3600
    clock_ppm: int = 0
    x_m: int = 0
    y_m: int = 0
    seed: int = 1
    begin_ms: int | None = None

    @property
    def direct(self) -> bool:
        return not self.master


@dataclass(frozen=True)
class Master:
    """A concentrator, in the middle of its meters."""

    master_id: str
    net: str
    x_m: int
    y_m: int


@dataclass(frozen=True)
class FieldPlan:
    """What a field is made of. The same plan and seed give the same field."""

    meters: tuple[MeterSpec, ...]
    masters: tuple[Master, ...]
    begin_ms: int
    seed: int = 1

    def part(self, number: int, of: int) -> FieldPlan:
        """A share of the field: a concentrator and its meters stay together."""
        if of == 1:
            return self
        masters = {m.master_id for k, m in enumerate(self.masters) if k % of == number}
        direct = [m for m in self.meters if m.direct]
        mine = {m.meter_id for k, m in enumerate(direct) if k % of == number}
        return FieldPlan(
            tuple(m for m in self.meters if m.meter_id in mine or m.master in masters),
            tuple(m for m in self.masters if m.master_id in masters),
            self.begin_ms,
            self.seed,
        )


def check_number(number: str, where: str = "") -> str:
    """The number, or a BenchError that says where it stands and what is wrong with it."""
    try:
        return check_meter_number(number)
    except BenchError as error:
        raise BenchError(f"{where}{error}") from None


def make_plan(
    meters: int = 200,
    seed: int = 1,
    *,
    begin_ms: int,
    shares: Mapping[str, float] = SHARES,
    mix: Mapping[str, float] = _MIX,
    per_master: int = PER_MASTER,
    period_min: int | None = None,
    first: int = 0,
) -> FieldPlan:
    """A field by seed. `shares`: of the nets; `mix`: of the loads; `period_min` 15 or 60, None:
    as the load has it (15 for what is settled by the quarter)."""
    if not 1 <= meters <= MOST - first:
        raise BenchError(f"a field has 1 to {MOST} meters")
    for name in mix:
        known_profile(name)
    if unknown := set(shares) - set(NETS):
        raise BenchError(f"net {sorted(unknown)[0]!r} is unknown: choose {', '.join(NETS)}")
    if min(shares.values()) < 0 or sum(shares.values()) <= 0 or sum(mix.values()) <= 0:
        raise BenchError("shares are of 0 or more, and not all of them 0")
    if period_min not in (None, 15, 60):
        raise BenchError("--period is 15 or 60 minutes")
    if per_master < 1:
        raise BenchError("a concentrator has 1 meter at least")
    rng = random.Random(f"plan {seed}")
    counts = _counts(meters, shares)
    out: list[MeterSpec] = []
    masters: list[Master] = []
    for net in NETS:
        left = counts.get(net, 0)
        while left:
            group = left if net == "cellular" else min(per_master, left)
            left -= group
            middle = rng.randrange(0, 50_000), rng.randrange(0, 50_000)
            master_id = ""
            if net != "cellular":
                master_id = f"C{first + len(masters) + 1:04d}"
                masters.append(Master(master_id, net, *middle))
            for _ in range(group):
                number = first + len(out)
                out.append(_spec(rng, number, net, master_id, middle, mix, period_min, seed))
    return FieldPlan(tuple(out), tuple(masters), begin_ms, seed)


def _counts(meters: int, shares: Mapping[str, float]) -> dict[str, int]:
    """So many of each net: whole numbers, and all of them."""
    total = sum(shares.values())
    out = {net: int(meters * share / total) for net, share in shares.items()}
    by_rest = sorted(shares, key=lambda net: -(meters * shares[net] / total % 1))
    for net in by_rest[: meters - sum(out.values())]:
        out[net] += 1
    return out


def _spec(
    rng: random.Random,
    number: int,
    net: str,
    master: str,
    middle: tuple[int, int],
    mix: Mapping[str, float],
    period_min: int | None,
    seed: int,
) -> MeterSpec:
    profile = rng.choices(list(mix), list(mix.values()))[0]
    load = PROFILES.get(profile)
    quarter = load is not None and load.quarters
    reach = _REACH_M[net]
    # IT nets are still most of the country's.
    system = load.system if load and load.system else rng.choice(("3P3W", "3P3W", "3P4W", "1P2W"))
    return MeterSpec(
        meter_number(number),
        profile,
        system,
        net,
        master,
        rng.choice(MAKES),
        60 * (period_min or (15 if quarter else 60)),
        rng.randint(-_LOW_PPM, _LOW_PPM) // 10 * 10,
        middle[0] + rng.randint(-reach, reach),
        middle[1] + rng.randint(-reach, reach),
        seed * 1_000_003 + number,
    )


# --- lists in files ---------------------------------------------------------------------


def write_list(plan: FieldPlan) -> str:
    """The meters as CSV; `read_list` reads it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(MeterSpec)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(meter) for meter in plan.meters)
    return text.getvalue()


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    text = csvtable.text_of(path)
    try:
        yield from csvtable.read(text, ("meter_id",))
    except csvtable.TableError as error:
        raise BenchError(f"{path}:{error.line}: {error.text}") from None


def read_list(path: Path, begin_ms: int, seed: int = 1) -> FieldPlan:
    """A field of the meters of a CSV file: `meter_id`, and of the other columns those it has.

    Raises BenchError with file and line; then nothing is made.
    """
    names = {f.name for f in fields(MeterSpec)}
    meters = []
    seen: dict[str, int] = {}
    for line, row in _rows(path):
        where = f"{path}:{line}: "
        if unknown := row.keys() - names:
            raise BenchError(f"{path}:1: column {min(unknown)!r} is unknown: see docs/field.md")
        meter = _read_row(row, where, seed)
        if meter.meter_id in seen:
            raise BenchError(f"{where}{meter.meter_id} is in line {seen[meter.meter_id]} too")
        seen[meter.meter_id] = line
        meters.append(meter)
    if not meters:
        raise BenchError(f"{path} has no meters after its first line")
    return FieldPlan(tuple(meters), _masters_of(meters), begin_ms, seed)


_NUMBERS = ("period_s", "clock_ppm", "x_m", "y_m", "seed", "begin_ms")


def _read_row(row: dict[str, str], where: str, seed: int) -> MeterSpec:
    given: dict[str, object] = {name: text for name, text in row.items() if text}
    number = check_number(row["meter_id"], where)
    for name in _NUMBERS:
        if name in given:
            try:
                given[name] = int(row[name])
            except ValueError:
                raise BenchError(f"{where}{name} is no whole number: {row[name]!r}") from None
    given.setdefault("seed", seed * 1_000_003 + int(number[8:15]))
    meter = MeterSpec(**given)  # type: ignore[arg-type]
    try:
        known_profile(meter.profile)
    except BenchError as error:
        raise BenchError(f"{where}{error}") from None
    for what, value, choice in (
        ("system", meter.system, SYSTEMS),
        ("net", meter.net, NETS),
        ("make", meter.make, MAKES),
        ("period_s", meter.period_s, PERIODS_S),
    ):
        if value not in choice:
            raise BenchError(f"{where}{what} {value!r}: choose {', '.join(map(str, choice))}")
    if (meter.net == "cellular") != meter.direct:
        raise BenchError(f"{where}net {meter.net}: meters of mesh and plc have a master, no other")
    if not -200 <= meter.clock_ppm <= 200:
        raise BenchError(f"{where}clock_ppm {meter.clock_ppm}: crystals are within 200")
    return meter


def _masters_of(meters: Iterable[MeterSpec]) -> tuple[Master, ...]:
    groups: dict[str, list[MeterSpec]] = {}
    for meter in meters:
        if meter.master:
            groups.setdefault(meter.master, []).append(meter)
    out = []
    for master_id, group in groups.items():
        if len({meter.net for meter in group}) > 1:
            raise BenchError(f"concentrator {master_id} has meters of mesh and of plc: choose one")
        x = sum(meter.x_m for meter in group) // len(group)
        y = sum(meter.y_m for meter in group) // len(group)
        out.append(Master(master_id, group[0].net, x, y))
    return tuple(out)
