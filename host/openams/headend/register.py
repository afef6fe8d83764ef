"""The register: metering points, meters, and which meter was on which point from when to when.

What it says of a moment never changes by what is said of another: rows have dates, a meter that
is changed in the middle of a day ends one relation and begins the next there. `contradictions`
judges a register as a whole, before any of it is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter
from typing import Any, NamedTuple

from openams.headend.days import day_bounds, day_date
from openams.headend.vee.model import CONSUMPTION, EXCHANGE, KINDS, PRODUCTION, PROSUMER
from openams.meter_time import local_text

INTERVAL, PROFILE, UNMETERED, JOINT = SETTLEMENTS = ("interval", "profile", "unmetered", "joint")
# Why a point is not settled by its own intervals, as the regulator's report asks (3.1 and 4).
REASONS = {
    INTERVAL: ("",),
    PROFILE: ("health", "low-use", "refused", "other", "uncategorised"),
    UNMETERED: ("",),
    JOINT: ("exempt", "not-assessed", "under-way", "other"),
}
# How a meter is reached; "none": a person reads it.
MESH, CELLULAR, PLC, NONE = NETS = ("mesh", "cellular", "plc", "none")
# Series of a point by the C of its OBIS code: A+ (Elhub: Out, consumption), A- (In, production).
A_PLUS, A_MINUS = 1, 2
ROLES = ("operator", "supplier", "customer", "third-party")
EVERYTHING = "*"


def series_of(kind: str) -> tuple[int, ...]:
    return {CONSUMPTION: (A_PLUS,), PRODUCTION: (A_MINUS,)}.get(kind, (A_PLUS, A_MINUS))


class Area(NamedTuple):
    code: str
    name: str


class Terms(NamedTuple):
    """A point from one local midnight to another (exclusive; None: open)."""

    gsrn: str
    from_day: int
    to_day: int | None
    kind: str
    settlement: str
    reason: str
    resolution_min: int  # 0 where there are no intervals
    fuse_a: float | None
    system: str  # 1P2W, 3P3W (IT), 3P4W (TN); "" where nothing is metered
    area: str
    annual_kwh: float | None


class MeterRow(NamedTuple):
    meter_id: str
    make: str
    net: str
    concentrator: str  # "" of meters that are called directly alone
    url: str  # "" where only its concentrator reaches it
    segment: str  # of the net: so many at a time


class ConcentratorRow(NamedTuple):
    concentrator_id: str
    net: str
    url: str


class Relation(NamedTuple):
    """A meter on a point. Registers when it was put up and taken down, mWh; None: not known."""

    gsrn: str
    meter_id: str
    from_ms: int
    to_ms: int | None
    start_plus_mwh: int | None
    end_plus_mwh: int | None
    start_minus_mwh: int | None
    end_minus_mwh: int | None


class Access(NamedTuple):
    """Who may see what of whom, for the energy of which time."""

    who: str
    role: str
    scope: str  # values, readings, events, all
    target: str  # a point, a grid area, or *
    from_ms: int
    to_ms: int | None


SCOPES = ("values", "readings", "events", "all")


@dataclass
class Tables:
    """Rows of a register. `lines` says where each came from: (table, key) to file and line."""

    areas: list[Area] = field(default_factory=list)
    terms: list[Terms] = field(default_factory=list)
    concentrators: list[ConcentratorRow] = field(default_factory=list)
    meters: list[MeterRow] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    access: list[Access] = field(default_factory=list)
    lines: dict[tuple[str, Any], tuple[str, int]] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, Any, Any]]:
        """(table, key, row) of all."""
        for name, key in KEYS.items():
            for row in getattr(self, name):
                yield name, key(row), row

    def count(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in KEYS}


KEYS: Mapping[str, Callable[[Any], Any]] = {
    "areas": lambda row: row.code,
    "terms": lambda row: (row.gsrn, row.from_day),
    "concentrators": lambda row: row.concentrator_id,
    "meters": lambda row: row.meter_id,
    "relations": lambda row: (row.gsrn, row.from_ms),
    "access": lambda row: (row.who, row.scope, row.target, row.from_ms),
}


class Fault(NamedTuple):
    """A row that cannot be, and why."""

    table: str
    key: Any
    text: str
    other: Any = None  # key of the row of that table that it contradicts


def merged(old: Tables, new: Tables) -> Tables:
    """What the register would be: of two rows with one key the new one."""
    out = Tables()
    for name, key in KEYS.items():
        both = {key(row): row for row in getattr(old, name)}
        both.update((key(row), row) for row in getattr(new, name))
        setattr(out, name, list(both.values()))
    out.lines = new.lines
    return out


def contradictions(tables: Tables) -> list[Fault]:
    """Everything that a register says against itself; of each row alone see `registercsv`."""
    return [*_terms(tables), *_meters(tables), *_relations(tables), *_access(tables)]


# --- points ------------------------------------------------------------------------------


def _terms(tables: Tables) -> Iterator[Fault]:
    areas = {row.code for row in tables.areas}
    for row in tables.terms:
        key = (row.gsrn, row.from_day)
        if row.area not in areas:
            yield Fault("terms", key, f"grid area {row.area} is not in the register")
        for text in _of_terms(row):
            yield Fault("terms", key, text)
    for gsrn, rows in _by(tables.terms, lambda row: row.gsrn).items():
        rows.sort(key=lambda row: row.from_day)
        for was, is_ in zip(rows, rows[1:], strict=False):
            if was.to_day is None or was.to_day > is_.from_day:
                end = "open" if was.to_day is None else f"to {day_date(was.to_day)}"
                yield Fault(
                    "terms",
                    (gsrn, is_.from_day),
                    f"point {gsrn} has other terms from {day_date(was.from_day)}, {end}: "
                    f"end those on {day_date(is_.from_day)} at the latest",
                    (gsrn, was.from_day),
                )


def _of_terms(row: Terms) -> Iterator[str]:
    if row.to_day is not None and row.to_day <= row.from_day:
        yield f"it ends on {day_date(row.to_day)}, not after its begin {day_date(row.from_day)}"
    if row.reason not in REASONS[row.settlement]:
        known = ", ".join(REASONS[row.settlement])
        yield (
            f"settlement {row.settlement} needs a reason: one of {known}"
            if known
            else f"settlement {row.settlement} has no reason, not {row.reason!r}"
        )
    if (row.settlement == PROFILE) != (row.resolution_min == 0):
        yield (
            "a profile-settled point has no resolution: leave it out"
            if row.settlement == PROFILE
            else f"settlement {row.settlement} needs a resolution of 60 or 15 min"
        )
    if row.settlement in (PROFILE, UNMETERED) and row.kind != CONSUMPTION:
        yield f"a point of kind {row.kind} is settled by its intervals, not {row.settlement}"
    if row.kind == EXCHANGE and row.resolution_min != 15:
        yield "an exchange point has intervals of 15 min"
    metered = row.settlement != UNMETERED
    if metered and (row.fuse_a is None or not row.system):
        yield "a metered point needs its main fuse and its net"
    if not metered and row.annual_kwh is None:
        yield "an unmetered point needs its assumed yearly volume"


# --- meters ------------------------------------------------------------------------------


def _meters(tables: Tables) -> Iterator[Fault]:
    known = {row.concentrator_id: row for row in tables.concentrators}
    for row in tables.meters:
        if row.concentrator and row.concentrator not in known:
            text = f"concentrator {row.concentrator} is not in the register"
            yield Fault("meters", row.meter_id, text)
        elif row.concentrator and known[row.concentrator].net != row.net:
            net = known[row.concentrator].net
            text = f"concentrator {row.concentrator} is of net {net}, the meter of {row.net}"
            yield Fault("meters", row.meter_id, text)
        if row.net == CELLULAR and row.concentrator:
            yield Fault(
                "meters", row.meter_id, "a meter with a modem of its own has no concentrator"
            )
        if row.net == CELLULAR and not row.url:
            yield Fault("meters", row.meter_id, "a meter with a modem of its own needs its URL")
        if row.net in (MESH, PLC) and not row.concentrator:
            yield Fault("meters", row.meter_id, f"a meter of net {row.net} needs its concentrator")
        if row.net == NONE and (row.url or row.concentrator):
            text = "a meter that nobody reaches has neither URL nor concentrator"
            yield Fault("meters", row.meter_id, text)


# --- relations ---------------------------------------------------------------------------


def _relations(tables: Tables) -> Iterator[Fault]:
    meters = {row.meter_id for row in tables.meters}
    terms = _by(tables.terms, lambda row: row.gsrn)
    for row in tables.relations:
        key = (row.gsrn, row.from_ms)
        if row.meter_id not in meters:
            yield Fault("relations", key, f"meter {row.meter_id} is not in the register")
        for text in (*_of_relation(row), *_in_terms(row, terms.get(row.gsrn, []))):
            yield Fault("relations", key, text)
    for what, place in (("point", 0), ("meter", 1)):
        for number, rows in _by(tables.relations, itemgetter(place)).items():
            yield from _at_once(what, number, sorted(rows, key=lambda row: row.from_ms))


def _of_relation(row: Relation) -> Iterator[str]:
    if row.to_ms is not None and row.to_ms <= row.from_ms:
        yield f"it ends {local_text(row.to_ms)}, not after its begin {local_text(row.from_ms)}"
    for name, start, end in (
        ("A+", row.start_plus_mwh, row.end_plus_mwh),
        ("A-", row.start_minus_mwh, row.end_minus_mwh),
    ):
        if end is not None and row.to_ms is None:
            yield f"it has a last reading of {name} and no end"
        if start is not None and end is not None and end < start:
            yield f"the register of {name} went back from {start} to {end} mWh"


def _in_terms(row: Relation, terms: list[Terms]) -> Iterator[str]:
    """A meter may be on a point only while that is in the register, and metered."""
    if not terms:
        yield f"point {row.gsrn} is not in the register"
        return
    at = row.from_ms
    for one in sorted(terms, key=lambda one: one.from_day):
        begin = day_bounds(day_date(one.from_day))[0]
        end = None if one.to_day is None else day_bounds(day_date(one.to_day))[0]
        inside = (end is None or at < end) and begin <= at
        if inside and one.settlement == UNMETERED:
            yield f"point {row.gsrn} is unmetered from {day_date(one.from_day)}: it has no meter"
            return
        if inside:
            if end is None or (row.to_ms is not None and row.to_ms <= end):
                return
            at = end
    yield f"the terms of point {row.gsrn} do not cover {local_text(at)}"


def _at_once(what: str, number: str, rows: list[Relation]) -> Iterator[Fault]:
    for was, is_ in zip(rows, rows[1:], strict=False):
        if was.to_ms is None or was.to_ms > is_.from_ms:
            end = "now" if was.to_ms is None else local_text(was.to_ms)
            other = was.meter_id if what == "point" else was.gsrn
            yield Fault(
                "relations",
                (is_.gsrn, is_.from_ms),
                f"{what} {number} is with {other} from {local_text(was.from_ms)} to {end}",
                (was.gsrn, was.from_ms),
            )


# --- who may see what ----------------------------------------------------------------------


def _access(tables: Tables) -> Iterator[Fault]:
    known = {row.gsrn for row in tables.terms} | {row.code for row in tables.areas}
    for row in tables.access:
        key = KEYS["access"](row)
        if row.to_ms is not None and row.to_ms <= row.from_ms:
            yield Fault("access", key, f"it ends {local_text(row.to_ms)}, not after its begin")
        if row.target == EVERYTHING:
            if row.role != "operator":
                yield Fault("access", key, f"a {row.role} may not see everything: name a point")
        elif row.target not in known:
            yield Fault("access", key, f"{row.target} is neither a point nor an area here")
        elif row.role in ("customer", "supplier", "third-party") and len(row.target) != 18:
            yield Fault("access", key, f"a {row.role} may not see a grid area: name a point")


def visible(
    grants: Iterable[Access], what: str, gsrn: str, area: str, begin_ms: int, end_ms: int
) -> list[tuple[int, int]]:
    """The parts of a time that the grants open, in order and not touching; often none."""
    spans = []
    for row in grants:
        if row.scope in (what, "all") and row.target in (gsrn, area, EVERYTHING):
            to_ms = end_ms if row.to_ms is None else min(row.to_ms, end_ms)
            if max(row.from_ms, begin_ms) < to_ms:
                spans.append((max(row.from_ms, begin_ms), to_ms))
    out: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return out


def terms_on(rows: Iterable[Terms], day: date) -> Terms | None:
    """Those of a local day."""
    number = day.year * 10000 + day.month * 100 + day.day
    for row in rows:
        if row.from_day <= number and (row.to_day is None or number < row.to_day):
            return row
    return None


def _by(rows: Iterable[Any], of: Callable[[Any], str]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        out[of(row)].append(row)
    return out


__all__ = [
    "A_MINUS",
    "A_PLUS",
    "KINDS",
    "NETS",
    "PRODUCTION",
    "PROSUMER",
    "SETTLEMENTS",
    "Access",
    "Area",
    "ConcentratorRow",
    "Fault",
    "MeterRow",
    "Relation",
    "Tables",
    "Terms",
    "contradictions",
    "merged",
    "series_of",
    "visible",
]
