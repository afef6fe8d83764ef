"""The grid company of a field: its register, as it stands when the first meter counts, and what its
fitters report.

A company knows where its meters are, what fuse is before them and about how much they take in a
year. What goes wrong in the field it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from openams.errors import BenchError
from openams.field import simbench
from openams.field.loads import FILE
from openams.field.meters import FieldPlan, MeterSpec
from openams.headend.beginning import AREA, POINTS_MOST, gsrn
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.register import (
    INTERVAL,
    PRODUCTION,
    PROSUMER,
    Area,
    ConcentratorRow,
    MeterRow,
    Relation,
    Tables,
    Terms,
)
from openams.headend.store import Store
from openams.headend.vee.model import CONSUMPTION

# Main fuses that bear each load; of a home 63 A.
_FUSE_A = {"farm": 125.0, "transformer": 200.0}
_HOME_A = 63.0
_KINDS = {"prosumer": PROSUMER, "house": PROSUMER, "production": PRODUCTION}


def points(plan: FieldPlan) -> dict[str, str]:
    """Meter of the plan -> the point where it stands."""
    if len(plan.meters) > POINTS_MOST:
        raise BenchError(f"a company has at most {POINTS_MOST} points")
    return {spec.meter_id: gsrn(number) for number, spec in enumerate(plan.meters)}


def tables(plan: FieldPlan, annual_kwh: Mapping[str, float]) -> Tables:
    """The register of a field at its begin. `annual_kwh`: imported in a year, by meter."""
    begin = plan.begin_ms
    first = day_number(_day_of(plan))
    out = Tables(areas=[Area(AREA, "Chain")])
    for master in plan.masters:
        out.concentrators.append(
            ConcentratorRow(master.master_id, master.net, f"tcp://{_host(master.master_id)}")
        )
    for spec, point in zip(plan.meters, points(plan).values(), strict=True):
        out.terms.append(_terms(spec, point, first, annual_kwh[spec.meter_id]))
        out.meters.append(meter_row(spec))
        # They come from the works with their registers at zero.
        out.relations.append(Relation(point, spec.meter_id, begin, None, 0, None, 0, None))
    return out


def _day_of(plan: FieldPlan) -> date:
    day = local_day(plan.begin_ms)
    if day_bounds(day)[0] != plan.begin_ms:
        raise BenchError("a chain begins at a local midnight")
    return day


def _host(master_id: str) -> str:
    return f"{master_id.lower()}.field:4080"


def meter_row(spec: MeterSpec) -> MeterRow:
    """As the register has a meter. Behind a concentrator the operator comes by its way through."""
    url = f"tcp://m{spec.meter_id}.field:4059"
    if spec.master:
        url = f"tcp://{spec.master.lower()}.field:4059?gateway={spec.meter_id}"
    return MeterRow(spec.meter_id, spec.make, spec.net, spec.master, url, spec.master)


def _terms(spec: MeterSpec, point: str, first: int, annual_kwh: float) -> Terms:
    unknown = spec.profile.startswith((FILE, simbench.PREFIX))
    # What is read from data may give back: then nothing of it is wrong.
    kind = PROSUMER if unknown else _KINDS.get(spec.profile, CONSUMPTION)
    # One phase bears all of it.
    fuse = _FUSE_A.get(spec.profile, _HOME_A) * (2 if spec.system == "1P2W" else 1)
    return Terms(
        point, first, None, kind, INTERVAL, "", spec.period_s // 60, fuse, spec.system, AREA,
        annual_kwh,
    )  # fmt: skip


def changed(
    store: Store, at_ms: int, old: MeterSpec, new: MeterSpec, shown: tuple[int, int] | None
) -> None:
    """A fitter's report: another meter is up since `at_ms`; what the old one showed then, mWh."""
    rows = [one for one in store.relations(at_ms - 1, at_ms, meter_id=old.meter_id)]
    if not rows:
        raise BenchError(f"meter {old.meter_id} is on no point at that time")
    was = rows[0]
    plus, minus = shown or (None, None)
    ended = was._replace(to_ms=at_ms, end_plus_mwh=plus, end_minus_mwh=minus)
    begun = Relation(was.gsrn, new.meter_id, at_ms, None, 0, None, 0, None)
    faults = store.import_register(
        Tables(meters=[meter_row(new)], relations=[ended, begun]), at_ms, "fitter"
    )
    if faults:
        raise BenchError(f"the fitter's report of {old.meter_id}: {faults[0].text}")
