"""The regulator's figures 1 to 11 of one company. Pure: from the register and what is stated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from openams.headend.profiled.control import Control
from openams.headend.register import INTERVAL, JOINT, PROFILE, REASONS, UNMETERED, Terms
from openams.headend.report import national
from openams.headend.report.company import COMPETENCES, LIMIT_READY, UNMETERED_PLANS, Company
from openams.headend.report.model import Figure, Row, rows_of
from openams.headend.vee.model import CONSUMPTION, EXCHANGE, PRODUCTION

CAUSES = ("signal", "meter", "concentrator", "headend", "other")
QUARTER_MIN = 15


@dataclass(frozen=True)
class Known:
    """Of one day: terms of all points, points that have a meter, and of these with a way to read
    it from afar; causes of meter-days that did not come in time; the yearly control."""

    terms: Sequence[Terms]
    metered: Collection[str]
    remote: Collection[str]
    causes: Mapping[str, int] = field(default_factory=dict)
    controls: Sequence[Control] = ()
    company: Company = field(default_factory=Company)


def figures(known: Known) -> tuple[Figure, ...]:
    return tuple(make(known) for make in _MAKERS)


def _meters(known: Known) -> Figure:
    older = set(known.company.older_meters)
    kinds = Counter(_meter_kind(one, known, older) for one in known.terms)
    labels = ("AMS with module", "AMS without module", "older meter", "unmetered")
    counts = [(label, kinds[label]) for label in labels]
    missing = kinds["no meter"]
    note = f"{missing} points have no meter in the register" if missing else ""
    return Figure(1, "meters", "Points by meter", rows_of(counts, national.METERS),
                  whole=len(known.terms) - missing, source=national.SOURCE, note=note)  # fmt: skip


def _meter_kind(one: Terms, known: Known, older: set[str]) -> str:
    if one.settlement == UNMETERED:
        return "unmetered"
    if one.gsrn in older:
        return "older meter"
    if one.gsrn in known.remote:
        return "AMS with module"
    return "AMS without module" if one.gsrn in known.metered else "no meter"


def _causes(known: Known) -> Figure:
    counts = [(name, known.causes.get(name, 0)) for name in CAUSES]
    unknown = sum(known.causes.values()) - sum(count for _, count in counts)
    rows = rows_of([*counts, ("unknown", unknown)], national.CAUSES)
    return Figure(2, "causes", "Why values did not come in time", rows, "meter-days",
                  sum(known.causes.values()), national.SOURCE)  # fmt: skip


def _profiled(known: Known) -> Figure:
    points = [one for one in known.terms if one.settlement == PROFILE]
    reasons = Counter(one.reason for one in points)
    counts = [(name, reasons[name]) for name in REASONS[PROFILE]]
    share = f"{len(points) / len(known.terms):.2%}" if known.terms else "none"
    note = f"{share} of all points; {national.PROFILED_OF_ALL:.2%} in Norway"
    return Figure(3, "profile-settled", "Profile-settled points by reason",
                  rows_of(counts, national.PROFILED), whole=len(points), source=national.SOURCE,
                  note=note)  # fmt: skip


def _control(known: Known) -> Figure:
    by = Counter(one.by for one in known.controls)
    counts = [("customer and company", by["both"]), ("customer alone", by["customer"]),
              ("company alone", by["company"]), ("not read this year", by[""])]  # fmt: skip
    fee = {True: "A fee is taken.", False: "No fee is taken.", None: "Not stated whether a fee is "
           "taken."}[known.company.control_fee]  # fmt: skip
    taken, not_taken = national.CONTROL_FEE
    note = f"{fee} Of the companies {taken:.0%} take one, {not_taken:.0%} do not. " + (
        "The national shares are of companies, ours of points."
    )
    return Figure(4, "control", "Who reads profile-settled points", rows_of(counts,
                  national.CONTROL), whole=len(known.controls), source=national.SOURCE,
                  note=note)  # fmt: skip


def _unmetered(known: Known) -> Figure:
    points = sum(one.settlement == UNMETERED for one in known.terms)
    plan = known.company.unmetered_plan
    return _stated(5, "unmetered", "Plan for unmetered points", UNMETERED_PLANS, plan,
                   national.UNMETERED, f"{points} unmetered points")  # fmt: skip


def _joint(known: Known) -> Figure:
    points = [one for one in known.terms if one.settlement == JOINT]
    reasons = Counter(one.reason for one in points)
    counts = [(name, reasons[name]) for name in REASONS[JOINT]]
    return Figure(6, "joint", "Joint-metered sites", rows_of(counts, national.JOINT), "sites",
                  len(points), national.SOURCE)  # fmt: skip


def _competence(known: Known) -> Figure:
    return _stated(7, "competence", "Competence in security", COMPETENCES,
                   known.company.security_competence, national.COMPETENCE)  # fmt: skip


def _limit(known: Known) -> Figure:
    note = f"{sum(national.LIMIT[:3]):.1%} of the companies within a month"
    return _stated(8, "limit", "Time to limit power by the meter", LIMIT_READY,
                   known.company.limit_ready, national.LIMIT, note)  # fmt: skip


def _stated(
    number: int,
    key: str,
    title: str,
    choice: Sequence[str],
    stated: str | None,
    shares: Sequence[float],
    note: str = "",
) -> Figure:
    """The company is one of these; the national shares are of companies."""
    rows = tuple(
        Row(name, None if stated is None else int(name == stated),
            None if stated is None else float(name == stated), share)
        for name, share in zip(choice, shares, strict=True)
    )  # fmt: skip
    texts = [note, "not stated" if stated is None else ""]
    return Figure(number, key, title, rows, "companies", 1, national.SOURCE,
                  "; ".join(text for text in texts if text))  # fmt: skip


def _quarters(
    number: int, key: str, title: str, mine: Callable[[Known], Iterable[Terms]]
) -> Callable[[Known], Figure]:
    def make(known: Known) -> Figure:
        points = list(mine(known))
        ready = sum(one.resolution_min == QUARTER_MIN for one in points)
        rows = rows_of([("quarters", ready), ("hours", len(points) - ready)])
        every, most = national.QUARTERS[key]
        note = f"in Norway {every} companies all points, {most} more than three quarters of them"
        return Figure(number, key, title, rows, whole=len(points), source=national.SOURCE,
                      note=note)  # fmt: skip

    return make


def _high_voltage(known: Known) -> Iterable[Terms]:
    stated = set(known.company.high_voltage)
    return (one for one in known.terms if one.kind == CONSUMPTION and one.gsrn in stated)


def _of_kind(kind: str) -> Callable[[Known], Iterable[Terms]]:
    return lambda known: (
        one for one in known.terms if one.kind == kind and one.settlement == INTERVAL
    )


_MAKERS = (
    _meters, _causes, _profiled, _control, _unmetered, _joint, _competence, _limit,
    _quarters(9, "consumption", "Quarters: consumption above low voltage", _high_voltage),
    _quarters(10, "infeed", "Quarters: infeed", _of_kind(PRODUCTION)),
    _quarters(11, "exchange", "Quarters: exchange between areas", _of_kind(EXCHANGE)),
)  # fmt: skip
