"""A report of what a store has."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from openams.headend.days import day_bounds, day_number
from openams.headend.elhub.build import first_deadline, ready_deadline
from openams.headend.elhub.deadlines import day_figures
from openams.headend.elhub.plan import delivered
from openams.headend.profiled.run import controls
from openams.headend.register import NONE, Terms, series_of
from openams.headend.report import chain, regulator
from openams.headend.report.company import Company
from openams.headend.report.model import Report
from openams.headend.store import Store
from openams.headend.store.jobs import COMPLETE, DAY
from openams.headend.store.packing import unpack_values
from openams.headend.store.values import STATES
from openams.headend.vee.calendar import midnight, starts
from openams.meter_time import to_utc_ms


def report(store: Store, first: date, last: date, at: datetime, company: Company) -> Report:
    """Of the days from `first` to `last`, both included; the register as on the last one."""
    days = [first + timedelta(days=k) for k in range((last - first).days + 1)]
    terms = list(store.all_terms(last))
    estimates = chain.Estimates()
    reads = [_reads(store, day, at, estimates) for day in days]
    deliveries = [day_figures(store, day, at) for day in days]
    metered, remote, makes = _meters(store, last)
    known = regulator.Known(
        terms, metered, remote, _causes(store, days), controls(store, last), company
    )
    counts = {
        "han_open": _han_open(store),
        "points": len(metered),
        "makes": makes,
        "quarters": _resolutions(terms),
        "limiter": _limiter(terms, remote),
    }
    missing = ["firmware of the meters: the store does not hold it"]
    if not company.high_voltage:
        missing.append("which points lie above low voltage: not stated (figure 9)")
    return Report(
        company.name or store.name,
        at,
        first,
        last,
        regulator.figures(known),
        chain.figures(estimates, deliveries, counts),
        (chain.read_course(reads), chain.delivery_course(deliveries)),
        tuple(missing),
    )


# --- values ------------------------------------------------------------------------------


def _reads(store: Store, day: date, at: datetime, estimates: chain.Estimates) -> chain.DayReads:
    number, now = day_number(day), to_utc_ms(at)
    moments = (first_deadline(day), midnight(day + timedelta(days=3)), ready_deadline(day), at)
    until = [min(to_utc_ms(moment), now) for moment in moments]
    stories: dict[tuple[str, int], list[chain.Seen]] = defaultdict(list)
    for gsrn, series, at_ms, wh, states, detail in store.all(
        "SELECT gsrn, series, at_ms, wh, states, detail FROM revision WHERE day = ?"
        " ORDER BY number",
        number,
    ):
        names = tuple(STATES[one] for one in unpack_values(states))
        told = {int(k): one for k, one in json.loads(detail).items()}
        stories[gsrn, series].append(chain.Seen(at_ms, unpack_values(wh), names, told))
    reads = chain.DayReads(day)
    for terms in store.all_terms(day):
        if not delivered(terms) or terms.settlement == "unmetered":
            continue
        count = len(starts(day, terms.resolution_min))
        for series in series_of(terms.kind):
            story = stories.get((terms.gsrn, series), [])
            chain.add_series(reads, estimates, count, story, until)
    return reads


def _causes(store: Store, days: Sequence[date]) -> Counter[str]:
    """Of meter-days that were not whole at D+1 07:00; who found no cause said so."""
    out: Counter[str] = Counter()
    for day in days:
        deadline = to_utc_ms(first_deadline(day))
        for state, changed_ms, result in store.all(
            "SELECT state, changed_ms, result FROM job WHERE kind = ? AND day = ?",
            DAY, day_number(day),
        ):  # fmt: skip
            if state == COMPLETE and changed_ms <= deadline:
                continue
            out[str(json.loads(result).get("cause") or "unknown")] += 1
    return out


# --- register ----------------------------------------------------------------------------


def _meters(store: Store, day: date) -> tuple[set[str], set[str], Counter[str]]:
    """Points with a meter; of these with a way to read it from afar; meters by make."""
    nets = {one.meter_id: (one.net, one.make) for one in store.meters()}
    metered, remote, makes = set(), set(), Counter[str]()
    for relation in store.relations(*day_bounds(day)):
        net, make = nets.get(relation.meter_id, (NONE, ""))
        metered.add(relation.gsrn)
        makes[make or "not known"] += 1
        if net != NONE:
            remote.add(relation.gsrn)
    return metered, remote, makes


def _han_open(store: Store) -> int:
    """Meters whose last order that was carried out opened the port."""
    last: dict[str, str] = {}
    for subject, kind in store.all(
        "SELECT subject, kind FROM job WHERE kind IN ('han-open', 'han-close') AND state = 'done'"
        " ORDER BY changed_ms, job_id"
    ):
        last[subject] = kind
    return sum(kind == "han-open" for kind in last.values())


def _resolutions(terms: Sequence[Terms]) -> list[tuple[str, int]]:
    found = Counter(one.resolution_min for one in terms)
    names: list[tuple[str, Any]] = [("15 min", 15), ("60 min", 60), ("none", 0)]
    return [(name, found[minutes]) for name, minutes in names]


def _limiter(terms: Sequence[Terms], remote: set[str]) -> tuple[int, int]:
    fused = [one for one in terms if one.fuse_a]
    return sum(one.gsrn in remote for one in fused), len(fused)
